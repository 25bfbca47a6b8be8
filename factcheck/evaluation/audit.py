"""What a split gives away: systems that read only parts of it, and the full model under stress.

Baselines are trained on one split and scored on another. The full model is a checkpoint as it is:
nothing of it is trained here, and where its own training has seen the scored split (it may have
been stopped and calibrated on it) its score is somewhat too good.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factcheck.datasets import read_factify2
from factcheck.datasets.doctor import identify
from factcheck.errors import InvalidInputError, UsageError
from factcheck.evaluation.audit_splits import OnProgress, audit_splits
from factcheck.evaluation.findings import find
from factcheck.evaluation.splits import encode_split, require_labels
from factcheck.evidence import Reading
from factcheck.records import LABELS, Label

if TYPE_CHECKING:
    from factcheck.pipeline import FactChecker

MIN_TRAIN_ROWS = 50
"""Fewest training rows: a tenth is held out by label to stop a baseline, which five labels need."""


def audit(
    checker: "FactChecker",
    folder: Path,
    train: str = "train",
    val: str = "val",
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Audit a split in Factify 2's format.

    Args:
        checker: The full model; its encoders give what the baselines read.
        folder: A folder in Factify 2's format.
        train: Name of the split that the baselines are trained on.
        val: Name of the split that everything is scored on.
        seed: Of the baselines, the stress tests and the bootstrap.
        on_progress: Called as the work goes on.

    Returns:
        Plain types: `schema_version`, `folder`, `model` (hash of the checkpoint), `precision`
        (number format that the encoders computed in), `seed`, and `splits`, by `train` and `val`
        the `name`, `rows`, `labels` (rows of each) and the hashes of `datasets.doctor.identify`;
        then what `audit_splits` gives; then `findings`, a list of sentences (`findings.find`).

    Raises:
        UsageError: Both splits are the same one.
        MissingResourceError: A split is missing.
        InvalidInputError: A row has no label, or the training rows are too few or all of one label.
    """
    if train == val:
        raise UsageError(f"{folder}: {val!r} is to be scored and cannot be the training split too")
    report = on_progress or (lambda stage, done, total: None)
    config = checker.checkpoint.config
    reading = Reading(checker.encoders, config.passages, config.head.passages, checker.ocr)
    # Encoding takes long, and whether the labels will do is known before.
    labels = {
        name: require_labels(folder, name, read_factify2(folder, name)) for name in (val, train)
    }
    _require_enough(folder / f"{train}.csv", labels[train])
    scored = encode_split(reading, folder, val, _counter(report, f"{val} encoded"))
    trained = encode_split(reading, folder, train, _counter(report, f"{train} encoded"))
    result: dict[str, Any] = {
        "schema_version": 1,
        "folder": str(folder),
        "model": checker.checkpoint.sha256,
        "precision": checker.encoders.precision,
        "seed": seed,
        "splits": {
            role: {
                "name": name,
                "rows": len(split),
                "labels": dict(Counter(str(LABELS[label]) for label in split.labels)),
                **identify(folder, name),
            }
            for role, name, split in (("train", train, trained), ("val", val, scored))
        },
        **audit_splits(checker, trained, scored, seed, report),
    }
    return {**result, "findings": find(result)}


def _require_enough(path: Path, train: Sequence[Label]) -> None:
    """Refuse training rows that baselines cannot learn from.

    Raises:
        InvalidInputError: They are too few, of one label, or one of a label is alone.
    """
    if len(train) < MIN_TRAIN_ROWS:
        raise InvalidInputError(
            f"{path}: has {len(train)} rows, and baselines need at least {MIN_TRAIN_ROWS}"
        )
    counts = Counter(map(str, train))
    if len(counts) == 1:
        raise InvalidInputError(f"{path}: all rows are {next(iter(counts))}, nothing can be learnt")
    for label, count in counts.items():
        if count == 1:
            raise InvalidInputError(
                f"{path}: has a single row of {label}, and baselines need two of a label"
            )


def _counter(report: OnProgress, stage: str) -> Callable[[int], None]:
    done = 0

    def count(encoded: int) -> None:
        nonlocal done
        done += encoded
        report(stage, done, None)

    return count
