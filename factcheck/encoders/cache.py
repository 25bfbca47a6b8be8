"""Encodings kept on disk by content, so that an input is encoded once for good."""

import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import numpy as np

from factcheck.errors import RunError
from factcheck.files import sqlite_failure

_KIND = "an encoding cache"

_PATIENCE = 60.0
"""Seconds until a process that waits for another one gives up."""


class EncodingCache:
    """A table from content key to float32 array, in one SQLite file.

    SQLite is chosen for what it guarantees: several processes may read and write at once, and a
    crash leaves the rows that were committed. Values are raw float32 bytes: nothing that could run
    code.
    """

    def __init__(self, path: Path) -> None:
        """Open the cache, making it if there is none.

        Raises:
            InvalidInputError: The file is there but is no cache, or is damaged.
            RunError: The file cannot be made, or is locked or cannot be written.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
            _write_ahead(self._connection)
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS encodings "
                "(key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"
            )
        except sqlite3.Error as error:
            raise sqlite_failure(path, _KIND, error) from error
        except OSError as error:
            raise RunError(
                f"{path}: the encoding cache cannot be made ({error.strerror})"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def get(self, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
        """The arrays, one-dimensional, of those keys that are there.

        Raises:
            InvalidInputError: The file is damaged, or is no cache.
            RunError: It cannot be read.
        """
        found: dict[bytes, np.ndarray] = {}
        for start in range(0, len(keys), 500):
            chunk = keys[start : start + 500]
            marks = ",".join("?" * len(chunk))
            try:
                rows = self._connection.execute(
                    f"SELECT key, value FROM encodings WHERE key IN ({marks})", chunk
                ).fetchall()
            except sqlite3.Error as error:
                raise sqlite_failure(self.path, _KIND, error) from error
            found.update(
                (key, np.frombuffer(value, dtype=np.float32))
                for key, value in rows
                # What is no array is not there.
                if isinstance(value, bytes) and len(value) % np.float32().itemsize == 0
            )
        return found

    def put(self, items: Iterable[tuple[bytes, np.ndarray]]) -> None:
        """Store arrays as float32; a key that is there already keeps a value of the same length.

        Raises:
            InvalidInputError: The file is damaged, or is no cache.
            RunError: It cannot be written.
        """
        rows = [(key, np.ascontiguousarray(array, np.float32).tobytes()) for key, array in items]
        try:
            self._connection.execute("BEGIN")
            self._connection.executemany(
                "INSERT INTO encodings VALUES (?, ?) ON CONFLICT (key) DO UPDATE "
                "SET value = excluded.value WHERE length(value) IS NOT length(excluded.value)",
                rows,
            )
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            # SQLite has rolled some failures back by itself.
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise sqlite_failure(self.path, _KIND, error) from error


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Put a database into write-ahead mode.

    Of several processes that make one at once, all but one are turned away; SQLite waits for a lock
    on rows, but not for this one.
    """
    last = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > last:
                raise
            time.sleep(0.01)
        else:
            return
