"""How good verdicts are on parts of a split: rows of one source, or with texts of like length."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from factcheck.datasets import Factify2Row
from factcheck.evaluation.metrics import weighted_f1
from factcheck.records import LABELS, Verdict

NO_SOURCE = "none named"
"""Name of the slice of rows without a source, where others have one."""


@dataclass(frozen=True)
class Slice:
    """Scores of some of a split's rows.

    Attributes:
        name: What these rows have in common.
        rows: How many there are.
        weighted_f1: The task's score; a label weighs as much as it has rows here.
        accuracy: Share of right labels.
        accuracy_interval: Its 95% interval, low and high: Wilson's, which stays sensible for slices
            of few rows and for accuracies of 0 and 1 (Brown, Cai & DasGupta, Interval Estimation
            for a Binomial Proportion, 2001).
        confidence: Mean probability of the label given; above `accuracy` the model is too sure.
    """

    name: str
    rows: int
    weighted_f1: float
    accuracy: float
    accuracy_interval: tuple[float, float]
    confidence: float


def slice_rows(rows: Sequence[Factify2Row], verdicts: Sequence[Verdict]) -> dict[str, list[Slice]]:
    """Slices of a split.

    Args:
        rows: N rows, each with a label.
        verdicts: The N verdicts on them.

    Returns:
        Slices by what they part the rows by: `source`, largest first, unless no row has one;
        `words of the claim` and `words of the document`, shortest first.
    """
    labels = np.array([LABELS.index(row.label) for row in rows if row.label is not None])
    predicted = np.array([LABELS.index(verdict.label) for verdict in verdicts])
    confidence = np.array([verdict.confidence for verdict in verdicts])
    parts = {}
    if any(row.source for row in rows):
        parts["source"] = by_name([row.source or NO_SOURCE for row in rows])
    for side, texts in (
        ("claim", [row.claim.text for row in rows]),
        ("document", [row.document.text for row in rows]),
    ):
        words = np.array([len(text.split()) for text in texts])
        parts[f"words of the {side}"] = by_quartile(words)
    return {
        kind: [
            _slice(name, labels[chosen], predicted[chosen], confidence[chosen])
            for name, chosen in named
        ]
        for kind, named in parts.items()
    }


def by_name(names: Sequence[str]) -> list[tuple[str, np.ndarray]]:
    """The rows that have each name.

    Args:
        names: Of N rows.

    Returns:
        Each name with (N,) bool, the most frequent first and equally frequent ones by name.
    """
    found = np.array(names)
    slices = [(str(name), found == name) for name in np.unique(found)]
    return sorted(slices, key=lambda one: -int(one[1].sum()))


def by_quartile(counts: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The rows in each quarter of a split by some count, equal counts staying together.

    Args:
        counts: (N,) whole numbers, N at least 1.

    Returns:
        The range of counts of each quarter with (N,) bool, ascending. There are fewer than four
        where many counts are equal; none is empty.
    """
    # Edges that occur among the counts, so that each is the highest count of its quarter.
    edges = np.unique(np.quantile(counts, [0.25, 0.5, 0.75, 1], method="inverted_cdf"))
    quarter = np.searchsorted(edges, counts)
    slices = []
    for position in range(len(edges)):
        chosen = quarter == position
        low, high = int(counts[chosen].min()), int(counts[chosen].max())
        slices.append((f"{low:,}" if low == high else f"{low:,} to {high:,}", chosen))
    return slices


def _slice(name: str, labels: np.ndarray, predicted: np.ndarray, confidence: np.ndarray) -> Slice:
    from scipy.stats import binomtest

    right = int((labels == predicted).sum())
    interval = binomtest(right, len(labels)).proportion_ci(method="wilson")
    return Slice(
        name=name,
        rows=len(labels),
        weighted_f1=weighted_f1(labels, predicted),
        accuracy=right / len(labels),
        accuracy_interval=(float(interval.low), float(interval.high)),
        confidence=float(confidence.mean()),
    )
