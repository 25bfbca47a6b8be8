"""Evidence that an index holds for claims, and the pictures that are compared with theirs."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from factcheck.claim_checks import check_claims
from factcheck.encoders import Encoders
from factcheck.encoders.encoders import PictureEncodings
from factcheck.encoders.image import pool
from factcheck.encoders.picture_pairs import POSSIBLE, PictureFile, doubtful_pairs
from factcheck.errors import FactcheckError, InvalidInputError, MissingResourceError
from factcheck.evidence import (
    EncodedEvidence,
    Reading,
    picture_text,
    picture_warnings,
    warn_of_what_is_not_read,
)
from factcheck.evidence_selection import bearing_of, select_hits
from factcheck.fusion.inputs import FusionInputs, PassageVectors, optional_texts
from factcheck.pictures import read_bytes
from factcheck.records import CitedImage, CitedPassage, Claim, Evidence
from factcheck.retrieval import Hit, ImageHit, Query, Reranker, picture_fingerprint, places_in_index

if TYPE_CHECKING:
    from factcheck.encoders.ocr import OcrReader
    from factcheck.retrieval import EvidenceIndex


@dataclass(frozen=True)
class FoundEvidence:
    """What an index holds for claims.

    Attributes:
        encoded: N rows, one for each claim that something was found for.
        claims: N places of these claims among those that were asked about, rising.
        queries: N, what was looked for.
        pictures: N, the picture of each of these claims that has one.
        problems: Why nothing was found for the others, a sentence each, by their place.
    """

    encoded: EncodedEvidence
    claims: list[int]
    queries: list[Query]
    pictures: list[PictureFile | None]
    problems: dict[int, str]


def found_evidence(
    reading: Reading, claims: Sequence[Claim], index: EvidenceIndex, first: int = 1
) -> FoundEvidence:
    """Encode claims with the evidence that an index holds for them.

    Passages are found by meaning, by words and by picture (`retrieval.search`). Of the best the
    first is read, and those that bear on the claim about as probably as any (`evidence_selection`):
    others would only hide what these say. A claim's picture is put beside that of the leading
    document, which the best passage is from.

    Args:
        reading: How to read them.
        claims: N claims.
        index: Where to look, built with the same encoders.
        first: Number of the first claim, for messages: they may be a part of many.

    Returns:
        The evidence of those claims that there is some for.

    Raises:
        InvalidInputError: A claim is empty, too long or not UTF-8, (strict) a picture cannot be
            read, or nothing in the index may be found.
        MissingResourceError: (strict) A picture is not there.
    """
    check_claims(claims, first)
    if (nothing := index.nothing_left(reading.policy)) is not None:
        raise InvalidInputError(nothing)
    texts = [claim.text.strip() for claim in claims]
    vectors = reading.encoders.texts(texts)
    paths = [claim.image for claim in claims]
    pictures = reading.encoders.pictures(paths)
    warnings = picture_warnings(pictures, paths, len(claims), reading.strict)
    queries = [
        Query(
            text,
            vector,
            None if row < 0 else pictures.tokens[row],
            picture_fingerprint(claim.image) if row >= 0 and claim.image is not None else None,
        )
        for claim, text, vector, row in zip(
            claims, texts, reading.encoders.queries(texts, vectors), pictures.rows, strict=True
        )
    ]
    reranker = Reranker.of(reading.encoders)
    hits = select_hits(
        reading.encoders,
        queries,
        index.search_queries(queries, reading.count, reading.search, reading.policy, reranker),
    )
    # The dense channel always finds something; the others need not.
    places = [place for place, found in enumerate(hits) if found]
    problems = {
        place: "; ".join(
            [
                f"nothing was found by {', '.join(reading.search.channels)}; let the dense channel "
                "look too",
                *warnings[place],
            ]
        )
        for place, found in enumerate(hits)
        if not found
    }
    chosen = [
        PassageVectors(
            [hit.passage.text for hit in hits[place]],
            index.passage_vectors([hit.row for hit in hits[place]]),
        )
        for place in places
    ]
    told = [warnings[place] for place in places]
    warn_of_what_is_not_read(reading, [texts[place] for place in places], chosen, told)
    asked = [queries[place] for place in places]
    leading = [hits[place][0].document_id for place in places]
    shown = [
        _picture_beside(index, document_id, pictures.pooled[pictures.rows[place]])
        if pictures.rows[place] >= 0
        else None
        for place, document_id in zip(places, leading, strict=True)
    ]
    files = [_file_of(claims[place], pictures, pictures.rows[place]) for place in places]
    image_rows = sorted({image.row for image in shown if image is not None})
    grid_of = {row: len(pictures.tokens) + i for i, row in enumerate(image_rows)}
    inputs = FusionInputs.assemble(
        reading.encoders,
        [texts[place] for place in places],
        vectors[places],
        chosen,
        [
            picture_text(reading, claims[place].ocr, claims[place].image, pictures.rows[place])
            for place in places
        ],
        _evidence_texts(reading, index, leading, told),
        pictures.rows[places],
        np.array([-1 if image is None else grid_of[image.row] for image in shown], dtype=np.int64),
        np.array(
            [
                _places_beside(reading.encoders, index, query, file, image)
                for query, file, image in zip(asked, files, shown, strict=True)
            ],
            dtype=np.float32,
        ),
        np.concatenate([pictures.tokens, index.image_tokens(image_rows)]),
        reading.count,
        bearing_of([hits[place] for place in places], reading.count),
    )
    evidence = [
        Evidence(
            tuple(map(_cited_passage, hits[place])),
            None if image is None else cited_image(image),
            warnings=tuple(own),
        )
        for place, image, own in zip(places, shown, told, strict=True)
    ]
    encoded = EncodedEvidence(inputs, evidence)
    return FoundEvidence(encoded, places, asked, files, problems)


def beside_the_next(
    reading: Reading, index: EvidenceIndex, found: FoundEvidence, row: int
) -> FusionInputs | None:
    """A claim's encodings as they were if the leading document were not among what was read.

    Args:
        reading: How evidence is read.
        index: Where it was found.
        found: What was found.
        row: Which of its claims.

    Returns:
        The one row, with the picture and its text of the document that would lead then; its
        passages are as they were. None where all are from one document.
    """
    ids = [cited.passage.document_id for cited in found.encoded.evidence[row].passages]
    document_id = next((other for other in ids if other != ids[0]), None)
    if document_id is None:
        return None
    inputs = found.encoded.inputs.take(np.array([row]))
    query, file = found.queries[row], found.pictures[row]
    image, grids = None, inputs.grids
    if query.picture is not None and file is not None:
        image = _picture_beside(index, document_id, pool(query.picture[None])[0])
    if image is not None:
        grids = np.concatenate([grids, index.image_tokens([image.row])])
    # The verdict does not rest on it: what cannot be read is not there.
    text, _ = _evidence_text(replace(reading, strict=False), index, document_id)
    vectors, has_text = optional_texts(reading.encoders, [text])
    return replace(
        inputs,
        evidence_ocr=vectors,
        has_evidence_ocr=has_text,
        evidence_image_rows=np.array([-1 if image is None else len(grids) - 1]),
        matched_places=np.array(
            [_places_beside(reading.encoders, index, query, file, image)], dtype=np.float32
        ),
        grids=grids,
    )


def _file_of(claim: Claim, pictures: PictureEncodings, row: int) -> PictureFile | None:
    """The picture of a claim, by its row in the encodings, -1 where there is none."""
    if claim.image is None or row < 0:
        return None
    return PictureFile(claim.image, pictures.sha256[row])


def _places_beside(
    encoders: Encoders,
    index: EvidenceIndex,
    query: Query,
    file: PictureFile | None,
    image: ImageHit | None,
) -> float:
    """In how many places a claim's picture matches the one beside it; NaN where not compared."""
    if query.picture is None or file is None or image is None:
        return float("nan")
    grids = index.image_tokens([image.row])
    if not doubtful_pairs(encoders, query.picture[None], grids, POSSIBLE)[0]:
        return float("nan")
    return float(places_in_index(encoders, index, file, [image])[0])


