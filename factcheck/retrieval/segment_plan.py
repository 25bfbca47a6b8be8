"""How segments are written, and the end of writing one, which all of them have in common."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

from factcheck.encoders import Encoders
from factcheck.errors import InvalidInputError
from factcheck.records import Document
from factcheck.retrieval.approximate import build_approximate, factory_for, fewest_vectors
from factcheck.retrieval.engine import Engine
from factcheck.retrieval.folder import writing
from factcheck.retrieval.manifest import (
    APPROXIMATE,
    FILES,
    PASSAGES,
    ApproximateEntry,
    Segment,
    canonical_json,
    sync,
)
from factcheck.retrieval.metadata_writer import MetadataWriter
from factcheck.retrieval.segment_files import file_entry
from factcheck.retrieval.vectors import read_vectors
from factcheck.settings import PassageSettings

PASSAGES_AT_MOST = 262_144
"""A segment is closed once it has so many passages: memory is needed for one at a time."""

OnProgress = Callable[[str, int, int | None], None]
OnWarning = Callable[[str], None]


@dataclass(frozen=True)
class SegmentPlan:
    """How segments are written.

    Attributes:
        encoders: What encodes.
        engine: Where it does.
        cut: How documents are cut.
        factory: What passages are indexed by, as FAISS writes it, where there are enough of them;
            None for the default of a segment's size.
        strict: Whether a picture that cannot be read is an error.
        at_most: Passages after which a segment is closed.
        on_progress: Called with a stage, how many are done, and of how many if that is known.
        on_warning: Called with a sentence for each picture that cannot be read, and for each
            segment that is too small for `factory`.
    """

    encoders: Encoders
    engine: Engine
    cut: PassageSettings
    factory: str | None
    strict: bool
    at_most: int
    on_progress: OnProgress
    on_warning: OnWarning

    def without_picture(self, document_id: str, problem: str) -> None:
        """Warn that a document goes in without its picture, or refuse it.

        Args:
            document_id: The document.
            problem: Why its picture cannot be read.

        Raises:
            InvalidInputError: `strict`.
        """
        message = f"document '{document_id}': {problem}"
        if self.strict:
            raise InvalidInputError(message)
        self.on_warning(f"{message}; it goes in without its picture")


def finish_segment(
    index: Path, folder: Path, metadata: MetadataWriter, plan: SegmentPlan
) -> Segment:
    """Build the approximate index of a segment, if it is to have one, and say what it holds.

    A segment of too few passages for the index that was asked for, as the last one of a build or
    what is added to an index may be, is searched exactly, and a warning says so.

    Args:
        index: Folder of the index, for messages.
        folder: The segment's, with all its other files.
        metadata: Its documents.
        plan: How it is written.

    Raises:
        UsageError: FAISS cannot build what was asked for.
        RunError: The disk is full or cannot be written.
    """
    dimension = plan.encoders.text.dimension
    factory = plan.factory or factory_for(metadata.passages, dimension)
    needed = fewest_vectors(factory)
    if metadata.passages < needed:
        # All has been encoded by now, and so few are looked through in no time.
        plan.on_warning(
            f"segment {folder.name}: its {metadata.passages:,} passages are searched exactly, as "
            f"{factory} takes {needed:,}"
        )
        factory = "Flat"
    approximate = None
    (folder / APPROXIMATE).unlink(missing_ok=True)
    if factory != "Flat":
        plan.on_progress("approximate", 0, 1)
        vectors = read_vectors(folder / PASSAGES, dimension, metadata.passages, thorough=False)
        with writing(index):
            recall = build_approximate(vectors, factory, folder / APPROXIMATE)
        approximate = ApproximateEntry(factory=factory, recall_at_10=round(recall, 4))
        plan.on_progress("approximate", 1, 1)
    with writing(index):
        for path in folder.iterdir():
            # What told a build that goes on how far it was.
            if path.name not in FILES and path.name != APPROXIMATE:
                path.unlink()
    files = {}
    paths = sorted(folder.iterdir())
    with writing(index):
        for i, path in enumerate(paths):
            plan.on_progress("files", i, len(paths))
            files[path.name] = file_entry(path)
            sync(path)
        sync(folder)
    plan.on_progress("files", len(paths), len(paths))
    return Segment(
        name=folder.name,
        documents=metadata.documents,
        passages=metadata.passages,
        images=metadata.images,
        approximate=approximate,
        files=files,
    )


def document_digest(document: Document, borders: Iterable[tuple[int, int]]) -> bytes:
    """Hash of a document without its picture, and of how it was cut."""
    return hashlib.sha256(
        canonical_json([*astuple(document)[:5], document.ocr, [list(pair) for pair in borders]])
    ).digest()
