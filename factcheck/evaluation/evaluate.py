"""Evaluating a checker on a split in Factify 2's format: predictions, metrics and a report."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from factcheck.datasets import Factify2Row, read_factify2
from factcheck.datasets.doctor import identify
from factcheck.errors import InvalidInputError
from factcheck.evaluation.metrics import classification_metrics
from factcheck.evaluation.report import write_report
from factcheck.evaluation.runs import (
    WHOLE,
    PredictionLog,
    Run,
    Shard,
    read_run,
    read_verdicts,
    write_run,
)
from factcheck.evaluation.shared_texts import text_groups
from factcheck.files import write_whole
from factcheck.records import LABELS, Decision, Label, Verdict

if TYPE_CHECKING:
    from factcheck.pipeline import FactChecker


def evaluate_split(
    checker: "FactChecker",
    folder: Path,
    split: str,
    out: Path | None = None,
    *,
    shard: Shard = WHOLE,
    submission: Path | None = None,
    strict: bool = False,
    max_error: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Give a verdict for each row of a split, and score them where the truth is known.

    Args:
        checker: Gives the verdicts.
        folder: A folder in Factify 2's format.
        split: Name of the split.
        out: Run folder for `predictions.jsonl`, `run.json`, `metrics.json` and, for a split with
            labels, `report.html` (`report`); without it none is written. A run that was cut off
            there is taken up where it stopped.
        shard: Only a part of the split, for `merge_runs` to put together; a true part gets no
            `metrics.json` and no report.
        submission: File for the labels alone, to hand in: a CSV of `Id` (the row's index) and
            `Category`, in row order. The names are those of Factify's own files, and code of one of
            its participants writes the same; the organisers' word on the form was not to be found,
            so it is not confirmed.
        strict: Make an unreadable picture an error instead of a missing one.
        max_error: Highest chance of a wrong label (`fusion.abstention`); the metrics then say how
            often a label is given and how often it is wrong (`decision_metrics`).
        on_progress: Called with the number of rows done so far, and of all.
        on_warning: Called with what was missing, a sentence each.

    Returns:
        `metrics.json`: the split, its `data` (`datasets.doctor.identify`), the model, and
        `classification_metrics`; of a split without labels, and of a part, only the number of rows.

    Raises:
        FactcheckError: The split is missing or unfit, or a file cannot be written.
    """
    from factcheck.pipeline import CHUNK

    everything = read_factify2(folder, split)
    kept = out is not None or submission is not None
    if on_warning is not None and not kept and any(row.label is None for row in everything):
        on_warning(
            f"{split} has no labels to score, and without a run folder or a submission no verdict "
            "is kept"
        )
    rows = [everything[position] for position in shard.positions(len(everything), CHUNK)]
    run = Run(
        split=split,
        data=identify(folder, split),
        rows=len(everything),
        model=checker.checkpoint.sha256,
        precision=checker.encoders.precision,
        strict=strict,
        max_error=max_error,
        shard=shard,
    )
    pairs = [(row.claim, row.document) for row in rows]
    done = 0

    def more(count: int) -> None:
        nonlocal done
        done += count
        if on_progress is not None:
            on_progress(done, len(rows))

    if out is None:
        verdicts = checker.compare_many(pairs, strict, more, max_error)
    else:
        with PredictionLog(out, run, rows, CHUNK) as log:
            more(len(log.verdicts))
            for start in range(len(log.verdicts), len(pairs), CHUNK):
                some = pairs[start : start + CHUNK]
                log.append(checker.compare_many(some, strict, more, max_error))
        verdicts = log.verdicts
    for row, verdict in zip(rows, verdicts, strict=True):
        for warning in verdict.evidence.warnings:
            if on_warning is not None:
                on_warning(f"{split} row {row.index}: {warning}")
    return _finish(run, rows, verdicts, out, submission)


