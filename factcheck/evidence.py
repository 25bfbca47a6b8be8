"""Evidence selection: which passages and pictures a verdict rests on, laid out for the fusion head.

Evidence is either given (`given_evidence`: the passages of one document that are most like the
claim, and its picture) or found (`found_evidence`: passages by text and pictures by picture, from
an index). Both end in the same arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from factcheck.encoders import Encoders
from factcheck.encoders.encoders import PictureEncodings
from factcheck.errors import InvalidInputError
from factcheck.fusion.inputs import FusionInputs, PassageVectors, best_first
from factcheck.pictures import read_bytes
from factcheck.records import (
    CitedImage,
    CitedPassage,
    Claim,
    Document,
    Evidence,
    is_storable,
)
from factcheck.retrieval import (
    Hit,
    ImageHit,
    Query,
    Reranker,
    SourcePolicy,
    picture_fingerprint,
    split_passages,
)
from factcheck.settings import PassageSettings, SearchSettings

if TYPE_CHECKING:
    from factcheck.encoders.ocr import OcrReader
    from factcheck.retrieval import EvidenceIndex

MAX_CLAIM_CHARACTERS = 10_000
"""A claim longer than this is refused: it is a document.

Much shorter ones are cut already where they are read beside a passage; a warning says how far."""

IMAGES_ELSEWHERE = 3
"""How many pictures of other documents are looked at for a claim's picture."""


@dataclass(frozen=True)
class Reading:
    """How claims and evidence are read.

    Attributes:
        encoders: What encodes texts and pictures.
        passages: How documents are cut.
        count: Passages the head reads, K.
        ocr: Reads the text in pictures whose OCR text is not given; None leaves it absent.
        strict: Make an unreadable picture an error instead of a warning.
        search: How an index is searched.
        policy: Which of its documents may be found.
    """

    encoders: Encoders
    passages: PassageSettings
    count: int
    ocr: OcrReader | None = None
    strict: bool = False
    search: SearchSettings = field(default_factory=SearchSettings)
    policy: SourcePolicy = field(default_factory=SourcePolicy)


@dataclass(frozen=True)
class EncodedEvidence:
    """Claims with their evidence, ready for the head.

    A claim whose picture is to be compared with several has several rows, one for each.

    Attributes:
        inputs: R rows of encodings.
        claims: (R,) the claim of each row, rising; each claim has at least one row.
        evidence: R pieces of evidence; `image.same_picture` is yet to be filled in.
    """

    inputs: FusionInputs
    claims: np.ndarray
    evidence: list[Evidence]


def given_evidence(
    reading: Reading,
    pairs: Sequence[tuple[Claim, Document]],
    on_progress: Callable[[int], None] | None = None,
) -> EncodedEvidence:
    """Encode claims with the documents that are given as their evidence.

    Args:
        reading: How to read them.
        pairs: N claims with their documents.
        on_progress: Called with the number of texts and pictures encoded since the last call.

    Returns:
        N rows, in order.

    Raises:
        InvalidInputError: A claim or a document is empty or not UTF-8, a claim is too long, or
            (strict) a picture cannot be read.
        MissingResourceError: (strict) A picture is not there.
    """
    claims = [claim for claim, _ in pairs]
    documents = [document for _, document in pairs]
    check_claims(claims, wordless=True)
    for document in documents:
        _require_utf8(document.text, f"document {document.id}: its text")
        _require_utf8(document.ocr, f"document {document.id}: the text in its picture")
    cut = [
        split_passages(d, reading.passages.max_characters, reading.passages.overlap_sentences)
        for d in documents
    ]
    for document, passages in zip(documents, cut, strict=True):
        if not passages:
            raise InvalidInputError(f"document {document.id}: its text is empty")
    claim_texts = [claim.text for claim in claims]
    passage_texts = [passage.text for passages in cut for passage in passages]
    vectors = reading.encoders.texts([*claim_texts, *passage_texts], on_progress)
    claim_vectors, passage_vectors = vectors[: len(claims)], vectors[len(claims) :]
    ends = np.cumsum([len(passages) for passages in cut])
    chosen, cited = [], []
    for document, passages, claim_vector, end in zip(
        documents, cut, claim_vectors, ends, strict=True
    ):
        own = passage_vectors[end - len(passages) : end]
        best = best_first(claim_vector, own, reading.count)
        chosen.append(PassageVectors([passages[i].text for i in best], own[best]))
        cited.append(
            tuple(
                CitedPassage(
                    passages[i],
                    float(own[i] @ claim_vector),
                    document.title,
                    document.url,
                    document.date,
                )
                for i in best
            )
        )
    paths = [claim.image for claim in claims] + [document.image for document in documents]
    pictures = reading.encoders.pictures(paths, on_progress)
    warnings = _picture_warnings(pictures, paths, len(claims), reading.strict)
    _warn_of_long_claims(reading, claim_texts, chosen, warnings)
    claim_rows, document_rows = pictures.rows[: len(claims)], pictures.rows[len(claims) :]
    inputs = FusionInputs.assemble(
        reading.encoders,
        claim_texts,
        claim_vectors,
        chosen,
        [
            _ocr_text(reading, c.ocr, c.image, row)
            for c, row in zip(claims, claim_rows, strict=True)
        ],
        [
            _ocr_text(reading, d.ocr, d.image, row)
            for d, row in zip(documents, document_rows, strict=True)
        ],
        claim_rows,
        document_rows,
        pictures.tokens,
        reading.count,
    )
    evidence = []
    for i, document in enumerate(documents):
        image = None
        if claim_rows[i] >= 0 and document_rows[i] >= 0:
            score = float(pictures.pooled[claim_rows[i]] @ pictures.pooled[document_rows[i]])
            image = CitedImage(
                document.id,
                str(document.image),
                score,
                title=document.title,
                url=document.url,
                date=document.date,
            )
        evidence.append(Evidence(cited[i], image, (), tuple(warnings[i])))
    rows = np.arange(len(pairs))
    return EncodedEvidence(inputs, rows, evidence)


