"""The index in a folder, changed by the process that holds it (`writer`)."""

import hashlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from importlib.metadata import version
from itertools import chain, count, islice
from os.path import realpath
from pathlib import Path

import numpy as np

from factcheck.errors import FactcheckError, InvalidInputError
from factcheck.pictures import read_bytes
from factcheck.records import Document
from factcheck.retrieval.folder import writing
from factcheck.retrieval.manifest import (
    MANIFEST,
    SEGMENTS,
    ImageEncoderEntry,
    Manifest,
    Segment,
    TextEncoderEntry,
    check_folders,
    sync,
)
from factcheck.retrieval.merged_segment import MergedSegment, segments_to_merge
from factcheck.retrieval.metadata_reader import StoredDocument
from factcheck.retrieval.segment import OpenSegment
from factcheck.retrieval.segment_documents import SegmentDocuments
from factcheck.retrieval.segment_files import file_entry
from factcheck.retrieval.segment_plan import SegmentPlan
from factcheck.retrieval.segment_writer import IN_CORPUS, SegmentWriter
from factcheck.retrieval.tally import Tally

_LIBRARIES = (
    "bm25s",
    "faiss-cpu",
    "numpy",
    "nupunkt",
    "sentence-transformers",
    "timm",
    "torch",
)


class IndexWriter:
    """Changes the index in a folder that is held by this process.

    Attributes:
        manifest: What the index is, after the last change.
    """

    def __init__(self, folder: Path, plan: SegmentPlan, shown: Path) -> None:
        """Read the manifest, or begin one.

        Documents are cut as the manifest says, where there is one, whatever the plan does.

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
        self._tally = Tally()
        if (folder / MANIFEST).exists():
            self.manifest = Manifest.read(folder)
            # Who has had an index open for long may know it as it was before it was built again.
            self._plan = replace(plan, cut=self.manifest.passage)
        else:
            self.manifest = self._manifest([], 0)
        check_folders(folder, self.manifest)

    def add(self, documents: Iterable[Document], replace: bool = False) -> None:
        """Add documents, in as many segments as they need, in one step.

        In the same step small segments at the end of the index become one, where there are many
        (`merged_segment.segments_to_merge`): an index to which a document is added a thousand times
        has some twenty segments, and `compact` is needed only to free the room of what was deleted.

        Args:
            documents: What to add.
            replace: Whether a document takes the place of one with its id; otherwise that is an
                error.
        """
        with self._open(self.manifest.segments) as opened:
            numbered = enumerate(documents, start=1)
            added = list(self._segments(numbered, [] if replace else opened))
            if not added:
                return
            kept = self.manifest.segments
            if replace:
                fresh = {document_id for segment in added for document_id in self._ids_of(segment)}
                kept = self._without(fresh, opened, must=False)
            segments = [*kept, *added]
            last = segments_to_merge([one.passages for one in segments], self._plan.at_most)
            if last > 1:
                merged = self._rewritten(segments[-last:], segments)
                segments = [*segments[:-last], *merged]
            self._commit(segments)

    def build(self, documents: Iterable[Document]) -> None:
        """Add documents, a segment in a step; those that are in already are passed over.

        Of these the ones with another picture than when they were put in are put in anew: the index
        is to be the one that a build from the beginning makes, and so are its warnings.
        """
        with self._open(self.manifest.segments) as opened:
            numbered = enumerate(documents, start=1)
            changed: dict[str, tuple[int, Document]] = {}
            for number, document in islice(numbered, self.manifest.documents):
                if self._has_other_picture(document, opened):
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

    def _segments(
        self,
        numbered: Iterator[tuple[int, Document]],
        others: Sequence[SegmentDocuments],
        again: frozenset[str] = frozenset(),
    ) -> Iterator[Segment]:
        """Segments of documents.

        Args:
            numbered: The documents with their numbers in the corpus.
            others: Segments that are open already, which none of them may be in.
            again: Ids of those that may be in them all the same.
        """
        written: list[Segment] = []
        with ExitStack() as open_ones:
            own: list[SegmentDocuments] = []

            def has(some: Iterable[SegmentDocuments], document_id: str) -> bool:
                return any(
                    one.counts(row)
                    for one in some
                    for row in one.metadata.rows_of([document_id]).values()
                )

            def taken(document_id: str) -> str | None:
                if has(own, document_id):
                    return IN_CORPUS
                if document_id not in again and has(others, document_id):
                    return "the index has a document, which --replace would replace, with its id"
                return None

            while True:
                names = [*(one.entry for one in others), *written]
                folder = self._folder / SEGMENTS / self._next_name(names)
                segment = SegmentWriter(self._shown, folder, self._plan).write(numbered, taken)
                if segment is None:
                    return
                written.append(segment)
                own += open_ones.enter_context(self._open([segment]))
                yield segment

    def delete(self, document_ids: Sequence[str]) -> None:
        """Let documents count no longer."""
        with self._open(self.manifest.segments) as opened:
            self._commit(self._without(set(document_ids), opened, must=True))

    def compact(self) -> None:
        """Write all that counts into new segments."""
        self._commit(self._rewritten(self.manifest.segments, self.manifest.segments))

    def _rewritten(self, segments: Sequence[Segment], used: Sequence[Segment]) -> list[Segment]:
        """New segments of what counts in some.

        Args:
            segments: These.
            used: All whose names are taken.
        """
        written: list[Segment] = []
        with closing(self._living(segments)) as stored:
            while True:
                folder = self._folder / SEGMENTS / self._next_name([*used, *written])
                segment = MergedSegment(self._shown, folder, self._plan).write(stored)
                if segment is None:
                    return written
                written.append(segment)

    def _living(
        self, segments: Sequence[Segment]
    ) -> Generator[tuple[OpenSegment, StoredDocument], None, None]:
        """All documents that count, with their segments, of which one is open at a time."""
        for entry in segments:
            one = OpenSegment(self._folder, self._plan.encoders, entry, thorough=False, exact=True)
            with closing(one):
                # A picture of no document would be lost without a word.
                one.metadata.check_references()
                for stored in one.metadata.documents():
                    if one.counts(stored.row):
                        yield one, stored

    def _without(
        self, document_ids: set[str], opened: Sequence[SegmentDocuments], must: bool
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

    def _with_deleted(self, one: SegmentDocuments, deleted: np.ndarray) -> Segment:
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
        tally = self._tally
        tally.keep(segments)
        for entry in segments:
            if not tally.knows(entry):
                with self._open([entry]) as (one,):
                    tally.add(one)
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

    @contextmanager
    def _open(self, segments: Sequence[Segment]) -> Iterator[list[SegmentDocuments]]:
        """The documents of segments, open until the block ends."""
        with ExitStack() as open_ones:
            yield [
                open_ones.enter_context(
                    closing(SegmentDocuments(self._folder, segment, thorough=False))
                )
                for segment in segments
            ]

    def _ids_of(self, segment: Segment) -> set[str]:
        with self._open([segment]) as (one,):
            return one.metadata.ids()

    def _next_name(self, added: Sequence[Segment]) -> str:
        used = {segment.name for segment in (*self.manifest.segments, *added)}
        return next(name for n in count(1) if (name := f"{n:06}") not in used)

    def _has_other_picture(self, document: Document, opened: Sequence[SegmentDocuments]) -> bool:
        """Whether a document's picture is not the one that it went in with, or without.

        One that still cannot be read is told, as it would be if the document went in now.
        """
        if document.image is None:
            return False
        hashes = (
            one.metadata.picture_hash(document.id)
            for one in opened
            for row in one.metadata.rows_of([document.id]).values()
            if one.counts(row)
        )
        stored = next(hashes, None)
        path = Path(realpath(document.image))
        try:
            return hashlib.sha256(read_bytes(path)).hexdigest() != stored
        except FactcheckError as error:
            if stored is None:
                self._plan.without_picture(document.id, str(error))
            return stored is not None
