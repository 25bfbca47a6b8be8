"""The systems and stress tests of an audit, on splits that are encoded already."""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from factcheck.evaluation.audit_scores import chance_weighted_f1, score_answers, score_rest
from factcheck.evaluation.baselines import BASELINES
from factcheck.evaluation.coattention import co_attention
from factcheck.evaluation.shortcuts import SHORTCUTS
from factcheck.evaluation.splits import Split
from factcheck.evaluation.stress import (
    DEBUNKING,
    Stress,
    drop_document_image,
    drop_images,
    drop_ocr,
    mask_debunking_words,
    near_duplicates_of,
    shuffle_documents,
    swap_images,
)
from factcheck.fusion.inputs import FusionInputs
from factcheck.fusion.run import relation_probabilities
from factcheck.records import LABELS, same_picture_of

if TYPE_CHECKING:
    from factcheck.pipeline import FactChecker

FULL = "full model"
MAJORITY = "majority"
DUPLICATES = "near duplicates of train removed"

OnProgress = Callable[[str, int, int | None], None]
"""Takes a stage, how much of it is done, and how much there is; None where that is not known."""

_COMPARING = {
    name: BASELINES[name] for name in ("similarity + random forest", "concatenation MLP")
} | {"co-attention": co_attention}

_NONE = {"difference": None, "interval": None}


def audit_splits(
    checker: "FactChecker", train: Split, val: Split, seed: int, on_progress: OnProgress
) -> dict[str, Any]:
    """Train the baselines, run the full model, plain and under stress, and score them all.

    Args:
        checker: The full model.
        train: What the baselines are trained on: rows of at least two labels, two of each, and
            enough for one of each label in a tenth of them.
        val: What everything is scored on.
        seed: Of the baselines, the stress tests and the bootstrap.
        on_progress: Called as the work goes on.

    Returns:
        - `systems`: by name the scores of `audit_scores.score_answers`, and the weighted F1 in
          pairs: `above_majority` and `full_model_ahead_by`, each with its `{name}_interval`; null
          for the majority's own, and the full model's. `by_chance` is what the same labels would
          score if they were dealt to the rows at random (`audit_scores.chance_weighted_f1`).
        - `left_out`: by name a sentence on why a shortcut was not tried.
        - `stress`: by name the same scores of the full model, how many `rows` are scored, how many
          of val are `changed`, and `minus_unstressed` with its interval; by `DUPLICATES` the rows
          that are changed are removed (`audit_scores.score_rest`).
        - `most_frequent`: share of the most frequent `text_relation`, and of the most frequent
          `image_relation` among the rows that are not Refute (null without any): what an answer
          that is always the same gets right.
        - `debunking_words`: the patterns of `stress.DEBUNKING`.
    """
    given, left_out = _systems(train, val, seed, on_progress)

    def run(inputs: FusionInputs) -> np.ndarray:
        labels: np.ndarray = relation_probabilities(checker.checkpoint, inputs).label.argmax(axis=1)
        return labels

    done = len(given) + len(left_out)
    on_progress("systems", done, done + 1)
    given[FULL] = run(val.inputs)
    on_progress("systems", done + 1, done + 1)
    stressed, stress_changed = {}, {}
    tests = _stress_tests(checker, val, seed)
    for number, (name, stress) in enumerate(tests.items()):
        on_progress("stress tests", number, len(tests) + 1)
        shown = stress()
        stressed[name], stress_changed[name] = run(shown.inputs), shown.changed
    on_progress("stress tests", len(tests), len(tests) + 1)
    repeated = near_duplicates_of(train, val)
    on_progress("stress tests", len(tests) + 1, len(tests) + 1)

    others = [name for name in given if name != MAJORITY]
    pairs = [(name, MAJORITY) for name in others]
    pairs += [(FULL, name) for name in given if name != FULL]
    pairs += [(name, FULL) for name in stressed]
    groups = val.text_groups
    scores, differences = score_answers(
        val.labels, given | stressed, pairs, seed=seed, groups=groups
    )
    systems = {
        name: scores[name]
        | {"by_chance": chance_weighted_f1(val.labels, given[name])}
        | _named("above_majority", differences.get((name, MAJORITY), _NONE))
        | _named("full_model_ahead_by", differences.get((FULL, name), _NONE))
        for name in given
    }
    stress_scores = {
        name: scores[name]
        | {"rows": len(val), "changed": int(stress_changed[name].sum())}
        | _named("minus_unstressed", differences[name, FULL])
        for name in stressed
    }
    stress_scores[DUPLICATES] = {
        **score_rest(val.labels, given[FULL], repeated, seed=seed, groups=groups),
        "rows": int((~repeated).sum()),
        "changed": int(repeated.sum()),
    }
    return {
        "systems": systems,
        "left_out": left_out,
        "stress": stress_scores,
        "most_frequent": _most_frequent(val),
        "debunking_words": list(DEBUNKING),
    }


def _systems(
    train: Split, val: Split, seed: int, on_progress: OnProgress
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The labels that each baseline gives, by name, and why others are left out."""
    total = len(SHORTCUTS) + len(_COMPARING) + 2
    probabilities = {MAJORITY: BASELINES[MAJORITY](train.labelled(), val.labelled(), seed)}
    left_out: dict[str, str] = {}
    for name, shortcut in SHORTCUTS.items():
        on_progress("systems", len(probabilities) + len(left_out), total)
        found = shortcut.predict(train, val, seed)
        if found is None:
            left_out[name] = f"no training row has {shortcut.reads}"
        else:
            probabilities[name] = found
    for name, baseline in _COMPARING.items():
        on_progress("systems", len(probabilities) + len(left_out), total)
        probabilities[name] = baseline(train.labelled(), val.labelled(), seed)
    return {name: found.argmax(axis=1) for name, found in probabilities.items()}, left_out


def _stress_tests(checker: "FactChecker", val: Split, seed: int) -> dict[str, Callable[[], Stress]]:
    """What makes each stress test's inputs, one at a time: each is a copy of large arrays."""
    return {
        "documents shuffled": lambda: shuffle_documents(val, checker.encoders, seed),
        "images swapped": lambda: swap_images(val, seed),
        "document image dropped": lambda: drop_document_image(val),
        "all images dropped": lambda: drop_images(val),
        "OCR dropped": lambda: drop_ocr(val),
        "debunking words masked": lambda: mask_debunking_words(val, checker.encoders),
    }


def _most_frequent(split: Split) -> dict[str, float | None]:
    relations = np.bincount(split.relations)
    same = [same_picture_of(LABELS[label]) for label in split.labels]
    pictures = Counter(one for one in same if one is not None)
    return {
        "text_relation": float(relations.max() / len(split)),
        "image_relation": max(pictures.values()) / pictures.total() if pictures else None,
    }


def _named(name: str, found: dict[str, Any]) -> dict[str, Any]:
    return {name: found["difference"], f"{name}_interval": found["interval"]}
