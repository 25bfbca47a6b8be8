"""Selective prediction: how good the labels are if only the surest are accepted.

Rows are accepted from the surest on. Coverage is the share accepted, risk the share of wrong labels
among them (Geifman & El-Yaniv, arXiv:1705.08500, sec. 2). Rows of equal confidence come in no order
of their own: a part of them is counted with the share of errors of all of them, which is what one
gets on average over their orders. So nothing here depends on the order of rows in a file.
"""

import numpy as np

COVERAGE = 80
"""Percent of rows that `selective_accuracies` accepts."""


def risks(confidence: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Risk when the 1, 2, ..., N surest of N rows are accepted.

    Args:
        confidence: (N,) probability of the label given.
        correct: (N,) bool, whether that label is right.

    Returns:
        (N,) risks in [0, 1]; their mean is the area under the risk-coverage curve
        (arXiv:1805.08206).
    """
    kept, right = _cumulated(confidence, correct, np.ones((1, len(confidence)), dtype=np.int64))
    accepted = np.arange(1, len(confidence) + 1)
    wrong: np.ndarray = accepted - np.interp(accepted, kept[0], right[0])
    return wrong / accepted


def risk_coverage_curve(risk: np.ndarray) -> dict[str, list[float]]:
    """At most 101 points of a risk-coverage curve, one for each percent of coverage.

    Args:
        risk: (N,) as `risks` gives it.

    Returns:
        `coverage`, ascending, and `risk`, as long.
    """
    rows = len(risk)
    accepted = np.unique(np.maximum(1, -(-rows * np.arange(101) // 100)))
    return {"coverage": (accepted / rows).tolist(), "risk": risk[accepted - 1].tolist()}


def selective_accuracies(
    confidence: np.ndarray, correct: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """Accuracy of the surest 80% of the rows, rounded up, of B resamples.

    Args:
        confidence: (N,) probability of the label given.
        correct: (N,) bool, whether that label is right.
        times: (B, N) how often each row is drawn.

    Returns:
        (B,) accuracies.
    """
    kept, right = _cumulated(confidence, correct, times)
    accepted = -(-times.sum(axis=1) * COVERAGE // 100)
    curves = zip(accepted, kept, right, strict=True)
    return np.array([np.interp(count, *curve) / count for count, *curve in curves])


def _cumulated(
    confidence: np.ndarray, correct: np.ndarray, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows, and right rows, as confident as each level or more.

    Returns:
        Two of (B, 1 + L) for the L levels of confidence, descending, after a first of no rows; what
        lies between two levels lies on a straight line, for ties are averaged.
    """
    order = np.argsort(-confidence, kind="stable")
    descending = confidence[order]
    first = np.flatnonzero(np.r_[True, descending[1:] != descending[:-1]])
    drawn = times[:, order]
    counted = [np.add.reduceat(part, first, axis=1) for part in (drawn, drawn * correct[order])]
    kept, right = (np.pad(count.cumsum(axis=1), ((0, 0), (1, 0))) for count in counted)
    return kept, right
