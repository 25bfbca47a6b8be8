"""What a passage says, by its words: what is compared of passages that are nearly equal.

The words that are known here are English. In other languages more counts as an alteration than is
one, and a negation counts only where another word would: between the words that two passages share.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

# What is one word for our purpose. Tense and voice are not: "is closed" is not "was closed".
_SAME_WORD = {
    **dict.fromkeys(("an", "the"), "a"),
    **dict.fromkeys(("on", "at"), "in"),
    **dict.fromkeys(("which", "who"), "that"),
    **dict.fromkeys(("have", "had"), "has"),
    **dict.fromkeys(("say", "says"), "said"),
    "are": "is",
    "were": "was",
}

_WEIGHTY = frozenset(
    """
    two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred
    hundreds thousand thousands million millions billion billions trillion dozen dozens half double
    triple zero minus
    not no never none nor neither nobody nothing nowhere cannot without hardly barely scarcely
    if unless whether
    true false falsely untrue untruth fake faked hoax lie lied lies wrong wrongly incorrect
    incorrectly misleading myth rumor rumors rumour rumours satire parody debunk debunked debunks
    deny denies denied denying denial refute refuted refutes disprove disproved disputed disputes
    retract retracted retracts alleged allegedly supposedly claim claims claimed claiming doubt
    doubts doubted contrary unlikely
    """.split()
)

_BRITISH = (
    (re.compile(r"is(?=(?:e[drs]?|ers|ing|ations?)$)"), "iz"),
    (re.compile(r"(?<=\w\w)our(?=\w*$)"), "or"),
    (re.compile(r"tre(?=s?$)"), "ter"),
    (re.compile(r"ae(?=[mds])"), "e"),
    (re.compile(r"mme(?=s?$)"), "m"),
)
_SPELT_IN_TWO_WAYS = range(5, 30)  # letters of a word that may be; longer ones are not kept, too

# Who reported from where: "PARIS, June 3 (Reuters) - ", "NEW YORK - ", "By Jane Doe | ".
_LEAD = re.compile(
    r"""\s{0,9}(?:
    (?:[A-Z0-9][\w.'/-]{0,30},?\s{1,9}){0,6}\([A-Z][\w\ .,'&/-]{1,40}\)
      \s{0,9}[-\u2013\u2014:]{1,3}\s
    | [A-Z][A-Z.']{1,30}(?:,?\s[A-Z][A-Z.']{0,30}){0,3},?\s{0,9}[-\u2013\u2014]{1,3}\s
    | By\s[A-Z][\w.'-]{0,30}(?:\s[A-Z][\w.'-]{0,30}){1,3}(?:,\s[A-Z]\w{1,30})?
      \s?[\n|\u2013\u2014]
    )""",
    re.VERBOSE,
)
_TAIL = re.compile(
    r"""(?:
    \(Reporting\ by\ [^()]{1,300}\)
    | \b(?:Read\ more|Continue\ reading)(?:\s?[:>\u00bb][^.]{0,80})?
    | \bAll\ rights\ reserved
    | (?<=[.!?]\s)(?:So|As)\s[^.!?]{1,60}\s(?:writes|reports|reported)
    | (?:\u00a9|\(c\)|\bCopyright)[\s\u00a9]{0,3}(?:\(c\))?\s{0,3}\d{4}[^.]{0,60}
    )[\s.!>\u00bb]{0,9}$""",
    re.VERBOSE | re.IGNORECASE,
)
_TAIL_SIGNS = (
    "(reporting by ",
    "read more",
    "continue reading",
    "all rights reserved",
    " writes",
    " report",
    "\u00a9",
    "(c)",
    "copyright",
)
_TAIL_CHARACTERS = 400

_BORDER = "\0"
_SENTENCE = re.compile(r"[.!?]['\")\]\u2019\u201d]{0,3}\s+|[\u3002\uff01\uff1f\n]")
_STOPPED = re.compile(r"(?<!\.\.)[.!?\u3002]['\")\]\u2019\u201d]{0,3}\s*\Z")

_APOSTROPHE = re.compile("[\u2018\u2019\u02bc`]")
_NEGATION = re.compile(
    r"\b(did|does|do|is|was|were|are|has|have|had|would|could|should|must)n'?t\b"
)
_SPELT = (
    (re.compile(r"\bcan(?:no|')t\b"), "can not"),
    (re.compile(r"\bwon't\b"), "will not"),
    (_NEGATION, r"\1 not"),
    (re.compile(r"(?<=\w)'(?=\w)"), ""),
    (re.compile(r"%|\bper cent\b"), " percent "),
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), ""),
    (re.compile(r"(?<![\w.,])[-\u2212](?=\d)"), "minus "),
)
_ACCENT = re.compile(r"(?<=[a-z])[\u0300-\u036f]+")
_WORD = re.compile(r"\d+|[^\d\s]+")


class _Characters(dict[int, str]):
    """What of each character is part of a word; found once, and kept."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kind = unicodedata.category(character)
        if character.isdecimal():
            found = str(unicodedata.decimal(character))
        elif 0xFE00 <= code <= 0xFE0F or kind == "Cf":
            found = ""  # how it is to be shown
        elif character.isalnum() or kind[0] == "M":
            found = character  # vowels of many scripts are marks
        elif (
            character == _BORDER
            or kind == "Sc"
            or character in "<>\u2264\u2265\u2260\u00b1"
            or _speaks(code, kind)
        ):
            found = f" {character} "
        else:
            found = " "
        self[code] = found
        return found


