"""Whether what a hit's document shows is the picture that was looked for, or one that is like it.

The image channel proposes what is most like a picture, and however few pictures an index has, some
are. Where a search is asked with a picture, its hits say which of them are the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from factcheck.encoders import Encoders
from factcheck.encoders.picture_pairs import (
    DOUBTFUL,
    POSSIBLE,
    SAME_PLACES,
    PictureFile,
    compare_pictures,
    copy_logits,
)
from factcheck.retrieval.hits import Hit, ImageHit, ShownPicture
from factcheck.retrieval.metadata_reader import ImageRow

if TYPE_CHECKING:
    from factcheck.retrieval.reader import IndexReader

# Each takes a twentieth of a second where it has to be compared point by point.
_COMPARED = 40


def with_shown_pictures(
    index: "IndexReader",
    encoders: Encoders,
    tokens: np.ndarray,
    picture: PictureFile,
    hits: Sequence[Hit],
) -> list[Hit]:
    """Hits of which those of the image channel say what picture their document shows.

    Args:
        index: Where they were found.
        encoders: Hold the readout of token grids, if there is one, and the cache.
        tokens: (T, C) the grid of the picture that was looked for.
        picture: Its file.
        hits: The hits, best first; pictures of the first 40 documents are looked at.
    """
    named = dict.fromkeys(hit.document_id for hit in hits if "image" in hit.channels)
    images = index.images_of(list(named)[:_COMPARED])
    grids = index.image_tokens([row for row, _ in images])
    # Beyond these logits the grids are sure, and to compare points changes nothing.
    logits = copy_logits(encoders, np.broadcast_to(tokens, grids.shape).copy(), grids)
    doubtful = np.flatnonzero(~((logits <= POSSIBLE[0]) | (logits >= POSSIBLE[1])))
    places = np.full(len(images), np.nan, dtype=np.float32)
    places[doubtful] = places_in_index(
        encoders, index, picture, [images[place][1] for place in doubtful]
    )
    shown = {
        image.document_id: ShownPicture(
            image.path,
            index.picture_hash(image.document_id) == picture.sha256 or _same(logit, matched),
            None if np.isnan(matched) else int(matched),
        )
        for (_, image), logit, matched in zip(images, logits.tolist(), places.tolist(), strict=True)
    }
    return [
        replace(hit, picture=shown.get(hit.document_id)) if "image" in hit.channels else hit
        for hit in hits
    ]


def _same(logit: float, places: float) -> bool | None:
    """Whether two pictures are the same; None where it cannot be told."""
    if not np.isnan(places):
        return bool(places >= SAME_PLACES)
    if logit >= POSSIBLE[1]:
        return True
    return False if logit <= DOUBTFUL[0] else None


def places_in_index(
    encoders: Encoders,
    index: "IndexReader",
    picture: PictureFile,
    images: Sequence[ImageHit | ImageRow],
) -> np.ndarray:
    """In how many places a picture matches pictures of an index.

    The index may be a stranger's and name any file of this machine: a file whose hash is not in it
    tells nothing (`encoders.picture_pairs`).

    Args:
        encoders: Hold the cache, if there is one.
        index: The index.
        picture: The picture.
        images: n pictures of the index.

    Returns:
        (n,) float32; NaN where a file is not as it was when it was indexed.
    """
    pairs = [
        (picture, PictureFile(image.path, index.picture_hash(image.document_id) or ""))
        for image in images
    ]
    return compare_pictures(encoders, pairs)
