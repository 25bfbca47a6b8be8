"""Evaluating a checker on a split in Factify 2's format: predictions and metrics in a folder."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from factcheck.datasets import Factify2Row, read_factify2
from factcheck.datasets.doctor import identify
from factcheck.errors import InvalidInputError
from factcheck.evaluation.metrics import classification_metrics
from factcheck.evaluation.report import write_report
from factcheck.files import write_whole
from factcheck.records import LABELS, Verdict

if TYPE_CHECKING:
    from factcheck.pipeline import FactChecker


def evaluate_split(
    checker: "FactChecker",
    folder: Path,
    split: str,
    out: Path | None = None,
    *,
    submission: Path | None = None,
    strict: bool = False,
    on_progress: Callable[[int], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Give a verdict for each row of a split, and score them where the truth is known.

    Args:
        checker: Gives the verdicts.
        folder: A folder in Factify 2's format.
        split: Name of the split.
        out: Run folder for `predictions.jsonl`, `metrics.json` and, for a split with labels,
            `report.html` (`report`); without it none is written.
        submission: File for the labels alone, to hand in: a CSV of `Id` (the row's index) and
            `Category`, in row order. The names are those of Factify's own files, and code of one of
            its participants writes the same; the organisers' word on the form was not to be found,
            so it is not confirmed.
        strict: Make an unreadable picture an error instead of a missing one.
        on_progress: Called with the number of rows done since the last call.
        on_warning: Called with what was missing, a sentence each.

    Returns:
        `metrics.json`: the split, its `data` (`datasets.doctor.identify`), the model, and
        `classification_metrics`; of a split without labels only the number of rows.

    Raises:
        FactcheckError: The split is missing or unfit, or a file cannot be written.
    """
    from factcheck.evidence import MAX_CLAIM_CHARACTERS

    rows = read_factify2(folder, split)
    for row in rows:
        if len(row.claim.text) > MAX_CLAIM_CHARACTERS:
            raise InvalidInputError(
                f"{folder / f'{split}.csv'}: row {row.index} has a claim of "
                f"{len(row.claim.text):,} characters, more than the {MAX_CLAIM_CHARACTERS:,} "
                "allowed"
            )
    verdicts = checker.compare_many(
        [(row.claim, row.document) for row in rows], strict, on_progress
    )
    for row, verdict in zip(rows, verdicts, strict=True):
        for warning in verdict.evidence.warnings:
            if on_warning is not None:
                on_warning(f"{split} row {row.index}: {warning}")
    metrics: dict[str, Any] = {
        "split": split,
        "data": identify(folder, split),
        "model": checker.checkpoint.sha256,
        "rows": len(rows),
        "rows_without_two_pictures": sum(verdict.image_relation is None for verdict in verdicts),
    }
    labelled = all(row.label is not None for row in rows)
    if labelled:
        metrics |= score(rows, verdicts)
    if out is not None:
        write_whole(out / "predictions.jsonl", _predictions(rows, verdicts))
        write_whole(out / "metrics.json", [json.dumps(metrics, indent=2), "\n"])
        if labelled:
            write_report(out / "report.html", metrics, rows, verdicts)
        else:
            # One that is there is of other verdicts than the files beside it.
            (out / "report.html").unlink(missing_ok=True)
    if submission is not None:
        write_whole(submission, _submission(rows, verdicts))
    return metrics


def score(rows: list[Factify2Row], verdicts: list[Verdict]) -> dict[str, Any]:
    """`classification_metrics` of verdicts on rows that all have a label."""
    probabilities = np.array([[v.probabilities[label] for label in LABELS] for v in verdicts])
    image = np.array(
        [np.nan if v.image_relation is None else v.image_relation for v in verdicts], dtype=float
    )
    labels = np.array([LABELS.index(row.label) for row in rows if row.label is not None])
    same = np.array([-1 if row.same_picture is None else int(row.same_picture) for row in rows])
    return classification_metrics(probabilities, image, labels, np.where(np.isnan(image), -1, same))


def _predictions(rows: list[Factify2Row], verdicts: list[Verdict]) -> Iterator[str]:
    for row, verdict in zip(rows, verdicts, strict=True):
        yield json.dumps(
            {
                # A verdict's own `index` is the hash of an evidence index; here there is none.
                **verdict.to_dict(),
                "index": row.index,
                "true_label": None if row.label is None else str(row.label),
            },
            ensure_ascii=False,
        )
        yield "\n"


def _submission(rows: list[Factify2Row], verdicts: list[Verdict]) -> Iterator[str]:
    yield "Id,Category\n"
    for row, verdict in zip(rows, verdicts, strict=True):
        yield f"{row.index},{verdict.label}\n"
