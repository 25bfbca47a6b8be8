"""The lexical channel: BM25 over passages, as bm25s computes it (arXiv:2407.03618).

Its formula is ours (its method "lucene"), but not its way of computing the score of every word in
every passage beforehand. Such scores contain the number of passages,
how many of them have a word and how long they are in the mean, all of one part of an index
(`segment`) on the day it was written: the same documents would be ranked otherwise if they came in
by several parts, and what was deleted would go on to count. So a part keeps what does not depend on
the others, how often each word is in each passage and how many words a passage has. Scores are
computed when they are asked for, from what counts in all of the index then.

The words of a title count as words of each passage of its document, for what a passage is about is
often said there alone ("It is 330 metres tall."). Sentence vectors are of passages alone: with the
first words of a long document before each of its passages they found less.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from factcheck.errors import InvalidInputError
from factcheck.retrieval.vectors import map_array
from factcheck.retrieval.words import words_of

COUNTS = "lexical_counts.npy"
LENGTHS = "lexical_lengths.npy"
PASSAGES = "lexical_passages.npy"
STARTS = "lexical_starts.npy"
VOCABULARY = "lexical_vocabulary.json"
FILES = (COUNTS, LENGTHS, PASSAGES, STARTS, VOCABULARY)
"""What the channel keeps of a part: by columns of words, how often they are in which passages; how
many words each passage has; and the words of the columns."""

# BM25's parameters, as in bm25s: how soon a word that is there often counts no more, and how much
# the length of a passage matters.
_K1 = 1.5
_B = 0.75

_AT_ONCE = 1024

_DAMAGED = "the index is damaged: its lexical part names a passage that is not there"

# Of a title that is longer than this, which is none, each passage gets no more.
_TITLE_CHARACTERS = 200


def write_lexical(passages: Iterable[tuple[str | None, str]], folder: Path) -> None:
    """Index passages by their words.

    Args:
        passages: Of each passage of a part the title of its document and its text, in order.
        folder: Where its files go.

    Raises:
        OSError: They cannot be written.
    """
    from scipy.sparse import csr_array

    vocabulary: dict[str, int] = {}
    found: list[np.ndarray] = []
    waiting: list[str] = []

    def read() -> None:
        for words in words_of(waiting):
            numbers = (vocabulary.setdefault(word, len(vocabulary)) for word in words)
            # Numbers of four bytes: as Python's they would take ten times as much memory.
            found.append(np.fromiter(numbers, dtype=np.int32, count=len(words)))
        waiting.clear()

    for title, text in passages:
        waiting.append(f"{title[:_TITLE_CHARACTERS]} {text}" if title else text)
        if len(waiting) == _AT_ONCE:
            read()
    read()
    lengths = np.array([len(words) for words in found], dtype=np.int32)
    counts = np.zeros(0, dtype=np.uint16)
    rows = np.zeros(0, dtype=np.int32)
    starts = np.zeros(1, dtype=np.int64)
    if vocabulary:
        words = np.concatenate(found)
        borders = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        once = np.ones(len(words), dtype=np.int32)
        shape = (len(lengths), len(vocabulary))
        columns = csr_array((once, words, borders), shape=shape).tocsc()
        columns.sum_duplicates()
        # A passage has 20,000 characters at most, and so fewer words than two bytes can count.
        counts = columns.data.astype(np.uint16)
        rows = columns.indices.astype(np.int32)
        starts = columns.indptr.astype(np.int64)
    arrays = ((COUNTS, counts), (LENGTHS, lengths), (PASSAGES, rows), (STARTS, starts))
    for name, array in arrays:
        with (folder / name).open("wb") as file:
            np.save(file, array, allow_pickle=False)
    (folder / VOCABULARY).write_text(
        json.dumps(list(vocabulary), ensure_ascii=False), encoding="utf-8"
    )


class LexicalIndex:
    """The words of one part of an index.

    Attributes:
        count: Number N of its passages.
    """

    def __init__(
        self,
        columns: dict[str, int],
        starts: np.ndarray,
        rows: np.ndarray,
        counts: np.ndarray,
        lengths: np.ndarray,
    ) -> None:
        self.count = len(lengths)
        self._columns = columns
        self._starts = starts
        # Each piece of a `memmap` is one again, which takes as long as a short column.
        self._rows, self._counts, self._lengths = map(np.asarray, (rows, counts, lengths))

    @classmethod
    def read(cls, folder: Path, count: int, thorough: bool) -> Self:
        """Map the files of a part into memory.

        Args:
            folder: Where they are.
            count: Number of passages.
            thorough: Whether every entry is looked at, which takes time.

        Raises:
            InvalidInputError: They are not what `write_lexical` writes.
            OSError: They cannot be read.
        """
        try:
            words = json.loads((folder / VOCABULARY).read_bytes())
        except (ValueError, RecursionError) as error:
            raise InvalidInputError(f"{folder / VOCABULARY}: damaged, not JSON") from error
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise InvalidInputError(f"{folder / VOCABULARY}: damaged, not a list of words")
        counts = map_array(folder / COUNTS, "<u2", (None,), "a list of uint16")
        what = f"a list of {count} int32"
        lengths = map_array(folder / LENGTHS, "<i4", (count,), what)
        rows = map_array(folder / PASSAGES, "<i4", (None,), "a list of int32")
        starts = map_array(folder / STARTS, "<i8", (None,), "a list of int64")
        if len(starts) != len(words) + 1 or len(counts) != len(rows):
            raise InvalidInputError(f"{folder / STARTS}: does not fit the files beside it")
        if starts[0] != 0 or starts[-1] != len(rows) or (np.diff(starts) < 0).any():
            raise InvalidInputError(f"{folder / STARTS}: damaged: its columns overlap")
        if thorough:
            _look_at_all(folder, starts, rows, counts, lengths)
        columns = {word: i for i, word in enumerate(words)}
        return cls(columns, np.asarray(starts), rows, counts, lengths)

    def words_in(self, live: np.ndarray | None) -> int:
        """Number of words in the passages that count.

        Args:
            live: (N,) bool, which passages count; None for all.

        Raises:
            InvalidInputError: A passage has fewer than none.
        """
        if self.count and self._lengths.min() < 0:
            raise InvalidInputError(
                "the index is damaged: its lexical part has a passage of less than no words"
            )
        lengths = self._lengths if live is None else self._lengths[live]
        return int(lengths.sum(dtype=np.int64))

    def frequency(self, word: str, live: np.ndarray | None) -> int:
        """Number of passages that count and have a word.

        Args:
            word: The word.
            live: (N,) bool, which passages count; None for all.

        Raises:
            InvalidInputError: An entry names a passage that is not there.
        """
        start, end = self._column(word)
        if live is None:
            return end - start
        try:
            return int(np.count_nonzero(live[self._rows[start:end]]))
        except IndexError as error:
            raise InvalidInputError(_DAMAGED) from error

    def score(self, words: Sequence[str], statistics: "WordStatistics") -> np.ndarray:
        """BM25 scores of all passages.

        A score is the same in whatever part a passage lies: it is summed up in the order of the
        words, in double precision.

        Args:
            words: Of the query.
            statistics: What is known of these words in the whole index.

        Returns:
            (N,) float64.

        Raises:
            InvalidInputError: An entry names a passage that is not there.
        """
        total = np.zeros(self.count)
        scale = _K1 * _B / statistics.mean_length
        for word in words:
            start, end = self._column(word)
            # numpy would make these numbers long each time that it looks something up by them.
            rows = self._rows[start:end].astype(np.int64)
            counts = self._counts[start:end].astype(np.float64)
            try:
                saturation = self._lengths.take(rows) * scale
                saturation += _K1 * (1 - _B)
                saturation += counts
                counts *= statistics.rarity[word]
                counts /= saturation
                # A passage stands in a column once.
                total[rows] += counts
            except IndexError as error:
                raise InvalidInputError(_DAMAGED) from error
        return total

    def _column(self, word: str) -> tuple[int, int]:
        """Where the entries of a word begin and end."""
        column = self._columns.get(word)
        if column is None:
            return 0, 0
        return int(self._starts[column]), int(self._starts[column + 1])


@dataclass(frozen=True)
class WordStatistics:
    """What BM25 knows of the passages of a whole index that count.

    Attributes:
        rarity: The inverse document frequency of each word of a query.
        mean_length: Words of a passage in the mean; above 0.
    """

    rarity: dict[str, float]
    mean_length: float

    @classmethod
    def of(cls, passages: int, in_all: int, frequencies: dict[str, int]) -> Self:
        """From counts over all parts.

        Args:
            passages: Number of passages that count.
            in_all: Number of their words.
            frequencies: In how many of them each word of a query is.
        """
        rarity = {
            word: inverse_frequency(passages, frequency) for word, frequency in frequencies.items()
        }
        # Without any words nothing is found, and nothing divides by their number.
        return cls(rarity, in_all / passages if in_all and passages else 1.0)


def inverse_frequency(passages: int, frequency: int) -> float:
    """Inverse document frequency as in Lucene and bm25s: log(1 + (N - n + 0.5) / (n + 0.5))."""
    return math.log(1 + (passages - frequency + 0.5) / (frequency + 0.5))


def _look_at_all(
    folder: Path, starts: np.ndarray, rows: np.ndarray, counts: np.ndarray, lengths: np.ndarray
) -> None:
    """Refuse entries that `write_lexical` does not write."""
    if len(rows):
        if rows.min() < 0 or rows.max() >= len(lengths):
            raise InvalidInputError(f"{folder / PASSAGES}: names a passage that is not there")
        rising = np.diff(rows) > 0
        # Where a column begins its passages begin anew.
        rising[starts[(starts > 0) & (starts < len(rows))] - 1] = True
        if not rising.all():
            raise InvalidInputError(f"{folder / PASSAGES}: names a passage twice in a column")
        if counts.min() == 0:
            raise InvalidInputError(f"{folder / COUNTS}: a word is counted that is not there")
    # Sums of small whole numbers are exact.
    if not np.array_equal(np.bincount(rows, weights=counts, minlength=len(lengths)), lengths):
        raise InvalidInputError(f"{folder / LENGTHS}: does not fit the files beside it")
