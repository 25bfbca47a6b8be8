"""Writing the documents, passages and pictures of an index into one SQLite file."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from factcheck.records import Document
from factcheck.retrieval.metadata_schema import SCHEMA


class MetadataWriter:
    """Writes the file of a new index.

    It keeps no journal: a build that dies leaves no index, so half a file is never read. Methods
    raise sqlite3.Error when the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=OFF")
        self._connection.execute("PRAGMA synchronous=OFF")
        for statement in SCHEMA:
            self._connection.execute(statement)
        self._connection.execute("BEGIN")
        self.documents = 0
        self.passages = 0
        self.images = 0

    def add_document(
        self,
        document: Document,
        borders: Sequence[tuple[int, int]],
        host: str | None,
        digest: bytes,
        sketch: bytes,
    ) -> int | None:
        """Add a document without its picture; its row, or None when its id is there already."""
        row = self.documents
        values = (document.id, document.text, document.title, document.url, document.date)
        added = self._connection.execute(
            "INSERT OR IGNORE INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (row, *values, document.ocr, host, digest, sketch),
        )
        if added.rowcount == 0:
            return None
        self._connection.executemany(
            "INSERT INTO passages VALUES (?, ?, ?, ?)",
            ((self.passages + i, row, start, end) for i, (start, end) in enumerate(borders)),
        )
        self.documents += 1
        self.passages += len(borders)
        return row

    def add_image(self, document: int, path: str, sha256: str, fingerprint: str | None) -> None:
        """Give the document in a row its picture."""
        self._connection.execute(
            "INSERT INTO images VALUES (?, ?, ?, ?, ?)",
            (self.images, document, path, sha256, fingerprint),
        )
        self.images += 1

    def passage_texts(self) -> Iterator[str]:
        """The texts of all passages, by row."""
        for _, text in self.titled_passages():
            yield text

    def titled_passages(self) -> Iterator[tuple[str | None, str]]:
        """The title of its document and the text of each passage, by row."""
        # Each document is read once: a join would read the whole text of it for each passage, which
        # takes time by the square of its length.
        documents = self._connection.execute("SELECT row, title, text FROM documents ORDER BY row")
        borders = self._connection.execute(
            'SELECT document, start, "end" FROM passages ORDER BY row'
        )
        row, title, text = -1, None, ""
        for document, start, end in borders:
            while row < document:
                row, title, text = next(documents)
            yield title, text[start:end]

    def commit(self) -> None:
        """Finish the file."""
        self._connection.execute("COMMIT")
        self._connection.close()

    def close(self) -> None:
        """Let go of the file, finished or not."""
        self._connection.close()
