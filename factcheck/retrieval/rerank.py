"""Reranking: the first hits of a search, put in order by how much they have to say of the claim.

What a search knows of a hit before (its fused score, its BM25 score, its cosine) and what the text
relation encoder reads in it (`encoders.relevance`) are added up with weights, which were fitted
together with what tells relevance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from factcheck.encoders import Encoders
from factcheck.encoders.bearing import Bearing
from factcheck.retrieval.hits import Hit


@dataclass(frozen=True)
class Reranker:
    """Puts hits in order.

    Attributes:
        relevances: From N claims, each with a passage, to (N,) relevance logits.
        weights: (F,) of `features`.
        sha256: Names what it goes by.
        bearing: Says of hits whether they bear on a claim at all; None where nothing does.
    """

    relevances: Callable[[Sequence[tuple[str, str]]], np.ndarray]
    weights: np.ndarray
    sha256: str
    bearing: Bearing | None = None

    @classmethod
    def of(cls, encoders: Encoders) -> Self | None:
        """What encoders have to rerank with; None without what tells relevance."""
        relevance = None if encoders.relation is None else encoders.relation.relevance
        if relevance is None:
            return None
        weights = np.array(relevance.config.weights)
        return cls(encoders.relevances, weights, relevance.sha256, encoders.bearing)

    def order(
        self, claims: Sequence[str], found: Sequence[Sequence[Hit]], count: int
    ) -> list[list[Hit]]:
        """The hits of N claims with the first of them in a new order.

        Args:
            claims: The claims; what was found for an empty one stays as it is.
            found: For each its hits.
            count: So many of each are put in order; the others follow as they did.
        """
        read: list[list[Hit]] = []
        pairs: list[tuple[str, str]] = []
        for claim, hits in zip(claims, found, strict=True):
            read.append(list(hits[:count]) if claim else [])
            pairs += [(claim, hit.passage.text) for hit in read[-1]]
        relevances = self.relevances(pairs)
        ordered = []
        start = 0
        for hits, own in zip(found, read, strict=True):
            stop = start + len(own)
            scores = features(own, relevances[start:stop]) @ self.weights
            bearing = self._bearing(own, relevances[start:stop])
            start = stop
            order = np.lexsort((np.arange(len(own)), -scores))
            first = [replace(own[i], reranked=float(scores[i]), bearing=bearing[i]) for i in order]
            ordered.append([*first, *hits[len(own) :]])
        return ordered

    def _bearing(self, hits: Sequence[Hit], relevances: np.ndarray) -> list[float | None]:
        if self.bearing is None:
            return [None] * len(hits)
        cosines = np.array([hit.score for hit in hits])
        return list(map(float, self.bearing.probabilities(relevances, cosines)))


COSINE, RELEVANCE = 2, 3
"""The columns of `features` that hold the cosine and the relevance logit."""


def features(hits: Sequence[Hit], relevances: np.ndarray) -> np.ndarray:
    """What tells how much the hits of a claim have to say of it.

    Args:
        hits: n hits.
        relevances: (n,) their relevance logits.

    Returns:
        (n, 4): the fused score and the BM25 score, each as a part of the claim's highest; the
        cosine; and the relevance.
    """
    fused = np.array([hit.fused or 0.0 for hit in hits])
    by_words = [hit.channels.get("lexical") for hit in hits]
    words = np.array([0.0 if found is None else found.score for found in by_words])
    return np.stack(
        [
            fused / max(fused.max(initial=0), 1e-12),
            words / max(words.max(initial=0), 1e-12),
            np.array([hit.score for hit in hits]),
            relevances,
        ],
        axis=1,
    )
