"""Looking at every byte of an index."""

from collections.abc import Callable
from pathlib import Path

from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.retrieval.manifest import SEGMENTS, Manifest
from factcheck.retrieval.segment import OpenSegment, check_file

HASHED_UP_TO = 256 * 2**20
"""An index of at most so many bytes is looked at throughout whenever it is opened."""


def verify_index(
    folder: Path, on_progress: Callable[[str, int, int | None], None] | None = None
) -> tuple[Manifest, list[str]]:
    """Check every file of an index against its manifest.

    Args:
        folder: Where the index is.
        on_progress: Called with "files", how many are done, and of how many.

    Returns:
        The manifest, and a sentence for each file that is not what it should be; of a segment
        whose files are all right, what else is wrong with it.

    Raises:
        MissingResourceError: There is no such folder, or it cannot be read.
        InvalidInputError: Its manifest is missing or damaged.
    """
    report = on_progress or (lambda stage, done, total: None)
    manifest = Manifest.read(folder)
    total = sum(len(segment.files) for segment in manifest.segments)
    done = 0
    problems: list[str] = []
    for segment in manifest.segments:
        wrong: list[str] = []
        for name, entry in sorted(segment.files.items()):
            try:
                check_file(folder / SEGMENTS / segment.name / name, entry, thorough=True)
            except InvalidInputError as error:
                wrong.append(str(error))
            except OSError as error:
                raise MissingResourceError(
                    f"{folder}: the index cannot be read ({error.strerror})"
                ) from error
            done += 1
            report("files", done, total)
        if not wrong:
            try:
                OpenSegment(folder, manifest, segment, thorough=True).close()
            except InvalidInputError as error:
                wrong.append(str(error))
        problems += wrong
    return manifest, problems
