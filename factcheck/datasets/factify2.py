"""Factify 2 (arXiv:2304.03897) as its organisers hand it out, and copies that differ from it.

The label is in the path of many pictures, and the address of a picture nearly gives it away; paths
are for opening files and addresses for showing, and neither may become a feature.
"""

import csv
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from factcheck.datasets.boilerplate import clean_text
from factcheck.datasets.json_lines import OptionalText, read_json_lines
from factcheck.datasets.picture_files import PictureFiles
from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.records import (
    LABELS,
    MAX_CLAIM_CHARACTERS,
    Claim,
    Document,
    Label,
    same_picture_of,
)

if TYPE_CHECKING:
    from pandas import DataFrame

SPLITS = ("train", "val", "test")

_NEEDED = ("claim", "document")
_COLUMNS = (*_NEEDED, "claimimage", "documentimage", "category", "claimocr", "documentocr")
# What pandas calls a column without a name; with a dot the second time that it is written anew.
_UNNAMED = re.compile(r"unnamed: \d+(\.\d+)?", re.IGNORECASE)
_INDEX_COLUMNS = ("", "id", "index", "idx", "no", "number", "row", "rowid", "rownumber", "sno")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")
_SPLIT_NAME = re.compile(r"[\w-][\w.-]*")
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
        raw_claim: The claim as it is in the file; `claim.text` is cleaned.
        raw_document: The document likewise.
        claim_image_url: Where the claim's picture was, as far as the file says.
        document_image_url: Where the document's picture was.
    """

    index: int
    claim: Claim
    document: Document
    label: Label | None
    same_picture: bool | None
    source: str | None
    raw_claim: str
    raw_document: str
    claim_image_url: str | None
    document_image_url: str | None


class _ProvenanceLine(BaseModel):
    index: int
    same_picture: bool | None = None
    source: OptionalText = None


def find_splits(folder: Path) -> list[str]:
    """Names of the splits in a folder: its CSV files that have a claim and a document column.

    Names with spaces and the like, such as that of `train (1).csv`, are those of copies, and are
    passed over; `require_split` refuses them.

    Raises:
        MissingResourceError: There is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingResourceError(f"{folder}: no such folder")
    found = [
        path.stem
        for path in sorted(folder.glob("*.csv"))
        if _SPLIT_NAME.fullmatch(path.stem) and path.is_file() and _looks_right(path)
    ]
    return [split for split in SPLITS if split in found] + [
        split for split in found if split not in SPLITS
    ]


def require_split(folder: Path, split: str) -> Path:
    """The table of a split that must be there.

    Raises:
        MissingResourceError: There is no such folder or split.
    """
    path = Path(folder) / f"{split}.csv"
    if not _SPLIT_NAME.fullmatch(split) or not path.is_file():
        splits = ", ".join(find_splits(folder)) or "none"
        raise MissingResourceError(f"{path}: no such split, the folder has {splits}")
    return path


def read_factify2(folder: Path, split: str) -> list[Factify2Row]:
    """Read one split of a Factify 2 folder.

    Read is `{split}.csv`, separated by tabs or commas, its columns in any spelling
    (`Claim OCR`, `claim_ocr`), with an index column or without (then rows count from 0).

    The index names the pictures, so a wrong one shows every row another's. It is the column without
    a name (`Unnamed: 0`, `Unnamed: 0.1`), or one named id, index, idx, no, number, row, row id, row
    number or S.No, wherever it stands; one that is not the first and holds no whole number at all
    is none. Several must agree, and a first column under any other name must not look like one: if
    in doubt, the table is refused.

    Pictures lie where `PictureFiles` says, unpacked or in archives. A picture that is not there is
    no error: the claim's or document's `image` is None. Texts are cleaned by `clean_text`; a row
    keeps them as they are in the file too.

    Args:
        folder: The folder.
        split: `train`, `val`, `test`, or any other name.

    Returns:
        The rows in file order.

    Raises:
        MissingResourceError: There is no such folder or file, or it cannot be read.
        InvalidInputError: The file is not a table in UTF-8, a column is missing, it is not clear
            which one numbers the rows, an archive of pictures is damaged, or a row has a category
            that is unknown, an empty text, a claim as long as a document, or an index that is not a
            number or not unique.
    """
    rows, problems = inspect_factify2(folder, split)
    if problems:
        raise problems[0]
    return rows