def found_evidence(
    reading: Reading, claims: Sequence[Claim], index: EvidenceIndex, first: int = 1
) -> EncodedEvidence:
    """Encode claims with the evidence that an index holds for them.

    Passages are found by meaning, by words and by picture (`retrieval.search`). A claim's picture
    is put beside that of the leading document, which the best passage is from, and beside those
    most like it in the rest of the index: a row each, the leading document's first, even without a
    picture. A claim without a picture has one row.

    Args:
        reading: How to read them.
        claims: N claims.
        index: Where to look, built with the same encoders.
        first: Number of the first claim, for messages: they may be a part of many.

    Returns:
        At least N rows, those of a claim together.

    Raises:
        InvalidInputError: A claim is empty, too long or not UTF-8, (strict) a picture cannot be
            read, or nothing in the index may be found.
        MissingResourceError: (strict) A picture is not there.
    """
    check_claims(claims, first)
    if not index.may_find(reading.policy):
        raise InvalidInputError(
            f"{index.folder}: no document is left to look at: all are blocked, or came too late"
        )
    texts = [claim.text.strip() for claim in claims]
    vectors = reading.encoders.texts(texts)
    paths = [claim.image for claim in claims]
    pictures = reading.encoders.pictures(paths)
    warnings = _picture_warnings(pictures, paths, len(claims), reading.strict)
    queries = [
        Query(
            text,
            vector,
            None if row < 0 else pictures.tokens[row],
            picture_fingerprint(claim.image) if row >= 0 and claim.image is not None else None,
        )
        for claim, text, vector, row in zip(claims, texts, vectors, pictures.rows, strict=True)
    ]
    reranker = Reranker.of(reading.encoders)
    hits = index.search_queries(queries, reading.count, reading.search, reading.policy, reranker)
    for number, found in enumerate(hits, start=first):
        if not found:
            # The dense channel always finds something; the others need not.
            raise InvalidInputError(
                f"claim {number}: nothing was found by {', '.join(reading.search.channels)}; let "
                "the dense channel look too"
            )
    chosen = [
        PassageVectors(
            [hit.passage.text for hit in found],
            index.passage_vectors([hit.row for hit in found]),
        )
        for found in hits
    ]
    _warn_of_long_claims(reading, texts, chosen, warnings)
    places: list[int] = []
    shown: list[ImageHit | None] = []
    for place, (found, row) in enumerate(zip(hits, pictures.rows, strict=True)):
        beside: list[ImageHit | None] = [None]
        if row >= 0:
            beside = _pictures_beside(
                index, found[0].document_id, pictures.pooled[row], reading.policy
            )
        shown += beside
        places += [place] * len(beside)
    image_rows = sorted({image.row for image in shown if image is not None})
    grids = np.concatenate([pictures.tokens, index.image_tokens(image_rows)])
    grid_of = {row: len(pictures.tokens) + i for i, row in enumerate(image_rows)}
    inputs = FusionInputs.assemble(
        reading.encoders,
        [texts[place] for place in places],
        vectors[places],
        [chosen[place] for place in places],
        [
            _ocr_text(reading, claims[place].ocr, claims[place].image, pictures.rows[place])
            for place in places
        ],
        [
            _evidence_ocr(index, hits[place][0].document_id if image is None else image.document_id)
            for place, image in zip(places, shown, strict=True)
        ],
        pictures.rows[places],
        np.array([-1 if image is None else grid_of[image.row] for image in shown]),
        grids,
        reading.count,
    )
    evidence = [
        Evidence(
            tuple(map(_cited_passage, hits[place])),
            None if image is None else _cited_image(image),
            (),
            tuple(warnings[place]),
        )
        for place, image in zip(places, shown, strict=True)
    ]
    return EncodedEvidence(inputs, np.array(places), evidence)


