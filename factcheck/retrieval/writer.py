"""Changing an index: add, delete, compact, each in one step that is seen whole or not at all.

New files are written beside those that are there and synced to disk; then a new manifest takes the
place of the old one, and what it no longer names is removed. One process writes at a time; any
number read, each what was there when it opened the index.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.metadata import version
from itertools import chain, count, islice
from pathlib import Path

import numpy as np

from factcheck.encoders import Encoders
from factcheck.errors import InvalidInputError
from factcheck.records import Document
from factcheck.retrieval.approximate import check_factory
from factcheck.retrieval.engine import Engine, LocalEngine
from factcheck.retrieval.folder import locked, new_folder, remove_strays, writing
from factcheck.retrieval.manifest import (
    MANIFEST,
    SEGMENTS,
    ImageEncoderEntry,
    Manifest,
    Segment,
    TextEncoderEntry,
    canonical_json,
    check_folders,
    sync,
)
from factcheck.retrieval.metadata_reader import StoredDocument
from factcheck.retrieval.segment import OpenSegment, Tally, file_entry
from factcheck.retrieval.segment_writer import (
    PASSAGES_AT_MOST,
    MergedSegment,
    OnProgress,
    OnWarning,
    SegmentPlan,
    SegmentWriter,
    picture_hash,
)
from factcheck.settings import PassageSettings

_LIBRARIES = (
    "bm25s",
    "faiss-cpu",
    "numpy",
    "nupunkt",
    "sentence-transformers",
    "timm",
    "torch",
)

_BUSY = "another process is writing to this index"

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
    return SegmentPlan(
        encoders,
        engine or LocalEngine(encoders),
        cut,
        None if factory is None else check_factory(factory),
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
        writer = _Writer(partial, plan, folder)
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
def _writer(folder: Path, plan: SegmentPlan) -> Iterator["_Writer"]:
    Manifest.read(folder)
    with locked(folder, _BUSY):
        writer = _Writer(folder, plan, folder)
        problem = writer.manifest.mismatch(plan.encoders)
        if problem is not None:
            raise InvalidInputError(f"{folder}: {problem}")
        remove_strays(folder, writer.manifest)
        yield writer
        remove_strays(folder, writer.manifest)


class _Writer:
    """Changes the index in a folder that is held by this process.

    Attributes:
        manifest: What the index is, after the last change.
    """

    def __init__(self, folder: Path, plan: SegmentPlan, shown: Path) -> None:
        """Read the manifest, or begin one.

        Args:
            folder: Where the index is.
            plan: How segments are written.
            shown: What the folder is called in messages.

        Raises:
            InvalidInputError: What is there is not an index that may be written to.
        """
        self._folder = folder
        self._plan = plan
        self._shown = shown
        there = (folder / MANIFEST).exists()
        self.manifest = Manifest.read(folder) if there else self._manifest([], 0)
        check_folders(folder, self.manifest)

    def add(self, documents: Iterable[Document], replace: bool = False) -> None:
        """Add documents, in as many segments as they need, in one step.

        Args:
            documents: What to add.
            replace: Whether a document takes the place of one with its id; otherwise that is an
                error.
        """
        opened = self._open_all()
        try:
            added: list[Segment] = []
            numbered = enumerate(documents, start=1)
            for segment in self._segments(numbered, [] if replace else opened):
                added.append(segment)
            if replace:
                fresh = {document_id for segment in added for document_id in self._ids_of(segment)}
                kept = self._without(fresh, opened, must=False)
            else:
                kept = self.manifest.segments
            if added:
                self._commit([*kept, *added])
        finally:
            for one in opened:
                one.close()

    def build(self, documents: Iterable[Document]) -> None:
        """Add documents, a segment in a step; those that are in already are passed over.

        Of these the ones with another picture than when they were put in are put in anew: the index
        is to be the one that a build from the beginning makes.
        """
        opened = self._open_all()
        try:
            numbered = enumerate(documents, start=1)
            changed: dict[str, tuple[int, Document]] = {}
            for number, document in islice(numbered, self.manifest.documents):
                if _has_other_picture(document, opened):
                    changed[document.id] = number, document
                self._plan.on_progress("documents", number, None)
            added: list[Segment] = []
            anew: set[str] = set()
            rest = chain(changed.values(), numbered)
            for segment in self._segments(rest, opened, frozenset(changed)):
                added.append(segment)
                if len(anew) < len(changed):
                    anew |= self._ids_of(segment) & changed.keys()
                # Of all that is in anew, as the segments are open as they were at the beginning.
                self._commit([*self._without(anew, opened, must=False), *added])
        finally:
            for one in opened:
                one.close()

    def _segments(
        self,
        numbered: Iterator[tuple[int, Document]],
        others: Sequence[OpenSegment],
        again: frozenset[str] = frozenset(),
    ) -> Iterator[Segment]:
        """Segments of documents.

        Args:
            numbered: The documents with their numbers in the corpus.
            others: Segments that are open already, which none of them may be in.
            again: Ids of those that may be in them all the same.
        """
        opened: list[OpenSegment] = []
        written: list[Segment] = []

        def taken(document_id: str) -> bool:
            return any(
                one.counts(row)
                for one in (*(() if document_id in again else others), *opened)
                for row in one.metadata.rows_of([document_id]).values()
            )

        while True:
            names = [*(one.entry for one in others), *written]
            folder = self._folder / SEGMENTS / self._next_name(names)
            segment = SegmentWriter(self._shown, folder, self._plan).write(numbered, taken)
            if segment is None:
                return
            written.append(segment)
            opened += self._open([segment])
            yield segment

    def delete(self, document_ids: Sequence[str]) -> None:
        """Let documents count no longer."""
        opened = self._open_all()
        try:
            self._commit(self._without(set(document_ids), opened, must=True))
        finally:
            for one in opened:
                one.close()

    def compact(self) -> None:
        """Write all that counts into new segments."""
        opened = self._open_all()
        try:
            for one in opened:
                # A picture of no document would be lost without a word.
                one.metadata.check_references()
            stored = _living(opened)
            added: list[Segment] = []
            while True:
                folder = self._folder / SEGMENTS / self._next_name(added)
                segment = MergedSegment(self._shown, folder, self._plan).write(stored)
                if segment is None:
                    break
                added.append(segment)
            self._commit(added)
        finally:
            for one in opened:
                one.close()

    def _without(
        self, document_ids: set[str], opened: Sequence[OpenSegment], must: bool
    ) -> list[Segment]:
        """The segments once documents no longer count; those without any left are gone.

        Raises:
            InvalidInputError: `must`, and one of the documents is not in the index.
        """
        left = set(document_ids)
        segments = []
        for one in opened:
            rows = one.metadata.rows_of(document_ids)
            rows = {name: row for name, row in rows.items() if one.counts(row)}
            left -= rows.keys()
            entry = one.entry
            if rows:
                deleted = np.union1d(one.deleted, np.array(sorted(rows.values()), dtype=np.int64))
                if len(deleted) == entry.documents:
                    continue
                entry = self._with_deleted(one, deleted)
            segments.append(entry)
        if must and left:
            raise InvalidInputError(
                f"{self._shown}: no document '{min(left)}' in the index; nothing was deleted"
            )
        return segments

    def _with_deleted(self, one: OpenSegment, deleted: np.ndarray) -> Segment:
        name = f"deleted-{self.manifest.generation + 1:06}.npy"
        path = one.folder / name
        with writing(self._shown):
            path.unlink(missing_ok=True)
            np.save(path, deleted, allow_pickle=False)
            sync(path)
            sync(one.folder)
            files = dict(one.entry.files)
            if one.entry.deleted_file is not None:
                del files[one.entry.deleted_file]
            files[name] = file_entry(path)
        changes = {"files": files, "deleted": len(deleted), "deleted_file": name}
        return one.entry.model_copy(update=changes)

    def _commit(self, segments: Sequence[Segment]) -> None:
        with writing(self._shown):
            sync(self._folder / SEGMENTS)
        manifest = self._manifest(segments, self.manifest.generation)
        with writing(self._shown):
            manifest.write(self._folder)
        self.manifest = manifest

    def _manifest(self, segments: Sequence[Segment], generation: int) -> Manifest:
        text, image = self._plan.encoders.text, self._plan.encoders.image
        tally = Tally()
        for one in self._open(segments):
            tally.add(one)
            one.close()
        return Manifest(
            generation=generation + 1,
            text=TextEncoderEntry(name=text.name, sha256=text.sha256, dimension=text.dimension),
            image=ImageEncoderEntry(
                name=image.name,
                sha256=image.sha256,
                dimension=image.dimension,
                tokens=image.tokens,
            ),
            passage=self._plan.cut,
            corpus_sha256=tally.corpus_sha256,
            documents=tally.documents,
            passages=tally.passages,
            images=tally.images,
            segments=list(segments),
            libraries={name: version(name) for name in _LIBRARIES},
        )

    def _open_all(self) -> list[OpenSegment]:
        return list(self._open(self.manifest.segments))

    def _open(self, segments: Sequence[Segment]) -> Iterator[OpenSegment]:
        for segment in segments:
            yield OpenSegment(self._folder, self._plan.encoders, segment, thorough=False)

    def _ids_of(self, segment: Segment) -> set[str]:
        with closing(next(self._open([segment]))) as one:
            return {stored.document.id for stored in one.metadata.documents()}

    def _next_name(self, added: Sequence[Segment]) -> str:
        used = {segment.name for segment in (*self.manifest.segments, *added)}
        return next(name for n in count(1) if (name := f"{n:06}") not in used)


def _has_other_picture(document: Document, opened: Sequence[OpenSegment]) -> bool:
    """Whether a document's picture is not the one that it went in with, or without."""
    if document.image is None:
        return False
    hashes = (
        one.metadata.picture_hash(document.id)
        for one in opened
        for row in one.metadata.rows_of([document.id]).values()
        if one.counts(row)
    )
    stored = next(hashes, None)
    return picture_hash(Path(document.image)) != stored


def _living(opened: Sequence[OpenSegment]) -> Iterator[tuple[OpenSegment, StoredDocument]]:
    """All documents that count, with their segments."""
    for one in opened:
        for stored in one.metadata.documents():
            if one.counts(stored.row):
                yield one, stored
