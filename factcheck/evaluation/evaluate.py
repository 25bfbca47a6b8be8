"""Evaluating a checker on a split in Factify 2's format: predictions and metrics in a folder."""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from factcheck.datasets import Factify2Row, read_factify2
from factcheck.errors import InvalidInputError, RunError
from factcheck.evaluation.metrics import classification_metrics
from factcheck.evidence import MAX_CLAIM_CHARACTERS
from factcheck.pipeline import FactChecker
from factcheck.records import LABELS, Verdict


def evaluate_split(
    checker: FactChecker,
    folder: Path,
    split: str,
    out: Path | None = None,
    *,
    strict: bool = False,
    on_progress: Callable[[int], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Give a verdict for each row of a split, and score them where the truth is known.

    Args:
        checker: Gives the verdicts.
        folder: A folder in Factify 2's format.
        split: Name of the split.
        out: Run folder for `predictions.jsonl` and `metrics.json`; nothing is written without it.
        strict: Make an unreadable picture an error instead of a missing one.
        on_progress: Called with the number of rows done since the last call.
        on_warning: Called with what was missing, a sentence each.

    Returns:
        `metrics.json`: the split, the model, and `classification_metrics`; of a split without
        labels only the number of rows.

    Raises:
        FactcheckError: The split is missing or unfit, or the run folder cannot be written.
    """
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
        "model": checker.checkpoint.sha256,
        "rows": len(rows),
        "rows_without_two_pictures": sum(verdict.image_relation is None for verdict in verdicts),
    }
    if all(row.label is not None for row in rows):
        metrics |= score(rows, verdicts)
    if out is not None:
        _write(out / "predictions.jsonl", _predictions(rows, verdicts))
        _write(out / "metrics.json", iter([json.dumps(metrics, indent=2)]))
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


def _write(path: Path, lines: Iterator[str]) -> None:
    """Write a file whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            temporary = Path(file.name)
            try:
                file.writelines(line + "\n" for line in lines)
                file.flush()
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror})") from error
