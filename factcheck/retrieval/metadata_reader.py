"""Documents, passages and pictures of an index in one SQLite file, read row by row."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from factcheck.errors import InvalidInputError, UsageError
from factcheck.records import Document, Passage
from factcheck.retrieval.metadata_schema import DAY, SCHEMA, SKETCH_BYTES

_CHUNK = 500


@dataclass(frozen=True)
class PassageRow:
    """A passage with what is known of its document.

    Attributes:
        passage: The passage.
        title: Title of its document.
        url: Address of its document.
        date: Date of its document.
        sketch: Of its document (`distinct.sketch`).
    """

    passage: Passage
    title: str | None
    url: str | None
    date: str | None
    sketch: bytes


@dataclass(frozen=True)
class StoredDocument:
    """A document as a part holds it.

    Attributes:
        row: Its row.
        document: The document, its picture by absolute path.
        borders: Where its passages begin and end.
        digest: Of the document without the contents of its picture.
        sketch: As `distinct.sketch` made it.
        image: Row, hash and fingerprint of its picture; None without one.
    """

    row: int
    document: Document
    borders: tuple[tuple[int, int], ...]
    digest: bytes
    sketch: bytes
    image: tuple[int, str, str | None] | None


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


class MetadataReader:
    """Reads the file of an index; several threads may share it."""

    def __init__(
        self, path: Path, documents: int, passages: int, images: int, thorough: bool = True
    ) -> None:
        """Open the file, read-only, and check it against what the manifest says.

        Args:
            path: The file.
            documents: Number of documents.
            passages: Number of passages.
            images: Number of pictures.
            thorough: Whether every page and every row is looked at, which takes time.

        Raises:
            InvalidInputError: The file is damaged, or its tables or their lengths are not those of
                an index.
        """
        self.path = path
        self._documents = documents
        self._lock = threading.Lock()
        self._closed = False
        self._known_images: np.ndarray | None = None
        self._known_dates: np.ndarray | None = None
        self._known_order: tuple[np.ndarray, np.ndarray] | None = None
        try:
            self._connection = sqlite3.connect(
                f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise InvalidInputError(f"{path}: cannot be opened ({error})") from error
        try:
            self._check({"documents": documents, "passages": passages, "images": images}, thorough)
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
            "SELECT row, id, text, title, url, date, sketch FROM documents WHERE row IN ({})",
            {document for document, _, _ in borders.values()},
        )
        found = {}
        for row, (document, start, end) in borders.items():
            identity, text, title, url, date, sketch = self._document(documents, document)
            if not 0 <= start < end <= len(text):
                raise InvalidInputError(
                    f"{self.path}: passage {row} lies outside document '{identity}'"
                )
            if len(sketch) not in SKETCH_BYTES:
                raise InvalidInputError(
                    f"{self.path}: damaged: the sketch of document '{identity}' is none"
                )
            passage = Passage(identity, start, end, text[start:end])
            found[row] = PassageRow(passage, title, url, date, sketch)
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

    def images_of(self, document_ids: Sequence[str]) -> dict[str, ImageRow]:
        """The pictures of those of the documents that have one and are here, by id."""
        row_of = self._by_key(
            "SELECT id, images.row FROM documents "
            "JOIN images ON document = documents.row WHERE id IN ({})",
            document_ids,
        )
        images = self.images(row for (row,) in row_of.values())
        return {document_id: images[row] for document_id, (row,) in row_of.items()}

    def document(self, document_id: str) -> Document | None:
        """The document of that id; None if it is not here."""
        found = self._by_key(
            "SELECT id, text, title, url, date, path, ocr FROM documents "
            "LEFT JOIN images ON document = documents.row WHERE id IN ({})",
            [document_id],
        )
        return Document(document_id, *found[document_id]) if document_id in found else None

    def picture_hash(self, document_id: str) -> str | None:
        """Hash of the picture of a document; None if it has none or is not here."""
        found = self._by_key(
            "SELECT id, sha256 FROM documents "
            "JOIN images ON document = documents.row WHERE id IN ({})",
            [document_id],
        )
        return str(found[document_id][0]) if document_id in found else None

    def rows_of(self, document_ids: Iterable[str]) -> dict[str, int]:
        """Rows of those of the documents that are here, by id."""
        found = self._by_key("SELECT id, row FROM documents WHERE id IN ({})", document_ids)
        return {document_id: row for document_id, (row,) in found.items()}

    def ids(self) -> set[str]:
        """The ids of all documents."""
        return {document_id for (document_id,) in self._rows("SELECT id FROM documents")}

    def documents(self) -> Iterator[StoredDocument]:
        """All documents, by row."""
        for start in range(0, self._count("documents"), _CHUNK):
            within = (start, start + _CHUNK)
            borders: dict[int, list[tuple[int, int]]] = {}
            for document, first, last in self._rows(
                'SELECT document, start, "end" FROM passages '
                "WHERE document >= ? AND document < ? ORDER BY row",
                within,
            ):
                borders.setdefault(document, []).append((first, last))
            for (
                row,
                identity,
                text,
                title,
                url,
                date,
                path,
                ocr,
                digest,
                sketch,
                *image,
            ) in self._rows(
                "SELECT documents.row, id, text, title, url, date, path, ocr, digest, sketch, "
                "images.row, sha256, fingerprint FROM documents "
                "LEFT JOIN images ON document = documents.row "
                "WHERE documents.row >= ? AND documents.row < ? ORDER BY documents.row",
                within,
            ):
                yield StoredDocument(
                    row,
                    Document(identity, text, title, url, date, path, ocr),
                    tuple(borders.get(row, ())),
                    digest,
                    sketch,
                    None if image[0] is None else (image[0], image[1], image[2]),
                )

    def digests(self) -> list[tuple[int, bytes, str | None]]:
        """Of each document its row, its digest, and the hash of its picture's bytes."""
        found = self._rows(
            "SELECT documents.row, digest, sha256 FROM documents "
            "LEFT JOIN images ON document = documents.row"
        )
        for row, _, _ in found:
            if not 0 <= row < self._documents:
                raise self._no_document(row)
        return found

    def passage_documents(self) -> np.ndarray:
        """(N,) int32, the document of each passage.

        Raises:
            InvalidInputError: One of them is not there.
        """
        return self._document_rows("SELECT document FROM passages ORDER BY row")

    def image_documents(self) -> np.ndarray:
        """(n,) int32, the document of each picture.

        Raises:
            InvalidInputError: One of them is not there.
        """
        if self._known_images is None:
            self._known_images = self._document_rows("SELECT document FROM images ORDER BY row")
        return self._known_images

    def image_dates(self) -> np.ndarray:
        """(n,) bytes, the date of each picture's document; `~`, which comes last, without one."""
        if self._known_dates is None:
            found = self._rows(
                "SELECT date FROM images LEFT JOIN documents ON documents.row = document "
                "ORDER BY images.row"
            )
            dates = [(date or "~").encode(errors="replace") for (date,) in found]
            self._known_dates = np.array(dates, dtype="S10")
        return self._known_dates

    def fingerprints(self) -> list[str | None]:
        """The fingerprint of each picture, in hexadecimal."""
        return [value for (value,) in self._rows("SELECT fingerprint FROM images ORDER BY row")]

    def published_after(self, day: str, undated: bool) -> np.ndarray:
        """Rows of documents that were published after a day, and of the undated if they count."""
        clause = "date > ? OR date IS NULL" if undated else "date > ?"
        return self._document_rows(f"SELECT row FROM documents WHERE {clause}", [day])

    def hosts(self) -> list[str]:
        """The different hosts that documents are from."""
        return [
            host
            for (host,) in self._rows("SELECT DISTINCT host FROM documents WHERE host IS NOT NULL")
        ]

    def from_hosts(self, hosts: Iterable[str]) -> np.ndarray:
        """Rows of documents that are from one of the hosts."""
        statement = "SELECT row FROM documents WHERE host = ?"
        found = [self._document_rows(statement, [host]) for host in hosts]
        return np.concatenate([np.zeros(0, dtype=np.int32), *found])

    def addresses(self, hosts: Iterable[str]) -> Iterator[tuple[int, str]]:
        """The documents that are from one of the hosts, by row, with their addresses."""
        for host in hosts:
            for row, url in self._rows("SELECT row, url FROM documents WHERE host = ?", [host]):
                if not 0 <= row < self._documents:
                    raise self._no_document(row)
                yield row, url or ""

    def passages_of(self, rows: Iterable[int]) -> dict[int, list[int]]:
        """All passages of documents, by the document's row.

        Raises:
            InvalidInputError: A document has none.
        """
        order, starts = self._passage_order()
        found: dict[int, list[int]] = {}
        for row in dict.fromkeys(rows):
            found[row] = order[starts[row] : starts[row + 1]].tolist()
            if not found[row]:
                raise self._no_passage(row)
        return found

    def check_references(self) -> None:
        """Look whether rows point to rows that are there, which takes reading two tables.

        Raises:
            InvalidInputError: A passage or a picture is of no document, or a document has no
                passage.
        """
        self.image_documents()
        _, starts = self._passage_order()
        bare = np.flatnonzero(np.diff(starts) == 0)
        if bare.size:
            raise self._no_passage(int(bare[0]))

    def _passage_order(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) the passages by document, and (n + 1,) where those of each document begin in it.

        No index of the file leads from documents to passages: to look through all passages for each
        document would take time by the square of their number.
        """
        if self._known_order is None:
            documents = self.passage_documents()
            order = np.argsort(documents, kind="stable").astype(np.int32)
            starts = np.searchsorted(documents[order], np.arange(self._documents + 1))
            self._known_order = order, starts
        return self._known_order

    def _document_rows(self, statement: str, values: Sequence[Any] = ()) -> np.ndarray:
        """The rows of documents that a statement finds, each of which is there."""
        found = [row for (row,) in self._rows(statement, values)]
        documents = np.array(found, dtype=np.int64)
        bad = np.flatnonzero((documents < 0) | (documents >= self._documents))
        if bad.size:
            raise self._no_document(int(documents[bad[0]]))
        return documents.astype(np.int32)

    def _no_passage(self, row: int) -> InvalidInputError:
        return InvalidInputError(f"{self.path}: damaged: document {row} has no passage")

    def _no_document(self, row: int) -> InvalidInputError:
        return InvalidInputError(f"{self.path}: damaged: there is no document {row}")

    def _count(self, table: str) -> int:
        ((count,),) = self._rows(f"SELECT count(*) FROM {table}")
        return int(count)

    def _document(self, documents: dict[Any, Any], row: int) -> Any:
        if row not in documents:
            raise self._no_document(row)
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

    def _check(self, lengths: dict[str, int], thorough: bool) -> None:
        self._rows("PRAGMA trusted_schema=OFF")
        self._rows("PRAGMA cell_size_check=ON")
        schema = self._rows("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
        if sorted(sql for (sql,) in schema) != sorted(SCHEMA):
            raise InvalidInputError(f"{self.path}: its tables are not those of an index")
        ((page,),), ((pages,),) = self._rows("PRAGMA page_size"), self._rows("PRAGMA page_count")
        if page * pages != self.path.stat().st_size:
            # SQLite takes what is missing of the last page for zeros.
            raise InvalidInputError(f"{self.path}: damaged: its size is not {pages} whole pages")
        if not thorough:
            return
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
        lengths_made = ", ".join(map(str, SKETCH_BYTES))
        for problem, clause in (
            ("sketch", f"length(sketch) NOT IN ({lengths_made})"),
            ("date", f"date NOT GLOB '{DAY}'"),
        ):
            # Of a NULL the second clause is NULL, which counts as false.
            for (identity,) in self._rows(f"SELECT id FROM documents WHERE {clause} LIMIT 1"):
                raise InvalidInputError(
                    f"{self.path}: damaged: the {problem} of document '{identity}' is none"
                )
