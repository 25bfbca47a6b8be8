"""What can be counted between a claim and a passage: words, numbers, names and negations.

Sentence vectors blur exactly these, and they are what a false claim changes.
"""

import unicodedata
from collections.abc import Set
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import pairwise

import numpy as np
import regex

from factcheck.characters import legible, without_ignorable

SIGNALS = (
    "claim_coverage",
    "passage_coverage",
    "number_coverage",
    "claim_has_number",
    "name_coverage",
    "claim_negated",
    "passage_negated",
    "negation_differs",
    "pair_coverage",
    "order_coverage_of_claim",
    "order_coverage_of_passage",
    "words_shared",
    "words_missing",
)
"""Names of the lexical signals, in the order of `lexical_signals`."""

# So many shared or missing words are many; more of them count no more.
_MANY = 10

# Of `regex`: `re` takes marks, which are the vowels of many scripts, for borders of words.
_WORD = regex.compile(r"(?V1)[\w--[\d_]]+(?:['\u2019][\w--[\d_]]+)?|\d+(?:[.,]\d+)*")
_NAME = regex.compile(r"(?V1)(?<![.!?]\s)(?<!^)\b[\w--[\d_a-z]][\w'\u2019\-]+")
_STOP = frozenset(
    (
        "a an and are as at be been but by for from had has have he her his i in into is it its "
        "of on or our she so than that the their them then there these they this those to was we "
        "were what when which who will with would you your"
    ).split()
)
_NEGATIONS = frozenset(
    (
        "no not never none nobody nothing neither nor cannot without hardly false fake untrue "
        "hoax deny denies denied refuses refused failed fails debunked incorrect wrong"
    ).split()
)


@lru_cache(maxsize=2**10)
def _as_written(text: str) -> str:
    """A text whose words are the same however its characters are written."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", legible(without_ignorable(text)))


def _content(words: list[str]) -> set[str]:
    """Words that carry meaning, crudely stemmed so that a plural or a past tense still matches."""
    return {_stem(word) for word in words if word not in _STOP and word not in _NEGATIONS}


@lru_cache(maxsize=2**15)
def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def _numbers(words: list[str]) -> set[str]:
    return {word.replace(",", "").rstrip(".") for word in words if word[0].isdigit()}


def _negated(words: list[str]) -> bool:
    return any(word in _NEGATIONS or word.endswith(("n't", "n\u2019t")) for word in words)


def _share(wanted: Set[object], present: Set[object]) -> float:
    """The share of `wanted` that is present; 1 when nothing is wanted."""
    return len(wanted & present) / len(wanted) if wanted else 1.0


def lexical_signals(claim: str, passage: str) -> np.ndarray:
    """Signals between a claim and a passage.

    Args:
        claim: The claim's text.
        passage: The passage's text.

    Returns:
        (len(SIGNALS),) float32, each in [0, 1].
    """
    claim, passage = _as_written(claim), _as_written(passage)
    claim_words = [word.lower() for word in _WORD.findall(claim)]
    passage_words = [word.lower() for word in _WORD.findall(passage)]
    claim_content, passage_content = _content(claim_words), _content(passage_words)
    claim_numbers = _numbers(claim_words)
    names = {_stem(name.lower()) for name in _NAME.findall(claim)}
    # Words that both have in the same order, as runs that difflib matches.
    matcher = SequenceMatcher(None, claim_words, passage_words, autojunk=False)
    in_order = sum(run.size for run in matcher.get_matching_blocks())
    claim_negated, passage_negated = _negated(claim_words), _negated(passage_words)
    return np.array(
        [
            _share(claim_content, passage_content),
            _share(passage_content, claim_content),
            _share(claim_numbers, _numbers(passage_words)),
            float(bool(claim_numbers)),
            _share(names, passage_content),
            float(claim_negated),
            float(passage_negated),
            float(claim_negated != passage_negated),
            _share(set(pairwise(claim_words)), set(pairwise(passage_words))),
            in_order / max(1, len(claim_words)),
            in_order / max(1, len(passage_words)),
            min(1.0, len(claim_content & passage_content) / _MANY),
            min(1.0, len(claim_content - passage_content) / _MANY),
        ],
        dtype=np.float32,
    )