def inspect_factify2(
    folder: Path, split: str, pictures: PictureFiles | None = None
) -> tuple[list[Factify2Row], list[InvalidInputError]]:
    """Read what can be read of one split of a Factify 2 folder.

    Args:
        folder: The folder.
        split: Name of the split.
        pictures: Its picture files, where they are listed already.

    Returns:
        The good rows in file order, and an error for each of the others.

    Raises:
        MissingResourceError: As `read_factify2` does.
        InvalidInputError: The table as a whole, or an archive of pictures, cannot be used.
    """
    folder = Path(folder)
    path = require_split(folder, split)
    table = _read_table(path)
    columns = {
        name: table[name].tolist() if name in table else [""] * len(table) for name in _COLUMNS
    }
    written = _indices(path, table)
    reader = _RowReader(
        path,
        split,
        pictures or PictureFiles(folder, split),
        _read_provenance(folder / f"provenance-{split}.jsonl"),
        labelled=any(value.strip() for value in columns["category"]),
    )
    rows, problems = [], []
    for position, index in enumerate(written):
        try:
            rows.append(
                reader.read(
                    position, index, {name: values[position] for name, values in columns.items()}
                )
            )
        except InvalidInputError as error:
            problems.append(error)
    return rows, problems


class _RowReader:
    """Makes rows of the cells of a split's table.

    Args:
        path: Of the table, for its errors.
        split: Name of the split.
        pictures: Its picture files.
        provenance: What is known of rows beside the table, by index.
        labelled: Whether the table has labels.
    """

    def __init__(
        self,
        path: Path,
        split: str,
        pictures: PictureFiles,
        provenance: dict[int, _ProvenanceLine],
        labelled: bool,
    ) -> None:
        self._path = path
        self._split = split
        self._pictures = pictures
        self._provenance = provenance
        self._labelled = labelled
        self._positions: dict[int, int] = {}

    def read(self, position: int, written_index: str, cells: dict[str, str]) -> Factify2Row:
        """The row at a position, from 0.

        Raises:
            InvalidInputError: It cannot be used.
        """
        index = self._index(position, written_index)
        for name in _NEEDED:
            if not cells[name].strip():
                raise InvalidInputError(f"{self._path}, row {index}: the {name} text is empty")
        claim = clean_text(cells["claim"])
        if len(claim) > MAX_CLAIM_CHARACTERS:
            raise InvalidInputError(
                f"{self._path}: row {index} has a claim of {len(claim):,} characters, more than "
                f"the {MAX_CLAIM_CHARACTERS:,} allowed"
            )
        label = self._label(index, cells["category"]) if self._labelled else None
        known = self._provenance.get(index)
        claim_url, document_url = cells["claimimage"].strip(), cells["documentimage"].strip()
        return Factify2Row(
            index=index,
            claim=Claim(
                claim,
                self._pictures.find("claim", index, label),
                cells["claimocr"].strip() or None,
            ),
            document=Document(
                id=f"{self._split}-{index}",
                text=clean_text(cells["document"]),
                url=document_url or None,
                image=self._pictures.find("document", index, label),
                ocr=cells["documentocr"].strip() or None,
            ),
            label=label,
            same_picture=(
                known.same_picture if known else same_picture_of(label) if label else None
            ),
            source=known.source if known else None,
            raw_claim=cells["claim"],
            raw_document=cells["document"],
            claim_image_url=claim_url or None,
            document_image_url=document_url or None,
        )

    def _index(self, position: int, value: str) -> int:
        # The index becomes a part of file names, so nothing but digits passes.
        if not _WHOLE_NUMBER.fullmatch(value):
            raise InvalidInputError(
                f"{self._path}, data row {position + 1}: the index {value[:40]!r} is not a whole "
                "number"
            )
        first = self._positions.setdefault(int(value), position)
        if first != position:
            raise InvalidInputError(
                f"{self._path}, data row {position + 1}: the index {int(value)} is already that of "
                f"data row {first + 1}"
            )
        return int(value)

    def _label(self, index: int, value: str) -> Label:
        label = _LABELS.get(re.sub(r"[^a-z]", "", value.lower()))
        if label is None:
            raise InvalidInputError(
                f"{self._path}, row {index}: the Category {value[:40]!r} is not one of "
                f"{', '.join(LABELS)}"
            )
        return label


