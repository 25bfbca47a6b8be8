"""Characters that look like others, or are not to be seen."""

import unicodedata

import regex

_BREAK = "\u200b"
_IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}+")


def without_ignorable(text: str) -> str:
    """A text without characters that only say how it is to be shown.

    Soft hyphens, joiners, marks of direction and variation selectors stand within words, and would
    part them: Unicode has a program leave them out where it compares texts (UAX #44,
    Default_Ignorable_Code_Point; UAX #29, rule WB4). The zero width space parts words where a
    script has no other, and becomes a space.
    """
    return text if text.isascii() else _IGNORABLE.sub("", text.replace(_BREAK, " "))


class _Legible(dict[int, str]):
    """What stands for each character; found once, and kept."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kind = unicodedata.decomposition(character).partition(" ")[0]
        found = unicodedata.normalize("NFKC", character) if kind in _FORMS else character
        # A free-standing accent would be a space and an accent on it.
        self[code] = character if found.startswith(" ") else found
        return self[code]


# Ligatures, letters of full or half width, in another face, or shaped by their place in a word.
# Not raised or lowered digits and fractions: ten squared is not 102, nor two and a half 21 halves.
_FORMS = (
    "<compat>",
    "<wide>",
    "<narrow>",
    "<font>",
    "<initial>",
    "<medial>",
    "<final>",
    "<isolated>",
)
_LEGIBLE = _Legible()


def legible(text: str) -> str:
    """A text as models have learnt to read: letters in their usual form.

    Ligatures, as texts taken from PDF files have them, and letters of full width are other
    characters to a tokenizer, which then finds no word that it knows.
    """
    return text if text.isascii() else text.translate(_LEGIBLE)
