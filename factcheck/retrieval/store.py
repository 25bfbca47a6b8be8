"""Documents, passages and pictures of an index in one SQLite file, read row by row."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factcheck.errors import InvalidInputError, UsageError
from factcheck.records import Document, Passage

# STRICT makes SQLite's own check refuse a value of another type. Rows count from 0: the row of a
# passage or picture is its row in the vector file.
_SCHEMA = (
    """CREATE TABLE documents (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    text TEXT NOT NULL,
    title TEXT,
    url TEXT,
    date TEXT,
    ocr TEXT,
    digest BLOB NOT NULL
) STRICT""",
    """CREATE TABLE images (
    row INTEGER PRIMARY KEY,
    document INTEGER NOT NULL UNIQUE,
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL
) STRICT""",
    """CREATE TABLE passages (
    row INTEGER PRIMARY KEY,
    document INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL
) STRICT""",
)

_CHUNK = 500


@dataclass(frozen=True)
class PassageRow:
    """A passage with what is known of its document."""

    passage: Passage
    title: str | None
    url: str | None
    date: str | None


@dataclass(frozen=True)
class ImageRow:
    """A document's picture with what is known of the document.

    Attributes:
        row: Its row in the vector file and the token file.
        document_id: The document that shows it.
        path: The picture's file, absolute.
        title: Title of the document.
        url: Address of the document.
        date: Date of the document.
    """

    row: int
    document_id: str
    path: str
    title: str | None
    url: str | None
    date: str | None


class MetadataWriter:
    """Writes the file of a new index.

    It keeps no journal: a build that dies leaves no index, so half a file is never read. Methods
    raise sqlite3.Error when the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=OFF")
        self._connection.execute("PRAGMA synchronous=OFF")
        for statement in _SCHEMA:
            self._connection.execute(statement)
        self._connection.execute("BEGIN")
        self.documents = 0
        self.passages = 0
        self.images = 0

    def add_document(
        self, document: Document, passages: Sequence[Passage], digest: bytes
    ) -> int | None:
        """Add a document without its picture; its row, or None when its id is there already."""
        row = self.documents
        values = (document.id, document.text, document.title, document.url, document.date)
        added = self._connection.execute(
            "INSERT OR IGNORE INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (row, *values, document.ocr, digest),
        )
        if added.rowcount == 0:
            return None
        self._connection.executemany(
            "INSERT INTO passages VALUES (?, ?, ?, ?)",
            (
                (self.passages + i, row, passage.start, passage.end)
                for i, passage in enumerate(passages)
            ),
        )
        self.documents += 1
        self.passages += len(passages)
        return row

    def add_image(self, document: int, path: str, sha256: str) -> None:
        """Give the document in a row its picture."""
        self._connection.execute(
            "INSERT INTO images VALUES (?, ?, ?, ?)", (self.images, document, path, sha256)
        )
        self.images += 1

    def passage_texts(self) -> Iterator[str]:
        """The texts of all passages, by row."""
        rows = self._connection.execute(
            'SELECT documents.text, start, "end" FROM passages '
            "JOIN documents ON documents.row = document ORDER BY passages.row"
        )
        for text, start, end in rows:
            yield text[start:end]

    def digests(self) -> Iterator[tuple[bytes, str | None]]:
        """Of each document, its digest and the hash of its picture's bytes."""
        yield from self._connection.execute(
            "SELECT digest, sha256 FROM documents LEFT JOIN images ON document = documents.row"
        )

    def commit(self) -> None:
        """Finish the file."""
        self._connection.execute("COMMIT")
        self._connection.close()

    def close(self) -> None:
        """Let go of the file, finished or not."""
        self._connection.close()


