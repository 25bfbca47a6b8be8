"""A segment of an index, open: its vectors, words, pictures and texts, and what of them counts."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from factcheck.errors import InvalidInputError, UsageError
from factcheck.retrieval.approximate import EXACT_UP_TO, ApproximateFile, nearest_approximate
from factcheck.retrieval.lexical import LexicalIndex, WordStatistics
from factcheck.retrieval.manifest import (
    APPROXIMATE,
    IMAGES,
    PASSAGES,
    SEGMENTS,
    TOKENS,
    Manifest,
    Segment,
)
from factcheck.retrieval.policy import SourcePolicy
from factcheck.retrieval.segment_documents import OPENING, SegmentDocuments
from factcheck.retrieval.segment_files import check_file
from factcheck.retrieval.vectors import nearest, read_tokens, read_vectors

if TYPE_CHECKING:
    import faiss

    from factcheck.encoders import Encoders

Ranking = list[tuple[int, float]]
"""Rows with their scores, best first."""

# Bits in which the fingerprints of a picture and of a re-post of it may differ.
_FLIPPED_BITS = 4

_ANY_SOURCE = SourcePolicy()


@dataclass(frozen=True)
class _Mapped:
    """What of a segment lies in mapped memory."""

    passages: "faiss.Index"
    images: "faiss.Index"
    tokens: np.ndarray
    lexical: LexicalIndex


class OpenSegment(SegmentDocuments):
    """A segment whose files are mapped into memory."""

    def __init__(
        self,
        index: Path,
        made_by: "Manifest | Encoders",
        entry: Segment,
        thorough: bool,
        exact: bool,
    ) -> None:
        """Open the files, once each of them is what the manifest says.

        Args:
            index: Folder of the index.
            made_by: The encoders that made it, or the manifest, which says the same of their
                dimensions.
            entry: What the manifest says of the segment.
            thorough: Whether every byte is looked at, or only sizes and headers.
            exact: Whether all vectors are looked at, and the approximate index is never read:
                FAISS's reader is not made for files from strangers.

        Raises:
            InvalidInputError: A file is missing, damaged or another one.
            OSError: A file cannot be read.
        """
        self._files: _Mapped | None = None
        self._approximate: ApproximateFile | None = None
        with OPENING:
            files = self._map(index / SEGMENTS / entry.name, made_by, entry, thorough)
            super().__init__(index, entry, thorough)
        self._files = files
        if entry.approximate is not None and not exact:
            try:
                self._approximate = ApproximateFile(self.folder / APPROXIMATE, self.passages)
            except BaseException:
                self.close()
                raise
        self._known_fingerprints: tuple[np.ndarray, np.ndarray] | None = None

    @staticmethod
    def _map(
        folder: Path, made_by: "Manifest | Encoders", entry: Segment, thorough: bool
    ) -> _Mapped:
        for name, file in sorted(entry.files.items()):
            check_file(folder / name, file, thorough=False)
        image = made_by.image
        shape = (entry.images, image.tokens, image.dimension)
        # Hashes last: a file that lies about its shape is told apart from one that was damaged.
        passages = read_vectors(folder / PASSAGES, made_by.text.dimension, entry.passages, thorough)
        images = read_vectors(folder / IMAGES, image.dimension, entry.images, thorough)
        tokens = read_tokens(folder / TOKENS, shape)
        if thorough:
            for name, file in sorted(entry.files.items()):
                check_file(folder / name, file, thorough=True)
        return _Mapped(
            passages, images, tokens, LexicalIndex.read(folder, entry.passages, thorough)
        )

    @property
    def passages(self) -> "faiss.Index":
        """Its passage vectors, a flat index."""
        return self._mapped.passages

    @property
    def images(self) -> "faiss.Index":
        """Its picture vectors, a flat index."""
        return self._mapped.images

    @property
    def tokens(self) -> np.ndarray:
        """(n, T, C) float16, the token grids of its pictures, on disk."""
        return self._mapped.tokens

    @property
    def lexical(self) -> LexicalIndex:
        """Its words."""
        return self._mapped.lexical

    @property
    def _mapped(self) -> _Mapped:
        # Read once, so that a search that another thread closes the segment under ends well.
        files = self._files
        if files is None:
            raise UsageError(f"{self.folder}: the index is closed")
        return files

    def close(self) -> None:
        """Release the files and the memory they are mapped into."""
        self._files = None
        if self._approximate is not None:
            self._approximate.close()
        super().close()

    def dense(self, vectors: np.ndarray, k: int, policy: SourcePolicy) -> list[Ranking]:
        """For each of (N, D) vectors the passages of the highest cosine that may be found.

        An approximate index proposes candidates from the parts of it that are nearest to a vector,
        and what may not be found is left out of these parts only: where little may be found, it
        may all lie elsewhere. So up to `approximate.EXACT_UP_TO` passages that may be found are all
        looked at, as those of a small segment are, and where there are more, more parts are
        searched the smaller their share is. A vector that still gets fewer than `k` passages while
        there are more is compared with all.
        """
        passages, allowed = self.passages, self.allowed_passages(policy)
        count = passages.ntotal if allowed is None else int(np.count_nonzero(allowed))
        few = allowed is not None and count <= EXACT_UP_TO
        if self._approximate is None or few:
            return nearest(passages, vectors, k, allowed)
        found = nearest_approximate(self._approximate.index(), passages, vectors, k, allowed)
        short = [i for i, hits in enumerate(found) if len(hits) < min(k, count)]
        if short:
            again = nearest(passages, vectors[short], k, allowed)
            for i, hits in zip(short, again, strict=True):
                found[i] = hits
        return found

    def by_words(
        self, words: list[str], statistics: WordStatistics, k: int, policy: SourcePolicy
    ) -> Ranking:
        """The passages of the highest BM25 score that may be found."""
        scores = self.lexical.score(words, statistics)
        allowed = self.allowed_passages(policy)
        if allowed is not None:
            scores[~allowed] = 0
        # Of truth values numpy finds those that are there in a third of the time.
        rows = np.flatnonzero(scores > 0)
        if len(rows) > k:
            # Those that are as good as the last one stay, so that equals are told apart by row.
            least = np.partition(scores[rows], len(rows) - k)[len(rows) - k]
            rows = rows[scores[rows] >= least]
        rows = rows[np.lexsort((rows, -scores[rows]))][:k]
        return [(int(row), float(scores[row])) for row in rows]

    def pictures(self, vectors: np.ndarray, k: int, policy: SourcePolicy) -> list[Ranking]:
        """For each of (N, C) vectors the pictures of the highest cosine that may be found."""
        return nearest(self.images, vectors, k, self.allowed_images(policy))

    def reposts(self, fingerprint: int, policy: SourcePolicy) -> list[int]:
        """Rows of the pictures whose fingerprint is that of a picture but for a few bits."""
        known, has = self._fingerprints()
        if not len(known):
            return []
        flipped = np.bitwise_count(known ^ np.uint64(fingerprint))
        same = has & (flipped <= _FLIPPED_BITS)
        allowed = self.allowed_images(policy)
        if allowed is not None:
            same &= allowed
        return [int(row) for row in np.flatnonzero(same)]

    @cached_property
    def live_passages(self) -> np.ndarray | None:
        """(n,) bool, which passages are of documents that were not deleted; None for all."""
        return self.allowed_passages(_ANY_SOURCE)

    @cached_property
    def lexical_size(self) -> tuple[int, int]:
        """Number of those passages, and of their words."""
        live = self.live_passages
        count = self.lexical.count if live is None else int(np.count_nonzero(live))
        return count, self.lexical.words_in(live)

    def _fingerprints(self) -> tuple[np.ndarray, np.ndarray]:
        """(n,) fingerprints of the pictures, and (n,) which pictures have one."""
        if self._known_fingerprints is None:
            found = self.metadata.fingerprints()
            try:
                known = np.array([int(one or "0", 16) for one in found], dtype=np.uint64)
            except (ValueError, OverflowError) as error:
                raise InvalidInputError(
                    f"{self.metadata.path}: damaged: a fingerprint is no number of 64 bits"
                ) from error
            has = np.array([one is not None for one in found], dtype=bool)
            self._known_fingerprints = known, has
        return self._known_fingerprints
