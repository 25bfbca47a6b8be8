"""Which hits of a search a verdict rests on: those that are evidence about as probably as any.

A search gives as many passages as are asked for. Beside a passage that bears on the claim
(`encoders.bearing`) the others would only hide what it says.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from factcheck.encoders import Encoders
from factcheck.retrieval import Hit, Query

_AS_LIKELY = 0.5
"""A passage is read where it bears on the claim with this part of the highest probability."""


def select_hits(
    encoders: Encoders, queries: Sequence[Query], found: Sequence[Sequence[Hit]]
) -> list[list[Hit]]:
    """The hits of N claims that are read, with what tells whether they bear on these.

    Args:
        encoders: Read those that reranking has not read.
        queries: The claims.
        found: For each its hits; those that were reranked say already whether they bear on it.

    Returns:
        For each the hits that bear on it at least half as probably as the likeliest, and its first
        hit, whose document leads. All of them where nothing tells it.
    """
    unread = [
        (query, hit)
        for query, hits in zip(queries, found, strict=True)
        for hit in hits
        if hit.bearing is None
    ]
    pairs = [(query.text, hit.passage.text) for query, hit in unread]
    told = iter(encoders.bearings(pairs, np.array([hit.score for _, hit in unread])))
    kept = []
    for hits in found:
        read = [hit if hit.bearing is not None else _told(hit, next(told)) for hit in hits]
        likeliest = max((hit.bearing or 0.0 for hit in read), default=0.0)
        least = _AS_LIKELY * likeliest
        kept.append([hit for hit in read if hit is read[0] or (hit.bearing or 0.0) >= least])
    return kept


def _told(hit: Hit, bearing: float) -> Hit:
    return replace(hit, bearing=None if np.isnan(bearing) else float(bearing))


def bearing_of(found: Sequence[Sequence[Hit]], count: int) -> np.ndarray:
    """(N, K) whether hits bear on claims, K being `count`; NaN where nothing tells it."""
    bearing = np.full((len(found), count), np.nan, dtype=np.float32)
    for row, hits in enumerate(found):
        for place, hit in enumerate(hits):
            if hit.bearing is not None:
                bearing[row, place] = hit.bearing
    return bearing