def _indices(path: Path, table: "DataFrame") -> list[str]:
    """The number of each row, as it is written.

    Raises:
        InvalidInputError: Columns that number the rows disagree, or one that has another name than
            such columns have looks as if it did.
    """
    counted = [str(row) for row in range(len(table))]
    columns = [
        (place, table.iloc[:, place].tolist())
        for place, name in enumerate(table.columns)
        if name in _INDEX_COLUMNS
    ]
    found = [
        (place, values)
        for place, values in columns
        if place == 0 or any(map(_WHOLE_NUMBER.fullmatch, values))
    ]
    if len(found) > 1:
        # Beside one that numbers rows a first column of anything else need not.
        found = [some for some in found if any(map(_WHOLE_NUMBER.fullmatch, some[1]))] or found[:1]
    names = table.attrs["names"]
    if not found:
        first = table.iloc[:, 0].tolist()
        if (
            table.columns[0] not in _COLUMNS
            and all(map(_WHOLE_NUMBER.fullmatch, first))
            and len(set(map(int, first))) == len(first)
            and list(map(int, first)) != list(range(len(first)))
        ):
            raise InvalidInputError(
                f"{path}: the first column, {names[0]!r}, has another whole number in each row; "
                "name it 'index' if the pictures are numbered by it, or put it behind the others"
            )
        return counted
    place, values = found[0]
    for other, others in found[1:]:
        row = next(
            (
                row
                for row, pair in enumerate(zip(values, others, strict=True))
                if pair[0] != pair[1]
            ),
            None,
        )
        if row is not None:
            raise InvalidInputError(
                f"{path}: the columns {names[place]!r} and {names[other]!r} both number the rows, "
                f"and differ from data row {row + 1} on; remove or rename the one that the "
                "pictures are not numbered by"
            )
    return values


def _fold(name: str) -> str:
    """A column's name without case, spaces and punctuation, and without pandas' name for none."""
    if _UNNAMED.fullmatch(name.strip()):
        return ""
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
    _require_closed_quotes(path, separator)
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
    if isinstance(table.index, pandas.MultiIndex):
        raise InvalidInputError(f"{path}: rows have several columns more than the names {found}")
    if not isinstance(table.index, pandas.RangeIndex):
        # One name fewer than columns: pandas has taken the first column for the index already.
        table = table.reset_index(names="")
    table.attrs["names"] = [str(name) for name in table.columns]
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


def _require_closed_quotes(path: Path, separator: str) -> None:
    """Refuse a table in which a quotation mark runs rows together.

    One at the start of a cell that stands for itself opens a quoted cell, which ends at the next
    one, some rows later. pandas reads such a table without a word, those rows as one.
    """
    row = columns = 0
    complaint = (
        f"{path}: from data row {{row}} on cells cannot be told apart: one that begins with a "
        "quotation mark must end with one, and have each of those within twice"
    )
    # Of a field, for all of the process; what pandas reads is not limited either.
    csv.field_size_limit(sys.maxsize)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for cells in csv.reader(file, delimiter=separator, strict=True):
                columns = columns or len(cells)
                if any(_holds_rows(cell, separator, columns) for cell in cells):
                    raise InvalidInputError(complaint.format(row=row))
                row += 1
    except csv.Error as error:
        raise InvalidInputError(complaint.format(row=row)) from error
    except (UnicodeDecodeError, OSError):
        return  # of which whoever reads the table says more


def _holds_rows(cell: str, separator: str, columns: int) -> bool:
    """Whether a cell looks as if rows had run together in it: as many columns, line by line.

    Commas are common in texts, and tell nothing.
    """
    lines = cell.count("\n")
    return separator == "\t" and lines > 0 and cell.count("\t") == lines * (columns - 1)


def _read_provenance(path: Path) -> dict[int, _ProvenanceLine]:
    if not path.is_file():
        return {}
    return {line.index: line for _, line in read_json_lines(path, _ProvenanceLine)}
