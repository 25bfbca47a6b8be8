"""The files of a segment beside what the manifest says of them."""

import stat
from pathlib import Path

from factcheck.errors import InvalidInputError
from factcheck.files import file_sha256
from factcheck.retrieval.manifest import FileEntry


def check_file(path: Path, entry: FileEntry, thorough: bool) -> None:
    """Refuse a file that is missing, a link, or not what the manifest says.

    Args:
        path: The file.
        entry: What the manifest says of it.
        thorough: Whether its hash is looked at too, or only its size.

    Raises:
        InvalidInputError: It is not that file.
    """
    try:
        status = path.lstat()
    except FileNotFoundError as error:
        raise InvalidInputError(f"{path}: missing from the index") from error
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInputError(f"{path}: not an ordinary file")
    if status.st_size != entry.size:
        raise InvalidInputError(
            f"{path}: damaged: {status.st_size:,} bytes, and the manifest says {entry.size:,}"
        )
    if thorough and file_entry(path) != entry:
        raise InvalidInputError(f"{path}: damaged: its sha256 is not the one in the manifest")


def file_entry(path: Path) -> FileEntry:
    """Hash and size of a file."""
    return FileEntry(sha256=file_sha256(path), size=path.stat().st_size)
