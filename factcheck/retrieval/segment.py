"""A segment of an index, open: its vectors, words, pictures and texts, and what of them counts."""

import hashlib
import stat
import threading
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from factcheck.errors import InvalidInputError
from factcheck.files import file_sha256
from factcheck.retrieval.approximate import nearest_approximate, read_approximate
from factcheck.retrieval.lexical import LexicalIndex, WordStatistics
from factcheck.retrieval.manifest import (
    APPROXIMATE,
    IMAGES,
    METADATA,
    PASSAGES,
    SEGMENTS,
    TOKENS,
    FileEntry,
    Manifest,
    Segment,
    canonical_json,
)
from factcheck.retrieval.metadata_reader import MetadataReader
from factcheck.retrieval.mirrors import carries_addresses
from factcheck.retrieval.policy import SourcePolicy
from factcheck.retrieval.vectors import map_array, nearest, read_tokens, read_vectors

if TYPE_CHECKING:
    import faiss

    from factcheck.encoders import Encoders

Ranking = list[tuple[int, float]]
"""Rows with their scores, best first."""

# numpy reads the head of an array file by Python's parser, which in CPython 3.11 fails when several
# threads use it at once.
_OPENING = threading.Lock()

# Bits in which the fingerprints of a picture and of a re-post of it may differ.
_FLIPPED_BITS = 4

_ANY_SOURCE = SourcePolicy()


class OpenSegment:
    """A segment whose files are mapped into memory.

    Attributes:
        entry: What the manifest says of it.
        folder: Where it is.
        passages: Its passage vectors, a flat index.
        images: Its picture vectors, a flat index.
        tokens: (n, T, C) float16, the token grids of its pictures, on disk.
        lexical: Its words.
        metadata: Its texts.
    """

    def __init__(
        self, index: Path, made_by: "Manifest | Encoders", entry: Segment, thorough: bool
    ) -> None:
        """Open the files, once each of them is what the manifest says.

        Args:
            index: Folder of the index.
            made_by: The encoders that made it, or the manifest, which says the same of their
                dimensions.
            entry: What the manifest says of the segment.
            thorough: Whether every byte is looked at, or only sizes and headers.

        Raises:
            InvalidInputError: A file is missing, damaged or another one.
            OSError: A file cannot be read.
        """
        self.entry = entry
        self.folder = index / SEGMENTS / entry.name
        with _OPENING:
            self._open(made_by, thorough)

    def _open(self, made_by: "Manifest | Encoders", thorough: bool) -> None:
        entry = self.entry
        for name, file in sorted(entry.files.items()):
            check_file(self.folder / name, file, thorough=False)
        image = made_by.image
        shape = (entry.images, image.tokens, image.dimension)
        # Hashes last: a file that lies about its shape is told apart from one that was damaged.
        self.passages = read_vectors(
            self.folder / PASSAGES, made_by.text.dimension, entry.passages, thorough
        )
        self.images = read_vectors(self.folder / IMAGES, image.dimension, entry.images, thorough)
        self.tokens = read_tokens(self.folder / TOKENS, shape)
        if thorough:
            for name, file in sorted(entry.files.items()):
                check_file(self.folder / name, file, thorough=True)
        self.lexical = LexicalIndex.read(self.folder, entry.passages, thorough)
        self._approximate: faiss.Index | None = None
        if entry.approximate is not None:
            self._approximate = read_approximate(self.folder / APPROXIMATE, self.passages)
        self.deleted = self._read_deleted()
        self.metadata = MetadataReader(
            self.folder / METADATA, entry.documents, entry.passages, entry.images, thorough
        )
        self._known_fingerprints: tuple[np.ndarray, np.ndarray] | None = None
        # Of the instance, so that what is kept goes with it.
        self.allowed_documents = lru_cache(maxsize=8)(self._allowed_documents)
        self.allowed_passages = lru_cache(maxsize=8)(self._allowed_passages)
        self.allowed_images = lru_cache(maxsize=8)(self._allowed_images)

    def close(self) -> None:
        """Release the files."""
        self.metadata.close()

    def dense(
        self, vectors: np.ndarray, k: int, policy: SourcePolicy, exact: bool
    ) -> list[Ranking]:
        """For each of (N, D) vectors the passages of the highest cosine that may be found."""
        allowed = self.allowed_passages(policy)
        if self._approximate is None or exact:
            return nearest(self.passages, vectors, k, allowed)
        return nearest_approximate(self._approximate, self.passages, vectors, k, allowed)

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
        return self._allowed_passages(_ANY_SOURCE)

    @cached_property
    def lexical_size(self) -> tuple[int, int]:
        """Number of those passages, and of their words."""
        live = self.live_passages
        count = self.lexical.count if live is None else int(np.count_nonzero(live))
        return count, self.lexical.words_in(live)

    def counts(self, row: int) -> bool:
        """Whether the document in a row has not been deleted."""
        place = np.searchsorted(self.deleted, row)
        return not (place < len(self.deleted) and self.deleted[place] == row)

    def _allowed_documents(self, policy: SourcePolicy) -> np.ndarray | None:
        """(n,) bool, which documents may be found; None for all."""
        if policy.allows_all and not len(self.deleted):
            return None
        allowed = np.ones(self.entry.documents, dtype=bool)
        allowed[self.deleted] = False
        if policy.as_of is not None:
            late = self.metadata.published_after(policy.as_of, policy.undated == "drop")
            allowed[late] = False
        if policy.blocked:
            hosts = self.metadata.hosts()
            blocked = [host for host in hosts if policy.blocks(host)]
            allowed[self.metadata.from_hosts(blocked)] = False
            archives = [host for host in hosts if carries_addresses(host)]
            for row, url in self.metadata.addresses(archives):
                if policy.blocks_address(url):
                    allowed[row] = False
        return allowed

    def _allowed_passages(self, policy: SourcePolicy) -> np.ndarray | None:
        documents = self.allowed_documents(policy)
        return None if documents is None else documents[self.metadata.passage_documents()]

    def _allowed_images(self, policy: SourcePolicy) -> np.ndarray | None:
        documents = self.allowed_documents(policy)
        return None if documents is None else documents[self.metadata.image_documents()]

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

    def _read_deleted(self) -> np.ndarray:
        """(deleted,) int64, rows of the documents that do not count, rising."""
        if self.entry.deleted_file is None:
            return np.zeros(0, dtype=np.int64)
        path = self.folder / self.entry.deleted_file
        what = f"a list of {self.entry.deleted} documents"
        rows = np.array(map_array(path, "<i8", (self.entry.deleted,), what))
        if (np.diff(rows) <= 0).any() or rows[0] < 0 or rows[-1] >= self.entry.documents:
            raise InvalidInputError(f"{path}: not {what}")
        return rows


