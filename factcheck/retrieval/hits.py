"""What a search of an index finds."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from factcheck.records import Found, Passage
from factcheck.retrieval.metadata_reader import ImageRow, PassageRow


@dataclass(frozen=True)
class ShownPicture:
    """The picture of a document beside the one that was looked for.

    Attributes:
        path: Its file, absolute.
        same: Whether they are the same picture, in whatever size, cut and quality; None where that
            cannot be told.
        matched_places: In how many places they match; None where that was not looked for, because
            their token grids leave no doubt, or the file is gone or shows too little.
    """

    path: str
    same: bool | None
    matched_places: int | None


@dataclass(frozen=True)
class Hit:
    """A passage that a search found.

    Attributes:
        row: Its row, for `EvidenceIndex.passage_vectors`.
        passage: The passage.
        score: Cosine of its vector and the one that the claim is searched with, in [-1, 1]; of a
            claim that is only a picture the cosine of the pictures.
        title: Title of its document.
        url: Address of its document.
        date: Date of its document.
        fused: Its score in reciprocal rank fusion; None where nothing was fused
            (`EvidenceIndex.search_vectors`).
        reranked: How much it has to say (`retrieval.rerank`); None where it was not put in order.
        bearing: Probability that it bears on the claim at all (`encoders.bearing`); None where it
            was not read for that, or nothing tells it.
        channels: What each channel that found it made of it.
        copies: Ids of documents that carry a copy of it and are not listed for that.
        picture: What its document shows, where it was looked for by a picture
            (`EvidenceIndex.search`) and the image channel found it.
    """

    row: int
    passage: Passage
    score: float
    title: str | None = None
    url: str | None = None
    date: str | None = None
    fused: float | None = None
    reranked: float | None = None
    bearing: float | None = None
    channels: dict[str, Found] = field(default_factory=dict)
    copies: tuple[str, ...] = ()
    picture: ShownPicture | None = None

    @classmethod
    def of(cls, row: int, stored: PassageRow, score: float) -> Self:
        """A stored passage that was found with a score."""
        return cls(row, stored.passage, score, stored.title, stored.url, stored.date)

    @property
    def document_id(self) -> str:
        """The document that the passage is from."""
        return self.passage.document_id

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, as JSON holds them."""
        plain = {"document_id": self.document_id, **asdict(self)}
        return {**plain, "copies": list(self.copies)}


@dataclass(frozen=True)
class ImageHit:
    """A document's picture that a search found.

    Attributes:
        row: Its row, for `EvidenceIndex.image_tokens` and `image_vectors`.
        document_id: The document that shows it.
        path: The picture's file, absolute.
        score: Cosine of its pooled vector and the one searched with, in [-1, 1].
        title: Title of the document.
        url: Address of the document.
        date: Date of the document.
    """

    row: int
    document_id: str
    path: str
    score: float
    title: str | None = None
    url: str | None = None
    date: str | None = None

    @classmethod
    def of(cls, row: int, image: ImageRow, score: float) -> Self:
        """A stored picture that was found with a score."""
        return cls(row, image.document_id, image.path, score, image.title, image.url, image.date)

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, as JSON holds them."""
        return asdict(self)
