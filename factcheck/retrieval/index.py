"""The evidence index: documents cut, encoded and searched by text and by picture."""

import stat
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from factcheck.encoders import Encoders
from factcheck.errors import InvalidInputError, MissingResourceError, UsageError
from factcheck.records import Claim, Document
from factcheck.retrieval.build import OnProgress, OnWarning, build_index, file_entry
from factcheck.retrieval.hits import Hit, ImageHit
from factcheck.retrieval.manifest import FILES, IMAGES, METADATA, PASSAGES, TOKENS, Manifest
from factcheck.retrieval.store import ImageRow, MetadataReader
from factcheck.retrieval.vectors import check_k, nearest, read_index, read_tokens
from factcheck.settings import PassageSettings

if TYPE_CHECKING:
    import faiss


class EvidenceIndex:
    """A corpus of evidence on disk, searched exactly by cosine.

    Vectors are in memory; token grids are mapped from disk and texts read row by row. Several
    threads may search one index.

    Example:
        ```python
        index = EvidenceIndex.build(documents, "news.index")
        for hit in index.search(Claim("The rocket landed on Sunday."), k=5):
            ...
        ```

    Attributes:
        folder: Where it is.
        manifest: What it holds and what made it.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        passages: "faiss.Index",
        images: "faiss.Index",
        tokens: np.ndarray,
        metadata: MetadataReader,
        encoders: Encoders | None,
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self._passages = passages
        self._images = images
        self._tokens = tokens
        self._metadata = metadata
        self._encoders = encoders
        self._loading = threading.Lock()

    @classmethod
    def build(
        cls,
        documents: Iterable[Document],
        folder: str | Path,
        encoders: Encoders | None = None,
        *,
        passages: PassageSettings | None = None,
        strict: bool = False,
        overwrite: bool = False,
        on_progress: OnProgress | None = None,
        on_warning: OnWarning | None = None,
    ) -> Self:
        """Build an index and open it.

        The folder appears when all of it is on disk: an exception, a signal or a power cut leaves
        what was there before.

        Args:
            documents: The corpus; read once, and not held in memory.
            folder: Where the index is to be.
            encoders: What encodes; None for the embedded ones.
            passages: How documents are cut; None for the default of `PassageSettings`.
            strict: Whether a picture that cannot be read ends the build. Otherwise it is a warning
                and its document goes in without a picture.
            overwrite: Whether an index that is there already is replaced, once the new one is
                whole.
            on_progress: Called with a stage ("documents", "passages", "pictures" or "files"), how
                many are done, and of how many, where that is known.
            on_warning: Called with one sentence for each picture that cannot be read; None logs it.

        Raises:
            InvalidInputError: No documents, an id twice, an empty text or, if `strict`, a picture
                that cannot be read.
            UsageError: Something is at `folder` that may not be replaced.
            RunError: The disk is full or cannot be written.
        """
        folder = Path(folder)
        if encoders is None:
            encoders = Encoders.load()
        build_index(
            documents,
            folder,
            encoders,
            cut=passages or PassageSettings(),
            strict=strict,
            overwrite=overwrite,
            on_progress=on_progress,
            on_warning=on_warning,
        )
        return cls.open(folder, encoders)

    @classmethod
    def open(cls, folder: str | Path, encoders: Encoders | None = None) -> Self:
        """Open an index, once each of its files is known to be what its manifest says.

        Args:
            folder: Where it is.
            encoders: The encoders it was built with; None for the embedded ones, which are loaded
                when a search first needs them.

        Raises:
            MissingResourceError: There is no such folder, or it cannot be read.
            InvalidInputError: It is not an index, is of another version, is damaged, or was built
                with other encoders.
        """
        folder = Path(folder)
        manifest = Manifest.read(folder)
        if encoders is not None:
            _refuse_mismatch(folder, manifest, encoders)
        try:
            for name in FILES:
                _check_file(folder / name, manifest.files[name].size)
            text, image = manifest.text, manifest.image
            shape = (manifest.images, image.tokens, image.dimension)
            # Hashes last: a file that lies about its shape is told apart from one that was damaged.
            passages = read_index(folder / PASSAGES, text.dimension, manifest.passages)
            images = read_index(folder / IMAGES, image.dimension, manifest.images)
            tokens = read_tokens(folder / TOKENS, shape)
            for name in FILES:
                if file_entry(folder / name) != manifest.files[name]:
                    raise InvalidInputError(
                        f"{folder / name}: damaged: its sha256 is not the one in the manifest"
                    )
            metadata = MetadataReader(
                folder / METADATA, manifest.documents, manifest.passages, manifest.images
            )
        except OSError as error:
            raise MissingResourceError(
                f"{folder}: the index cannot be read ({error.strerror})"
            ) from error
        return cls(folder, manifest, passages, images, tokens, metadata, encoders)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Number of passages."""
        return self.manifest.passages

    @property
    def sha256(self) -> str:
        """What names the index in verdicts; see `Manifest.sha256`."""
        return self.manifest.sha256

    @property
    def encoders(self) -> Encoders:
        """The encoders that the index was built with, loaded if they were not given.

        Raises:
            InvalidInputError: None were given and it was not built with the embedded ones.
        """
        with self._loading:
            if self._encoders is None:
                encoders = Encoders.load()
                self.verify_encoders(encoders)
                self._encoders = encoders
            return self._encoders

    def close(self) -> None:
        """Release the files; the index cannot be searched any more."""
        self._metadata.close()

    def verify_encoders(self, encoders: Encoders) -> None:
        """Make sure that encoders are those that the index was built with.

        Raises:
            InvalidInputError: They are not; the message says which and what was expected.
        """
        _refuse_mismatch(self.folder, self.manifest, encoders)

    def search(self, claim: Claim, k: int = 10) -> list[Hit]:
        """The passages most like a claim; see `search_many`."""
        return self.search_many([claim], k)[0]

    def search_many(self, claims: Sequence[Claim], k: int = 10) -> list[list[Hit]]:
        """The passages most like each claim, by text.

        Args:
            claims: N claims.
            k: Passages for each; all if the index has fewer.

        Returns:
            For each claim its passages, most similar first; of equals the first of the corpus.

        Raises:
            UsageError: `k` is less than 1.
            InvalidInputError: A claim has no text; or as for `encoders`.
        """
        check_k(k)
        for i, claim in enumerate(claims):
            if not claim.text.strip():
                raise InvalidInputError(f"claim {i + 1}: its text is empty")
            if not _is_unicode(claim.text):
                raise InvalidInputError(f"claim {i + 1}: it holds half of a surrogate pair")
        if not claims:
            return []
        return self.search_vectors(self.encoders.texts([claim.text for claim in claims]), k)

    def search_vectors(self, vectors: np.ndarray, k: int = 10) -> list[list[Hit]]:
        """The passages most like texts that are encoded already.

        Args:
            vectors: (N, D), rows of unit length.
            k: Passages for each.

        Raises:
            UsageError: `k` is less than 1, or the vectors have another shape or are not numbers.
        """
        found = nearest(self._passages, vectors, k)
        rows = self._metadata.passages(row for hits in found for row, _ in hits)
        return [[Hit.of(row, rows[row], score) for row, score in hits] for hits in found]

    def search_images(self, vectors: np.ndarray, k: int = 10) -> list[list[ImageHit]]:
        """The pictures most like pictures that are encoded already.

        A picture that several documents show is found once for each of them.

        Args:
            vectors: (N, C) pooled vectors, rows of unit length.
            k: Pictures for each.

        Raises:
            UsageError: As for `search_vectors`.
        """
        found = nearest(self._images, vectors, k)
        rows = self._metadata.images(row for hits in found for row, _ in hits)
        return [[ImageHit.of(rows[row], score) for row, score in hits] for hits in found]

    def images_of(self, document_ids: Sequence[str]) -> list[ImageRow]:
        """The pictures of documents, in their order; a document without one adds none.

        Raises:
            InvalidInputError: There is no such document.
        """
        return self._metadata.images_of(document_ids)

    def passage_vectors(self, rows: Sequence[int]) -> np.ndarray:
        """(n, D) float32 vectors of passages, by row.

        Raises:
            UsageError: There is no such row.
        """
        return _vectors(self._passages, self._known(rows, self.manifest.passages, "passage"))

    def image_tokens(self, rows: Sequence[int]) -> np.ndarray:
        """(n, T, C) float32 token grids of pictures, by row.

        Raises:
            UsageError: There is no such row.
            InvalidInputError: The file holds what is no number.
        """
        tokens: np.ndarray = self._tokens[
            self._known(rows, self.manifest.images, "picture")
        ].astype(np.float32)
        if not np.isfinite(tokens).all():
            raise InvalidInputError(f"{self.folder / TOKENS}: a token is not a finite number")
        return tokens

    def image_vectors(self, rows: Sequence[int]) -> np.ndarray:
        """(n, C) float32 pooled vectors of pictures, by row.

        Raises:
            UsageError: There is no such row.
        """
        return _vectors(self._images, self._known(rows, self.manifest.images, "picture"))

    def document(self, document_id: str) -> Document:
        """The document of that id, its picture by absolute path.

        Raises:
            InvalidInputError: There is none.
        """
        return self._metadata.document(document_id)

    def _known(self, rows: Sequence[int], count: int, kind: str) -> np.ndarray:
        wanted = np.asarray(rows, dtype=np.int64).reshape(-1)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= count):
            raise UsageError(
                f"{self.folder}: {kind} rows go from 0 to {count - 1}, "
                f"and {wanted.min()} to {wanted.max()} were asked for"
            )
        return wanted


def _vectors(index: "faiss.Index", rows: np.ndarray) -> np.ndarray:
    """(n, d) float32 vectors of an index, by row."""
    if not rows.size:
        return np.zeros((0, index.d), dtype=np.float32)
    vectors: np.ndarray = index.reconstruct_batch(rows)
    return vectors


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_file(path: Path, size: int) -> None:
    """Refuse a file that is missing, a link, or of another size than the manifest says."""
    try:
        status = path.lstat()
    except FileNotFoundError as error:
        raise InvalidInputError(f"{path}: missing from the index") from error
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInputError(f"{path}: not an ordinary file")
    if status.st_size != size:
        raise InvalidInputError(
            f"{path}: damaged: {status.st_size:,} bytes, and the manifest says {size:,}"
        )


def _refuse_mismatch(folder: Path, manifest: Manifest, encoders: Encoders) -> None:
    problem = manifest.mismatch(encoders)
    if problem is not None:
        raise InvalidInputError(
            f"{folder}: the index does not fit these encoders: {problem}; give the encoders it was "
            "built with, or build it again"
        )
