"""Looking at every byte of an index."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.retrieval.manifest import MANIFEST, SEGMENTS, Manifest, check_folders
from factcheck.retrieval.metadata_reader import MetadataReader
from factcheck.retrieval.segment import OpenSegment
from factcheck.retrieval.segment_files import check_file
from factcheck.retrieval.segment_plan import document_digest
from factcheck.retrieval.tally import Tally

HASHED_UP_TO = 256 * 2**20
"""An index of at most so many bytes is looked at throughout whenever it is opened."""


def verify_index(
    folder: Path, on_progress: Callable[[str, int, int | None], None] | None = None
) -> tuple[Manifest, list[str]]:
    """Check every file of an index against its manifest, and the manifest against the documents.

    A manifest vouches for the hashes of files, not for what it says of them: texts that were
    changed, and hashes with them, are told by the documents' own digests and by the hash of them
    all that names the index in verdicts. Of an approximate index only the hash is looked at, as
    FAISS's reader is not made for files from strangers.

    Args:
        folder: Where the index is.
        on_progress: Called with "files", how many are done, and of how many.

    Returns:
        The manifest, and a sentence for each file that is not what it should be; of a segment
        whose files are all right, what else is wrong with it; and of an index whose segments are
        all right, what its manifest says of them and is not so.

    Raises:
        MissingResourceError: There is no such folder, or it cannot be read.
        InvalidInputError: Its manifest is missing or damaged.
    """
    report = on_progress or (lambda stage, done, total: None)
    manifest = Manifest.read(folder)
    try:
        check_folders(folder, manifest)
    except InvalidInputError as error:
        return manifest, [str(error)]
    total = sum(len(segment.files) for segment in manifest.segments)
    done = 0
    problems: list[str] = []
    tally = Tally()
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
                with closing(
                    OpenSegment(folder, manifest, segment, thorough=True, exact=True)
                ) as opened:
                    _check_documents(opened.metadata)
                    tally.add(opened)
            except InvalidInputError as error:
                wrong.append(str(error))
        problems += wrong
    return manifest, problems or _differences(folder / MANIFEST, manifest, tally)


def _check_documents(metadata: MetadataReader) -> None:
    """Refuse documents that are not those that were put in.

    Raises:
        InvalidInputError: One is not what its digest was made of, or a row points nowhere.
    """
    metadata.check_references()
    for stored in metadata.documents():
        document = stored.document
        name = f"{metadata.path}: damaged: document '{document.id}'"
        if not all(0 <= start < end <= len(document.text) for start, end in stored.borders):
            raise InvalidInputError(f"{name} has a passage that lies outside of it")
        if document_digest(document, stored.borders) != stored.digest:
            raise InvalidInputError(f"{name} is not the one that its digest was made of")


def _differences(path: Path, manifest: Manifest, tally: Tally) -> list[str]:
    """What a manifest says of its documents and is not so, a sentence each."""
    problems = []
    for what, said, found in (
        ("documents", manifest.documents, tally.documents),
        ("passages", manifest.passages, tally.passages),
        ("images", manifest.images, tally.images),
    ):
        if said != found:
            problems.append(f"{path}: it says {said:,} {what}, and the segments hold {found:,}")
    if manifest.corpus_sha256 != tally.corpus_sha256:
        problems.append(f"{path}: its corpus_sha256 is not that of the documents in the segments")
    return problems
