"""Files that are written whole or not at all, their hashes, and what SQLite says of them."""

import hashlib
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterable
from pathlib import Path

from factcheck.errors import FactcheckError, InvalidInputError, RunError

_SURROGATE = re.compile("[\ud800-\udfff]")


def write_whole(path: Path, parts: Iterable[str]) -> None:
    """Write a text file under a temporary name beside it, and rename it when all is on disk.

    Args:
        path: The file; its folder is made if there is none.
        parts: Its text, piece by piece, in UTF-8.

    Raises:
        RunError: It cannot be written. What was there before stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            temporary = Path(file.name)
            try:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(0o666 & ~_umask())
                # A folder may lie where the file should: then this fails, too.
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror})") from error


def require_writable(path: Path) -> None:
    """Refuse a place that nothing can be written to, before the work that is to be kept there.

    Args:
        path: A file or a folder; it need not be there, nor the folders that it is to be in. Nothing
            is made.

    Raises:
        RunError: It cannot be written.
    """
    reason = None
    try:
        folder = path if path.is_dir() else path.parent
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror})") from error
    if not folder.is_dir():
        reason = f"{folder} is no folder"
    elif not os.access(folder, os.W_OK | os.X_OK):
        reason = f"nothing can be written in {folder}"
    if reason is not None:
        raise RunError(f"{path}: cannot be written ({reason})")


def write_new(path: Path, data: bytes) -> None:
    """Write a file under a name that others may know, in a folder that others may have filled.

    Whatever has the name is removed first: a file that was left half written, or a link, which
    would be written through to where it leads.

    Args:
        path: The file; its folder is there.
        data: What it is to hold.

    Raises:
        OSError: It cannot be written.
    """
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        file.write(data)


def spelt(text: str) -> str:
    """Text with lone surrogates spelt as JSON does, which is how Python holds undecodable names.

    A file's name need not be UTF-8; a sentence that names it has to be written somewhere.
    """
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def sqlite_failure(path: Path, kind: str, error: sqlite3.Error) -> FactcheckError:
    """What an error of SQLite's says of a file: that it is not what it should be, or out of reach.

    Args:
        path: The file.
        kind: What it should be, such as "an encoding cache".
        error: The error.

    Returns:
        An `InvalidInputError` for a file that is damaged or something else, a `RunError` for one
        that is locked, read-only, on a full disk and the like.
    """
    # A table or column that is not there is a plain SQLITE_ERROR.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    reachable = not isinstance(error, sqlite3.OperationalError) or code == sqlite3.SQLITE_ERROR
    if reachable:
        return InvalidInputError(f"{path}: not {kind}, or damaged ({error})")
    return RunError(f"{path}: {kind} that cannot be read or written ({error})")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    # The only way to read it is to set it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
