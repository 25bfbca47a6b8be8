"""Which rows a report shows, and their pictures small enough to be in it."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import zip_longest
from pathlib import Path

from factcheck.datasets import Factify2Row
from factcheck.errors import FactcheckError
from factcheck.pictures import decode, read_bytes
from factcheck.records import Label, Verdict

MAX_ROWS = 400
"""Rows in a report: with two pictures each they take some 10 MB."""

SIDE = 200
"""Pixels on the longer side of a picture in a report."""

_RIGHT = 10  # one row in so many is kept for right labels, however many are wrong
_QUALITY = 70
_MAX_CHARACTERS = 2_000


@dataclass(frozen=True)
class Thumbnail:
    """A picture made small.

    Attributes:
        uri: The JPEG as a `data:` URI.
        width: In pixels, at most `SIDE`.
        height: Likewise.
    """

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class ShownRow:
    """A row of the error browser.

    Attributes:
        row: The row.
        verdict: The verdict on it.
        claim_picture: The claim's picture; None if it has none or it cannot be read.
        document_picture: The document's picture likewise.
    """

    row: Factify2Row
    verdict: Verdict
    claim_picture: Thumbnail | None
    document_picture: Thumbnail | None

    @property
    def wrong(self) -> bool:
        """Whether the label given is not the true one."""
        return self.row.label is not self.verdict.label


def show_rows(rows: Sequence[Factify2Row], verdicts: Sequence[Verdict]) -> list[ShownRow]:
    """The rows that `choose_rows` takes of a split, with their pictures."""
    return [
        ShownRow(
            rows[position],
            verdicts[position],
            thumbnail(rows[position].claim.image),
            thumbnail(rows[position].document.image),
        )
        for position in choose_rows([row.label for row in rows], verdicts)
    ]


def choose_rows(
    labels: Sequence[Label | None], verdicts: Sequence[Verdict], limit: int = MAX_ROWS
) -> list[int]:
    """Choose rows from every cell of the confusion matrix that has any.

    Wrong rows are dealt out of their cells in turn, the surest of each cell first, so that a rare
    confusion is not crowded out by frequent ones. What is left, and at least a tenth, goes to right
    rows in the same way; of these the least sure come first, which were nearly wrong.

    Args:
        labels: True labels of N rows.
        verdicts: Verdicts on them.
        limit: How many rows to choose; at least ten for each of the 25 cells to have one.

    Returns:
        Positions of the rows: the wrong ones, surest first, then the right ones, least sure first.
    """
    surest = sorted(range(len(labels)), key=lambda position: -verdicts[position].confidence)
    wrong: dict[tuple[Label | None, Label], list[int]] = {}
    right: dict[Label, list[int]] = {}
    for position in surest:
        true, given = labels[position], verdicts[position].label
        if true is not given:
            wrong.setdefault((true, given), []).append(position)
    for position in reversed(surest):
        if labels[position] is verdicts[position].label:
            right.setdefault(verdicts[position].label, []).append(position)
    kept_for_right = min(limit // _RIGHT, sum(map(len, right.values())))
    shown_wrong = set(_deal(list(wrong.values()), limit - kept_for_right))
    shown_right = set(_deal(list(right.values()), limit - len(shown_wrong)))
    return [position for position in surest if position in shown_wrong] + [
        position for position in reversed(surest) if position in shown_right
    ]


def _deal(cells: list[list[int]], limit: int) -> list[int]:
    """Take from each cell in turn, from its front, until `limit` are taken or none is left."""
    turns = zip_longest(*cells)
    return [position for turn in turns for position in turn if position is not None][:limit]


def thumbnail(path: str | Path | None) -> Thumbnail | None:
    """A picture as a JPEG of at most `SIDE` pixels; None if there is none or it cannot be read."""
    if path is None:
        return None
    try:
        picture = decode(read_bytes(path), path, SIDE)
    except FactcheckError:
        # The verdict was given without it, and a warning has said so by then.
        return None
    picture.thumbnail((SIDE, SIDE))
    packed = BytesIO()
    picture.save(packed, "JPEG", quality=_QUALITY, optimize=True)
    uri = f"data:image/jpeg;base64,{b64encode(packed.getvalue()).decode()}"
    return Thumbnail(uri, picture.width, picture.height)


def shorten(text: str) -> str:
    """A text as far as a report shows it: strangers' texts may be as long as a book."""
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]} […]"
