"""The words of a text that the lexical channel counts, in whatever script it is written.

The stop words and stems are English. A text in another language is found by its words as they
stand; one in a script that does not part them, by each two characters that follow one another, as
search engines do it (Lucene's CJKBigramFilter).
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import regex

from factcheck.characters import without_ignorable

ANALYSER = "nfkc-casefold-unaccented-words-or-bigrams-english-snowball"
"""Name of the rules that make words of a text: no characters that are not to be seen, one form of
each (NFKC) and no case, Latin letters without accents, Arabic and Hebrew ones without points; two
letters at least, English stop words left out, Snowball's English stems; pairs of characters where
words are not parted."""

_ACCENTS = regex.compile(r"(?<=[a-z])[\u0300-\u036f]+")
# Points stand for vowels that most texts leave to the reader; the tatweel only widens a word.
_POINTS = regex.compile(
    r"[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]+"
)
_UNPARTED = "".join(
    rf"\p{{Script={script}}}"
    for script in ("Han", "Hiragana", "Katakana", "Hangul", "Thai", "Lao", "Khmer", "Myanmar")
)
# A script's own digits are words like others; the sign of a long vowel is of two scripts.
_RUN = regex.compile(
    rf"(?V1)(?P<unparted>[\w&&[{_UNPARTED}\u30fc]--\p{{Nd}}]+)"
    rf"|[\w--[{_UNPARTED}\u30fc--\p{{Nd}}]]{{2,}}"
)
_ASCII = re.compile(r"\w{2,}", re.ASCII)
_CLUSTER = regex.compile(r"\X")


def words_of(texts: Sequence[str]) -> list[list[str]]:
    """The words of texts that BM25 counts, stems of English ones."""
    from bm25s.stopwords import STOPWORDS_EN

    stop_words = frozenset(STOPWORDS_EN)
    found = [[word for word in _words(text) if word not in stop_words] for text in texts]
    different = list({word for words in found for word in words})
    stems = dict(zip(different, _stemmer().stemWords(different), strict=True))
    return [[stems[word] for word in words] for words in found]


def _words(text: str) -> list[str]:
    if text.isascii():
        return _ASCII.findall(text.lower())
    words = []
    for run in _RUN.finditer(_one_form(text)):
        if run["unparted"] is None:
            words.append(run[0])
            continue
        clusters = _CLUSTER.findall(run[0])
        pairs = ["".join(pair) for pair in pairwise(clusters)]
        words += pairs or clusters
    return words


def _one_form(text: str) -> str:
    """A text whose words are the same however its characters are written.

    Names are looked for with and without accents, and an accent may be a character of its own.
    Lower case would tell "STRASSE" from "Straße".
    """
    text = unicodedata.normalize("NFKC", without_ignorable(text)).casefold()
    text = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
    return _POINTS.sub("", unicodedata.normalize("NFKC", text))


@cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")
