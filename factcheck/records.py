"""The nouns: claims, documents, passages, evidence and verdicts, and the labels with their factors.

A label of Factify 2 (arXiv:2304.03897) is a text relation and an image relation, with a refuted
text overriding the image:

| text relation | same picture | label |
| --- | --- | --- |
| support | yes | Support_Multimodal |
| support | no | Support_Text |
| insufficient | yes | Insufficient_Multimodal |
| insufficient | no | Insufficient_Text |
| refute | either | Refute |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self, TypeVar

T = TypeVar("T")

MAX_CLAIM_CHARACTERS = 10_000
"""A claim longer than this is refused: it is a document.

Much shorter ones are cut already where they are read beside a passage; a warning says how far."""


def is_storable(text: str) -> bool:
    """Whether a text can be encoded: Python and JSON can hold halves of surrogate pairs.

    Bytes of a command line that are not UTF-8 become such, and no later step could write or hash
    them.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Label(StrEnum):
    """How well the evidence supports a claim, as Factify 2 names it."""

    SUPPORT_TEXT = "Support_Text"
    SUPPORT_MULTIMODAL = "Support_Multimodal"
    INSUFFICIENT_TEXT = "Insufficient_Text"
    INSUFFICIENT_MULTIMODAL = "Insufficient_Multimodal"
    REFUTE = "Refute"


class TextRelation(StrEnum):
    """What the evidence text says of the claim text."""

    SUPPORT = "support"
    INSUFFICIENT = "insufficient"
    REFUTE = "refute"


LABELS: tuple[Label, ...] = tuple(Label)
TEXT_RELATIONS: tuple[TextRelation, ...] = tuple(TextRelation)


def label_of(relation: TextRelation, same_picture: bool) -> Label:
    """The label that follows from a text relation and an image relation."""
    if relation is TextRelation.REFUTE:
        return Label.REFUTE
    if relation is TextRelation.SUPPORT:
        return Label.SUPPORT_MULTIMODAL if same_picture else Label.SUPPORT_TEXT
    return Label.INSUFFICIENT_MULTIMODAL if same_picture else Label.INSUFFICIENT_TEXT


def text_relation_of(label: Label) -> TextRelation:
    """The text relation of a label."""
    if label is Label.REFUTE:
        return TextRelation.REFUTE
    if label in (Label.SUPPORT_TEXT, Label.SUPPORT_MULTIMODAL):
        return TextRelation.SUPPORT
    return TextRelation.INSUFFICIENT


def same_picture_of(label: Label) -> bool | None:
    """Whether a label says that both sides show the same picture; Refute does not say (None)."""
    if label is Label.REFUTE:
        return None
    return label in (Label.SUPPORT_MULTIMODAL, Label.INSUFFICIENT_MULTIMODAL)


def label_probabilities(
    text_relation: dict[TextRelation, float], same_picture: float | None
) -> dict[Label, float]:
    """Probabilities of the five labels from those of the two factors, taken as independent.

    Args:
        text_relation: Probability of each text relation; they sum to one.
        same_picture: Probability that both sides show the same picture; None without two pictures,
            when a multimodal label has probability zero.
    """
    same = 0.0 if same_picture is None else same_picture
    support = text_relation[TextRelation.SUPPORT]
    insufficient = text_relation[TextRelation.INSUFFICIENT]
    return {
        Label.SUPPORT_TEXT: support * (1 - same),
        Label.SUPPORT_MULTIMODAL: support * same,
        Label.INSUFFICIENT_TEXT: insufficient * (1 - same),
        Label.INSUFFICIENT_MULTIMODAL: insufficient * same,
        Label.REFUTE: text_relation[TextRelation.REFUTE],
    }


@dataclass(frozen=True)
class Claim:
    """What is to be checked.

    Attributes:
        text: The claim in words; not empty.
        image: Path of the picture that goes with it.
        ocr: Text found in that picture, where it is known.
    """

    text: str
    image: str | Path | None = None
    ocr: str | None = None


@dataclass(frozen=True)
class Document:
    """A piece of evidence as it was published.

    Attributes:
        id: Unique in its corpus.
        text: The whole text.
        title: Headline.
        url: Where it was published; shown, never a feature.
        date: Date of publication, ISO 8601 (YYYY-MM-DD).
        image: Path of its picture.
        ocr: Text found in that picture, where it is known.
    """

    id: str
    text: str
    title: str | None = None
    url: str | None = None
    date: str | None = None
    image: str | Path | None = None
    ocr: str | None = None


@dataclass(frozen=True)
class Passage:
    """A run of sentences of a document.

    Attributes:
        document_id: The document it is from.
        start: Offset of its first character in the document's text.
        end: Offset one past its last character; `text == document.text[start:end]`.
        text: The words themselves.
    """

    document_id: str
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Found:
    """What one channel of an index made of a passage.

    Attributes:
        rank: Its place among what the channel found, from 1.
        score: By the channel's own measure: a cosine, or a BM25 score.
    """

    rank: int
    score: float


