"""`factcheck audit`: what a split gives away."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factcheck.cli import options
from factcheck.cli.output import Report, progress
from factcheck.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_LEGEND = """\
F1: weighted, with its 95% interval; above: the majority's; text, image: accuracy of the relation;
chance: F1 of the same labels dealt to the rows at random."""


def audit(
    folder: Annotated[Path, typer.Argument(help="Folder in Factify 2's format.")],
    train: Annotated[
        str, typer.Option(help="Split to train the baselines on.", metavar="NAME")
    ] = "train",
    val: Annotated[str, typer.Option(help="Split to score them on.", metavar="NAME")] = "val",
    out: Annotated[
        Path | None,
        typer.Option(help="Write audit.json, audit.md and audit.svg here.", metavar="DIR"),
    ] = None,
    checkpoint: options.Checkpoint = None,
    cache: options.Cache = None,
    precision: options.Precision = "auto",
    as_json: options.Json = False,
) -> None:
    """Say what a split gives away: which shortcuts pay, and what the full model does not need.

    Baselines that see only a part of each row, and others, are trained on one split and scored on
    another beside the full model, which is then scored with documents shuffled, pictures swapped
    or dropped, and more.
    """
    number_format = options.number_format(precision)
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"{out}: --out is to be a folder, and this is a file")

    from factcheck.evaluation.audit import audit as run
    from factcheck.evaluation.audit_report import write_audit
    from factcheck.files import require_writable
    from factcheck.pipeline import FactChecker

    report = Report("audit", as_json)
    if out is not None:
        require_writable(out)
    checker = FactChecker.load(checkpoint, cache, precision=number_format)
    with progress() as show:
        result = run(checker, folder, train, val, on_progress=show)
    report.show(lambda console: _write(console, result))
    if out is not None:
        write_audit(out, result)
    report.finish(result)


def _write(console: "Console", result: dict[str, Any]) -> None:
    val, train = result["splits"]["val"], result["splits"]["train"]
    console.print(
        f"{val['rows']:,} rows of {val['name']}, baselines trained on {train['rows']:,} rows of "
        f"{train['name']}"
    )
    console.print()
    console.print(_table(result["systems"], "above", "above_majority", {"chance": "by_chance"}))
    console.print()
    console.print("full model under stress", style="bold")
    console.print(_table(result["stress"], "change", "minus_unstressed", {}))
    console.print()
    console.print(_LEGEND, soft_wrap=True)
    console.print()
    console.print("findings", style="bold")
    for sentence in result["findings"]:
        console.print(f"- {sentence}", soft_wrap=True)


def _table(
    scores: dict[str, dict[str, Any]], title: str, difference: str, last: dict[str, str]
) -> "Table":
    """A row for each system.

    Args:
        scores: By name of the system.
        title: Heading of the column of differences.
        difference: Which score that column has.
        last: Further columns, by heading the score.
    """
    from rich.table import Table

    columns = {"text": "text_relation_accuracy", "image": "image_relation_accuracy", **last}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    for column in ("F1", "95% interval", title, *columns):
        table.add_column(column, justify="right", no_wrap=True)
    for name, found in scores.items():
        bounds = found["weighted_f1_interval"]
        table.add_row(
            name,
            _digits(found["weighted_f1"]),
            "-" if bounds is None else " to ".join(map(_digits, bounds)),
            _digits(found[difference], "+"),
            *(_digits(found[column]) for column in columns.values()),
        )
    return table


def _digits(value: float | None, sign: str = "") -> str:
    # Of three places, so that a row fits a terminal of 80 columns.
    return "-" if value is None else f"{value:{sign}.3f}"
