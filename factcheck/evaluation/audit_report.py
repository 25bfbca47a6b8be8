"""An audit as files: its numbers, a table with what they say, and a picture."""

import json
from pathlib import Path
from typing import Any

from factcheck.evaluation.audit_splits import DUPLICATES, FULL, MAJORITY
from factcheck.evaluation.rendering import template_environment
from factcheck.files import write_whole

NUMBERS = "audit.json"
TABLE = "audit.md"
PICTURE = "audit.svg"

_NOTES = (
    "Weighted F1 is Factify 2's score; intervals are 95%, of a bootstrap over groups of rows that "
    "share no text, stratified by label, and those of differences are paired. The text relation's "
    "accuracy is that of the label given, on all rows; the image relation's likewise, on rows that "
    "are not Refute, where Refute, given wrongly, counts as wrong.",
    "By chance is what the labels that a system gives would score if they were dealt to the rows "
    "at random; to be above the majority and not above that is to know nothing.",
    "Baselines are trained on the training split; the full model is a checkpoint as it is. If its "
    "training was stopped or calibrated on the scored split, its score is somewhat too good.",
)


def write_audit(out: Path, result: dict[str, Any]) -> None:
    """Write `audit.json`, `audit.md` and `audit.svg`; the same audit gives the same bytes.

    Args:
        out: Folder; made if there is none. An audit that is there is written over.
        result: What `audit.audit` returns.

    Raises:
        RunError: A file cannot be written.
    """
    text = json.dumps(result, ensure_ascii=False, indent=2)
    write_whole(out / NUMBERS, [text, "\n"])
    write_whole(out / TABLE, [markdown(result)])
    write_whole(out / PICTURE, [picture(result)])


def markdown(result: dict[str, Any]) -> str:
    """The table of all systems and stress tests, and the findings, in Markdown."""
    val, train = result["splits"]["val"], result["splits"]["train"]
    lines = [
        f"# What {val['name']} gives away",
        "",
        f"{val['rows']:,} rows of {val['name']}, baselines trained on {train['rows']:,} rows of "
        f"{train['name']}, seed {result['seed']}.",
        "",
        *(f"- {sentence}" for sentence in result["findings"]),
        "",
        f"![Weighted F1 of each system and stress test]({PICTURE})",
        "",
        "| system | weighted F1 | above the majority | full model ahead by | text relation "
        "| image relation | by chance |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"{_row(name, system, 'above_majority', 'full_model_ahead_by')} "
            f"{system['by_chance']:.3f} |"
            for name, system in result["systems"].items()
        ),
        "",
        "| full model under stress | weighted F1 | minus unstressed | text relation "
        "| image relation | rows changed |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"{_row(name, test, 'minus_unstressed')} {test['changed']:,} |"
            for name, test in result["stress"].items()
        ),
        "",
        f"Rows changed of '{DUPLICATES}' are those removed; the rest is compared with all rows "
        "weighted to have its labels.",
        *(f"{name} is left out: {why}." for name, why in result["left_out"].items()),
        "",
        *(line for note in _NOTES for line in (note, "")),
        f"Data: `{val['name']}.csv` {val['csv_sha256']}, `{train['name']}.csv` "
        f"{train['csv_sha256']}. Model: {result['model']}, encoders in "
        f"{result['precision']}.",
    ]
    return "".join(f"{line}\n" for line in lines)


def _row(name: str, scores: dict[str, Any], *differences: str) -> str:
    cells = [name, measured(scores, "weighted_f1")]
    cells += [measured(scores, difference, signed=True) for difference in differences]
    cells += [measured(scores, f"{axis}_relation_accuracy") for axis in ("text", "image")]
    return f"| {' | '.join(cells)} |"


def measured(scores: dict[str, Any], name: str, signed: bool = False) -> str:
    """A score with its interval, if there is one, in digits; `-` where there is no score."""
    if scores[name] is None:
        return "-"
    sign = "+" if signed else ""
    bounds = scores[f"{name}_interval"]
    interval = "" if bounds is None else f" ({bounds[0]:{sign}.3f} to {bounds[1]:{sign}.3f})"
    return f"{scores[name]:{sign}.3f}{interval}"


def picture(result: dict[str, Any]) -> str:
    """Weighted F1 of all systems and stress tests as bars on one axis, in SVG."""
    systems, stress = result["systems"], result["stress"]
    groups = [
        {
            "title": "systems",
            "bars": [_bar(name, found, found["by_chance"]) for name, found in systems.items()],
        },
        {
            "title": "full model under stress",
            "bars": [_bar(name, found) for name, found in stress.items()],
        },
    ]
    return (
        template_environment()
        .get_template("audit.svg")
        .render(
            split=result["splits"]["val"]["name"],
            groups=groups,
            count=len(systems) + len(stress),
            marks=[
                {"name": name, "score": systems[name]["weighted_f1"]} for name in (MAJORITY, FULL)
            ],
        )
    )


def _bar(name: str, scores: dict[str, Any], chance: float | None = None) -> dict[str, Any]:
    return {
        "chance": chance,
        "name": name,
        "kind": "full" if name == FULL else "plain",
        "score": scores["weighted_f1"],
        "interval": scores["weighted_f1_interval"],
        "text": measured(scores, "weighted_f1"),
    }
