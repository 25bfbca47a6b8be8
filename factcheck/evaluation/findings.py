"""What an audit's numbers say, in sentences: by rule, so that equal numbers get equal words.

A shortcut *pays* when the 95% interval of its weighted F1 lies above both the majority's and what
its own labels would score by chance. The majority alone is no bar: its weighted F1 is lower than
that of wild guesses. Pictures alone and texts alone may pay, each telling one of the two relations;
what they give away is the other one, when the interval of that relation's accuracy lies above what
an answer that is always the same gets right. The full model is *surely* ahead, or loses, when zero
is not within the 95% interval of the paired difference. A stress test that changes no larger share
of the rows than `SMALL_LOSS` shows nothing, as the model could hardly lose more by it.
"""

import math
from typing import Any

from factcheck.evaluation.audit_splits import DUPLICATES, FULL, MAJORITY
from factcheck.evaluation.shortcuts import SHORTCUTS

SMALL_LOSS = 0.05
"""Weighted F1: the full model does not need what surely costs it less, and needs what surely costs
it something and by the best estimate at least so much."""

_GIVES_AWAY = {
    "claim only": "labels can be guessed from claims alone",
    "document only": "labels can be guessed from documents alone",
    "OCR only": "labels can be guessed from the text in pictures alone",
    "lengths only": "labels can be guessed from lengths and from what is missing",
    "URL host only": "labels can be guessed from where pictures were published",
}
_MAY = {
    "images only": ("image relation", "text_relation", "text relation", "rows"),
    "text only": ("text relation", "image_relation", "image relation", "rows that are not Refute"),
}
_NEEDED = {
    "documents shuffled": "the documents' texts",
    "images swapped": "the claims' own pictures",
    "document image dropped": "the documents' pictures",
    "all images dropped": "pictures",
    "OCR dropped": "the text in pictures",
    "debunking words masked": "words in claims that call them false",
}


def find(result: dict[str, Any]) -> list[str]:
    """Sentences on an audit.

    Args:
        result: What `audit.audit` gives, without its findings.

    Returns:
        In this order: the shortcuts, one by one those that pay and together those that do not; the
        full model among the others; each stress test.
    """
    systems = result["systems"]
    found = []
    for name in _GIVES_AWAY:
        if name in systems and pays(systems, name):
            found.append(f"{_score(systems, name)}: {_GIVES_AWAY[name]}.")
    for name, (own, axis, other, of) in _MAY.items():
        if name in systems and pays(systems, name):
            found.append(f"{_score(systems, name)}, as it may: it tells the {own}.")
        if name in systems:
            chance = result["most_frequent"][axis]
            found += _across(systems[name], name, axis, chance, f"{other} right in", f"of the {of}")
    vain = [name for name in SHORTCUTS if name in systems and not pays(systems, name)]
    if vain:
        found.append(f"Not surely above the majority and chance: {', '.join(vain)}.")
    found += [f"{_start(name)} is left out: {why}." for name, why in result["left_out"].items()]
    found += _ahead(systems)
    stress = result["stress"]
    if pays(systems, FULL):
        found += [_on_stress(name, test) for name, test in stress.items() if name != DUPLICATES]
    else:
        found.append(
            "The full model is not surely above the majority and chance itself, so that stress "
            "does not show what it needs."
        )
    return [*found, _on_duplicates(stress[DUPLICATES])]


def pays(systems: dict[str, dict[str, Any]], name: str) -> bool:
    """Whether a system's interval lies above the majority's score and above chance."""
    low, _ = _bounds(systems[name]["weighted_f1_interval"])
    least: float = max(systems[MAJORITY]["weighted_f1"], systems[name]["by_chance"])
    return low > least


def _score(systems: dict[str, dict[str, Any]], name: str) -> str:
    system = systems[name]
    return (
        f"{_start(name)} scores {system['weighted_f1']:.3f}, "
        f"{system['above_majority']:.3f} above the majority and "
        f"{system['weighted_f1'] - system['by_chance']:.3f} above chance"
    )


