"""Metrics and counts as a person reads them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


# A drawing shows these; as tables they are too long to read.
_CURVES = ("reliability", "risk_coverage")


def write_figures(console: "Console", figures: dict[str, Any]) -> None:
    """Print single figures as one table, and tables of figures below it.

    Args:
        console: Where to.
        figures: Figures by name, or tables of them, or what `classification_metrics` gives.
    """
    single = _single(figures)
    if single.row_count:
        console.print(single)
    for name, value in figures.items():
        if name == "confusion":
            console.print()
            console.print(_confusion(value, figures["labels"]))
        elif name == "f1" and "leaderboard_columns" in figures:
            columns = {"F1": value, "leaderboard's 2r/(1+r)": figures["leaderboard_columns"]}
            console.print()
            console.print("by label (r: its recall)", style="bold")
            console.print(_side_by_side(columns))
        elif isinstance(value, dict) and name not in (*_CURVES, "leaderboard_columns"):
            console.print()
            console.print(name.replace("_", " "), style="bold")
            if "confusion" in value:
                write_figures(console, value)
            else:
                console.print(_side_by_side(value))


def initials(label: str) -> str:
    """A label where its name does not fit: SM for Support_Multimodal."""
    return "".join(part[0] for part in label.split("_"))


def figure(value: object) -> str:
    """A figure in words and digits."""
    return f"{value:.4f}" if isinstance(value, float) else "-" if value is None else str(value)


def interval(bounds: list[float] | None) -> str:
    """An interval `[low, high]` in digits; `-` where there is none."""
    return "-" if bounds is None else " to ".join(map(figure, bounds))


def _single(figures: dict[str, Any]) -> "Table":
    """What is not a table itself, and the interval of each that has one."""
    table = plain_table()
    if any(name.endswith("_interval") for name in figures):
        table.add_column()
        table.add_row("", "", "95% interval")
    for name, value in figures.items():
        if isinstance(value, dict | list):
            continue
        cells = [name.replace("_", " "), figure(value)]
        if f"{name}_interval" in figures:
            cells.append(interval(figures[f"{name}_interval"]))
        table.add_row(*cells)
    return table


def plain_table() -> "Table":
    """A table without lines: names, and what they stand for on the right."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    # A long value, such as a hash, is cut before a name is broken.
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    return table


def _side_by_side(figures: dict[str, Any]) -> "Table":
    """A row for each figure; if they are tables themselves, a column for each of these."""
    from rich.table import Table

    if not all(isinstance(value, dict) for value in figures.values()):
        table = plain_table()
        for name, value in figures.items():
            table.add_row(name, figure(value))
        return table
    columns = {name: _flat(value) for name, value in figures.items()}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    for row in dict.fromkeys(row for column in columns.values() for row in column):
        table.add_row(row, *(figure(column.get(row)) for column in columns.values()))
    return table


def _flat(figures: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in figures.items():
        if isinstance(value, dict):
            flat |= {f"{name}, {inner}": single for inner, single in _flat(value).items()}
        else:
            flat[name] = value
    return flat


def _confusion(rows: list[list[int]], labels: list[str]) -> "Table":
    """Counts, a row for each true label and a column for each label given."""
    from rich.table import Table

    table = Table(
        title="confusion (rows true, columns given)",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("")
    for label in labels:
        table.add_column(initials(label), justify="right")
    for label, counts in zip(labels, rows, strict=True):
        table.add_row(label, *map(str, counts))
    return table
