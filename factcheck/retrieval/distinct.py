"""Evidence that counts once: near duplicates of a passage, and copies of an article.

News agencies' texts stand in hundreds of papers. Ten copies are not ten witnesses, and a search
that shows them all shows little. Passages are compared by their pairs of neighbouring words;
documents by sketches of theirs that are made when the index is (MinHash; Broder, 1997).

A copy in which a number or a "not" was changed is no copy: it says something else, and may be just
what a fact-checker looks for.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Self

import numpy as np

from factcheck.datasets.near_duplicates import TEXT_SIMILARITY, jaccard, word_pairs
from factcheck.datasets.text_splits import normalise

_PERMUTATIONS = 64
_SCHEME: Literal["affine32"] = "affine32"  # sketches lie in indices: they must stay the same
_FEWEST_PAIRS = 8  # of fewer a sketch says little
_DETAIL = re.compile(r"\d+|\b(?:not|no|never|none|nor|cannot)\b|n['\u2019]t\b", re.IGNORECASE)


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
        details = sorted(detail.lower() for detail in _DETAIL.findall(text))
        return cls(word_pairs(normalise(text)), tuple(details))

    def like(self, other: Self) -> bool:
        return bool(
            len(self.pairs)
            and len(other.pairs)
            and jaccard(self.pairs, other.pairs) >= TEXT_SIMILARITY
        )


def first_of_each(
    document_ids: Sequence[str], texts: Sequence[str], sketches: Sequence[bytes]
) -> dict[int, list[int]]:
    """Which passages of a ranking count, and which repeat them.

    A passage repeats an earlier one that it is a near duplicate of; one from a copy of an earlier
    document repeats that document's first. Different passages of one document all count, and so
    does one that is like another but for a number or a negation.

    Args:
        document_ids: Of N passages, best first.
        texts: Of the passages.
        sketches: Of their documents.

    Returns:
        The positions that count, in order, each with those that repeat it.
    """
    kept: dict[int, list[int]] = {}
    words: dict[int, _Words] = {}
    first: dict[str, int] = {}  # where each document first counted
    leading: dict[str, bytes] = {}
    for place, (document_id, text, own) in enumerate(
        zip(document_ids, texts, sketches, strict=True)
    ):
        here = _Words.of(text)
        alike = [p for p in kept if here.like(words[p])]
        twin = next((p for p in alike if here.details == words[p].details), None)
        if twin is None and not alike and document_id not in leading:
            copied = next((d for d, s in leading.items() if same_article(own, s)), None)
            twin = None if copied is None else first[copied]
        if twin is not None:
            kept[twin].append(place)
            continue
        kept[place] = []
        words[place] = here
        first.setdefault(document_id, place)
        leading.setdefault(document_id, own)
    return kept