BEARS = 0.5
"""From this probability on something that was found is taken to bear on the claim."""


@dataclass(frozen=True)
class CitedPassage:
    """A passage that a verdict rests on, with what a reader needs to find it.

    Attributes:
        passage: The passage.
        score: Cosine of claim and passage vectors, in [-1, 1]; where it was found in an index, of
            the vector that the claim was searched with.
        title: Title of its document.
        url: Address of its document.
        date: Date of its document.
        relation: Probability of what this passage says of the claim, taken by itself; None where no
            text relation encoder read it.
        weight: How much it counts among the passages in the text relation encoder's reading, in
            [0, 1]; None likewise.
        bearing: Probability that it bears on the claim at all (`encoders.bearing`); None where the
            evidence was given, or nothing tells it.
        channels: Which channels of the index found it; none where the evidence was given.
        copies: Ids of documents that carry a copy of it and are not cited for that.
    """

    passage: Passage
    score: float
    title: str | None = None
    url: str | None = None
    date: str | None = None
    relation: dict[TextRelation, float] | None = None
    weight: float | None = None
    bearing: float | None = None
    channels: dict[str, Found] = field(default_factory=dict)
    copies: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `dataclasses.asdict`, from plain types."""
        relation = data.get("relation")
        return cls(
            **{
                **data,
                "passage": Passage(**data["passage"]),
                "relation": None
                if relation is None
                else {TextRelation(name): float(value) for name, value in relation.items()},
                "channels": {
                    name: Found(**found) for name, found in data.get("channels", {}).items()
                },
                "copies": tuple(data.get("copies", ())),
            }
        )


@dataclass(frozen=True)
class CitedImage:
    """A picture of the evidence beside the claim's.

    Attributes:
        document_id: The document that shows it.
        path: The picture's file.
        score: Cosine of the pooled image vectors, in [-1, 1].
        same_picture: Probability that it is the same picture as the claim's.
        matched_places: In how many places it matches the claim's (`encoders.local_features`); None
            where token grids left no doubt, a file was not there, or a picture shows too little.
        title: Title of its document.
        url: Address of its document.
        date: Date of its document.
    """

    document_id: str
    path: str
    score: float
    same_picture: float | None = None
    title: str | None = None
    url: str | None = None
    date: str | None = None
    matched_places: int | None = None


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on.

    Attributes:
        passages: Passages used, most similar first.
        image: The picture that was compared with the claim's: that of the leading document, which
            the first passage is from. None when the claim or that document has no picture.
        elsewhere: Pictures of other documents in the index that are the same as the claim's, oldest
            first and undated last: where else the picture was seen. They do not enter the label.
        warnings: What was missing or could not be read, one sentence each.
        more_elsewhere: How many more there are elsewhere than are listed; those that were not
            compared are counted by their fingerprints.
        bearing: Probability that any of the passages bears on the claim; None where the evidence
            was given, or nothing tells it. What does not bear on a claim is insufficient: the text
            relation has that in it.
    """

    passages: tuple[CitedPassage, ...] = ()
    image: CitedImage | None = None
    elsewhere: tuple[CitedImage, ...] = ()
    warnings: tuple[str, ...] = ()
    more_elsewhere: int = 0
    bearing: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, as JSON holds them."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(
            passages=tuple(CitedPassage.from_dict(cited) for cited in data["passages"]),
            image=None if data["image"] is None else CitedImage(**data["image"]),
            elsewhere=tuple(CitedImage(**image) for image in data["elsewhere"]),
            warnings=tuple(data["warnings"]),
            more_elsewhere=data.get("more_elsewhere", 0),
            bearing=data.get("bearing"),
        )


@dataclass(frozen=True)
class Decision:
    """Whether a label is given at a requested error rate (`fusion.abstention`).

    Attributes:
        max_error: The error rate asked for.
        answered: Whether the label is given; else the answer is "cannot tell".
        threshold: Confidence that a label must exceed to be given; None where no label may be.
        possible_labels: Labels that may be the true one, at the same error rate; never none.
        error_among_answered: Estimated share of wrong labels among those that are given at this
            rate, which is not promised and higher than `max_error`; None where none is given.
    """

    max_error: float
    answered: bool
    threshold: float | None
    possible_labels: tuple[Label, ...]
    error_among_answered: float | None = None

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `dataclasses.asdict`, from plain types."""
        return cls(**{**data, "possible_labels": tuple(map(Label, data["possible_labels"]))})


@dataclass(frozen=True)
class Removal:
    """What becomes of a verdict when something is taken away from its evidence.

    Attributes:
        removed: What is taken away, in words.
        probability: Probability that is left to the verdict's label.
        label: Label that is then the most probable.
    """

    removed: str
    probability: float
    label: Label


@dataclass(frozen=True)
class KeySentence:
    """The sentence without which the verdict's label loses most.

    Attributes:
        document_id: The document it is from.
        start: Offset of its first character in the document's text.
        end: Offset one past its last character.
        text: Its words.
        removal: What becomes of the verdict without it.
    """

    document_id: str
    start: int
    end: int
    text: str
    removal: Removal


@dataclass(frozen=True)
class Explanation:
    """Why a verdict is what it is: measured by taking evidence away and asking again.

    Attributes:
        sentence: The sentence that mattered most; None where the evidence is a single one.
        removals: Each passage in order of the evidence, unless there is only one; then the two
            pictures together, and the texts in them, where there are any.
        disagreements: Numbers of two passages, from 1, of which the first by itself supports the
            claim and the second by itself contradicts it.
        missing: What the verdict had to do without, a sentence each.
    """

    sentence: KeySentence | None
    removals: tuple[Removal, ...]
    disagreements: tuple[tuple[int, int], ...]
    missing: tuple[str, ...]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `dataclasses.asdict`, from plain types."""
        sentence = data["sentence"]
        if sentence is not None:
            sentence = KeySentence(**{**sentence, "removal": _removal(sentence["removal"])})
        return cls(
            sentence=sentence,
            removals=tuple(map(_removal, data["removals"])),
            disagreements=tuple((int(one), int(other)) for one, other in data["disagreements"]),
            missing=tuple(data["missing"]),
        )


