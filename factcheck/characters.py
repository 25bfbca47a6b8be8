"""Characters that look like others, or are not to be seen."""

import unicodedata

import regex

_BREAK = "\u200b"
_IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}+")


def visible(text: str) -> str:
    """A text without characters that only say how it is to be shown.

    Soft hyphens, joiners, marks of direction and variation selectors stand within words, and would
    part them: Unicode has a program leave them out where it compares texts (UAX #44,
    Default_Ignorable_Code_Point; UAX #29, rule WB4). The zero width space parts words where a
    script has no other, and becomes a space.
    """
    return text if text.isascii() else _IGNORABLE.sub("", text.replace(_BREAK, " "))


def legible(text: str) -> str:
    """A text as models have learnt to read: one form of each character (NFKC).

    Ligatures, as texts taken from PDF files have them, and letters of full width are other
    characters to a tokenizer, which then finds no word that it knows.
    """
    return text if text.isascii() else unicodedata.normalize("NFKC", text)
