"""Factify 2 (arXiv:2304.03897) as its organisers hand it out, and copies that differ from it.

The label is in the path of many pictures, and the address of a picture nearly gives it away; paths
are for opening files and addresses for showing, and neither may become a feature.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

from factcheck.datasets.json_lines import OptionalText, read_json_lines
from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.records import LABELS, Claim, Document, Label, same_picture_of

if TYPE_CHECKING:
    from pandas import DataFrame

SPLITS = ("train", "val", "test")
Side = Literal["claim", "document"]

_NEEDED = ("claim", "document")
_COLUMNS = (*_NEEDED, "claimimage", "documentimage", "category", "claimocr", "documentocr")
_INDEX_COLUMNS = ("", "id", "index")
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_LABELS = {re.sub(r"[^a-z]", "", label.lower()): label for label in LABELS}
_MAX_HEADER_BYTES = 64 * 2**10


@dataclass(frozen=True)
class Factify2Row:
    """A claim against a document.

    Attributes:
        index: Number of the row, unique in its split.
        claim: The claim; its image is None when there is no picture file for it.
        document: The evidence, with the id `{split}-{index}`; its image is None likewise.
        label: How well the document supports the claim; None when the file does not say.
        same_picture: Whether both sides show the same picture, as far as that is known.
        source: Where the texts of a composed row are from.
    """

    index: int
    claim: Claim
    document: Document
    label: Label | None
    same_picture: bool | None
    source: str | None


class _ProvenanceLine(BaseModel):
    index: int
    same_picture: bool | None = None
    source: OptionalText = None


def find_splits(folder: Path) -> list[str]:
    """Names of the splits in a folder: its CSV files that have a claim and a document column.

    Raises:
        MissingResourceError: There is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingResourceError(f"{folder}: no such folder")
    found = [path.stem for path in sorted(folder.glob("*.csv")) if _looks_right(path)]
    return [split for split in SPLITS if split in found] + [
        split for split in found if split not in SPLITS
    ]


def read_factify2(folder: Path, split: str) -> list[Factify2Row]:
    """Read one split of a Factify 2 folder.

    Read is `{split}.csv`, separated by tabs or commas, its columns in any spelling
    (`Claim OCR`, `claim_ocr`), with an index column or without (then rows count from 0). Pictures
    lie at `images-{split}/{claim,document}/{index}.jpg` or below `images/{split}`, with or without
    a folder named after the category; .jpeg, .png and .webp are as good. A picture that is not
    there is no error: the claim's or document's `image` is None.

    Args:
        folder: The folder.
        split: `train`, `val`, `test`, or any other name.

    Returns:
        The rows in file order.

    Raises:
        MissingResourceError: There is no such folder or file, or it cannot be read.
        InvalidInputError: The file is not a table in UTF-8 or a column is missing, or a row has a
            category that is unknown, an empty text, or an index that is not a number or not unique.
    """
    folder = Path(folder)
    path = folder / f"{split}.csv"
    if not re.fullmatch(r"[\w-][\w.-]*", split) or not path.is_file():
        splits = ", ".join(find_splits(folder)) or "none"
        raise MissingResourceError(f"{path}: no such split, the folder has {splits}")
    table = _read_table(path)
    indices = _indices(path, table)
    columns = {
        name: table[name].tolist() if name in table else [""] * len(table) for name in _COLUMNS
    }
    labels = _labels(path, indices, columns["category"])
    pictures = _Pictures(folder, split)
    provenance = _read_provenance(folder / f"provenance-{split}.jsonl")
    rows = []
    for position, (index, label) in enumerate(zip(indices, labels, strict=True)):
        for name in _NEEDED:
            if not columns[name][position].strip():
                raise InvalidInputError(f"{path}, row {index}: the {name} text is empty")
        known = provenance.get(index)
        rows.append(
            Factify2Row(
                index=index,
                claim=Claim(
                    columns["claim"][position],
                    pictures.find("claim", index, label),
                    columns["claimocr"][position].strip() or None,
                ),
                document=Document(
                    id=f"{split}-{index}",
                    text=columns["document"][position],
                    url=columns["documentimage"][position].strip() or None,
                    image=pictures.find("document", index, label),
                    ocr=columns["documentocr"][position].strip() or None,
                ),
                label=label,
                same_picture=(
                    known.same_picture if known else same_picture_of(label) if label else None
                ),
                source=known.source if known else None,
            )
        )
    return rows