def _removal(data: dict[str, Any]) -> Removal:
    return Removal(**{**data, "label": Label(data["label"])})


@dataclass(frozen=True)
class Search:
    """How the evidence of a verdict was looked for.

    Attributes:
        channels: The channels that looked.
        reranked: Passages that were put in order by how much they have to say; 0 for none.
        as_of: Day after which nothing may have been published; None without such a day.
        undated: What became of documents without a date where there is such a day: "drop" or
            "keep".
        blocked: Name of the list of domains that were kept out; None without one.
        blocked_sha256: Hash of that list.
        reranker_sha256: Hash of what put passages in order; None where nothing did.
        query_sha256: Hash of what gave claims the vectors that were searched with; None where that
            was the text encoder alone.
        bearing_sha256: Hash of what tells whether passages bear on the claim; None where nothing
            does.
    """

    channels: tuple[str, ...]
    reranked: int
    as_of: str | None = None
    undated: str = "drop"
    blocked: str | None = None
    blocked_sha256: str | None = None
    reranker_sha256: str | None = None
    query_sha256: str | None = None
    bearing_sha256: str | None = None

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `dataclasses.asdict`, from plain types."""
        return cls(**{**data, "channels": tuple(data["channels"])})


@dataclass(frozen=True)
class Verdict:
    """What the evidence says of a claim, how sure that is, and what it rests on.

    Attributes:
        label: The most probable label.
        probabilities: Calibrated probability of each label; they sum to one and follow from the two
            factors below (`label_probabilities`).
        text_relation: Probability of each text relation.
        image_relation: Probability that claim and evidence show the same picture; None without two
            pictures.
        evidence: What was used.
        model: Hash of the checkpoint (fusion head, encoders and calibration) that gave the verdict.
        index: Hash of the index that the evidence came from; None when the evidence was given.
        decision: Whether the label is given at the error rate asked for; None where none was.
        explanation: Why the verdict is what it is; None where that was not asked for.
        search: How the evidence was looked for; None when it was given.
    """

    label: Label
    probabilities: dict[Label, float]
    text_relation: dict[TextRelation, float]
    image_relation: float | None
    evidence: Evidence = field(default_factory=Evidence)
    model: str = ""
    index: str | None = None
    decision: Decision | None = None
    explanation: Explanation | None = None
    search: Search | None = None

    @classmethod
    def from_factors(
        cls,
        text_relation: dict[TextRelation, float],
        image_relation: float | None,
        evidence: Evidence,
        model: str,
        index: str | None = None,
    ) -> Self:
        """The verdict that follows from the two factors."""
        probabilities = label_probabilities(text_relation, image_relation)
        label = max(probabilities, key=probabilities.__getitem__)
        return cls(label, probabilities, text_relation, image_relation, evidence, model, index)

    @property
    def confidence(self) -> float:
        """Probability of the label."""
        return self.probabilities[self.label]

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, as JSON holds them."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(
            label=Label(data["label"]),
            probabilities={Label(k): float(v) for k, v in data["probabilities"].items()},
            text_relation={TextRelation(k): float(v) for k, v in data["text_relation"].items()},
            image_relation=data["image_relation"],
            evidence=Evidence.from_dict(data["evidence"]),
            model=data["model"],
            index=data["index"],
            decision=_optional(Decision.from_dict, data.get("decision")),
            explanation=_optional(Explanation.from_dict, data.get("explanation")),
            search=_optional(Search.from_dict, data.get("search")),
        )


def _optional(read: Callable[[dict[str, Any]], T], data: dict[str, Any] | None) -> T | None:
    return None if data is None else read(data)


def _plain(value: Any) -> Any:
    """`value` with tuples as lists, enumerations and paths as strings."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (StrEnum, Path)):
        return str(value)
    return value
