"""What a YAML file of kind `compose` may say."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from factcheck.settings import Probability, Settings, Share, TextSource


class SplitSizes(Settings):
    """Rows of each split; a split of no rows is not written."""

    train: int = Field(ge=0)
    val: int = Field(ge=0)
    test: int = Field(ge=0)


class SplitShares(Settings):
    """The half-open range of [0, 1) of which each split takes its texts or photographs."""

    train: Share
    val: Share
    test: Share

    @model_validator(mode="after")
    def _apart(self) -> Self:
        end = 0.0
        for low, high in sorted(self.by_split().values()):
            if low < end or high < low:
                raise ValueError("the shares of the splits overlap or run backwards")
            end = high
        return self

    def by_split(self) -> dict[str, Share]:
        """The ranges by the split's name."""
        return {"train": self.train, "val": self.val, "test": self.test}


class ComposeSettings(Settings):
    """A data set in Factify 2's format, composed from text pairs and photographs.

    Attributes:
        text: Files of text pairs, relative to the data folder.
        photographs: Folders of photographs, relative to the data folder.
        rows: Rows of each split.
        text_shares: Which texts each split may use.
        text_reserved: Texts that no split may use, by what they are kept for. Texts hang together,
            so they are divided with those of the splits (`datasets.text_splits.split_texts`).
        photograph_shares: Which photographs each split may use, in terms of `Photograph.share`.
        sources: The text sources by a name of one's own; rows of other sources are left out.
        sentence_pairs_at_most: Part of the rows that sentence pairs may make up, as far as the
            other sources reach.
        most_overlap: Part of a claim's words, weighted by rarity, that a made insufficient evidence
            may hold; above it the evidence might well say what the claim says.
        padded: Part of the short documents that are set among other evidence of their source.
        missing_image: Probability that a side has no picture, where the label allows it.
        caption: Probability that a picture carries a line of text, which is in its OCR column.
        lookalike: Probability that another picture is one that looks alike.
        long_side: Pixels of the longer side of the pictures, at most.
        quality: Range of the JPEG quality.
        workers: Processes that make pictures; the result does not depend on it.
        seed: Of everything random.
    """

    kind: Literal["compose"] = "compose"
    text: list[Path] = Field(min_length=1)
    photographs: list[Path] = Field(min_length=1)
    rows: SplitSizes
    text_shares: SplitShares
    text_reserved: dict[str, Share] = Field(default_factory=dict)
    photograph_shares: SplitShares
    sources: dict[str, TextSource] = Field(min_length=1)
    sentence_pairs_at_most: Probability = 0.4
    most_overlap: Probability = 0.75
    padded: Probability = 0.3
    missing_image: Probability = 0.05
    caption: Probability = 0.25
    lookalike: Probability = 0.5
    long_side: int = Field(default=256, ge=32, le=4096)
    quality: tuple[int, int] = (80, 92)
    workers: int = Field(default=2, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not 1 <= self.quality[0] <= self.quality[1] <= 100:
            raise ValueError("quality is a range within 1 to 100")
        members = [member for source in self.sources.values() for member in source.members]
        twice = sorted({member for member in members if members.count(member) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} belongs to more than one of the sources")
        strays = sorted(
            {loose for s in self.sources.values() for loose in s.loose if loose not in s.members}
        )
        if strays:
            raise ValueError(f"{', '.join(strays)} is loose but no member of its source")
        return self
