"""The folder of an index: made whole or not at all, written by one process at a time."""

import fcntl
import glob
import json
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from factcheck.errors import (
    FactcheckError,
    InvalidInputError,
    MissingResourceError,
    PrerequisiteError,
    RunError,
    UsageError,
)
from factcheck.retrieval.manifest import (
    MANIFEST,
    SEGMENTS,
    TEMPORARY,
    Manifest,
    is_folder,
    is_index,
    sync,
)

BUSY = "another process is writing to this index"

_STATE = "build.json"

# How often, and after how many seconds, an index is looked for that is just being replaced.
_TRIES = 100
_PAUSE = 0.01


@contextmanager
def new_folder(folder: Path, overwrite: bool, key: str | None) -> Iterator[Path]:
    """A temporary sibling that takes the place of `folder` when the block ends well.

    It is written through to disk before it is renamed. A build of a key that was killed or
    interrupted, whose disk was full, whose cluster failed or whose place was held by a writer
    leaves it, as `.<name>.partial`, and the next one with the same key finds in it what was done;
    otherwise it is removed. What was in the place of `folder` is moved aside and deleted last;
    should the process die between the two, it lies beside as `.<name>.<letters>.old`.

    Args:
        folder: Where the new index is to be.
        overwrite: Whether an index may be there already.
        key: Says what is being built; None for a build that is not gone on with.

    Raises:
        UsageError: Something is there that may not be replaced, or is in the way of the temporary
            folder, or another process is building, or writing to what is to be replaced.
        RunError: The folder cannot be made or written.
    """
    folder = _place(folder)
    _refuse(folder, overwrite)
    partial = folder.with_name(f".{folder.name}.partial")
    old = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}.old")
    if os.path.lexists(partial) and not is_folder(partial):
        # What it links to is somebody's, and would be emptied.
        raise UsageError(f"{partial}: not an ordinary folder, and in the way of the build")
    with writing(folder):
        partial.mkdir(parents=True, exist_ok=True)
    with locked(partial, "another process is building this index"):
        state = json.dumps({"key": key})
        whole = False
        try:
            with writing(folder):
                if key is None or not _holds(partial / _STATE, state):
                    _empty(partial)
                    (partial / _STATE).write_text(state, encoding="utf-8")
            yield partial
            whole = True
            # What a writer is adding to the index would go with it.
            with writing(folder), locked(folder, BUSY) if folder.exists() else nullcontext():
                _refuse(folder, overwrite)
                (partial / _STATE).unlink()
                sync(partial)
                _replace(partial, folder, old)
                sync(folder.parent)
        except BaseException as error:
            # What is wrong with documents stays wrong; a disk, a cluster or a file that is gone can
            # be put right.
            passing = isinstance(error, (RunError, MissingResourceError, PrerequisiteError))
            lasting = isinstance(error, FactcheckError) and not passing
            if key is None or (lasting and not whole):
                shutil.rmtree(partial, ignore_errors=True)
            raise
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def locked(folder: Path, reason: str) -> Iterator[None]:
    """Hold the folder against other writers; a process that dies lets go of it.

    Args:
        folder: The folder; there.
        reason: What to say when another process holds it.

    Raises:
        UsageError: Another process holds it.
        RunError: It cannot be opened.
    """
    while True:
        with writing(folder):
            descriptor = os.open(folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UsageError(f"{folder}: {reason}") from error
            with writing(folder):
                held = os.path.samestat(os.fstat(descriptor), folder.stat())
            # Otherwise a build has put another folder in its place in the meantime.
            if held:
                yield
                return
        finally:
            os.close(descriptor)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an index, also of one that a build is just putting in its place.

    To replace a folder takes two renames, and between them none is there.

    Args:
        folder: Where the index is.

    Raises:
        MissingResourceError: There is no such folder.
        InvalidInputError: It is not an index, is of another version, or is damaged.
    """
    place = _place(folder)
    for _ in range(_TRIES):
        try:
            return Manifest.read(folder)
        except (MissingResourceError, InvalidInputError):
            if not any(place.parent.glob(f".{glob.escape(place.name)}.*.old")):
                break
        time.sleep(_PAUSE)
    return Manifest.read(folder)


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


def remove_strays(folder: Path, manifest: Manifest) -> None:
    """Remove what no manifest names: of a writer that died, and of what has been replaced.

    Who has an index open keeps its files: a name goes, not what is mapped. Of a link the link goes,
    never what it points to: an index may come from a stranger.
    """
    _remove(folder / TEMPORARY)
    files_of = {segment.name: set(segment.files) for segment in manifest.segments}
    for segment in _inside(folder / SEGMENTS):
        if segment.name not in files_of:
            _remove(segment)
            continue
        for path in _inside(segment):
            if path.name not in files_of[segment.name]:
                _remove(path)


def new_segment(folder: Path) -> None:
    """Make the folder of a new segment; what is a file in it already is kept, for who goes on.

    Raises:
        OSError: It cannot be made, or a link or a file is in its place.
    """
    for path in (folder.parent, folder):
        path.mkdir(parents=True, exist_ok=True)
        if not is_folder(path):
            raise NotADirectoryError(0, f"{path} is a link, not a folder")
    for path in folder.iterdir():
        # A link would be written through.
        if path.is_symlink() or not path.is_file():
            _remove(path)


def _inside(folder: Path) -> list[Path]:
    """What is in a folder; nothing where it is a link or cannot be read."""
    with suppress(OSError):
        return list(folder.iterdir()) if is_folder(folder) else []
    return []


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder, as far as that is possible."""
    with suppress(OSError):
        if is_folder(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if is_folder(path):
            shutil.rmtree(path)
        else:
            path.unlink()


def _place(folder: Path) -> Path:
    """Where an index is or is to be: what a link points to."""
    folder = folder.absolute()
    return folder.resolve() if folder.is_symlink() else folder


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
    if foreign := sorted(names - {MANIFEST, TEMPORARY, SEGMENTS, *_FIRST_FORMAT}):
        raise UsageError(
            f"{folder / foreign[0]}: not a file of the index around it, which is left as it is"
        )


# What an index of the first format consisted of: it may be replaced too.
_FIRST_FORMAT = ("passages.faiss", "images.faiss", "image_tokens.npy", "metadata.sqlite")


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
