"""Where else in an index a claim's picture was seen: where a re-used photograph came from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from factcheck.encoders import Encoders
from factcheck.encoders.image import pool
from factcheck.encoders.picture_pairs import SAME_PLACES, PictureFile
from factcheck.found_evidence import cited_image, counted
from factcheck.fusion.checkpoint import Checkpoint
from factcheck.fusion.inputs import FusionInputs, optional_texts
from factcheck.fusion.run import calibrated, relation_logits
from factcheck.records import CitedImage
from factcheck.retrieval import ImageHit, PictureSearch, Query, SourcePolicy, places_in_index

if TYPE_CHECKING:
    from factcheck.retrieval import EvidenceIndex

LISTED = 20
"""So many pictures of other documents are listed at most."""

# So many are compared by the fusion head, which bounds the time that they take; so many of them may
# be re-posts by fingerprint, for the original may be one that was edited heavily since.
_COMPARED = 40
_REPOSTS_COMPARED = 24

# So many of those that are as likely as this are compared point by point, which takes a twentieth
# of a second each.
_MATCHED = LISTED
_POSSIBLE = 0.1

# Where pictures cannot be compared point by point one is reported as the same from this probability
# on: at most one in ten claims is shown a wrong one, however many there are, as far as the
# probability can be trusted.
_SAME_PICTURE = 1 - 0.1 / _COMPARED


def seen_elsewhere(
    checkpoint: Checkpoint,
    encoders: Encoders,
    index: EvidenceIndex,
    query: Query,
    picture: PictureFile | None,
    inputs: FusionInputs,
    leading: str,
    policy: SourcePolicy,
) -> tuple[tuple[CitedImage, ...], int]:
    """The other documents of an index that show a claim's picture.

    They are looked for as the image channel of a search does, by fingerprint and by token grids,
    and the image relation says which of them may show the same picture. These are compared point
    by point, as long as their files are there.

    Args:
        checkpoint: Holds the image relation.
        encoders: Encode the texts in the pictures.
        index: Where to look.
        query: What was looked for; without a picture nothing was seen elsewhere.
        picture: The claim's picture.
        inputs: The claim's one row, with its evidence.
        leading: The document whose picture counts for the label, which is left out.
        policy: Which documents may be found.

    Returns:
        The pictures, oldest first and undated last, `LISTED` at most; and how many more there are,
        those that could not be compared counted by their fingerprints.
    """
    if query.picture is None or picture is None:
        return (), 0
    search = PictureSearch(index, query.picture, query.fingerprint, policy, _REPOSTS_COMPARED)
    images = index.images_at([row for row, _ in search.best(_COMPARED)])
    rows = [row for row, image in images.items() if image.document_id != leading]
    if not rows:
        return (), 0
    texts = [index.document(images[row].document_id).ocr for row in rows]
    vectors, has_text = optional_texts(encoders, texts)
    own = inputs.grids[inputs.claim_image_rows]
    beside = replace(
        inputs.take(np.zeros(len(rows), dtype=np.int64)),
        evidence_ocr=vectors,
        has_evidence_ocr=has_text,
        claim_image_rows=np.zeros(len(rows), dtype=np.int64),
        evidence_image_rows=np.arange(1, len(rows) + 1),
        matched_places=np.full(len(rows), np.nan, dtype=np.float32),
        grids=np.concatenate([own, index.image_tokens(rows)]),
    )
    text, image = relation_logits(checkpoint.head, beside)
    probabilities = calibrated(checkpoint.calibration, text, image, beside).image
    # A re-post has the fingerprint besides: it is looked at after the others, and listed without.
    likely = sorted(
        np.flatnonzero(probabilities >= _POSSIBLE).tolist(),
        key=lambda place: (rows[place] in search.reposts, -probabilities[place]),
    )
    compared, others = likely[:_MATCHED], likely[_MATCHED:]
    if compared:
        found = [images[rows[place]] for place in compared]
        beside.matched_places[compared] = places_in_index(encoders, index, picture, found)
        probabilities = calibrated(checkpoint.calibration, text, image, beside).image
    unknown = [place for place in others if rows[place] not in search.reposts]
    probabilities[unknown] = 0
    cosines = index.image_vectors(rows) @ pool(query.picture[None])[0]
    same = {
        row: replace(
            cited_image(ImageHit.of(row, images[row], float(cosine))),
            same_picture=float(p),
            matched_places=counted(places),
        )
        for row, cosine, p, places in zip(
            rows, cosines, probabilities, beside.matched_places, strict=True
        )
        if (p >= _SAME_PICTURE if np.isnan(places) else places >= SAME_PLACES)
    }
    # A fingerprint whose bearers are told apart says nothing of those that were not compared.
    alike = not same.keys().isdisjoint(search.reposts)
    left_out = search.left_out - {row for row, _ in index.images_of([leading])} if alike else set()
    listed = sorted(
        same.values(), key=lambda i: (i.date or "~", -(i.same_picture or 0.0), i.document_id)
    )
    return tuple(listed[:LISTED]), max(0, len(listed) - LISTED) + len(left_out)
