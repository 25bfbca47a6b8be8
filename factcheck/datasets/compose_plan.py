"""The plan of a composed split, before any picture is made: labels, photographs and captions."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from PIL import Image

from factcheck.datasets.compose_settings import ComposeSettings
from factcheck.datasets.compose_texts import TextPair
from factcheck.datasets.lookalikes import Lookalikes
from factcheck.datasets.photo_edits import random_caption
from factcheck.datasets.photographs import Photograph
from factcheck.errors import InvalidInputError
from factcheck.records import TEXT_RELATIONS, Label, label_of, same_picture_of


@dataclass(frozen=True)
class PlannedSide:
    """The picture of a claim or of a document.

    Attributes:
        photograph: What it is made from; None when the side has no picture.
        heavy: Whether it has been through several hands, or is all but unchanged.
        caption: Text that is put on it.
    """

    photograph: Photograph | None
    heavy: bool
    caption: str | None


@dataclass(frozen=True)
class PlannedRow:
    """A row to be.

    Attributes:
        index: Its number in the split.
        text: Its texts.
        label: Its label.
        same_picture: Whether both pictures are copies of one photograph; None without two pictures.
        claim: The claim's picture.
        document: The document's picture.
    """

    index: int
    text: TextPair
    label: Label
    same_picture: bool | None
    claim: PlannedSide
    document: PlannedSide


def plan_split(
    settings: ComposeSettings,
    split: str,
    texts: Sequence[TextPair],
    photographs: Sequence[Photograph],
    open_photograph: Callable[[Photograph], Image.Image],
) -> list[PlannedRow]:
    """Give every text pair a label and two pictures.

    Args:
        settings: What to compose.
        split: Name of the split.
        texts: Its text pairs, the relations balanced.
        photographs: The photographs it may use.
        open_photograph: Reads one.

    Returns:
        A row for each pair, in the same order.

    Raises:
        InvalidInputError: There are fewer than two photographs.
    """
    if len(photographs) < 2:
        raise InvalidInputError(
            f"{', '.join(map(str, settings.photographs))}: the split {split} needs two photographs "
            f"or more, and {len(photographs)} lie in its share"
        )
    rng = Random(f"{settings.seed}/{split}/pictures")
    deck = _Deck(photographs, Lookalikes(photographs, open_photograph), settings.lookalike, rng)
    rows = []
    for index, (pair, same) in enumerate(zip(texts, _same_pictures(texts), strict=True)):
        label = label_of(pair.relation, same)
        one, other = deck.draw(same)
        # A multimodal label promises two pictures. The others lose theirs alike, refuted rows too.
        may_miss = same_picture_of(label) is not True
        missing = [rng.random() < settings.missing_image and may_miss for _ in range(2)]
        heavy_claim = rng.random() < 0.5
        captions = [
            _caption(text, rng) if rng.random() < settings.caption else None
            for text in (pair.claim, pair.document)
        ]
        rows.append(
            PlannedRow(
                index=index,
                text=pair,
                label=label,
                same_picture=None if any(missing) else same,
                claim=PlannedSide(
                    None if missing[0] else one,
                    heavy_claim,
                    None if missing[0] else captions[0],
                ),
                document=PlannedSide(
                    None if missing[1] else other,
                    not heavy_claim,
                    None if missing[1] else captions[1],
                ),
            )
        )
    return rows


def _same_pictures(texts: Sequence[TextPair]) -> list[bool]:
    """Half of each relation, and of each source within it: every other pair, by source."""
    same = [False] * len(texts)
    for relation in TEXT_RELATIONS:
        places = [place for place, pair in enumerate(texts) if pair.relation is relation]
        places.sort(key=lambda place: texts[place].source)
        # Of an odd number the label that `label_quotas` gives one more: the text label.
        for turn, place in enumerate(places):
            same[place] = turn % 2 == 1
    return same


class _Deck:
    """Photographs in random order, every one once before any comes again."""

    def __init__(
        self, photographs: Sequence[Photograph], alike: Lookalikes, lookalike: float, rng: Random
    ) -> None:
        self._photographs = list(photographs)
        self._alike = alike
        self._lookalike = lookalike
        self._rng = rng
        self._left: list[Photograph] = []
        folders: dict[str, list[Photograph]] = {}
        for photo in photographs:
            folders.setdefault(str(photo.path.parent), []).append(photo)
        self._folders = folders

    def draw(self, same: bool) -> tuple[Photograph, Photograph]:
        """One photograph twice, or two photographs."""
        if not self._left:
            self._left = self._rng.sample(self._photographs, len(self._photographs))
        first = self._left.pop()
        if same:
            return first, first
        second = self._another(first)
        # Photographs that look like many others come up more often; on neither side, though.
        return (first, second) if self._rng.random() < 0.5 else (second, first)

    def _another(self, first: Photograph) -> Photograph:
        if self._rng.random() < self._lookalike:
            return self._alike.near(first, self._rng)
        # Of the same folder: a news picture beside a holiday picture would be too easy.
        folder = self._folders[str(first.path.parent)]
        others = folder if len(folder) > 1 else self._photographs
        while (second := self._rng.choice(others)) is first:
            pass
        return second


def _caption(text: str, rng: Random) -> str:
    """A few words of a text, or words of no meaning."""
    words = text.split()
    count = rng.randint(3, 7)
    if rng.random() < 0.5 and words:
        start = rng.randint(0, max(0, len(words) - count))
        caption = " ".join(words[start : start + count])
        # The font that Pillow carries has Latin letters only.
        if re.fullmatch(r"[ -~]{4,80}", caption):
            return caption
    return random_caption(rng, count)
