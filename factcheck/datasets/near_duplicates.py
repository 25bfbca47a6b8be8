"""Texts and pictures that a data set has more than once, exactly or nearly."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np

from factcheck.datasets.picture_survey import PictureFacts
from factcheck.datasets.text_splits import normalise

Item = TypeVar("Item", str, int)

TEXT_SIMILARITY = 0.7
"""Jaccard similarity of their pairs of neighbouring words from which on texts are near duplicates.

Two claims of twelve words that differ in one inner word have 9 / 13 = 0.69."""

PICTURE_BITS = 4
"""Bits of the 64 of a difference hash that near duplicates may differ in."""

_FEWEST_PAIRS = 3
_PERMUTATIONS = 128
_BATCH = 1024
_OF_A_GROUP = 8


@dataclass(frozen=True)
class Groups:
    """Which of N items are the same.

    Attributes:
        exact: (N,) number of each item's group of equal items; -1 for an item that is not there.
        near: (N,) the same for near duplicates, which equal ones are too. Groups are chains: if the
            first is like the second and the second like the third, all three are one group.
    """

    exact: np.ndarray
    near: np.ndarray


def group_texts(texts: Sequence[str | None]) -> Groups:
    """Group texts by their words.

    Equal are texts of the same words, whatever their case and punctuation. Candidates for near
    duplicates come from MinHash with locality-sensitive hashing (Broder, 1997; Leskovec et al.,
    Mining of Massive Datasets, chapter 3), and are compared as they are. Texts of fewer than four
    words have equals only.

    Args:
        texts: N texts; None or white space for one that is not there.
    """
    from datasketch import MinHash

    words = [normalise(text) if text else "" for text in texts]
    exact, distinct = _equal([text or None for text in words])
    found = _Found()
    pairs_of: list[np.ndarray] = []
    for start in range(0, len(distinct), _BATCH):
        batch = [word_pairs(text) for text in distinct[start : start + _BATCH]]
        # The pairs are hashed already.
        sketches = MinHash.bulk(batch, num_perm=_PERMUTATIONS, hashfunc=int)
        for offset, (pairs, sketch) in enumerate(zip(batch, sketches, strict=True)):
            place = start + offset
            pairs_of.append(pairs)
            if len(pairs) < _FEWEST_PAIRS:
                continue
            buckets = found.buckets(sketch.hashvalues)
            for other in found.near(buckets):
                # One that is like it is enough to tell of a whole group.
                if found.group(other) != found.group(place) and (
                    jaccard(pairs, pairs_of[other]) >= TEXT_SIMILARITY
                ):
                    found.join(other, place)
            found.add(buckets, place)
    return Groups(exact, _chained(exact, len(distinct), found.joined))


class _Found:
    """Texts by their sketches, in buckets of those that may be near duplicates, and their groups.

    Pages of one template are all like one another. Of a group a bucket takes only the first few, so
    that another such page is compared with them and not with thousands.

    Attributes:
        joined: Pairs of texts that are alike, as many as tie the groups together.
    """

    def __init__(self) -> None:
        from datasketch import MinHashLSH

        self._bands = MinHashLSH(threshold=TEXT_SIMILARITY, num_perm=_PERMUTATIONS).hashranges
        self._members: dict[tuple[int, bytes], list[int]] = {}
        self._above: dict[int, int] = {}
        self.joined: list[tuple[int, int]] = []

    def buckets(self, sketch: np.ndarray) -> list[list[int]]:
        """The buckets that a text of a sketch, (128,), is in: one for each band of the sketch."""
        return [
            self._members.setdefault((start, sketch[start:end].tobytes()), [])
            for start, end in self._bands
        ]

    def near(self, buckets: list[list[int]]) -> list[int]:
        """All texts in some buckets."""
        return sorted({place for bucket in buckets for place in bucket})

    def add(self, buckets: list[list[int]], place: int) -> None:
        """Put a text into buckets, but for those that have enough of its group."""
        group = self.group(place)
        for bucket in buckets:
            if sum(self.group(other) == group for other in bucket) < _OF_A_GROUP:
                bucket.append(place)

    def group(self, place: int) -> int:
        """The first text of the group of a text."""
        first = place
        while (above := self._above.get(first, first)) != first:
            first = above
        # The next time the way is short.
        while (above := self._above.get(place, place)) != first:
            self._above[place], place = first, above
        return first

    def join(self, one: int, other: int) -> None:
        """Make one group of those of two texts."""
        first, second = sorted((self.group(one), self.group(other)))
        self._above[second] = first
        self.joined.append((one, other))


def group_pictures(facts: Sequence[PictureFacts | None]) -> Groups:
    """Group pictures by their bytes, and nearly by their difference hashes.

    Args:
        facts: Of N pictures; None for one that is not there.
    """
    import faiss

    exact, _ = _equal([fact.sha256 if fact else None for fact in facts])
    looks, distinct = _equal([fact.fingerprint if fact else None for fact in facts])
    alike: list[tuple[int, int]] = []
    if distinct:
        bits = np.array(distinct, dtype=">u8").view(np.uint8).reshape(-1, 8)
        index = faiss.IndexBinaryFlat(64)
        index.add(bits)
        # Faiss takes what is nearer than the radius, not as near.
        limits, _, near = index.range_search(bits, PICTURE_BITS + 1)
        rows = np.repeat(np.arange(len(distinct)), np.diff(limits).astype(int))
        alike = [(int(a), int(b)) for a, b in zip(rows, near, strict=True) if a < b]
    # Equal bytes look the same, so groups by looks hold those by bytes, but for pictures that have
    # no difference hash, which stand alone with their equals.
    near_groups = _chained(looks, len(distinct), alike)
    alone = (looks < 0) & (exact >= 0)
    near_groups[alone] = len(distinct) + exact[alone]
    return Groups(exact, near_groups)


def repeated(groups: np.ndarray) -> int:
    """How many items have an equal one before them, of (N,) groups; -1 counts for nothing."""
    there = groups[groups >= 0]
    return len(there) - len(np.unique(there))


def shared(groups: np.ndarray, others: np.ndarray) -> int:
    """How many items have an equal one among others, of (N,) and (M,) groups of one grouping."""
    return int(np.isin(groups[groups >= 0], others[others >= 0]).sum())


def word_pairs(text: str) -> np.ndarray:
    """32-bit hashes of the pairs of neighbouring words of a normalised text, sorted, each once."""
    words = text.split(" ")
    hashed = {zlib.crc32(f"{a} {b}".encode()) for a, b in pairwise(words)}
    return np.array(sorted(hashed), dtype=np.int64)


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    """Jaccard similarity of two sets of hashes that `word_pairs` made; at least one has some."""
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)


def _equal(items: Sequence[Item | None]) -> tuple[np.ndarray, list[Item]]:
    """The number of each item's equals, (N,), -1 for None, and an item of each number."""
    numbers: dict[Item, int] = {}
    groups = [-1 if item is None else numbers.setdefault(item, len(numbers)) for item in items]
    return np.array(groups, dtype=np.int64), list(numbers)


def _chained(groups: np.ndarray, count: int, alike: list[tuple[int, int]]) -> np.ndarray:
    """Groups of equals, numbered below `count`, joined where pairs of them are alike."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not count:
        return groups.copy()
    one, other = np.array(alike, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(alike)), (one, other)), shape=(count, count))
    _, joined = connected_components(graph, directed=False)
    return np.where(groups < 0, -1, joined[groups])
