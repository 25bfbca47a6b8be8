"""An open index as its rows: what each channel finds in it, and what it holds.

An index lies in segments; here their rows run on from one segment to the next.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from factcheck.errors import InvalidInputError
from factcheck.records import Document
from factcheck.retrieval.lexical import WordStatistics
from factcheck.retrieval.manifest import TOKENS, Manifest, check_folders
from factcheck.retrieval.metadata_reader import ImageRow, PassageRow
from factcheck.retrieval.policy import SourcePolicy
from factcheck.retrieval.rows import Rows
from factcheck.retrieval.segment import OpenSegment, Ranking
from factcheck.retrieval.verify import HASHED_UP_TO

ANY_SOURCE = SourcePolicy()


class IndexReader:
    """The segments of an index as one.

    Attributes:
        folder: Where the index is.
        manifest: What it holds and what made it.
    """

    def __init__(self, folder: Path, manifest: Manifest, segments: Sequence[OpenSegment]) -> None:
        """Put segments together.

        Args:
            folder: Where the index is.
            manifest: What it holds.
            segments: Its segments, open.
        """
        self.folder = folder
        self.manifest = manifest
        self._segments = list(segments)
        entries = [segment.entry for segment in segments]
        self._passages = Rows("passage", [entry.passages for entry in entries])
        self._images = Rows("picture", [entry.images for entry in entries])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Number of passages that count."""
        return self.manifest.passages

    @property
    def sha256(self) -> str:
        """What names the index in verdicts; see `Manifest.sha256`."""
        return self.manifest.sha256

    def close(self) -> None:
        """Release the files; the index cannot be searched any more."""
        for segment in self._segments:
            segment.close()

    def may_find(self, policy: SourcePolicy) -> bool:
        """Whether a policy leaves any document to be found."""
        return any(
            (allowed := segment.allowed_documents(policy)) is None or bool(allowed.any())
            for segment in self._segments
        )

    def nothing_left(self, policy: SourcePolicy) -> str | None:
        """A sentence on why nothing can be found; None where something may be."""
        if self.may_find(policy):
            return None
        if not len(self):
            return f"{self.folder}: the index is empty"
        return f"{self.folder}: no document is left to look at: all are blocked, or came too late"

    def nearest(
        self, vectors: np.ndarray, k: int, policy: SourcePolicy = ANY_SOURCE
    ) -> list[Ranking]:
        """Rows of the passages of the highest cosine with each of (N, D) vectors."""
        parts = [s.dense(vectors, k, policy) for s in self._segments]
        return self._passages.merged(parts, k, len(vectors))

    def by_words(self, words: list[str], k: int, policy: SourcePolicy = ANY_SOURCE) -> Ranking:
        """Rows of the passages of the highest BM25 score for the words of a query."""
        sizes = [segment.lexical_size for segment in self._segments]
        statistics = WordStatistics.of(
            sum(passages for passages, _ in sizes),
            sum(in_all for _, in_all in sizes),
            {
                word: sum(s.lexical.frequency(word, s.live_passages) for s in self._segments)
                for word in set(words)
            },
        )
        parts = [[segment.by_words(words, statistics, k, policy)] for segment in self._segments]
        return self._passages.merged(parts, k, 1)[0]

    def nearest_pictures(
        self, vectors: np.ndarray, k: int, policy: SourcePolicy = ANY_SOURCE
    ) -> list[Ranking]:
        """Rows of the pictures of the highest cosine with each of (N, C) vectors."""
        parts = [segment.pictures(vectors, k, policy) for segment in self._segments]
        return self._images.merged(parts, k, len(vectors))

    def reposts(self, picture: int, policy: SourcePolicy = ANY_SOURCE) -> list[int]:
        """Rows of the pictures that have the fingerprint of a picture, but for a few bits."""
        return [
            int(start) + row
            for start, segment in zip(self._images.starts, self._segments, strict=False)
            for row in segment.reposts(picture, policy)
        ]

    def oldest_pictures(self, image_rows: Sequence[int], count: int) -> list[int]:
        """Of pictures, by row, those of the earliest documents; undated last, equals by row."""
        rows = np.sort(np.array(image_rows, dtype=np.int64))
        dates = np.zeros(len(rows), dtype="S10")
        for place, local, positions in self._images.split(rows):
            dates[positions] = self._segments[place].metadata.image_dates()[local]
        return [int(row) for row in rows[np.argsort(dates, kind="stable")[:count]]]

    def passages_beside(
        self, image_rows: Sequence[int], vector: np.ndarray | None, at_most: int
    ) -> dict[int, int]:
        """For pictures, by row, the row of the passage of their document that speaks of a claim.

        Args:
            image_rows: The pictures.
            vector: (D,) the claim's; None takes the document's first passage.
            at_most: Passages of a document that are compared with it.
        """
        beside: dict[int, int] = {}
        for place, local, _ in self._images.split(image_rows):
            segment, start = self._segments[place], int(self._passages.starts[place])
            documents = segment.metadata.image_documents()[local]
            passages = segment.metadata.passages_of(map(int, documents))
            for row, document in zip(local, documents, strict=True):
                own = passages[int(document)][:at_most]
                best = 0
                if vector is not None and len(own) > 1:
                    vectors = segment.passages.reconstruct_batch(np.array(own, dtype=np.int64))
                    best = int(np.argmax(vectors @ vector))
                beside[int(self._images.starts[place]) + int(row)] = start + own[best]
        return beside

    def passages_at(self, rows: Iterable[int]) -> dict[int, PassageRow]:
        """Passages by row, with what is known of their documents."""
        return self._passages.stored(
            rows, lambda place, local: self._segments[place].metadata.passages(local)
        )

    def images_of(self, document_ids: Sequence[str]) -> list[tuple[int, ImageRow]]:
        """The pictures of documents with their rows, in order; one without a picture adds none.

        Raises:
            InvalidInputError: There is no such document.
        """
        found: dict[str, tuple[int, ImageRow]] = {}
        known: set[str] = set()
        for start, segment in zip(self._images.starts, self._segments, strict=False):
            rows = segment.metadata.rows_of(document_ids)
            here = [name for name, row in rows.items() if segment.counts(row)]
            known.update(here)
            images = segment.metadata.images_of(here)
            found |= {name: (int(start) + image.row, image) for name, image in images.items()}
        for document_id in document_ids:
            if document_id not in known:
                raise self._unknown(document_id)
        return [found[name] for name in dict.fromkeys(document_ids) if name in found]

    def passage_vectors(self, rows: Sequence[int]) -> np.ndarray:
        """(n, D) float32 vectors of passages, by row.

        Raises:
            UsageError: There is no such row.
        """
        return self._passages.gather(
            rows,
            lambda place, local: self._segments[place].passages.reconstruct_batch(local),
            (self.manifest.text.dimension,),
        )

    def image_tokens(self, rows: Sequence[int]) -> np.ndarray:
        """(n, T, C) float32 token grids of pictures, by row.

        Raises:
            UsageError: There is no such row.
            InvalidInputError: The file holds what is no number.
        """
        image = self.manifest.image
        return self._images.gather(rows, self._tokens_of, (image.tokens, image.dimension))

    def image_vectors(self, rows: Sequence[int]) -> np.ndarray:
        """(n, C) float32 pooled vectors of pictures, by row.

        Raises:
            UsageError: There is no such row.
        """
        return self._images.gather(
            rows,
            lambda place, local: self._segments[place].images.reconstruct_batch(local),
            (self.manifest.image.dimension,),
        )

    def document(self, document_id: str) -> Document:
        """The document of that id, its picture by absolute path.

        Raises:
            InvalidInputError: There is none.
        """
        for segment in self._segments:
            row = segment.metadata.rows_of([document_id]).get(document_id)
            if row is not None and segment.counts(row):
                document = segment.metadata.document(document_id)
                assert document is not None
                return document
        raise self._unknown(document_id)

    def picture_hash(self, document_id: str) -> str | None:
        """Hash of the bytes that a document's picture had when it was indexed; None without one."""
        for segment in self._segments:
            row = segment.metadata.rows_of([document_id]).get(document_id)
            if row is not None and segment.counts(row):
                return segment.metadata.picture_hash(document_id)
        return None

    def images_at(self, rows: Iterable[int]) -> dict[int, ImageRow]:
        """Pictures by row."""
        return self._images.stored(
            rows, lambda place, local: self._segments[place].metadata.images(local)
        )

    def _tokens_of(self, place: int, local: np.ndarray) -> np.ndarray:
        segment = self._segments[place]
        tokens: np.ndarray = segment.tokens[local].astype(np.float32)
        if not np.isfinite(tokens).all():
            raise InvalidInputError(f"{segment.folder / TOKENS}: a token is not a finite number")
        return tokens

    def _unknown(self, document_id: str) -> InvalidInputError:
        return InvalidInputError(f"{self.folder}: no document '{document_id}' in the index")


def open_segments(
    folder: Path, manifest: Manifest, thorough: bool | None, exact: bool
) -> list[OpenSegment]:
    """Open all segments of an index, or none.

    Args:
        folder: Where the index is.
        manifest: What it holds.
        thorough: As for `EvidenceIndex.open`.
        exact: As for `EvidenceIndex.open`.

    Raises:
        InvalidInputError: A file is missing, damaged or another one, or a segment lies elsewhere.
        OSError: A file cannot be read.
    """
    check_folders(folder, manifest)
    if thorough is None:
        sizes = (file.size for segment in manifest.segments for file in segment.files.values())
        thorough = sum(sizes) <= HASHED_UP_TO
    segments: list[OpenSegment] = []
    try:
        for entry in manifest.segments:
            segments.append(OpenSegment(folder, manifest, entry, thorough, exact))
    except BaseException:
        for segment in segments:
            segment.close()
        raise
    return segments