class Tally:
    """What counts in segments, as the manifest says it.

    Attributes:
        documents: Number of documents that count.
        passages: Number of their passages.
        images: Number of their pictures.
    """

    def __init__(self) -> None:
        self.documents = self.passages = self.images = 0
        self._corpus: list[str] = []

    def add(self, segment: OpenSegment) -> None:
        """Count a segment too."""
        alive = np.ones(segment.entry.documents, dtype=bool)
        alive[segment.deleted] = False
        for row, digest, picture in segment.metadata.digests():
            if alive[row]:
                self._corpus.append((digest + (picture or "").encode()).hex())
        self.documents += int(alive.sum())
        self.passages += int(alive[segment.metadata.passage_documents()].sum())
        self.images += int(alive[segment.metadata.image_documents()].sum())

    @property
    def corpus_sha256(self) -> str:
        """Hash of the documents that count and of the contents of their pictures."""
        return hashlib.sha256(canonical_json(sorted(self._corpus))).hexdigest()


def check_file(path: Path, entry: FileEntry, thorough: bool) -> None:
    """Refuse a file that is missing, a link, or not what the manifest says.

    Args:
        path: The file.
        entry: What the manifest says of it.
        thorough: Whether its hash is looked at too, or only its size.

    Raises:
        InvalidInputError: It is not that file.
    """
    try:
        status = path.lstat()
    except FileNotFoundError as error:
        raise InvalidInputError(f"{path}: missing from the index") from error
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInputError(f"{path}: not an ordinary file")
    if status.st_size != entry.size:
        raise InvalidInputError(
            f"{path}: damaged: {status.st_size:,} bytes, and the manifest says {entry.size:,}"
        )
    if thorough and file_entry(path) != entry:
        raise InvalidInputError(f"{path}: damaged: its sha256 is not the one in the manifest")


def file_entry(path: Path) -> FileEntry:
    """Hash and size of a file."""
    return FileEntry(sha256=file_sha256(path), size=path.stat().st_size)
