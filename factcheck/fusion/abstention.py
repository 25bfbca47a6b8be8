"""Saying "cannot tell": labels given only as far as a promised error rate allows.

Both promises below rest on one thing alone, that the claims asked about are exchangeable with the
rows kept back for this (drawn alike, in whatever order). They hold for finitely many rows and for
any model. They do not hold for claims of another kind than those rows; and since those rows came
with their document, evidence that an index had to find first is of another kind, too.

Of the rows that the shipped checkpoint has for this it is true only nearly. Nothing was fitted to
them, neither weights nor the epoch nor temperatures; but ways to calibrate, and pupils of several
heads, were compared on them (`data/results/README.md`), so they had a small part in what ships. And
they are validation rows drawn one by one, of which near a third share their claim with another:
with one of the same part, or with one that stopping and calibration were fitted on. Rows that hang
together are exchangeable with new claims only approximately, and fewer than they count as.

- A label is given from a confidence on that conformal risk control (arXiv:2208.02814, theorem 1)
  finds for the loss "a label is given, and it is wrong": the chance that a claim is given a wrong
  label is at most the error rate asked for. A claim that is told "cannot tell" is given no wrong
  label, so among the labels that are given the share of wrong ones can be higher.
- The set of possible labels holds the true one with a chance of at least one minus that rate: split
  conformal prediction (arXiv:2107.07511, section 1) with one minus the label's probability as the
  score, which makes for the smallest sets on average (arXiv:1609.00451, theorem 1).
"""

import math
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from factcheck.records import LABELS, Decision, Label
from factcheck.settings import Settings

_Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Conformal(Settings):
    """What is known of N rows that nothing was fitted to.

    What they served for besides, and how far they are exchangeable with new claims, the module
    says.

    Attributes:
        confidence: Probability of the label given to each.
        correct: Whether it was right.
        truth: Probability of the true label of each.
    """

    confidence: tuple[_Probability, ...]
    correct: tuple[bool, ...]
    truth: tuple[_Probability, ...]

    @model_validator(mode="after")
    def _same_rows(self) -> Self:
        if not len(self.confidence) == len(self.correct) == len(self.truth):
            raise ValueError("confidence, correct and truth are not of the same number of rows")
        return self

    @classmethod
    def of(cls, probabilities: np.ndarray, labels: np.ndarray) -> Self:
        """From rows whose labels are known.

        Args:
            probabilities: (N, 5) of the labels, in the order of `records.LABELS`.
            labels: (N,) true labels as positions in it.
        """
        return cls(
            confidence=tuple(probabilities.max(axis=1).tolist()),
            correct=tuple((probabilities.argmax(axis=1) == labels).tolist()),
            truth=tuple(probabilities[np.arange(len(labels)), labels].tolist()),
        )

    def threshold(self, max_error: float) -> float | None:
        """The confidence that a label must exceed to be given; None where none may be.

        With n rows the smallest threshold at which (k + 1) / (n + 1) is at most `max_error`, k of
        the n rows being given a wrong label (theorem 1 with a loss of at most one).

        Args:
            max_error: Highest chance of a wrong label, in (0, 1).
        """
        # Rounded, since 0.05 times 20 rows is meant to be one row and not a hair less.
        allowed = math.floor(round(max_error * (len(self.correct) + 1), 9)) - 1
        if allowed < 0:
            return None
        wrong = sorted(
            (sure for sure, right in zip(self.confidence, self.correct, strict=True) if not right),
            reverse=True,
        )
        return wrong[allowed] if allowed < len(wrong) else 0.0

    def lowest_probability(self, max_error: float) -> float:
        """The probability that a label must have to be possible.

        Args:
            max_error: Highest chance that the true label is not among the possible ones.
        """
        rank = math.ceil(round((1 - max_error) * (len(self.truth) + 1), 9))
        if rank > len(self.truth):
            return 0.0
        return sorted(self.truth, reverse=True)[rank - 1]

    def error_among_answered(self, threshold: float | None) -> float | None:
        """Estimated share of wrong labels among those given above a threshold; None without any.

        An estimate and no promise, one wrong label more counted than was seen.
        """
        given = [
            right
            for sure, right in zip(self.confidence, self.correct, strict=True)
            if threshold is not None and sure > threshold
        ]
        return (given.count(False) + 1) / (len(given) + 1) if given else None

    def decide(self, probabilities: dict[Label, float], max_error: float) -> Decision:
        """Whether a label is given at an error rate, and which ones are possible.

        Args:
            probabilities: Of each label.
            max_error: The error rate, in (0, 1).
        """
        threshold = self.threshold(max_error)
        lowest = self.lowest_probability(max_error)
        top = max(probabilities, key=probabilities.__getitem__)
        # A set may always be larger than it need be, and one without any label tells nobody
        # anything.
        possible = tuple(
            label for label in LABELS if probabilities[label] >= lowest or label is top
        )
        answered = threshold is not None and probabilities[top] > threshold
        return Decision(
            max_error, answered, threshold, possible, self.error_among_answered(threshold)
        )
