"""The log of a run, a CSV file with a row for each step or epoch that is written of."""

import csv
from collections.abc import Sequence
from pathlib import Path

from factcheck.files import write_whole


def append_row(path: Path, columns: Sequence[str], row: dict[str, object]) -> None:
    """Add a row to a CSV file, whose head is written with the first."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, columns)
        if new:
            writer.writeheader()
        writer.writerow(row)


def cut_log(path: Path, step: int) -> None:
    """Take the rows of later steps out of a log, for the run is about to do these again.

    A run that was killed has written of steps that its last checkpoint does not know, and of the
    last one perhaps half a row.

    Args:
        path: The log, whose first column is the step; it need not be there.
        step: Steps that are done; with none of them in it the log is removed.

    Raises:
        RunError: It cannot be written.
    """
    if not path.exists():
        return
    head, *rows = path.read_bytes().decode().splitlines(keepends=True) or [""]
    kept = [row for row in rows if row.endswith("\n") and int(row.partition(",")[0]) <= step]
    if kept:
        write_whole(path, [head, *kept])
    else:
        path.unlink()
