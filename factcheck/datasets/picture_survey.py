"""Every picture of a data set read once: its hash, what it looks like, and whether it is whole."""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from factcheck.errors import FactcheckError, InvalidInputError, RunError
from factcheck.files import spelt, sqlite_failure
from factcheck.pictures import FINGERPRINT_SIDE, decode, fingerprint, read_bytes

_CHUNK = 256
_KIND = "a survey of pictures"


@dataclass(frozen=True)
class PictureFacts:
    """What is known of a picture file.

    Attributes:
        sha256: Hash of the file's bytes, in hexadecimal; None when they cannot be read.
        fingerprint: 64-bit difference hash, the same for recompressed copies but for a few bits;
            None for a picture that cannot be decoded and for one of a single colour, which has
            nothing to compare.
        problem: Why it cannot be used, a sentence; None for a good one.
    """

    sha256: str | None
    fingerprint: int | None
    problem: str | None


def survey_pictures(
    paths: Sequence[Path], journal: Path, on_progress: Callable[[int], None] | None = None
) -> dict[Path, PictureFacts]:
    """Read and decode pictures, as many at once as there are processors.

    Args:
        paths: The picture files, as `PictureFiles` gives them.
        journal: SQLite file that keeps what has been found. A picture whose file has still the
            size and time of modification noted there is not read again, so that a survey that was
            cut short goes on where it stopped.
        on_progress: Called with the number of pictures done since the last call.

    Raises:
        InvalidInputError: `journal` is there and is no such file, or is damaged.
        RunError: It cannot be read or written.
    """
    with closing(_open(journal)) as connection, ThreadPoolExecutor(os.cpu_count()) as pool:
        facts: dict[Path, PictureFacts] = {}
        for start in range(0, len(paths), _CHUNK):
            chunk = paths[start : start + _CHUNK]
            stamps = {path: _stamp(path) for path in chunk}
            known = dict(_known(connection, journal, chunk, stamps))
            new = [path for path in chunk if path not in known]
            found = dict(zip(new, pool.map(_look_at, new), strict=True))
            _store(connection, journal, found, stamps)
            facts |= known | found
            if on_progress is not None:
                on_progress(len(chunk))
    return facts


def _look_at(path: Path) -> PictureFacts:
    try:
        data = read_bytes(path)
    except FactcheckError as error:
        return PictureFacts(None, None, spelt(str(error)))
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        image = decode(data, path, side=FINGERPRINT_SIDE)
    except InvalidInputError as error:
        return PictureFacts(sha256, None, spelt(str(error)))
    return PictureFacts(sha256, fingerprint(image), None)


def _stamp(path: Path) -> str:
    """What changes when a picture's file does; that of the archive for a picture in one."""
    for file in (path, *path.parents):
        try:
            found = file.stat()
        except OSError:
            continue
        return f"{found.st_size}/{found.st_mtime_ns}"
    return ""


def _open(journal: Path) -> sqlite3.Connection:
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(journal, timeout=60, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS pictures (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, "
            "sha256 TEXT, fingerprint TEXT, problem TEXT) WITHOUT ROWID"
        )
    except sqlite3.Error as error:
        raise sqlite_failure(journal, _KIND, error) from error
    except OSError as error:
        raise RunError(f"{journal}: cannot be written ({error.strerror})") from error
    return connection


def _known(
    connection: sqlite3.Connection,
    journal: Path,
    paths: Sequence[Path],
    stamps: dict[Path, str],
) -> Iterator[tuple[Path, PictureFacts]]:
    names = {os.fsencode(path).hex(): path for path in paths}
    marks = ",".join("?" * len(names))
    columns = "path, stamp, sha256, fingerprint, problem"
    try:
        rows = connection.execute(
            f"SELECT {columns} FROM pictures WHERE path IN ({marks})", list(names)
        ).fetchall()
    except sqlite3.Error as error:
        raise sqlite_failure(journal, _KIND, error) from error
    for name, stamp, sha256, looks, problem in rows:
        path = names[name]
        if stamp == stamps[path]:
            try:
                bits = None if looks is None else int(looks, 16)
            except (ValueError, TypeError):
                # Nothing that was written here: the picture is read again.
                continue
            yield path, PictureFacts(sha256, bits, problem)


def _store(
    connection: sqlite3.Connection,
    journal: Path,
    found: dict[Path, PictureFacts],
    stamps: dict[Path, str],
) -> None:
    rows = [
        (
            # Hexadecimal, as a file's name need not be text.
            os.fsencode(path).hex(),
            stamps[path],
            facts.sha256,
            None if facts.fingerprint is None else f"{facts.fingerprint:016x}",
            facts.problem,
        )
        for path, facts in found.items()
    ]
    try:
        connection.execute("BEGIN")
        connection.executemany("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise sqlite_failure(journal, _KIND, error) from error
