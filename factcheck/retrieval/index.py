"""The evidence index: documents cut, encoded, and searched by meaning, by words and by picture."""

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from factcheck.encoders import Encoders
from factcheck.encoders.picture_pairs import PictureFile
from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.pictures import FINGERPRINT_SIDE, decode, fingerprint, read_bytes
from factcheck.records import Claim, Document, is_storable
from factcheck.retrieval import writer
from factcheck.retrieval.engine import Engine
from factcheck.retrieval.folder import read_manifest
from factcheck.retrieval.hits import Hit, ImageHit
from factcheck.retrieval.manifest import Manifest
from factcheck.retrieval.policy import SourcePolicy
from factcheck.retrieval.reader import ANY_SOURCE, IndexReader, open_segments
from factcheck.retrieval.rerank import Reranker
from factcheck.retrieval.search import Query, hybrid_search
from factcheck.retrieval.segment import OpenSegment
from factcheck.retrieval.segment_plan import PASSAGES_AT_MOST, OnProgress, OnWarning
from factcheck.retrieval.shown_pictures import with_shown_pictures
from factcheck.retrieval.vectors import check_k
from factcheck.settings import PassageSettings, SearchSettings

# How often opening is tried again because a writer was quicker.
_TRIES = 20


class EvidenceIndex(IndexReader):
    """A corpus of evidence on disk.

    Files are mapped into memory and texts read row by row: opening takes no time that grows with
    the corpus, and what is searched often stays in the system's cache. An open index stays what it
    was when it was opened, whatever a writer does. Several threads may search one.

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
        segments: Sequence[OpenSegment],
        encoders: Encoders | None,
        exact: bool,
    ) -> None:
        super().__init__(folder, manifest, segments)
        self._exact = exact
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
        engine: Engine | None = None,
        factory: str | None = None,
        segment_passages: int = PASSAGES_AT_MOST,
        strict: bool = False,
        overwrite: bool = False,
        key: str | None = None,
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
            engine: Where passages and pictures are encoded; None for this process.
            factory: What passages are indexed by, as FAISS's index factory writes it; None for
                `approximate.factory_for` the size. A segment of fewer passages than it takes
                (`approximate.fewest_vectors`) is searched exactly, and that is a warning.
            segment_passages: Passages after which a new segment is begun.
            strict: Whether a picture that cannot be read ends the build. Otherwise it is a warning
                and its document goes in without a picture.
            overwrite: Whether an index that is there already is replaced, once the new one is
                whole.
            key: Says what the documents are. A build that was killed or interrupted, whose disk was
                full or whose engine failed is gone on with by the next one of the same key, which
                finds what was done as `.<name>.partial`; without a key it is begun anew.
            on_progress: Called with a stage ("documents", "passages", "pictures", "words",
                "approximate" or "files"), how many are done, and of how many, where that is known.
            on_warning: Called with one sentence for each picture that cannot be read, and each
                segment that is too small for `factory`; None logs it.

        Raises:
            InvalidInputError: No documents, an id twice, an empty text or, if `strict`, a picture
                that cannot be read.
            UsageError: Something is at `folder` that may not be replaced, or `factory` is none.
            RunError: The disk is full or cannot be written.
        """
        folder = Path(folder)
        if encoders is None:
            encoders = Encoders.load()
        plan = writer.plan_for(
            encoders,
            passages or PassageSettings(),
            engine=engine,
            factory=factory,
            strict=strict,
            at_most=segment_passages,
            on_progress=on_progress,
            on_warning=on_warning,
        )
        writer.build_index(documents, folder, plan, overwrite=overwrite, key=key)
        return cls.open(folder, encoders)

    @classmethod
    def open(
        cls,
        folder: str | Path,
        encoders: Encoders | None = None,
        *,
        thorough: bool | None = None,
        exact: bool = False,
    ) -> Self:
        """Open an index.

        Args:
            folder: Where it is.
            encoders: The encoders it was built with; None for the embedded ones, which are loaded
                when a search first needs them.
            thorough: Whether every byte is looked at, or only headers, sizes and the borders of
                tables. None looks at every byte of an index of up to `verify.HASHED_UP_TO` bytes,
                which takes a fraction of a second; `factcheck index verify` does of any.
            exact: Whether all vectors are looked at, and approximate indices never read: FAISS's
                reader is not made for files from strangers.

        Raises:
            MissingResourceError: There is no such folder, or it cannot be read.
            InvalidInputError: It is not an index, is of another version, is damaged, or was built
                with other encoders.
        """
        folder = Path(folder)
        for _ in range(_TRIES):
            manifest = read_manifest(folder)
            if encoders is not None:
                _refuse_mismatch(folder, manifest, encoders)
            try:
                segments = open_segments(folder, manifest, thorough, exact)
            except (InvalidInputError, OSError) as error:
                # Where a writer or a build has replaced what the manifest named, once more.
                if read_manifest(folder) != manifest:
                    continue
                if isinstance(error, InvalidInputError):
                    raise
                raise MissingResourceError(
                    f"{folder}: the index cannot be read ({error.strerror})"
                ) from error
            return cls(folder, manifest, segments, encoders, exact)
        raise MissingResourceError(f"{folder}: the index changes faster than it can be opened")

    def add(
        self,
        documents: Iterable[Document],
        *,
        replace: bool = False,
        engine: Engine | None = None,
        factory: str | None = None,
        strict: bool = False,
        on_progress: OnProgress | None = None,
        on_warning: OnWarning | None = None,
    ) -> Self:
        """Add documents and open the index as it then is.

        Small segments become one where there are many of them, with what is added: an index that
        grows by a document at a time keeps to some twenty. Nothing is encoded again for that.

        Args:
            documents: What to add; read once.
            replace: Whether a document takes the place of the one with its id; without it that is
                an error.
            engine: As for `build`.
            factory: As for `build`.
            strict: As for `build`.
            on_progress: As for `build`.
            on_warning: As for `build`.

        Raises:
            InvalidInputError: As for `build`, or an id is in the index already.
            UsageError: Another process is writing.
            RunError: The disk is full or cannot be written. The index is what it was.
        """
        plan = writer.plan_for(
            self.encoders,
            self.manifest.passage,
            engine=engine,
            factory=factory,
            strict=strict,
            on_progress=on_progress,
            on_warning=on_warning,
        )
        writer.add_documents(documents, self.folder, plan, replace=replace)
        return self.open(self.folder, self.encoders, exact=self._exact)

    def delete(self, document_ids: Sequence[str]) -> Self:
        """Delete documents and open the index as it then is; their room is freed by `compact`.

        Raises:
            InvalidInputError: One of them is not in the index; then none is deleted.
            UsageError: Another process is writing.
            RunError: The disk is full or cannot be written.
        """
        for document_id in document_ids:
            # SQLite cannot be asked for it, nor can it be in an index.
            if not is_storable(document_id):
                shown = document_id.encode(errors="backslashreplace").decode()
                raise InvalidInputError(
                    f"{self.folder}: no document '{shown}' in the index; nothing was deleted"
                )
        plan = writer.plan_for(self.encoders, self.manifest.passage)
        writer.delete_documents(document_ids, self.folder, plan)
        return self.open(self.folder, self.encoders, exact=self._exact)

    def compact(self, *, factory: str | None = None, on_progress: OnProgress | None = None) -> Self:
        """Write the index anew, without what was deleted and in few segments, and open it.

        Nothing is encoded again, and the hash stays what it was.

        Args:
            factory: As for `build`.
            on_progress: As for `build`.

        Raises:
            UsageError: Another process is writing.
            RunError: The disk is full or cannot be written. The index is what it was.
        """
        plan = writer.plan_for(
            self.encoders, self.manifest.passage, factory=factory, on_progress=on_progress
        )
        writer.compact_index(self.folder, plan)
        return self.open(self.folder, self.encoders, exact=self._exact)

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

    def verify_encoders(self, encoders: Encoders) -> None:
        """Make sure that encoders are those that the index was built with.

        Raises:
            InvalidInputError: They are not; the message says which and what was expected.
        """
        _refuse_mismatch(self.folder, self.manifest, encoders)

    def search(
        self,
        claim: Claim,
        k: int = 10,
        settings: SearchSettings | None = None,
        policy: SourcePolicy = ANY_SOURCE,
    ) -> list[Hit]:
        """The passages that have most to say of a claim; see `search_many`."""
        return self.search_many([claim], k, settings, policy)[0]

    def search_many(
        self,
        claims: Sequence[Claim],
        k: int = 10,
        settings: SearchSettings | None = None,
        policy: SourcePolicy = ANY_SOURCE,
    ) -> list[list[Hit]]:
        """The passages that have most to say of each claim (`retrieval.search`).

        Args:
            claims: N claims, each with a text, a picture or both. For one that is only a picture
                the first passages of the documents that show it come first.
            k: Passages for each; fewer if the index has no more.
            settings: How to look; None for the default of `SearchSettings`. Passages are reranked
                only if the encoders tell relevance (`Reranker.of`).
            policy: Which documents may be found.

        Returns:
            For each claim its passages, best first; those that were found by the claim's picture
            say whether their document shows the same one (`Hit.picture`).

        Raises:
            UsageError: `k` is less than 1.
            InvalidInputError: A claim has neither text nor picture, or its picture cannot be read;
                or as for `encoders`.
        """
        check_k(k)
        for i, claim in enumerate(claims):
            if not claim.text.strip() and claim.image is None:
                raise InvalidInputError(f"claim {i + 1}: its text is empty")
            if not is_storable(claim.text):
                raise InvalidInputError(f"claim {i + 1}: it holds half of a surrogate pair")
        if not claims:
            return []
        texts = [claim.text.strip() for claim in claims]
        vectors = iter(self.encoders.queries([text for text in texts if text]))
        pictures = self.encoders.pictures([claim.image for claim in claims])
        for problem in pictures.problems.values():
            raise InvalidInputError(problem)
        queries = [
            Query(
                text,
                next(vectors) if text else None,
                None if row < 0 else pictures.tokens[row],
                None if claim.image is None else picture_fingerprint(claim.image),
            )
            for claim, text, row in zip(claims, texts, pictures.rows, strict=True)
        ]
        found = self.search_queries(queries, k, settings, policy, Reranker.of(self.encoders))
        return [
            hits
            if claim.image is None or query.picture is None
            else with_shown_pictures(
                self,
                self.encoders,
                query.picture,
                PictureFile(claim.image, pictures.sha256[row]),
                hits,
            )
            for claim, query, row, hits in zip(claims, queries, pictures.rows, found, strict=True)
        ]

    def search_queries(
        self,
        queries: Sequence[Query],
        k: int = 10,
        settings: SearchSettings | None = None,
        policy: SourcePolicy = ANY_SOURCE,
        reranker: Reranker | None = None,
    ) -> list[list[Hit]]:
        """As `search_many`, for claims that are encoded already.

        Args:
            queries: N claims.
            k: Passages for each.
            settings: How to look.
            policy: Which documents may be found.
            reranker: Puts the first hits in order; None leaves the fused order.
        """
        check_k(k)
        settings = settings or SearchSettings()
        return hybrid_search(self, queries, k, settings, policy, reranker)

    def search_vectors(
        self, vectors: np.ndarray, k: int = 10, policy: SourcePolicy = ANY_SOURCE
    ) -> list[list[Hit]]:
        """The passages nearest to texts that are encoded already, by the dense channel alone.

        Args:
            vectors: (N, D), rows of unit length.
            k: Passages for each.
            policy: Which documents may be found.

        Raises:
            UsageError: `k` is less than 1, or the vectors have another shape or are not numbers.
        """
        found = self.nearest(vectors, k, policy)
        rows = self.passages_at({row for hits in found for row, _ in hits})
        return [[Hit.of(row, rows[row], score) for row, score in hits] for hits in found]

    def search_images(
        self, vectors: np.ndarray, k: int = 10, policy: SourcePolicy = ANY_SOURCE
    ) -> list[list[ImageHit]]:
        """The pictures most like pictures that are encoded already.

        A picture that several documents show is found once for each of them.

        Args:
            vectors: (N, C) pooled vectors, rows of unit length.
            k: Pictures for each.
            policy: Which documents may be found.

        Raises:
            UsageError: As for `search_vectors`.
        """
        found = self.nearest_pictures(vectors, k, policy)
        rows = self.images_at({row for hits in found for row, _ in hits})
        return [[ImageHit.of(row, rows[row], score) for row, score in hits] for hits in found]


def picture_fingerprint(image: str | Path) -> int | None:
    """The fingerprint of the picture in a file, which can be read.

    Raises:
        MissingResourceError: It cannot be read.
        InvalidInputError: It is no picture.
    """
    return fingerprint(decode(read_bytes(image), image, side=FINGERPRINT_SIDE))


def _refuse_mismatch(folder: Path, manifest: Manifest, encoders: Encoders) -> None:
    problem = manifest.mismatch(encoders)
    if problem is not None:
        raise InvalidInputError(
            f"{folder}: the index does not fit these encoders: {problem}; give the encoders it was "
            "built with, or build it again"
        )
