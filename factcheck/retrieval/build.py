"""Building an index: documents in, a folder out."""

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import astuple, dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import numpy as np

from factcheck.encoders import Encoders
from factcheck.errors import InvalidInputError
from factcheck.records import Document
from factcheck.retrieval.folder import new_folder, writing
from factcheck.retrieval.manifest import (
    FILES,
    IMAGES,
    METADATA,
    PASSAGES,
    TOKENS,
    FileEntry,
    ImageEncoderEntry,
    Manifest,
    TextEncoderEntry,
    canonical_json,
)
from factcheck.retrieval.passages import split_passages
from factcheck.retrieval.store import MetadataWriter
from factcheck.retrieval.vectors import TokenWriter, new_index, not_unit, write_index
from factcheck.settings import PassageSettings

# Few enough that progress is seen every few seconds and a stopped build has lost little.
_PASSAGES_AT_ONCE = 256
_PICTURES_AT_ONCE = 64

_LIBRARIES = ("faiss-cpu", "numpy", "nupunkt", "sentence-transformers", "timm", "torch")

OnProgress = Callable[[str, int, int | None], None]
OnWarning = Callable[[str], None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Pictured:
    """The picture that a document came with."""

    row: int
    document_id: str
    path: Path


def build_index(
    documents: Iterable[Document],
    folder: Path,
    encoders: Encoders,
    *,
    cut: PassageSettings,
    strict: bool,
    overwrite: bool,
    on_progress: OnProgress | None,
    on_warning: OnWarning | None,
) -> None:
    """Write an index; see `EvidenceIndex.build`."""
    progress = on_progress or (lambda stage, done, total: None)
    with new_folder(folder, overwrite) as partial:
        build = _Build(folder, partial, encoders, cut, progress)
        with closing(build.metadata):
            pictured = build.add_documents(documents)
            build.add_passages()
            build.add_pictures(pictured, strict, on_warning or _log.warning)
            corpus = build.corpus_hash()
            with writing(folder):
                build.metadata.commit()
        build.add_manifest(corpus)


class _Build:
    """The steps of a build, each of which leaves a file."""

    def __init__(
        self,
        folder: Path,
        partial: Path,
        encoders: Encoders,
        cut: PassageSettings,
        progress: OnProgress,
    ) -> None:
        self.folder = folder
        self.partial = partial
        self.encoders = encoders
        self.cut = cut
        self.progress = progress
        with writing(folder):
            self.metadata = MetadataWriter(partial / METADATA)

    def add_documents(self, documents: Iterable[Document]) -> list[_Pictured]:
        """Store documents and the borders of their passages; those with a picture come back."""
        pictured = []
        for i, document in enumerate(documents):
            _check(document, i + 1)
            passages = split_passages(document, self.cut.max_characters, self.cut.overlap_sentences)
            digest = hashlib.sha256(
                canonical_json(
                    [
                        *astuple(document)[:5],
                        document.ocr,
                        [[passage.start, passage.end] for passage in passages],
                    ]
                )
            ).digest()
            with writing(self.folder):
                row = self.metadata.add_document(document, passages, digest)
            if row is None:
                raise InvalidInputError(
                    f"document {i + 1}: another one before it has its id, '{document.id}'"
                )
            if document.image is not None:
                pictured.append(_Pictured(row, document.id, Path(os.path.realpath(document.image))))
            self.progress("documents", i + 1, None)
        if self.metadata.documents == 0:
            raise InvalidInputError("the corpus has no documents: an index needs at least one")
        return pictured

    def add_passages(self) -> None:
        """Encode all passages."""
        total = self.metadata.passages
        index = new_index(self.encoders.text.dimension)
        self.progress("passages", 0, total)
        for texts in _batches(self.metadata.passage_texts(), _PASSAGES_AT_ONCE):
            vectors = self.encoders.texts(texts)
            self._refuse_bad(vectors, "text", self.encoders.text.name)
            index.add(vectors)
            self.progress("passages", index.ntotal, total)
        with writing(self.folder):
            write_index(index, self.partial / PASSAGES)

    def add_pictures(self, pictured: list[_Pictured], strict: bool, on_warning: OnWarning) -> None:
        """Encode all pictures that can be read."""
        image = self.encoders.image
        index = new_index(image.dimension)
        with writing(self.folder):
            tokens = TokenWriter(self.partial / TOKENS, image.tokens, image.dimension)
        with closing(tokens):
            self.progress("pictures", 0, len(pictured))
            for start in range(0, len(pictured), _PICTURES_AT_ONCE):
                chunk = pictured[start : start + _PICTURES_AT_ONCE]
                encodings = self.encoders.pictures([one.path for one in chunk])
                for i, problem in encodings.problems.items():
                    message = f"document '{chunk[i].document_id}': {problem}"
                    if strict:
                        raise InvalidInputError(message)
                    on_warning(f"{message}; it goes in without its picture")
                rows = encodings.rows[encodings.rows >= 0]
                vectors = encodings.pooled[rows]
                self._refuse_bad(vectors, "image", image.name)
                index.add(vectors)
                with writing(self.folder):
                    tokens.add(encodings.tokens[rows])
                    for one, row in zip(chunk, encodings.rows, strict=True):
                        if row >= 0:
                            sha256 = encodings.sha256[row]
                            self.metadata.add_image(one.row, str(one.path), sha256)
                self.progress("pictures", start + len(chunk), len(pictured))
            with writing(self.folder):
                tokens.commit()
                write_index(index, self.partial / IMAGES)

    def corpus_hash(self) -> str:
        """Hash of all documents with the contents of their pictures, in any order."""
        corpus = sorted(
            digest + (image or "").encode() for digest, image in self.metadata.digests()
        )
        return hashlib.sha256(canonical_json([entry.hex() for entry in corpus])).hexdigest()

    def add_manifest(self, corpus_sha256: str) -> None:
        """Say what was built; the other files must be finished."""
        text, image = self.encoders.text, self.encoders.image
        files = {}
        for i, name in enumerate(FILES):
            self.progress("files", i, len(FILES))
            with writing(self.folder):
                files[name] = file_entry(self.partial / name)
        manifest = Manifest(
            text=TextEncoderEntry(name=text.name, sha256=text.sha256, dimension=text.dimension),
            image=ImageEncoderEntry(
                name=image.name,
                sha256=image.sha256,
                dimension=image.dimension,
                tokens=image.tokens,
            ),
            passage=self.cut,
            corpus_sha256=corpus_sha256,
            documents=self.metadata.documents,
            passages=self.metadata.passages,
            images=self.metadata.images,
            files=files,
            libraries={name: version(name) for name in _LIBRARIES},
        )
        with writing(self.folder):
            manifest.write(self.partial)
        self.progress("files", len(FILES), len(FILES))

    def _refuse_bad(self, vectors: np.ndarray, kind: str, name: str) -> None:
        bad = not_unit(vectors)
        if bad is not None:
            raise InvalidInputError(
                f"{name}: the {kind} encoder gave a vector that is not of unit length"
            )


def file_entry(path: Path) -> FileEntry:
    """Hash and size of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(sha256=digest, size=path.stat().st_size)


def _check(document: Document, number: int) -> None:
    """Refuse what cannot be searched or stored.

    Raises:
        InvalidInputError: There is no id or no text, half of a character, or an image that no file
            can be called.
    """
    if not document.id:
        raise InvalidInputError(f"document {number}: its id is empty")
    name = f"document {number} ('{document.id}')".encode(errors="replace").decode()
    if not document.text.strip():
        raise InvalidInputError(f"{name}: its text is empty")
    image = None if document.image is None else str(document.image)
    for field in (*astuple(document)[:5], document.ocr, image):
        try:
            (field or "").encode()
        except UnicodeEncodeError as error:
            # JSON may spell half of a surrogate pair; no encoding of text can hold it.
            raise InvalidInputError(f"{name}: it holds half of a surrogate pair") from error
    if image is not None and "\0" in image:
        raise InvalidInputError(f"{name}: its image is not the name of a file")


def _batches(items: Iterator[str], size: int) -> Iterator[list[str]]:
    """Lists of at most `size` items."""
    while batch := list(islice(items, size)):
        yield batch