def merge_runs(
    runs: Sequence[Path], folder: Path, out: Path | None = None, submission: Path | None = None
) -> dict[str, Any]:
    """Put the parts of a run together.

    Args:
        runs: Run folders of all parts, in any order.
        folder: The folder that they are runs on.
        out: Run folder for the whole, as `evaluate_split` writes it.
        submission: As for `evaluate_split`.

    Returns:
        What `evaluate_split` returns for the whole.

    Raises:
        InvalidInputError: A part is missing, there twice or of another run, or the data are others.
        FactcheckError: The split is missing or unfit, or a file cannot be written.
    """
    from factcheck.pipeline import CHUNK

    parts = {path: read_run(path) for path in runs}
    first_path, first = next(iter(parts.items()))
    of_number: dict[int, Path] = {}
    for path, part in parts.items():
        shard = Shard(first.shard.number, part.shard.total)
        if not part.model_copy(update={"shard": shard}).same_as(first):
            raise InvalidInputError(f"{path}: is not of the same run as {first_path}")
        other = of_number.setdefault(part.shard.number, path)
        if other != path:
            raise InvalidInputError(f"{path}: is the same part as {other}")
    count = first.shard.total
    missing = [str(number) for number in range(1, count + 1) if number not in of_number]
    if missing:
        raise InvalidInputError(f"{first_path}: part {', '.join(missing)} of {count} is missing")
    if identify(folder, first.split)["csv_sha256"] != first.data["csv_sha256"]:
        raise InvalidInputError(
            f"{folder / f'{first.split}.csv'}: is not the table that the runs are on"
        )
    rows = read_factify2(folder, first.split)
    verdicts: dict[int, Verdict] = {}
    for number, path in of_number.items():
        positions = Shard(number, count).positions(len(rows), CHUNK)
        found = read_verdicts(path, [rows[position] for position in positions])
        verdicts |= dict(zip(positions, found, strict=True))
    whole = first.model_copy(update={"shard": WHOLE})
    return _finish(whole, rows, [verdicts[i] for i in range(len(rows))], out, submission)


def _finish(
    run: Run,
    rows: list[Factify2Row],
    verdicts: list[Verdict],
    out: Path | None,
    submission: Path | None,
) -> dict[str, Any]:
    """Score verdicts, and write what is to be written of them."""
    metrics: dict[str, Any] = {
        "split": run.split,
        "data": run.data,
        "model": run.model,
        "rows": len(rows),
        "rows_without_two_pictures": sum(verdict.image_relation is None for verdict in verdicts),
    }
    whole = run.shard == WHOLE
    if not whole:
        metrics["part"] = f"{run.shard.number} of {run.shard.total}"
    labelled = whole and all(row.label is not None for row in rows)
    if labelled:
        metrics |= score(rows, verdicts)
        if run.max_error is not None:
            metrics |= decision_metrics(
                [verdict.decision for verdict in verdicts if verdict.decision is not None],
                [verdict.label for verdict in verdicts],
                [row.label for row in rows if row.label is not None],
            )
    if out is not None:
        # What is there and not written anew is of other verdicts than the files beside it.
        if whole:
            write_whole(out / "metrics.json", [json.dumps(metrics, indent=2), "\n"])
        else:
            (out / "metrics.json").unlink(missing_ok=True)
        if labelled:
            write_report(out / "report.html", metrics, rows, verdicts)
        else:
            (out / "report.html").unlink(missing_ok=True)
        write_run(out, run, rows, verdicts)
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
    return classification_metrics(
        probabilities,
        image,
        labels,
        np.where(np.isnan(image), -1, same),
        groups=text_groups(rows),
    )


def decision_metrics(
    decisions: Sequence[Decision], given: Sequence[Label], true: Sequence[Label]
) -> dict[str, Any]:
    """How labels given at an error rate turned out.

    Args:
        decisions: What was decided of N rows, at one rate.
        given: The label of each that is given where one is.
        true: The true label of each.

    Returns:
        `max_error`; `answered`, the share of rows that a label is given to; `wrong_labels`, the
        share given a wrong one, which is what the rate is promised of; `error_among_answered`, None
        where no row is; `possible_labels_hold_truth`, the share of rows; `mean_possible_labels`.
    """
    answered = np.array([decision.answered for decision in decisions])
    right = np.array([one is other for one, other in zip(given, true, strict=True)])
    held = [label in d.possible_labels for d, label in zip(decisions, true, strict=True)]
    return {
        "max_error": decisions[0].max_error,
        "answered": float(answered.mean()),
        "wrong_labels": float((answered & ~right).mean()),
        "error_among_answered": float((~right[answered]).mean()) if answered.any() else None,
        "possible_labels_hold_truth": float(np.mean(held)),
        "mean_possible_labels": float(np.mean([len(d.possible_labels) for d in decisions])),
    }


def _submission(rows: list[Factify2Row], verdicts: list[Verdict]) -> Iterator[str]:
    yield "Id,Category\n"
    for row, verdict in zip(rows, verdicts, strict=True):
        yield f"{row.index},{verdict.label}\n"