def counted(places: float) -> int | None:
    """A number of places that match, as a verdict has it; None where none were looked for."""
    return None if np.isnan(places) else int(places)


def cited_image(image: ImageHit) -> CitedImage:
    """A picture of an index as a verdict cites it."""
    return CitedImage(
        image.document_id,
        image.path,
        image.score,
        title=image.title,
        url=image.url,
        date=image.date,
    )


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


def _picture_beside(index: EvidenceIndex, document_id: str, picture: np.ndarray) -> ImageHit | None:
    """A document's picture beside a claim's, (C,) pooled; None where it has none."""
    for row, image in index.images_of([document_id]):
        return ImageHit.of(row, image, float(index.image_vectors([row])[0] @ picture))
    return None


def _evidence_texts(
    reading: Reading,
    index: EvidenceIndex,
    document_ids: Sequence[str],
    warnings: Sequence[list[str]],
) -> list[str | None]:
    """The texts in the pictures of documents: as the index has them, else as read if asked.

    Args:
        reading: Says whether and by what they are read.
        index: The index.
        document_ids: The documents, one for each claim.
        warnings: Of each claim, to which is added what could not be read.
    """
    known: dict[str, tuple[str | None, str | None]] = {}
    texts = []
    for document_id, told in zip(document_ids, warnings, strict=True):
        if document_id not in known:
            known[document_id] = _evidence_text(reading, index, document_id)
        text, problem = known[document_id]
        texts.append(text)
        if problem is not None:
            told.append(f"{problem}; the text in the evidence's picture was not read")
    return texts


def _evidence_text(
    reading: Reading, index: EvidenceIndex, document_id: str
) -> tuple[str | None, str | None]:
    """The text in a document's picture, and why it could not be read."""
    document = index.document(document_id)
    if document.ocr is not None or reading.ocr is None or document.image is None:
        return document.ocr, None
    try:
        path, sha256 = Path(document.image), index.picture_hash(document_id)
        return _read_indexed(reading.ocr, path, sha256), None
    except FactcheckError as error:
        if reading.strict:
            raise
        return None, str(error)


def _read_indexed(ocr: OcrReader, path: Path, sha256: str | None) -> str:
    """The text in the file of a picture that was indexed.

    The index may be a stranger's and name any file of this machine. One whose hash is not in it is
    none that its maker has seen, and tells nothing here; and what is no ordinary file, such as a
    pipe, is not opened at all.

    Raises:
        MissingResourceError: It is not there, or not an ordinary file.
        InvalidInputError: It is not the one that was indexed.
    """
    if not _is_ordinary(path):
        raise MissingResourceError(f"{path}: the image cannot be read (not an ordinary file)")
    if hashlib.sha256(read_bytes(path)).hexdigest() != sha256:
        raise InvalidInputError(f"{path}: the image is not the one that was indexed")
    return ocr.read(path)


def _is_ordinary(path: Path) -> bool:
    """Whether a path leads to an ordinary file, or into one, an archive."""
    for part in (path, *path.parents):
        try:
            return stat.S_ISREG(part.stat().st_mode)
        except NotADirectoryError:
            continue
        except (OSError, ValueError):
            return False
    return False
