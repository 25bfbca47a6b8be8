"""Writing a segment: documents in, a folder of files out that never changes again.

Documents are stored and cut first, then passages and pictures are encoded batch by batch and go to
disk as they come. A segment that was stopped half-way is begun anew, which takes seconds, and finds
the encodings that were made.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import astuple, dataclass, replace
from datetime import date
from itertools import islice
from os.path import realpath
from pathlib import Path
from typing import TextIO, TypeVar

from factcheck.errors import FactcheckError, InvalidInputError
from factcheck.pictures import read_bytes
from factcheck.records import Document, is_storable
from factcheck.retrieval.distinct import sketch
from factcheck.retrieval.engine import PASSAGES_AT_ONCE, PICTURES_AT_ONCE
from factcheck.retrieval.folder import new_segment, writing
from factcheck.retrieval.lexical import write_lexical
from factcheck.retrieval.manifest import IMAGES, METADATA, PASSAGES, TOKENS, Segment
from factcheck.retrieval.metadata_writer import MetadataWriter
from factcheck.retrieval.passages import split_passages
from factcheck.retrieval.policy import host_of
from factcheck.retrieval.segment_plan import SegmentPlan, document_digest, finish_segment
from factcheck.retrieval.vectors import TokenWriter, VectorWriter, not_unit

T = TypeVar("T")

_Facts = tuple[str | None, str | None, str | None]
"""Hash and fingerprint of a picture, and why it cannot be read."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

# Journal of the pictures that are encoded already; only while the segment is being written.
_PICTURES = "pictures.jsonl"

# Hash of the documents that all this is of, in their order; likewise.
_DOCUMENTS = "documents.sha256"


IN_CORPUS = "another one before it has its id"
"""Who has the id of a document where it is one of the same corpus."""


@dataclass(frozen=True)
class _Pictured:
    """The picture that a document came with."""

    row: int
    document_id: str
    path: Path