def _speaks(code: int, kind: str) -> bool:
    """Whether a character is a sign with a meaning, as a raised thumb, and no ornament."""
    return kind == "So" and code > 0xFF and not 0x2100 <= code <= 0x25FF


_CHARACTERS = _Characters()


@dataclass(frozen=True)
class Statement:
    """A text by the words by which it is told whether it was altered.

    Attributes:
        words: In one form, as far as their characters, case, accents and a few spellings go.
        borders: Before which words a sentence begins; the number of words is one of them.
        weighty: Those words that are numbers, negations or about what is true, in order.
        begins: Whether it begins with a sentence, and not in the middle of one.
        ends: Whether it ends with one.
    """

    words: list[str]
    borders: frozenset[int]
    weighty: list[str]
    begins: bool
    ends: bool

    @classmethod
    def of(cls, text: str) -> Self:
        """Of a passage or a document; who reported it does not enter, before or after it."""
        text = _reported(unicodedata.normalize("NFKC", text).replace(_BORDER, " "))
        words: list[str] = []
        borders = {0}
        for word in _words(_SENTENCE.sub(_BORDER, text)):
            if word == _BORDER:
                borders.add(len(words))
            else:
                words.append(word)
        borders.add(len(words))
        weighty = [word for word in words if is_weighty(word)]
        begins = not text.lstrip()[:1].islower()
        return cls(words, frozenset(borders), weighty, begins, _STOPPED.search(text) is not None)

    def whole(self, at_start: bool) -> bool:
        """Whether it was not cut in the middle of a sentence at this end."""
        return self.begins if at_start else self.ends


def _reported(text: str) -> str:
    """What was reported, without who did it where."""
    lead = _LEAD.match(text)
    # "FALSE - The bridge was closed." was not reported from False.
    if lead and not any(word in _WEIGHTY for word in _words(lead.group())):
        text = text[lead.end() :]
    for _ in range(2):
        lowered = text[-_TAIL_CHARACTERS:].lower()
        if not any(sign in lowered for sign in _TAIL_SIGNS):  # which most passages have not
            break
        tail = _TAIL.search(text, max(0, len(text) - _TAIL_CHARACTERS))
        # A year of rights is no detail, and all else that is weighty is none of the reporters'.
        if tail and not any(word in _WEIGHTY for word in _words(tail.group())):
            text = text[: tail.start()]
    return text


def _words(text: str) -> list[str]:
    text = text.casefold()
    if not text.isascii():
        text = _APOSTROPHE.sub("'", text)
        text = unicodedata.normalize("NFC", _ACCENT.sub("", unicodedata.normalize("NFD", text)))
    for pattern, spelt in _SPELT:
        text = pattern.sub(spelt, text)
    words = _WORD.findall(text.translate(_CHARACTERS))
    return [
        _one_spelling(word) if len(word) in _SPELT_IN_TWO_WAYS else _SAME_WORD.get(word, word)
        for word in words
    ]


@lru_cache(maxsize=2**16)
def _one_spelling(word: str) -> str:
    for pattern, spelt in _BRITISH:
        word = pattern.sub(spelt, word)
    return _SAME_WORD.get(word, word)


def is_weighty(word: str) -> bool:
    """Whether a word of a statement is a number, a negation or about what is true."""
    return word.isdecimal() or word in _WEIGHTY
