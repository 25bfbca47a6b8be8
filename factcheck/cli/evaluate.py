"""`factcheck evaluate`: verdicts for a split, and how good they are."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from factcheck.cli import options
from factcheck.cli.figures import write_figures
from factcheck.cli.output import Report, progress
from factcheck.errors import UsageError

Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Write predictions.jsonl, metrics.json and report.html here.",
        metavar="RUN",
    ),
]

Submission = Annotated[
    Path | None,
    typer.Option(
        "--submission",
        help="Write the labels here as Factify 2 takes them: Id,Category.",
        metavar="FILE",
    ),
]

Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Write into a folder that is not empty, or over a file."),
]


def evaluate(
    folder: Annotated[Path, typer.Argument(help="Folder in Factify 2's format.")],
    split: Annotated[str, typer.Option(help="Name of the split: train, val or test.")] = "test",
    out: Out = None,
    shard: Annotated[
        str | None,
        typer.Option(
            help="Only the i-th of n parts, as 2/4; 'factcheck evaluate merge' puts them together.",
            metavar="i/n",
        ),
    ] = None,
    submission: Submission = None,
    max_error: options.MaxError = None,
    overwrite: Overwrite = False,
    checkpoint: options.Checkpoint = None,
    cache: options.Cache = None,
    strict: options.Strict = False,
    precision: options.Precision = "auto",
    as_json: options.Json = False,
) -> None:
    """Give a verdict for each row of a split, and score them where its labels are known.

    A run that was cut off goes on where it stopped when the same command is given again.
    """
    part = _shard(shard)
    if part is not None and out is None:
        raise UsageError("--shard: --out is not given, and without it a part is of no use")
    options.require_rate(max_error)
    number_format = options.number_format(precision)
    refuse_to_lose(out, submission, overwrite)

    from factcheck.datasets import require_split
    from factcheck.evaluation import evaluate_split
    from factcheck.evaluation.runs import WHOLE, Shard
    from factcheck.files import require_writable
    from factcheck.pipeline import FactChecker

    report = Report("evaluate", as_json)
    # Before the models are loaded, which takes seconds.
    require_split(folder, split)
    for place in (out, submission):
        if place is not None:
            require_writable(place)
    checker = FactChecker.load(checkpoint, cache, precision=number_format)
    with progress() as show:
        metrics = evaluate_split(
            checker,
            folder,
            split,
            out,
            shard=WHOLE if part is None else Shard(*part),
            submission=submission,
            strict=strict,
            max_error=max_error,
            on_progress=lambda done, total: show(f"{split} rows", done, total),
            on_warning=report.warn,
        )
    finish(report, metrics)


def refuse_to_lose(out: Path | None, submission: Path | None, overwrite: bool) -> None:
    """Refuse to write over what is there, but for a run that was cut off.

    Raises:
        UsageError: Something is there and `overwrite` is not given, or of another kind.
    """
    from factcheck.evaluation.runs import PARTIAL

    if out is not None and out.exists():
        if not out.is_dir():
            raise UsageError(f"{out}: the run folder is a file")
        if any(out.iterdir()) and not overwrite and not (out / PARTIAL).exists():
            raise UsageError(f"{out}: the run folder is not empty, and --overwrite is not given")
    if submission is not None and submission.exists():
        if submission.is_dir():
            raise UsageError(f"{submission}: the submission is to be a file, and this is a folder")
        if not overwrite:
            raise UsageError(f"{submission}: the file is there, and --overwrite is not given")


def finish(report: Report, metrics: dict[str, Any]) -> None:
    """Print what a run has come to."""
    report.show(lambda console: write_figures(console, metrics))
    report.finish(metrics)


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    number, count = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= count:
        raise UsageError(f"--shard: {text!r} is not i/n with i from 1 to n, such as 2/4")
    return number, count
