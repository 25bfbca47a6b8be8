"""Evidence that counts once: near duplicates of a passage, and copies of an article.

News agencies' texts stand in hundreds of papers. Ten copies are not ten witnesses, and a search
that shows them all shows little. Passages are compared by their pairs of neighbouring words;
documents by sketches of theirs that are made when the index is (MinHash; Broder, 1997).

A copy in which a word was changed that carries meaning is no copy (`alterations`): it says
something else, and may be just what a fact-checker looks for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np

from factcheck.datasets.near_duplicates import TEXT_SIMILARITY, word_pairs
from factcheck.datasets.text_splits import normalise
from factcheck.retrieval.alterations import altered, stands_in
from factcheck.retrieval.statements import Statement

_PERMUTATIONS = 64
_SCHEME: Literal["affine32"] = "affine32"  # sketches lie in indices: they must stay the same
_FEWEST_PAIRS = 8  # of fewer a sketch says little
_MARGIN = 8  # so many words around it are looked at, where a passage stands in an article
_LONGEST = 1000  # of a passage of more words it is not told whether it stands in one
_COMPARED = 8  # so many of those that a passage is like are compared with it word by word


def sketch(text: str) -> bytes:
    """A MinHash sketch of a document: 64 numbers of 32 bits; empty for a text of a few words."""
    from datasketch import MinHash

    pairs = word_pairs(normalise(text))
    if len(pairs) < _FEWEST_PAIRS:
        return b""
    made = MinHash(_PERMUTATIONS, hashfunc=int, permutations=_permutations(), scheme=_SCHEME)
    made.update_batch(pairs)
    return bytes(np.asarray(made.hashvalues).astype("<u4").tobytes())


@cache
def _permutations() -> Any:
    from datasketch import MinHash

    return MinHash(_PERMUTATIONS, scheme=_SCHEME).permutations


def same_article(one: bytes, other: bytes) -> bool:
    """Whether two sketches are of copies of one article."""
    if not one or len(one) != len(other):
        return False
    a, b = np.frombuffer(one, dtype="<u4"), np.frombuffer(other, dtype="<u4")
    return float((a == b).mean()) >= TEXT_SIMILARITY


@dataclass(frozen=True)
class _Words:
    """What is compared of a passage: its pairs of words, and what it says."""

    pairs: frozenset[int]
    statement: Statement

    @classmethod
    def of(cls, text: str) -> Self:
        return cls(frozenset(word_pairs(normalise(text)).tolist()), Statement.of(text))

    def like(self, other: Self) -> bool:
        few, many = sorted((len(self.pairs), len(other.pairs)))
        # The similarity is at most the share of the lengths, which costs less to look at.
        if not few or few < TEXT_SIMILARITY * many:
            return False
        common = len(self.pairs & other.pairs)
        return common / (few + many - common) >= TEXT_SIMILARITY


class _Article:
    """The words of a document, in which passages of its copies are looked for."""

    def __init__(self, text: str) -> None:
        self._statement = Statement.of(text)
        self._numbers: dict[tuple[str, str], int] = {}
        self._pairs = np.array(
            [
                self._numbers.setdefault(pair, len(self._numbers))
                for pair in pairwise(self._statement.words)
            ],
            dtype=np.int64,
        )

    def has(self, passage: Statement) -> bool:
        """Whether a passage stands here, word for word or nearly, and says the same here."""
        if not passage.words or len(passage.words) > _LONGEST:
            return False
        return stands_in(passage, self._statement, *self._around(passage.words))

    def _around(self, words: list[str]) -> tuple[int, int]:
        """Where the part of the article begins and ends that has most of a passage's pairs."""
        wanted = {self._numbers.get(pair, -1) for pair in pairwise(words)}
        shared = np.isin(self._pairs, list(wanted))
        length = min(len(words), len(shared))
        sums = np.concatenate([[0], np.cumsum(shared)])
        start = int(np.argmax(sums[length:] - sums[: len(sums) - length]))
        return max(0, start - _MARGIN), start + length + _MARGIN


def first_of_each(
    document_ids: Sequence[str],
    texts: Sequence[str],
    sketches: Sequence[bytes],
    text_of: Callable[[str], str],
) -> dict[int, list[int]]:
    """Which passages of a ranking count, and which repeat them.

    A passage repeats an earlier one that it is a near duplicate of; one from a copy of an earlier
    document repeats that document's first, if it stands in that document too. Different passages
    of one document all count, and so does one that is like another but was altered (`alterations`).

    Args:
        document_ids: Of N passages, best first.
        texts: Of the passages.
        sketches: Of their documents.
        text_of: The whole text of a document, by its id; asked only for those that have copies.

    Returns:
        The positions that count, in order, each with those that repeat it.
    """
    kept: dict[int, list[int]] = {}
    words: dict[int, _Words] = {}
    twins: dict[tuple[str, ...], int] = {}  # which one words count as: equal ones always repeat
    first: dict[str, int] = {}  # where each document first counted
    leading: dict[str, bytes] = {}
    of = cache(_Words.of)  # equal texts cost little
    article = cache(lambda document_id: _Article(text_of(document_id)))
    for place, (document_id, text, own) in enumerate(
        zip(document_ids, texts, sketches, strict=True)
    ):
        here = of(text)
        key = (*here.statement.words,) or ("", text)  # of signs alone no words are left
        if key in twins:
            kept[twins[key]].append(place)
            continue
        alike = [p for p in kept if here.like(words[p])]
        twin = next(
            (p for p in alike[:_COMPARED] if not altered(words[p].statement, here.statement)), None
        )
        if twin is not None:
            twins[key] = twin
        elif not alike and document_id not in leading:
            # A copy may have been altered in one place, and what was altered is worth showing.
            copied = (d for d, s in leading.items() if same_article(own, s))
            twin = next((first[d] for d in copied if article(d).has(here.statement)), None)
        if twin is not None:
            kept[twin].append(place)
            continue
        kept[place] = []
        words[place] = here
        twins[key] = place
        first.setdefault(document_id, place)
        leading.setdefault(document_id, own)
    return kept
