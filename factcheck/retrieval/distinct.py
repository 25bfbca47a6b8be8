"""Evidence that counts once: near duplicates of a passage, and copies of an article.

News agencies' texts stand in hundreds of papers. Ten copies are not ten witnesses, and a search
that shows them all shows little. Passages are compared by their pairs of neighbouring words;
documents by sketches of theirs that are made when the index is (MinHash; Broder, 1997).

A copy in which a number or a "not" was changed is no copy: it says something else, and may be just
what a fact-checker looks for.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np

from factcheck.datasets.near_duplicates import TEXT_SIMILARITY, jaccard, word_pairs
from factcheck.datasets.text_splits import normalise

_PERMUTATIONS = 64
_SCHEME: Literal["affine32"] = "affine32"  # sketches lie in indices: they must stay the same
_FEWEST_PAIRS = 8  # of fewer a sketch says little
_DETAIL = re.compile(r"\d+|\b(?:not|no|never|none|nor|cannot)\b|n['\u2019]t\b", re.IGNORECASE)
_TOKEN = re.compile(r"\d+|[^\W\d]+?n['\u2019]t\b|[^\W\d]+")
_MARGIN = 8  # so many words around it are looked at, where a passage stands in an article
_LONGEST = 1000  # of a passage of more words it is not told whether it stands in one


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
    """What is compared of a passage: its pairs of words, and the details a copy may not change."""

    pairs: np.ndarray
    details: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Self:
        # In their order: "12 dead, 40 saved" is not "40 dead, 12 saved".
        details = tuple(detail.lower() for detail in _DETAIL.findall(text))
        return cls(word_pairs(normalise(text)), details)

    def like(self, other: Self) -> bool:
        few, many = sorted((len(self.pairs), len(other.pairs)))
        # The similarity is at most the share of the lengths, which costs less to look at.
        return bool(
            few
            and few >= TEXT_SIMILARITY * many
            and jaccard(self.pairs, other.pairs) >= TEXT_SIMILARITY
        )


class _Article:
    """The words of a document, in which passages of its copies are looked for."""

    def __init__(self, text: str) -> None:
        self._words = _tokens(text)
        self._numbers: dict[tuple[str, str], int] = {}
        self._pairs = np.array(
            [self._numbers.setdefault(pair, len(self._numbers)) for pair in pairwise(self._words)],
            dtype=np.int64,
        )

    def has(self, text: str) -> bool:
        """Whether a passage stands here, word for word or nearly, with all of its details."""
        words = _tokens(text)
        if len(words) > _LONGEST:
            return False
        here = self._around(words)
        matcher = SequenceMatcher(None, here, words, autojunk=False)
        blocks = [block for block in matcher.get_matching_blocks() if block.size]
        if sum(block.size for block in blocks) < TEXT_SIMILARITY * max(len(words), 1):
            return False
        # What of the article stands before and after the passage is no change.
        first, last = blocks[0].a, blocks[-1].a + blocks[-1].size
        return not any(
            _DETAIL.search(word)
            for kind, a, b, c, d in matcher.get_opcodes()
            if kind != "equal"
            for word in [*here[max(a, first) : min(b, last)], *words[c:d]]
        )

    def _around(self, words: list[str]) -> list[str]:
        """The part of the article that has most of a passage's pairs of words."""
        wanted = {self._numbers.get(pair, -1) for pair in pairwise(words)}
        shared = np.isin(self._pairs, list(wanted))
        length = min(len(words), len(shared))
        sums = np.concatenate([[0], np.cumsum(shared)])
        start = int(np.argmax(sums[length:] - sums[: len(sums) - length]))
        return self._words[max(0, start - _MARGIN) : start + length + _MARGIN]


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).lower())


def first_of_each(
    document_ids: Sequence[str],
    texts: Sequence[str],
    sketches: Sequence[bytes],
    text_of: Callable[[str], str],
) -> dict[int, list[int]]:
    """Which passages of a ranking count, and which repeat them.

    A passage repeats an earlier one that it is a near duplicate of; one from a copy of an earlier
    document repeats that document's first, if it stands in that document too. Different passages
    of one document all count, and so does one that is like another but for a number or a negation.

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
    twins: dict[str, int] = {}  # which one a text counts as, so that equal texts cost little
    first: dict[str, int] = {}  # where each document first counted
    leading: dict[str, bytes] = {}
    article = cache(lambda document_id: _Article(text_of(document_id)))
    for place, (document_id, text, own) in enumerate(
        zip(document_ids, texts, sketches, strict=True)
    ):
        if text in twins:
            kept[twins[text]].append(place)
            continue
        here = _Words.of(text)
        alike = [p for p in kept if here.like(words[p])]
        twin = next((p for p in alike if here.details == words[p].details), None)
        if twin is not None:
            twins[text] = twin
        elif not alike and document_id not in leading:
            # A copy may have been altered in one place, and what was altered is worth showing.
            copied = (d for d, s in leading.items() if same_article(own, s))
            twin = next((first[d] for d in copied if article(d).has(text)), None)
        if twin is not None:
            kept[twin].append(place)
            continue
        kept[place] = []
        words[place] = here
        if len(here.pairs):
            twins[text] = place
        first.setdefault(document_id, place)
        leading.setdefault(document_id, own)
    return kept