def _across(
    system: dict[str, Any], name: str, axis: str, chance: float | None, right_in: str, of: str
) -> list[str]:
    """What pictures alone say of the text relation, or texts alone of the image relation."""
    accuracy, interval = system[f"{axis}_accuracy"], system[f"{axis}_accuracy_interval"]
    if chance is None or interval is None or interval[0] <= chance:
        return []
    return [
        f"{_start(name)} gets the {right_in} {accuracy:.1%} {of}, where the most frequent one is "
        f"{chance:.1%}: it can be guessed from what should not tell it."
    ]


def _ahead(systems: dict[str, dict[str, Any]]) -> list[str]:
    full = systems[FULL]["weighted_f1"]
    others = {name: system for name, system in systems.items() if name != FULL}
    level = [
        f"{name} ({system['weighted_f1']:.3f})"
        for name, system in others.items()
        if _bounds(system["full_model_ahead_by_interval"])[0] <= 0
    ]
    if level:
        return [f"The full model, with {full:.3f}, is not surely ahead of {', '.join(level)}."]
    next_best = max(others, key=lambda name: float(others[name]["weighted_f1"]))
    lead = others[next_best]["full_model_ahead_by"]
    return [
        f"The full model scores {full:.3f} and is surely ahead of all others; next is {next_best}, "
        f"{lead:.3f} behind."
    ]


def _on_stress(name: str, test: dict[str, Any]) -> str:
    if not test["changed"]:
        return f"{_start(name)}: no row has what this takes away, so it shows nothing."
    if test["changed"] <= SMALL_LOSS * test["rows"]:
        # Whatever the model did with so few, it could hardly lose more.
        return (
            f"{_start(name)}: only {test['changed']:,} of {test['rows']:,} rows have what this "
            f"takes away, too few to show whether the full model needs {_NEEDED[name]}."
        )
    low, high = _bounds(test["minus_unstressed_interval"])
    change = test["minus_unstressed"]
    told = (
        f"{_start(name)} ({test['changed']:,} of {test['rows']:,} rows): the full model "
        f"{_moves(change, low, high)}"
    )
    if low > -SMALL_LOSS:
        return f"{told}, surely no loss of {SMALL_LOSS}: it does not need {_NEEDED[name]}."
    if high < 0 and change <= -SMALL_LOSS:
        return f"{told}: it needs {_NEEDED[name]}."
    return f"{told}: whether it needs {_NEEDED[name]} these rows do not show."


def _on_duplicates(test: dict[str, Any]) -> str:
    if not test["changed"]:
        return "No row that is scored is a near duplicate of a training row."
    count = f"{test['changed']:,} of {test['changed'] + test['rows']:,} rows"
    if not test["rows"]:
        return f"Near duplicates of train removed ({count}): nothing is left to score."
    low, high = _bounds(test["minus_unstressed_interval"])
    told = (
        f"Near duplicates of train removed ({count}): on the rest the full model "
        f"{_moves(test['minus_unstressed'], low, high)}"
    )
    if high < 0 and round(test["minus_unstressed"], 3) < 0:
        return f"{told}: they make its score too good."
    if high < 0:
        return f"{told}: they raise its score by less than a thousandth."
    return f"{told}: they do not surely raise its score."


def _bounds(interval: list[float] | None) -> tuple[float, float]:
    """Both ends of an interval, or all there is where none could be drawn."""
    return (-math.inf, math.inf) if interval is None else (interval[0], interval[1])


def _moves(change: float, low: float, high: float) -> str:
    """A change of the score with its interval, if there is one, as a loss or a gain."""
    word = "gains"
    if change <= 0:
        # Minus zero is written with its sign, and taken from zero it has none.
        word, change, low, high = "loses", 0 - change, 0 - high, 0 - low
    return f"{word} {change:.3f}" + (f" ({low:.3f} to {high:.3f})" if low > -math.inf else "")


def _start(name: str) -> str:
    """A name at the start of a sentence."""
    return name[0].upper() + name[1:]
