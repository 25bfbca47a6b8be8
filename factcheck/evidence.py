"""Evidence selection: which passages and pictures a verdict rests on, laid out for the fusion head.

Evidence is either given (`given_evidence`: the passages of one document that are most like the
claim, and its picture) or found in an index (`found_evidence`). Both end in the same arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from factcheck.characters import legible
from factcheck.claim_checks import check_claims, require_utf8
from factcheck.encoders import Encoders
from factcheck.encoders.encoders import PictureEncodings
from factcheck.encoders.picture_pairs import (
    DOUBTFUL,
    PictureFile,
    compare_pictures,
    doubtful_pairs,
)
from factcheck.encoders.relation_reach import claim_read, passages_read, spelt_out
from factcheck.errors import InvalidInputError
from factcheck.fusion.inputs import FusionInputs, PassageVectors, best_first
from factcheck.pictures import read_bytes
from factcheck.records import CitedImage, CitedPassage, Claim, Document, Evidence
from factcheck.retrieval import SourcePolicy, split_passages
from factcheck.settings import PassageSettings, SearchSettings

if TYPE_CHECKING:
    from factcheck.encoders.ocr import OcrReader

_PAIRS_AT_ONCE = 256
# English has a share of letters that are read one by one of a few hundredths, other languages in
# Latin letters up to a quarter.
_UNKNOWN = 0.6


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

    Attributes:
        inputs: N rows of encodings, one for each claim.
        evidence: N pieces of evidence; `image.same_picture` is yet to be filled in.
    """

    inputs: FusionInputs
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
        require_utf8(document.text, f"document {document.id}: its text")
        require_utf8(document.ocr, f"document {document.id}: the text in its picture")
    cut = [
        split_passages(d, reading.passages.max_characters, reading.passages.overlap_sentences)
        for d in documents
    ]
    for document, passages in zip(documents, cut, strict=True):
        if not passages:
            raise InvalidInputError(f"document {document.id}: its text is empty")
    claim_texts = [claim.text.strip() for claim in claims]
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
    warnings = picture_warnings(pictures, paths, len(claims), reading.strict)
    warn_of_what_is_not_read(reading, claim_texts, chosen, warnings)
    claim_rows, document_rows = pictures.rows[: len(claims)], pictures.rows[len(claims) :]
    inputs = FusionInputs.assemble(
        reading.encoders,
        claim_texts,
        claim_vectors,
        chosen,
        [
            picture_text(reading, c.ocr, c.image, row)
            for c, row in zip(claims, claim_rows, strict=True)
        ],
        [
            picture_text(reading, d.ocr, d.image, row)
            for d, row in zip(documents, document_rows, strict=True)
        ],
        claim_rows,
        document_rows,
        _matched_places(reading.encoders, pictures, paths),
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
    return EncodedEvidence(inputs, evidence)


def _matched_places(
    encoders: Encoders, pictures: PictureEncodings, paths: Sequence[str | Path | None]
) -> np.ndarray:
    """(N,) places in which pictures match, where the token grids leave that in doubt.

    Args:
        encoders: Compare them.
        pictures: Encodings of the pictures of N claims and, after them, of their N documents.
        paths: Their files.
    """
    count = len(paths) // 2
    claims, documents = pictures.rows[:count], pictures.rows[count:]
    places = np.full(count, np.nan, dtype=np.float32)
    both = np.flatnonzero((claims >= 0) & (documents >= 0))
    for start in range(0, len(both), _PAIRS_AT_ONCE):
        rows = both[start : start + _PAIRS_AT_ONCE]
        left, right = pictures.tokens[claims[rows]], pictures.tokens[documents[rows]]
        rows = rows[doubtful_pairs(encoders, left, right, DOUBTFUL)]
        pairs = [(_file(pictures, paths, row), _file(pictures, paths, count + row)) for row in rows]
        places[rows] = compare_pictures(encoders, pairs)
    return places


def _file(
    pictures: PictureEncodings, paths: Sequence[str | Path | None], place: int
) -> PictureFile:
    path = paths[place]
    assert path is not None
    return PictureFile(path, pictures.sha256[pictures.rows[place]])


def picture_warnings(
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


def warn_of_what_is_not_read(
    reading: Reading,
    claims: Sequence[str],
    chosen: Sequence[PassageVectors],
    warnings: Sequence[list[str]],
) -> None:
    """Add to the warnings of each claim what of it and of its passages was not read.

    Either may be too long beside the other, or in a language of which nothing but letters is known.
    """
    relation = reading.encoders.relation
    if relation is None:
        return
    for claim, own, told in zip(claims, chosen, warnings, strict=True):
        # As the encoders read them.
        claim, *texts = map(legible, (claim, *own.texts))
        end = claim_read(relation, claim, texts)
        if end is not None:
            words = len(claim[:end].split())
            # Not every script puts spaces between words.
            read = f"{words} words" if end < 20 * words else f"{end} characters"
            told.append(
                f"only about the first {read} of the claim were read; check its sentences one by "
                "one"
            )
        # Beside a claim that is cut most passages are, too, and no longer when it is parted.
        read_of = passages_read(relation, claim, texts) if end is None else []
        for place, read_to in enumerate(read_of):
            if read_to is not None:
                told.append(
                    f"of passage {place + 1} only about the first {read_to} of "
                    f"{len(texts[place])} characters were read beside the claim"
                )
        unknown = [
            name
            for name, text in (("claim", claim), ("evidence", " ".join(texts)))
            if not text.isascii() and spelt_out(relation, text) > _UNKNOWN
        ]
        if unknown:
            told.append(
                f"the {' and the '.join(unknown)} can only be read letter by letter: the models do "
                "not know the language, and the verdict may not be relied on"
            )


def picture_text(reading: Reading, given: str | None, image: object, row: int) -> str | None:
    """The text in a picture: as given, else as read, if reading is on and the picture is good."""
    if given is not None or reading.ocr is None or row < 0:
        return given
    return reading.ocr.read(str(image))
