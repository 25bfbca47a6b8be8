"""Changing an index: add, delete, compact, each in one step that is seen whole or not at all.

New files are written beside those that are there and synced to disk; then a new manifest takes the
place of the old one, and what it no longer names is removed. One process writes at a time; any
number read, each what was there when it opened the index.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from factcheck.encoders import Encoders
from factcheck.errors import FactcheckError, InvalidInputError
from factcheck.records import Document
from factcheck.retrieval.approximate import check_factory, check_fits
from factcheck.retrieval.engine import Engine, LocalEngine
from factcheck.retrieval.folder import BUSY, locked, new_folder, read_manifest, remove_strays
from factcheck.retrieval.index_writer import IndexWriter
from factcheck.retrieval.manifest import Manifest, canonical_json
from factcheck.retrieval.segment_plan import (
    PASSAGES_AT_MOST,
    OnProgress,
    OnWarning,
    SegmentPlan,
)
from factcheck.settings import PassageSettings

_log = logging.getLogger(__name__)


def plan_for(
    encoders: Encoders,
    cut: PassageSettings,
    *,
    engine: Engine | None = None,
    factory: str | None = None,
    strict: bool = False,
    at_most: int = PASSAGES_AT_MOST,
    on_progress: OnProgress | None = None,
    on_warning: OnWarning | None = None,
) -> SegmentPlan:
    """How segments are written, with what was not said filled in; see `SegmentPlan`.

    Raises:
        UsageError: The factory is none that can be built.
    """
    if factory is not None:
        check_fits(check_factory(factory), encoders.text.dimension)
    return SegmentPlan(
        encoders,
        engine or LocalEngine(encoders),
        cut,
        factory,
        strict,
        at_most,
        on_progress or (lambda stage, done, total: None),
        on_warning or _log.warning,
    )


def build_index(
    documents: Iterable[Document],
    folder: Path,
    plan: SegmentPlan,
    *,
    overwrite: bool,
    key: str | None,
) -> None:
    """Write a new index; see `EvidenceIndex.build`."""
    if key is not None:
        encoders = plan.encoders
        parts = [key, encoders.text.sha256, encoders.image.sha256, plan.factory, plan.at_most]
        key = hashlib.sha256(canonical_json([*parts, plan.cut.model_dump()])).hexdigest()
    with new_folder(folder, overwrite, key) as partial:
        writer = IndexWriter(partial, plan, folder)
        writer.build(documents)
        if not writer.manifest.segments:
            raise InvalidInputError("the corpus has no documents: an index needs at least one")
        remove_strays(partial, writer.manifest)


def add_documents(
    documents: Iterable[Document], folder: Path, plan: SegmentPlan, *, replace: bool
) -> Manifest:
    """Add documents to an index; see `EvidenceIndex.add`."""
    with _writer(folder, plan) as writer:
        before = writer.manifest.generation
        writer.add(documents, replace=replace)
        if writer.manifest.generation == before:
            raise InvalidInputError("there are no documents to add")
        return writer.manifest


def delete_documents(document_ids: Sequence[str], folder: Path, plan: SegmentPlan) -> Manifest:
    """Delete documents from an index; see `EvidenceIndex.delete`."""
    with _writer(folder, plan) as writer:
        writer.delete(document_ids)
        return writer.manifest


def compact_index(folder: Path, plan: SegmentPlan) -> Manifest:
    """Write an index anew without what was deleted; see `EvidenceIndex.compact`."""
    with _writer(folder, plan) as writer:
        writer.compact()
        return writer.manifest


@contextmanager
def _writer(folder: Path, plan: SegmentPlan) -> Iterator[IndexWriter]:
    read_manifest(folder)
    with locked(folder, BUSY):
        writer = IndexWriter(folder, plan, folder)
        problem = writer.manifest.mismatch(plan.encoders)
        if problem is not None:
            raise InvalidInputError(f"{folder}: {problem}")
        remove_strays(folder, writer.manifest)
        try:
            yield writer
        finally:
            # A change that failed leaves files, too. It may have failed after its manifest was in
            # place, so what is named is asked of the disk.
            with suppress(FactcheckError):
                remove_strays(folder, Manifest.read(folder))
