"""Rows of a whole index, counted through its segments, and rows within each segment."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from factcheck.errors import UsageError
from factcheck.retrieval.segment import Ranking

Stored = TypeVar("Stored")


class Rows:
    """The rows of one kind, passages or pictures.

    Attributes:
        kind: What they are rows of.
        starts: (S + 1,) where the rows of each of S segments begin, and where the last ones end.
    """

    def __init__(self, kind: str, counts: Sequence[int]) -> None:
        self.kind = kind
        self.starts = np.cumsum([0, *counts])

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.starts[-1])

    def split(self, rows: Iterable[int]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """For each segment that has some of the rows: its place, its own rows, their positions.

        Raises:
            UsageError: There is no such row.
        """
        wanted = np.fromiter(rows, dtype=np.int64)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= self.count):
            raise UsageError(
                f"{self.kind} rows go from 0 to {self.count - 1}, and {wanted.min()} to "
                f"{wanted.max()} were asked for"
            )
        places = np.searchsorted(self.starts, wanted, side="right") - 1
        for place in np.unique(places):
            positions = np.flatnonzero(places == place)
            yield int(place), wanted[positions] - self.starts[place], positions

    def gather(
        self,
        rows: Sequence[int],
        read: Callable[[int, np.ndarray], np.ndarray],
        shape: tuple[int, ...],
    ) -> np.ndarray:
        """(n, *shape) float32, what each segment reads of its rows, in the order of the rows."""
        gathered = np.zeros((len(rows), *shape), dtype=np.float32)
        for place, local, positions in self.split(rows):
            gathered[positions] = read(place, local)
        return gathered

    def stored(
        self, rows: Iterable[int], read: Callable[[int, Iterable[int]], Mapping[int, Stored]]
    ) -> dict[int, Stored]:
        """What each segment stores of its rows, by row of the whole index."""
        found: dict[int, Stored] = {}
        for place, local, _ in self.split(sorted(set(rows))):
            start = int(self.starts[place])
            found |= {start + row: one for row, one in read(place, map(int, local)).items()}
        return found

    def merged(self, parts: Sequence[Sequence[Ranking]], k: int, queries: int) -> list[Ranking]:
        """The k best of what the segments found for each query, equals by row."""
        merged = []
        for query in range(queries):
            found = [
                (int(start) + row, score)
                for start, part in zip(self.starts, parts, strict=False)
                for row, score in part[query]
            ]
            found.sort(key=lambda item: (-item[1], item[0]))
            merged.append(found[:k])
        return merged
