"""The lexical channel: BM25 over passages, on bm25s (arXiv:2407.03618).

bm25s computes the score of every word in every passage when the index is made, and keeps them as a
sparse matrix by columns of words. A search adds up a few columns, which lie in memory-mapped files.

The words of a title count as words of each passage of its document, for what a passage is about is
often said there alone ("It is 330 metres tall."). Sentence vectors are of passages alone: with the
first words of a long document before each of its passages they found less.

The parts of an index (`segment`) are indexed one by one, and how rare a word is in a part that was
added yesterday says little. So a column is weighted by how rare its word is in all of the index:
the scores of all parts can be compared, and a document found in a small part counts no less.
"""

import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from factcheck.errors import InvalidInputError
from factcheck.retrieval.vectors import map_array

ANALYSER = "bm25s-english-snowball"
"""Name of the rules that make words of a text: lower case, two letters at least, English stop words
left out, Snowball's English stems."""

SCORES = "lexical_scores.npy"
PASSAGES = "lexical_passages.npy"
STARTS = "lexical_starts.npy"
VOCABULARY = "lexical_vocabulary.json"
FILES = (SCORES, PASSAGES, STARTS, VOCABULARY)
"""What the channel keeps of a part: its matrix by columns, and the words of the columns."""

_AT_ONCE = 1024

# Of a title that is longer than this, which is none, each passage gets no more.
_TITLE_CHARACTERS = 200


def words_of(texts: Sequence[str]) -> list[list[str]]:
    """The words of texts that BM25 counts."""
    import bm25s

    words: list[list[str]] = bm25s.tokenize(
        list(texts), stopwords="en", stemmer=_stemmer(), return_ids=False, show_progress=False
    )
    return words


@cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")


def write_lexical(passages: Iterable[tuple[str | None, str]], folder: Path) -> None:
    """Index passages by their words.

    Args:
        passages: Of each passage of a part the title of its document and its text, in order.
        folder: Where its files go.

    Raises:
        OSError: They cannot be written.
    """
    from bm25s import BM25
    from bm25s.tokenization import Tokenized

    vocabulary: dict[str, int] = {}
    counted: list[np.ndarray] = []
    waiting: list[str] = []

    def count() -> None:
        for words in words_of(waiting):
            numbers = (vocabulary.setdefault(word, len(vocabulary)) for word in words)
            # Numbers of four bytes: as Python's they would take ten times as much memory.
            counted.append(np.fromiter(numbers, dtype=np.int32, count=len(words)))
        waiting.clear()

    for title, text in passages:
        waiting.append(f"{title[:_TITLE_CHARACTERS]} {text}" if title else text)
        if len(waiting) == _AT_ONCE:
            count()
    count()
    scores = np.zeros(0, dtype=np.float32)
    rows = np.zeros(0, dtype=np.int32)
    starts = np.zeros(1, dtype=np.int64)
    if vocabulary:
        retriever = BM25(method="lucene")
        tokens = Tokenized(ids=counted, vocab=vocabulary)
        retriever.index(tokens, create_empty_token=False, show_progress=False)
        scores = np.asarray(retriever.scores["data"], dtype=np.float32)
        rows = np.asarray(retriever.scores["indices"], dtype=np.int32)
        starts = np.asarray(retriever.scores["indptr"], dtype=np.int64)
    for name, array in ((SCORES, scores), (PASSAGES, rows), (STARTS, starts)):
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
        count: int,
        columns: dict[str, int],
        starts: np.ndarray,
        rows: np.ndarray,
        scores: np.ndarray,
    ) -> None:
        self.count = count
        self._columns = columns
        self._starts = starts
        self._rows = rows
        self._scores = scores

    @classmethod
    def read(cls, folder: Path, count: int, thorough: bool) -> "LexicalIndex":
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
        scores = map_array(folder / SCORES, "<f4", (None,), "a list of float32")
        rows = map_array(folder / PASSAGES, "<i4", (None,), "a list of int32")
        starts = map_array(folder / STARTS, "<i8", (None,), "a list of int64")
        if len(starts) != len(words) + 1 or len(scores) != len(rows):
            raise InvalidInputError(f"{folder / STARTS}: does not fit the files beside it")
        if starts[0] != 0 or starts[-1] != len(rows) or (np.diff(starts) < 0).any():
            raise InvalidInputError(f"{folder / STARTS}: damaged: its columns overlap")
        if thorough and len(rows):
            if rows.min() < 0 or rows.max() >= count:
                raise InvalidInputError(f"{folder / PASSAGES}: names a passage that is not there")
            if not np.isfinite(scores).all():
                raise InvalidInputError(f"{folder / SCORES}: a score is not a finite number")
        return cls(
            count, {word: i for i, word in enumerate(words)}, np.asarray(starts), rows, scores
        )

    def frequency(self, word: str) -> int:
        """Number of passages that have a word."""
        column = self._columns.get(word)
        return 0 if column is None else int(self._starts[column + 1] - self._starts[column])

    def score(self, words: Sequence[str], rarity: dict[str, float]) -> np.ndarray:
        """BM25 scores of all passages.

        Args:
            words: Of the query.
            rarity: How rare each of them is in the whole index (`inverse_frequency`).

        Returns:
            (N,) float32.

        Raises:
            InvalidInputError: An entry names a passage that is not there.
        """
        total = np.zeros(self.count, dtype=np.float32)
        for word in words:
            column = self._columns.get(word)
            if column is None:
                continue
            part = slice(self._starts[column], self._starts[column + 1])
            here = inverse_frequency(self.count, part.stop - part.start)
            try:
                # A passage stands in a column once.
                total[self._rows[part]] += (rarity[word] / here) * self._scores[part]
            except IndexError as error:
                raise InvalidInputError(
                    "the index is damaged: its lexical part names a passage that is not there"
                ) from error
        return total


def inverse_frequency(passages: int, frequency: int) -> float:
    """Inverse document frequency as in Lucene and bm25s: log(1 + (N - n + 0.5) / (n + 0.5))."""
    return float(np.log1p((passages - frequency + 0.5) / (frequency + 0.5)))