def _pictures_beside(
    index: EvidenceIndex, leading: str, picture: np.ndarray, policy: SourcePolicy
) -> list[ImageHit | None]:
    """The leading document's picture, None without one, and others' most like the claim's."""
    stored = index.images_of([leading])
    scores = index.image_vectors([row for row, _ in stored]) @ picture
    own = [
        ImageHit.of(row, image, float(score))
        for (row, image), score in zip(stored, scores, strict=True)
    ]
    [found] = index.search_images(picture[None], IMAGES_ELSEWHERE + len(own), policy)
    others = [image for image in found if image.document_id != leading]
    return [own[0] if own else None, *others[:IMAGES_ELSEWHERE]]


def _cited_passage(hit: Hit) -> CitedPassage:
    return CitedPassage(
        hit.passage,
        hit.score,
        hit.title,
        hit.url,
        hit.date,
        channels=hit.channels,
        copies=hit.copies,
    )


def _cited_image(image: ImageHit) -> CitedImage:
    return CitedImage(
        image.document_id,
        image.path,
        image.score,
        title=image.title,
        url=image.url,
        date=image.date,
    )


def _evidence_ocr(index: EvidenceIndex, document_id: str) -> str | None:
    return index.document(document_id).ocr


def check_claims(claims: Sequence[Claim], first: int = 1, wordless: bool = False) -> None:
    """Refuse claims that cannot be checked.

    Args:
        claims: The claims.
        first: Number of the first one.
        wordless: Let claims pass that have no letter and no digit. Data sets have such rows, and
            each row is to get a label; asked by a person, nothing can be said of them.

    Raises:
        InvalidInputError: A claim is empty, longer than `MAX_CLAIM_CHARACTERS` or not UTF-8; of
            several its number is named.
    """
    for number, claim in enumerate(claims, start=first):
        name = "the claim" if len(claims) == 1 else f"claim {number}"
        text = claim.text.strip()
        if not text or not (wordless or any(map(str.isalnum, text))):
            raise InvalidInputError(f"{name} is empty")
        if len(claim.text) > MAX_CLAIM_CHARACTERS:
            raise InvalidInputError(
                f"{name} has {len(claim.text):,} characters, more than the "
                f"{MAX_CLAIM_CHARACTERS:,} allowed"
            )
        _require_utf8(claim.text, name)
        _require_utf8(claim.ocr, f"{name}: the text in its picture")


def _require_utf8(text: str | None, name: str) -> None:
    """Refuse a text that cannot be encoded."""
    if not is_storable(text or ""):
        raise InvalidInputError(f"{name} is not UTF-8")


def _picture_warnings(
    pictures: PictureEncodings, paths: Sequence[str | Path | None], claims: int, strict: bool
) -> list[list[str]]:
    """What to tell of each claim: its own picture's problem and its document's, or an error."""
    warnings: list[list[str]] = [[] for _ in range(claims)]
    for place, problem in pictures.problems.items():
        path = paths[place]
        if strict and path is not None:
            # Its own error says whether the file is missing or bad, which the sentence does not.
            read_bytes(path)
            raise InvalidInputError(problem)
        side = "claim" if place < claims else "evidence"
        warnings[place % claims].append(f"{problem}; the {side} is read without a picture")
    return warnings


def _warn_of_long_claims(
    reading: Reading,
    claims: Sequence[str],
    chosen: Sequence[PassageVectors],
    warnings: Sequence[list[str]],
) -> None:
    """Add to the warnings of each claim how far it was read, where that is not to its end."""
    relation = reading.encoders.relation
    if relation is None:
        return
    for claim, own, told in zip(claims, chosen, warnings, strict=True):
        end = relation.claim_read(claim, own.texts)
        if end is not None:
            words = len(claim[:end].split())
            # Not every script puts spaces between words.
            read = f"{words} words" if end < 20 * words else f"{end} characters"
            told.append(
                f"only about the first {read} of the claim were read; check its sentences one by "
                "one"
            )


def _ocr_text(reading: Reading, given: str | None, image: object, row: int) -> str | None:
    """The text in a picture: as given, else as read, if reading is on and the picture is good."""
    if given is not None or reading.ocr is None or row < 0:
        return given
    return reading.ocr.read(str(image))
