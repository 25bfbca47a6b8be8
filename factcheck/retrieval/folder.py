"""A folder that is either whole or not there."""

import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from factcheck.errors import RunError, UsageError
from factcheck.retrieval.manifest import FILES, MANIFEST, is_index


@contextmanager
def new_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """A temporary sibling that takes the place of `folder` when the block ends well.

    It is written through to disk before it is renamed, and removed on any exception. What was there
    before is moved aside first and deleted last; should the process die between the two, it lies
    beside as `.<name>.<letters>.old`.

    Args:
        folder: Where the new index is to be.
        overwrite: Whether an index may be there already.

    Raises:
        UsageError: Something is there that may not be replaced.
        RunError: The folder cannot be made or written.
    """
    folder = folder.absolute()
    if folder.is_symlink():
        folder = folder.resolve()
    _refuse(folder, overwrite)
    stem = folder.parent / f".{folder.name}.{secrets.token_hex(6)}"
    partial, old = stem.with_name(stem.name + ".partial"), stem.with_name(stem.name + ".old")
    try:
        with writing(folder):
            partial.mkdir(parents=True)
        yield partial
        with writing(folder):
            for path in partial.iterdir():
                _sync(path)
            _sync(partial)
            _refuse(folder, overwrite)
            _replace(partial, folder, old)
            _sync(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns what a full disk or a failed write raises into a RunError that names the folder."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise RunError(f"{folder}: the index cannot be written ({reason})") from error
    except sqlite3.Error as error:
        raise RunError(f"{folder}: the index cannot be written ({error})") from error
    except RuntimeError as error:
        # FAISS says where in its source the write failed, on several lines.
        raise RunError(f"{folder}: the index cannot be written (FAISS: write failed)") from error


def _refuse(folder: Path, overwrite: bool) -> None:
    """Raise unless `folder` is free, empty, or an index that may be replaced."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder}: a file is there already")
    names = {path.name for path in folder.iterdir()}
    if not names:
        return
    if not is_index(folder):
        raise UsageError(f"{folder}: a folder is there that is not an index; it is left as it is")
    if not overwrite:
        raise UsageError(f"{folder}: an index is there already; it is replaced only with overwrite")
    if foreign := sorted(names - {MANIFEST, *FILES}):
        raise UsageError(
            f"{folder / foreign[0]}: not a file of the index around it, which is left as it is"
        )


def _replace(partial: Path, folder: Path, old: Path) -> None:
    """Put `partial` in the place of `folder`, which is kept as `old`."""
    if not folder.exists():
        partial.rename(folder)
        return
    folder.rename(old)
    try:
        partial.rename(folder)
    except BaseException:
        old.rename(folder)
        raise


def _sync(path: Path) -> None:
    """Wait until a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
