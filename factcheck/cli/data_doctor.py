"""`factcheck data doctor`: what is in a data set, and what is wrong with it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factcheck.cli import options
from factcheck.cli.output import Report, progress, visible
from factcheck.errors import InvalidInputError

if TYPE_CHECKING:
    from rich.console import Console


def doctor(
    folder: Annotated[Path, typer.Argument(help="Folder in Factify 2's format.")],
    split: Annotated[
        list[str] | None, typer.Option(help="Only this split; may be given several times.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write doctor.json and doctor.sqlite here, not there.", metavar="DIR"),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Say what is in a data set in Factify 2's format, and whether it can be used."""
    from factcheck.datasets.doctor import examine

    report = Report("data doctor", as_json)
    with progress() as show:
        found = examine(folder, split or (), out, show)
    report.show(lambda console: _write(console, found))
    report.finish(found)
    if not found["usable"]:
        wrong = sum(described["problems"]["count"] for described in found["splits"].values())
        raise InvalidInputError(
            f"{folder}: cannot be used as it is, {wrong:,} "
            f"{'problem' if wrong == 1 else 'problems'} in its tables"
        )


def _write(console: "Console", found: dict[str, Any]) -> None:
    for name, split in found["splits"].items():
        console.print(name, style="bold")
        _write_split(console, split)
        console.print()
    if found["across"]:
        console.print("In two splits (exactly, nearly)", style="bold")
        for pair, fields in found["across"].items():
            first, second = pair.split("/")
            told = ", ".join(
                f"{field} {counts['exact']:,}, {counts['near']:,}"
                for field, counts in fields.items()
            )
            console.print(f"  of {second} in {first}: {told}", soft_wrap=True)
        console.print()
    console.print(f"data {found['sha256']}")


def _write_split(console: "Console", split: dict[str, Any]) -> None:
    def line(name: str, *parts: str) -> None:
        if parts:
            console.print(f"  {name:<22}{', '.join(parts)}", soft_wrap=True)

    def counts(name: str, values: dict[str, int]) -> None:
        line(name, *(f"{key} {count:,}" for key, count in values.items() if count))

    line("rows", f"{split['rows']:,}")
    counts("labels", split["labels"])
    for side, files in split["pictures"].items():
        counts(f"{side} pictures", files)
    counts("pictures", {"without a row": split["pictures_without_row"]})
    counts("empty", split["empty"])
    line(
        "words, 10 50 90%",
        *(f"{name} {' '.join(map(str, some))}" for name, some in split["words"].items() if some),
    )
    counts("boilerplate", split["documents_with_boilerplate"])
    line(
        "repeated (nearly)",
        *(
            f"{field} {found['exact']:,} ({found['near']:,})"
            for field, found in split["duplicates"].items()
        ),
    )
    for side, by_label in split["hosts"].items():
        for label, hosts in by_label.items():
            told = (f"{visible(host)} {count:,}" for host, count in hosts.items())
            line(f"{side} hosts", f"{label}: " + ", ".join(told))
    for name in ("problems", "broken"):
        some = split[name]
        if some["count"]:
            line(name, f"{some['count']:,}")
            for sentence in some["first"]:
                console.print(f"    {visible(sentence)}", soft_wrap=True)
            if some["count"] > len(some["first"]):
                console.print(f"    and {some['count'] - len(some['first']):,} more")
