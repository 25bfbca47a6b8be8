"""Metrics and counts as a person reads them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def write_figures(console: "Console", figures: dict[str, Any]) -> None:
    """Print single figures as one table, and tables of figures below it.

    Args:
        console: Where to.
        figures: Figures by name, or tables of them, or what `classification_metrics` gives.
    """
    single = _plain_table()
    for name, value in figures.items():
        words = name.replace("_", " ")
        if name == "weighted_f1_interval":
            single.add_row("weighted f1, 95% interval", " to ".join(map(_figure, value)))
        elif not isinstance(value, dict) and name not in ("confusion", "labels"):
            single.add_row(words, _figure(value))
    if single.row_count:
        console.print(single)
    for name, value in figures.items():
        words = name.replace("_", " ")
        if name == "confusion":
            console.print()
            console.print(_confusion(value, figures["labels"]))
        elif isinstance(value, dict):
            console.print()
            console.print(words, style="bold")
            if "confusion" in value:
                write_figures(console, value)
            else:
                console.print(_side_by_side(value))


def _figure(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "-" if value is None else str(value)


def _plain_table() -> "Table":
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    return table


def _side_by_side(figures: dict[str, Any]) -> "Table":
    """A row for each figure; if they are tables themselves, a column for each of these."""
    from rich.table import Table

    if not all(isinstance(value, dict) for value in figures.values()):
        table = _plain_table()
        for name, value in figures.items():
            table.add_row(name, _figure(value))
        return table
    columns = {name: _flat(value) for name, value in figures.items()}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    for row in dict.fromkeys(row for column in columns.values() for row in column):
        table.add_row(row, *(_figure(column.get(row)) for column in columns.values()))
    return table


def _flat(figures: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in figures.items():
        if isinstance(value, dict):
            flat |= {f"{name}, {inner}": figure for inner, figure in _flat(value).items()}
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
        # The full names do not fit side by side: SM for Support_Multimodal.
        table.add_column("".join(part[0] for part in label.split("_")), justify="right")
    for label, counts in zip(labels, rows, strict=True):
        table.add_row(label, *map(str, counts))
    return table