class SegmentWriter:
    """Writes one segment from new documents.

    Args:
        index: Folder of the index, for messages.
        folder: Where the segment goes; what is there of an earlier try is made use of.
        plan: How.
    """

    def __init__(self, index: Path, folder: Path, plan: SegmentPlan) -> None:
        self._index = index
        self._folder = folder
        self._plan = plan
        self._documents = hashlib.sha256()

    def write(
        self, documents: Iterator[tuple[int, Document]], taken: Callable[[str], str | None]
    ) -> Segment | None:
        """Write documents until there are no more or the segment is full.

        Args:
            documents: Documents with their numbers in the corpus, from 1.
            taken: Who has an id that is one of another segment's, in words; None for any other.

        Returns:
            The segment; None when there were no documents.

        Raises:
            InvalidInputError: A document is wrong, or has an id that is taken.
            RunError: The disk is full or cannot be written.
        """
        plan = self._plan
        with writing(self._index):
            new_segment(self._folder)
            (self._folder / METADATA).unlink(missing_ok=True)
            metadata = MetadataWriter(self._folder / METADATA)
        with closing(metadata):
            pictured = self._add_documents(metadata, documents, taken)
            if metadata.documents == 0:
                return None
            with writing(self._index):
                self._forget_others()
            self._add_passages(metadata)
            self._add_pictures(metadata, pictured)
            plan.on_progress("words", 0, 1)
            with writing(self._index):
                write_lexical(metadata.titled_passages(), self._folder)
                plan.on_progress("words", 1, 1)
                metadata.commit()
        return finish_segment(self._index, self._folder, metadata, plan)

    def _add_documents(
        self,
        metadata: MetadataWriter,
        documents: Iterator[tuple[int, Document]],
        taken: Callable[[str], str | None],
    ) -> list[_Pictured]:
        """Store documents and the borders of their passages; those with a picture come back."""
        plan = self._plan
        pictured = []
        for number, document in documents:
            document = _checked(document, number)
            passages = split_passages(document, plan.cut.max_characters, plan.cut.overlap_sentences)
            borders = [(passage.start, passage.end) for passage in passages]
            digest = document_digest(document, borders)
            self._documents.update(digest)
            with writing(self._index):
                row, other = None, taken(document.id)
                if other is None:
                    row = metadata.add_document(
                        document, borders, host_of(document.url), digest, sketch(document.text)
                    )
            if row is None:
                raise InvalidInputError(f"document {number}: {other or IN_CORPUS}, '{document.id}'")
            if document.image is not None:
                pictured.append(_Pictured(row, document.id, Path(realpath(document.image))))
            plan.on_progress("documents", number, None)
            if metadata.passages >= plan.at_most:
                break
        return pictured

    def _forget_others(self) -> None:
        """Remove what an earlier try made of other documents.

        Vectors do not say what they are of, and a build that goes on may have other documents here:
        those whose pictures were changed since they were put in come first.
        """
        note = self._folder / _DOCUMENTS
        documents = self._documents.hexdigest().encode()
        if note.exists() and note.read_bytes() == documents:
            return
        for path in self._folder.iterdir():
            if path.name != METADATA:
                path.unlink()
        note.write_bytes(documents)

    def _add_passages(self, metadata: MetadataWriter) -> None:
        """Encode all passages that are not on disk yet."""
        plan, total = self._plan, metadata.passages
        with writing(self._index):
            vectors = VectorWriter(
                self._folder / PASSAGES, plan.encoders.text.dimension, resume=True
            )
        with closing(vectors):
            with writing(self._index):
                _keep_good(vectors, total)
            plan.on_progress("passages", vectors.count, total)
            texts = islice(metadata.passage_texts(), vectors.count, None)
            for encoded in plan.engine.passages(_batches(texts, PASSAGES_AT_ONCE)):
                with writing(self._index):
                    vectors.add(encoded)
                plan.on_progress("passages", vectors.count, total)
            with writing(self._index):
                vectors.commit()

    def _add_pictures(self, metadata: MetadataWriter, pictured: list[_Pictured]) -> None:
        """Encode all pictures that can be read and are not on disk yet."""
        plan, image = self._plan, self._plan.encoders.image
        journal = self._folder / _PICTURES
        with writing(self._index):
            vectors = VectorWriter(self._folder / IMAGES, image.dimension, resume=True)
            tokens = TokenWriter(self._folder / TOKENS, image.tokens, image.dimension, resume=True)
        with closing(vectors), closing(tokens), journal.open("a+", encoding="utf-8") as notes:
            notes.seek(0)
            known = _read_journal(notes.read(), pictured, min(vectors.count, tokens.count))
            known = self._still_so(known, pictured)
            with writing(self._index):
                good = sum(problem is None for _, _, problem in known)
                vectors.truncate(good)
                tokens.truncate(good)
                notes.seek(0)
                notes.truncate()
                for one, facts in zip(pictured, known, strict=False):
                    self._note(metadata, notes, one, *facts)
            done = len(known)
            plan.on_progress("pictures", done, len(pictured))
            paths = (one.path for one in pictured[done:])
            for encoded in plan.engine.pictures(_batches(paths, PICTURES_AT_ONCE)):
                chunk = pictured[done : done + len(encoded.sha256)]
                with writing(self._index):
                    vectors.add(encoded.vectors)
                    tokens.add(encoded.tokens)
                    found = zip(encoded.sha256, encoded.fingerprints, encoded.problems, strict=True)
                    for one, facts in zip(chunk, found, strict=True):
                        self._note(metadata, notes, one, *facts)
                    notes.flush()
                done += len(chunk)
                plan.on_progress("pictures", done, len(pictured))
            with writing(self._index):
                vectors.commit()
                tokens.commit()

    def _still_so(self, known: list[_Facts], pictured: list[_Pictured]) -> list[_Facts]:
        """The first of what an earlier try found out, up to where it would be found otherwise now.

        Between two tries a picture that was missing may be put in place and another one changed,
        and the index is to be the one that a build from the beginning makes. So what could not be
        read is tried again, and what could is hashed again, which takes far less than to encode it;
        its time of change would not do, as a copy may keep that. Vectors lie in the order of the
        pictures, so that all behind the first that is another one are encoded anew.
        """
        for place, (sha256, _, _) in enumerate(known):
            if sha256 is not None and picture_hash(pictured[place].path) != sha256:
                known = known[:place]
                break
        unread = [place for place, (sha256, _, _) in enumerate(known) if sha256 is None]
        problems: list[str | None] = []
        if unread:
            paths = (pictured[place].path for place in unread)
            for encoded in self._plan.engine.pictures(_batches(paths, PICTURES_AT_ONCE)):
                problems += encoded.problems
        for place, problem in zip(unread, problems, strict=True):
            if problem is None:
                return known[:place]
            known[place] = (None, None, problem)
        return known

    def _note(
        self,
        metadata: MetadataWriter,
        notes: TextIO,
        one: _Pictured,
        sha256: str | None,
        fingerprint: str | None,
        problem: str | None,
    ) -> None:
        """Store what is known of a picture, in the metadata and in the journal."""
        if sha256 is not None:
            metadata.add_image(one.row, str(one.path), sha256, fingerprint)
        else:
            self._plan.without_picture(one.document_id, problem or "its image cannot be read")
        notes.write(json.dumps([str(one.path), sha256, fingerprint, problem]) + "\n")


