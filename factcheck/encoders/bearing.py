"""Whether what was found for a claim bears on it at all.

A search always finds something: where an index holds no evidence of a claim, the passages nearest
to it are of something else, and a claim that is absurd seems to be contradicted by whatever lies
beside it. What puts hits in order (`encoders.relevance`) compares the passages of one claim with
one another. Here its logit and the cosine of claim and passage become a probability that can be
compared between claims: that a passage is evidence, whichever way it decides.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Self

import numpy as np
from pydantic import Field

from factcheck.settings import Settings

# A stranger's file is not to make numbers that are none.
_Bias = Annotated[float, Field(ge=-100, le=100)]
_Weight = Annotated[float, Field(ge=0, le=100)]

_SHRINKAGE = 1e-4
"""Of both weights: claims that are told apart perfectly ask for weights without bound."""


class Bearing(Settings):
    """Logistic regression that tells evidence from what merely is the nearest.

    Attributes:
        bias: Added to both.
        relevance: Weighs the relevance logit.
        cosine: Weighs the cosine of the passage and the vector that the claim was searched with.
        search_sha256: Hash of what encoded both (`Encoders.search_sha256`): cosines of other
            encoders lie elsewhere, and say nothing here.
    """

    bias: _Bias
    relevance: _Weight
    cosine: _Weight
    search_sha256: str

    @property
    def sha256(self) -> str:
        """Hash of its numbers and of what it was fitted with."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def probabilities(self, relevances: np.ndarray, cosines: np.ndarray) -> np.ndarray:
        """The probability that a passage bears on its claim.

        Args:
            relevances: (N,) relevance logits of N pairs of a claim and a passage.
            cosines: (N,) their cosines.

        Returns:
            (N,) float64.
        """
        from scipy.special import expit

        probabilities: np.ndarray = expit(
            self.bias
            + self.relevance * relevances.astype(np.float64)
            + self.cosine * cosines.astype(np.float64)
        )
        return probabilities

    @classmethod
    def fit(
        cls,
        relevances: Sequence[np.ndarray],
        cosines: Sequence[np.ndarray],
        found: np.ndarray,
        weights: np.ndarray,
        search_sha256: str,
    ) -> Self:
        """Fit by maximum likelihood, where it is known whether a claim's evidence was found.

        Which of the passages are evidence need not be known, and often is not: sources name some
        evidence and not all. So a claim counts by the likeliest of its passages.

        Args:
            relevances: For each of N claims the relevance logits of its passages, one at least.
            cosines: For each their cosines.
            found: (N,) bool, whether evidence of the claim is among them.
            weights: (N,) how much each claim counts.
            search_sha256: As in the attributes.
        """
        from scipy.optimize import minimize

        ends = np.cumsum([len(own) for own in relevances])[:-1]
        logits, similar = np.concatenate(relevances), np.concatenate(cosines)
        sign = np.where(found, -1.0, 1.0)
        share = weights / weights.sum()

        def loss(parameters: np.ndarray) -> float:
            bias, relevance, cosine = parameters
            scores = bias + relevance * logits + cosine * similar
            highest = np.maximum.reduceat(scores, [0, *ends])
            return float(share @ np.logaddexp(0, sign * highest)) + _SHRINKAGE * float(
                relevance**2 + cosine**2
            )

        # The likeliest passage changes with the weights, so there is no gradient to go by. Cosines
        # differ by less than logits do.
        start = np.array([[-1.0, 0.5, 2.0], [1.0, 0.5, 2.0], [-1.0, 1.5, 2.0], [-1.0, 0.5, 8.0]])
        best = minimize(
            loss,
            start[0],
            method="Nelder-Mead",
            bounds=[(-50.0, 50.0), (0.0, 50.0), (0.0, 50.0)],
            options={"initial_simplex": start, "maxiter": 4000, "xatol": 1e-4, "fatol": 1e-9},
        ).x
        bias, relevance, cosine = (round(float(value), 3) for value in best)
        return cls(bias=bias, relevance=relevance, cosine=cosine, search_sha256=search_sha256)
