"""Other texts around a piece of evidence, as in an article, where little is about the claim."""

import re
from collections.abc import Mapping, Sequence
from random import Random

from factcheck.datasets.text_relations import TextRelationRow
from factcheck.datasets.text_splits import normalise

_MOST_FILLERS = 4
_FILLER_CHARACTERS = 350
_FILLER_OVERLAP = 0.3

# Texts looked at for each that is wanted, and for those that are like the evidence in all.
_TRIED_EACH = 6
_TRIED_NEAR = 60


def clean(text: str) -> str:
    """A text on one line, without the marks that would name the source it is from."""
    # ANLI marks line ends as HTML, and WiCE the title of a page.
    text = re.sub(r"(?i)<br ?/?>|\(meta data\) TITLE:", " ", text)
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split())


class Fillers:
    """The evidence texts of a source, to stand around a piece of evidence.

    Args:
        rows: The rows of the source.
        attached: The evidence of each claim anywhere (`insufficient.attached_evidence`), none of
            which stands around it.
    """

    def __init__(
        self, rows: Sequence[TextRelationRow], attached: Mapping[str, Sequence[str]]
    ) -> None:
        self._texts = list(dict.fromkeys(row.evidence_text for row in rows))
        self._words: dict[str, set[str]] = {}
        self._attached = attached

    def surround(
        self, row: TextRelationRow, document: str, rng: Random, near: bool = False
    ) -> tuple[str, int]:
        """A document with up to four texts around it that share few words with a row's claim.

        Args:
            row: Claim and evidence.
            document: The evidence as it is to be read.
            rng: Generator.
            near: Whether to look for texts that share many words with the evidence, as the rest of
                an article does; any text without it.

        Returns:
            The document, and how many texts stand around the evidence in it.
        """
        count = rng.randint(1, _MOST_FILLERS)
        around = self._draw(row, count, rng, near)
        place = rng.randint(0, len(around))
        return " ".join([*around[:place], document, *around[place:]]), len(around)

    def _draw(self, row: TextRelationRow, count: int, rng: Random, near: bool) -> list[str]:
        claim = normalise(row.claim)
        words = _telling(claim)
        own = {row.evidence_text, *self._attached.get(claim, ())}
        tried = _TRIED_NEAR if near else _TRIED_EACH * count
        texts = rng.sample(self._texts, min(len(self._texts), tried))
        if near:
            evidence = _telling(normalise(row.evidence_text))
            texts.sort(key=lambda text: len(evidence & self._telling_of(text)), reverse=True)
        found: list[str] = []
        for text in texts:
            if len(found) == count:
                break
            shared = len(words & self._telling_of(text))
            if text not in own and shared <= _FILLER_OVERLAP * len(words):
                found.append(_cut(clean(text)))
        return found

    def _telling_of(self, text: str) -> set[str]:
        if text not in self._words:
            self._words[text] = _telling(normalise(text))
        return self._words[text]


def _telling(text: str) -> set[str]:
    """The longer words of a normalised text; the short ones are in every text."""
    return {word for word in text.split() if len(word) > 3}


def _cut(text: str) -> str:
    """The first sentences of a text, at most `_FILLER_CHARACTERS` long as far as they end."""
    if len(text) <= _FILLER_CHARACTERS:
        return text
    ends = [match.end() for match in re.finditer(r"[.!?](?=\s)", text)]
    fitting = [end for end in ends if end <= _FILLER_CHARACTERS]
    return text[: fitting[-1]] if fitting else text[:_FILLER_CHARACTERS].rsplit(" ", 1)[0]