def _keep_good(vectors: VectorWriter, total: int) -> None:
    """Keep what an earlier try left that can be its vectors."""
    vectors.truncate(min(vectors.count, total))
    for start in range(0, vectors.count, 2**16):
        # What a power cut left unwritten reads as zeros.
        bad = not_unit(vectors.kept(start, min(start + 2**16, vectors.count)))
        if bad is not None:
            vectors.truncate(start + bad)
            return


def picture_hash(path: Path) -> str | None:
    """Hash of a picture file; None where it cannot be read."""
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()
    except FactcheckError:
        return None


def _read_journal(text: str, pictured: list[_Pictured], stored: int) -> list[_Facts]:
    """What an earlier try found out about the first pictures, as far as all files have it."""
    known: list[_Facts] = []
    for line, one in zip(text.splitlines(), pictured, strict=False):
        try:
            path, sha256, fingerprint, problem = json.loads(line)
        except ValueError:
            break
        stored -= sha256 is not None
        if path != str(one.path) or stored < 0:
            break
        known.append((sha256, fingerprint, problem))
    return known


def _checked(document: Document, number: int) -> Document:
    """A document as it is stored, a blank date counting as none.

    Raises:
        InvalidInputError: There is no id or no text, half of a character, a date that is none, or
            an image that no file can be called.
    """
    if not document.id:
        raise InvalidInputError(f"document {number}: its id is empty")
    name = f"document {number} ('{document.id}')".encode(errors="replace").decode()
    if not document.text.strip():
        raise InvalidInputError(f"{name}: its text is empty")
    if isinstance(document.date, str) and not document.date.strip():
        document = replace(document, date=None)
    if document.date is not None and not _is_day(document.date):
        raise InvalidInputError(f"{name}: its date, {str(document.date)[:40]!r}, is not YYYY-MM-DD")
    image = None if document.image is None else str(document.image)
    for field in (*astuple(document)[:5], document.ocr, image):
        if not is_storable(field or ""):
            raise InvalidInputError(f"{name}: it holds half of a surrogate pair")
    if image is not None and "\0" in image:
        raise InvalidInputError(f"{name}: its image is not the name of a file")
    return document


def _is_day(value: object) -> bool:
    """Whether a date is written YYYY-MM-DD: days are compared as texts, which is right for one way.

    By itself the parser takes other ways of writing, and the pattern the 31st of February.
    """
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size` items."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
