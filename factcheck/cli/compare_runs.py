"""`factcheck compare-runs`: whether one run on a split is better than another."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factcheck.cli import options
from factcheck.cli.figures import figure, initials, interval, plain_table
from factcheck.cli.output import Report

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def compare_runs(
    a: Annotated[Path, typer.Argument(help="Run folder of factcheck evaluate.", metavar="A")],
    b: Annotated[Path, typer.Argument(help="Another one, on the same split.", metavar="B")],
    flips: Annotated[
        int, typer.Option(help="Show this many of the rows whose label differs.", min=0)
    ] = 20,
    as_json: options.Json = False,
) -> None:
    """Compare two runs on the same rows: scores, tests of their difference, rows that flipped.

    With --json all rows that flipped are given.
    """
    from factcheck.evaluation import compare_runs as compare

    report = Report("compare-runs", as_json)
    found = compare(a, b)
    report.show(lambda console: _write(console, a, b, found, flips))
    report.finish({"a": str(a), "b": str(b), **found})


def _write(console: "Console", a: Path, b: Path, found: dict[str, Any], flips: int) -> None:
    runs = plain_table()
    runs.add_row("A", str(a))
    runs.add_row("B", str(b))
    runs.add_row("rows", str(found["rows"]))
    runs.add_row("groups of them that share no text", str(found["text_groups"]))
    console.print(runs)
    console.print()
    console.print(_scores(found["scores"]))
    console.print()
    counts = plain_table()
    for name, words in (
        ("both", "both right"),
        ("only_a", "only A right"),
        ("only_b", "only B right"),
        ("neither", "both wrong"),
    ):
        counts.add_row(words, str(found["counts"][name]))
    counts.add_row("McNemar's exact test, two-sided p", figure(found["mcnemar_p"]))
    console.print(counts)
    console.print()
    shown = found["flips"][:flips]
    console.print(f"rows that flipped: {len(found['flips'])}, shown: {len(shown)}", style="bold")
    if shown:
        console.print(_flips(shown))


def _scores(scores: dict[str, dict[str, Any]]) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for column in ("", "95% interval", "two-sided p"):
        table.add_column(column, justify="right")
    for name, found in scores.items():
        table.add_row(name.replace("_", " "))
        table.add_row("  A", figure(found["a"]), interval(found["a_interval"]))
        table.add_row("  B", figure(found["b"]), interval(found["b_interval"]))
        table.add_row(
            "  B minus A",
            figure(found["b_minus_a"]),
            interval(found["b_minus_a_interval"]),
            figure(found["two_sided_p"]),
        )
    return table


def _flips(flips: list[dict[str, Any]]) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("row", justify="right")
    table.add_column("true")
    for side in ("A", "B"):
        table.add_column(side)
        table.add_column("confidence", justify="right")
    for flip in flips:
        table.add_row(
            str(flip["index"]),
            flip["true_label"],
            initials(flip["a"]),
            figure(flip["a_confidence"]),
            initials(flip["b"]),
            figure(flip["b_confidence"]),
        )
    return table
