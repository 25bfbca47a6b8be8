"""`factcheck evaluate merge`: the parts of a run put together."""

from pathlib import Path
from typing import Annotated

import typer

from factcheck.cli import options
from factcheck.cli.evaluate import Out, Overwrite, Submission, finish, refuse_to_lose
from factcheck.cli.output import Report


def merge(
    folder: Annotated[Path, typer.Argument(help="The folder in Factify 2's format.")],
    runs: Annotated[list[Path], typer.Argument(help="Run folders of all parts.", metavar="RUN")],
    out: Out = None,
    submission: Submission = None,
    overwrite: Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Put together the parts that 'evaluate --shard i/n' has made, and score the whole."""
    refuse_to_lose(out, submission, overwrite)

    from factcheck.evaluation import merge_runs

    report = Report("evaluate merge", as_json)
    finish(report, merge_runs(runs, folder, out, submission))