class MetadataReader:
    """Reads the file of an index; several threads may share it."""

    def __init__(self, path: Path, documents: int, passages: int, images: int) -> None:
        """Open the file, read-only, and check it against what the manifest says.

        Raises:
            InvalidInputError: The file is damaged, or its tables or their lengths are not those of
                an index.
        """
        self.path = path
        self._lock = threading.Lock()
        self._closed = False
        self._connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
        )
        try:
            self._check({"documents": documents, "passages": passages, "images": images})
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._closed = True
            self._connection.close()

    def passages(self, rows: Iterable[int]) -> dict[int, PassageRow]:
        """Passages by row."""
        borders = self._by_key(
            'SELECT row, document, start, "end" FROM passages WHERE row IN ({})', rows
        )
        # Each document is read once, however many of its passages are asked for.
        documents = self._by_key(
            "SELECT row, id, text, title, url, date FROM documents WHERE row IN ({})",
            {document for document, _, _ in borders.values()},
        )
        found = {}
        for row, (document, start, end) in borders.items():
            identity, text, title, url, date = self._document(documents, document)
            if not 0 <= start < end <= len(text):
                raise InvalidInputError(
                    f"{self.path}: passage {row} lies outside document '{identity}'"
                )
            passage = Passage(identity, start, end, text[start:end])
            found[row] = PassageRow(passage, title, url, date)
        return found

    def images(self, rows: Iterable[int]) -> dict[int, ImageRow]:
        """Pictures by row."""
        images = self._by_key("SELECT row, document, path FROM images WHERE row IN ({})", rows)
        documents = self._by_key(
            "SELECT row, id, title, url, date FROM documents WHERE row IN ({})",
            {document for document, _ in images.values()},
        )
        found = {}
        for row, (document, path) in images.items():
            identity, title, url, date = self._document(documents, document)
            found[row] = ImageRow(row, identity, path, title, url, date)
        return found

    def images_of(self, document_ids: Sequence[str]) -> list[ImageRow]:
        """The pictures of documents, in the order of the ids; a document without has none.

        Raises:
            InvalidInputError: There is no such document.
        """
        row_of = self._by_key(
            "SELECT id, documents.row, images.row FROM documents "
            "LEFT JOIN images ON document = documents.row WHERE id IN ({})",
            document_ids,
        )
        for document_id in document_ids:
            if document_id not in row_of:
                raise self._unknown(document_id)
        rows = [row_of[document_id][1] for document_id in dict.fromkeys(document_ids)]
        images = self.images(row for row in rows if row is not None)
        return [images[row] for row in rows if row is not None]

    def document(self, document_id: str) -> Document:
        """The document of that id.

        Raises:
            InvalidInputError: There is none.
        """
        found = self._by_key(
            "SELECT id, text, title, url, date, path, ocr FROM documents "
            "LEFT JOIN images ON document = documents.row WHERE id IN ({})",
            [document_id],
        )
        if document_id not in found:
            raise self._unknown(document_id)
        return Document(document_id, *found[document_id])

    def _unknown(self, document_id: str) -> InvalidInputError:
        return InvalidInputError(f"{self.path.parent}: no document '{document_id}' in the index")

    def _document(self, documents: dict[Any, Any], row: int) -> Any:
        if row not in documents:
            raise InvalidInputError(f"{self.path}: damaged: there is no document {row}")
        return documents[row]

    def _by_key(self, statement: str, keys: Iterable[Any]) -> dict[Any, tuple[Any, ...]]:
        """Rows of a statement with `IN ({})`, by their first column."""
        unique = list(dict.fromkeys(keys))
        found = {}
        for start in range(0, len(unique), _CHUNK):
            chunk = unique[start : start + _CHUNK]
            marks = ",".join("?" * len(chunk))
            for key, *values in self._rows(statement.format(marks), chunk):
                found[key] = tuple(values)
        return found

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            if self._closed:
                raise UsageError(f"{self.path.parent}: the index is closed")
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.DatabaseError as error:
                raise InvalidInputError(f"{self.path}: damaged ({error})") from error

    def _check(self, lengths: dict[str, int]) -> None:
        self._rows("PRAGMA trusted_schema=OFF")
        self._rows("PRAGMA cell_size_check=ON")
        schema = self._rows("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
        if tuple(sql for (sql,) in schema) != _SCHEMA:
            raise InvalidInputError(f"{self.path}: its tables are not those of an index")
        ((page,),), ((pages,),) = self._rows("PRAGMA page_size"), self._rows("PRAGMA page_count")
        if page * pages != self.path.stat().st_size:
            # SQLite takes what is missing of the last page for zeros.
            raise InvalidInputError(f"{self.path}: damaged: its size is not {pages} whole pages")
        ((problem,),) = self._rows("PRAGMA quick_check(1)")
        if problem != "ok":
            raise InvalidInputError(f"{self.path}: damaged ({problem})")
        for table, length in lengths.items():
            ((count, first, last),) = self._rows(
                f"SELECT count(*), coalesce(min(row), 0), coalesce(max(row), -1) FROM {table}"
            )
            if (count, first, last) != (length, 0, length - 1):
                raise InvalidInputError(
                    f"{self.path}: the table {table} has {count} rows, and the manifest says "
                    f"{length}"
                )