def _fold(name: str) -> str:
    """A column's name without case, spaces and punctuation, and without pandas' name for none."""
    name = re.sub(r"^Unnamed: \d+$", "", name)
    return re.sub(r"[^a-z]", "", name.lower())


def _header(path: Path) -> tuple[str, str]:
    """First line of a table, and what separates its columns."""
    try:
        with path.open("rb") as file:
            line = file.readline(_MAX_HEADER_BYTES).decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise MissingResourceError(f"{path}: the file cannot be read ({reason})") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path}: the header is not UTF-8") from error
    return line, "\t" if "\t" in line else ","


def _looks_right(path: Path) -> bool:
    try:
        line, separator = _header(path)
    except (InvalidInputError, MissingResourceError):
        return False
    names = {_fold(name) for name in line.split(separator)}
    return names.issuperset(_NEEDED)


def _read_table(path: Path) -> "DataFrame":
    """The table with folded column names, at least one row and no column twice."""
    import pandas

    _, separator = _header(path)
    try:
        table = pandas.read_csv(
            path, sep=separator, dtype=str, na_filter=False, encoding="utf-8-sig"
        )
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path}: not UTF-8 (byte {error.start})") from error
    except (pandas.errors.ParserError, pandas.errors.EmptyDataError, ValueError) as error:
        raise InvalidInputError(f"{path}: not a table ({' '.join(str(error).split())})") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise MissingResourceError(f"{path}: the file cannot be read ({reason})") from error
    found = ", ".join(map(str, table.columns))
    if not isinstance(table.index, pandas.RangeIndex):
        # One name fewer than columns: pandas has taken the first column for the index already.
        table = table.reset_index(names="")
    table.columns = [_fold(str(name)) for name in table.columns]
    for name in _COLUMNS:
        count = list(table.columns).count(name)
        if count > 1:
            raise InvalidInputError(f"{path}: {count} columns are named {name!r}, among {found}")
        if count == 0 and name in _NEEDED:
            raise InvalidInputError(f"{path}: the column {name!r} is missing among {found}")
    if table.empty:
        raise InvalidInputError(f"{path}: the table has no rows")
    return table


def _indices(path: Path, table: "DataFrame") -> list[int]:
    if table.columns[0] not in _INDEX_COLUMNS:
        return list(range(len(table)))
    indices: dict[int, int] = {}
    for position, value in enumerate(table.iloc[:, 0].tolist()):
        # The index becomes a part of file names, so nothing but digits passes.
        if not re.fullmatch(r"[0-9]{1,18}", value):
            raise InvalidInputError(
                f"{path}, data row {position + 1}: the index {value[:40]!r} is not a whole number"
            )
        first = indices.setdefault(int(value), position)
        if first != position:
            raise InvalidInputError(
                f"{path}, data row {position + 1}: the index {int(value)} is already that of data "
                f"row {first + 1}"
            )
    return list(indices)


def _labels(path: Path, indices: list[int], values: list[str]) -> list[Label | None]:
    if not any(value.strip() for value in values):
        return [None] * len(values)
    labels: list[Label | None] = []
    for index, value in zip(indices, values, strict=True):
        label = _LABELS.get(re.sub(r"[^a-z]", "", value.lower()))
        if label is None:
            raise InvalidInputError(
                f"{path}, row {index}: the Category {value[:40]!r} is not one of "
                f"{', '.join(LABELS)}"
            )
        labels.append(label)
    return labels


def _read_provenance(path: Path) -> dict[int, _ProvenanceLine]:
    if not path.is_file():
        return {}
    return {line.index: line for _, line in read_json_lines(path, _ProvenanceLine)}


class _Pictures:
    """The picture files of a split, each folder listed once."""

    def __init__(self, folder: Path, split: str) -> None:
        self._roots = (folder / f"images-{split}", folder / "images" / split)
        self._listed: dict[Path, dict[str, Path]] = {}

    def find(self, side: Side, index: int, label: Label | None) -> Path | None:
        """The picture of a row's side, if there is one."""
        categories: Iterable[Label] = LABELS if label is None else (label,)
        for root in self._roots:
            for folder in (root / side, *(root / side / category for category in categories)):
                found = self._list(folder).get(str(index))
                if found is not None:
                    return found
        return None

    def _list(self, folder: Path) -> dict[str, Path]:
        if folder not in self._listed:
            files = sorted(folder.iterdir()) if folder.is_dir() else []
            self._listed[folder] = {
                file.stem: file for file in files if file.suffix.lower() in _SUFFIXES
            }
        return self._listed[folder]
