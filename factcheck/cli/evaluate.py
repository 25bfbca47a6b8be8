"""`factcheck evaluate`: verdicts for a split, and how good they are."""

from pathlib import Path
from typing import Annotated

import typer

from factcheck.cli import options
from factcheck.cli.figures import write_figures
from factcheck.cli.output import Report, count_up, progress
from factcheck.errors import UsageError


def evaluate(
    folder: Annotated[Path, typer.Argument(help="Folder in Factify 2's format.")],
    split: Annotated[str, typer.Option(help="Name of the split: train, val or test.")] = "test",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write metrics.json, predictions.jsonl and, with labels, report.html here.",
            metavar="RUN",
        ),
    ] = None,
    submission: Annotated[
        Path | None,
        typer.Option(
            help="Write the labels here as Factify 2 takes them: Id,Category.", metavar="FILE"
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Write into a folder that is not empty, or over a file."),
    ] = False,
    checkpoint: options.Checkpoint = None,
    cache: options.Cache = None,
    strict: options.Strict = False,
    as_json: options.Json = False,
) -> None:
    """Give a verdict for each row of a split, and score them where its labels are known."""
    if out is not None and out.exists() and not overwrite:
        if not out.is_dir():
            raise UsageError(f"{out}: the run folder is a file")
        if any(out.iterdir()):
            raise UsageError(f"{out}: the run folder is not empty, and --overwrite is not given")
    if submission is not None and submission.exists():
        if submission.is_dir():
            raise UsageError(f"{submission}: the submission is to be a file, and this is a folder")
        if not overwrite:
            raise UsageError(f"{submission}: the file is there, and --overwrite is not given")

    from factcheck.datasets import read_factify2
    from factcheck.evaluation import evaluate_split
    from factcheck.pipeline import FactChecker

    report = Report("evaluate", as_json)
    rows = len(read_factify2(folder, split))
    checker = FactChecker.load(checkpoint, cache)
    with progress() as show:
        metrics = evaluate_split(
            checker,
            folder,
            split,
            out,
            submission=submission,
            strict=strict,
            on_progress=count_up(show, f"{split} rows", rows),
            on_warning=report.warn,
        )
    report.show(lambda console: write_figures(console, metrics))
    report.finish(metrics)
