"""What a split's predictions are worth: the official score, its axes, calibration and intervals.

Arithmetic is scikit-learn's; what is added is the two axes, expected calibration error and the
bootstrap.
"""

from typing import Any

import numpy as np

from factcheck.records import LABELS, TEXT_RELATIONS, text_relation_of

RESAMPLES = 1000
"""Bootstrap resamples of an interval."""

_RELATION_OF = np.array([TEXT_RELATIONS.index(text_relation_of(label)) for label in LABELS])


def classification_metrics(
    probabilities: np.ndarray,
    image_probabilities: np.ndarray,
    labels: np.ndarray,
    same_picture: np.ndarray,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Metrics of N predictions.

    Args:
        probabilities: (N, 5) of the labels, in the order of `records.LABELS`.
        image_probabilities: (N,) of the same picture; NaN where there are not two.
        labels: (N,) true labels as positions in `records.LABELS`.
        same_picture: (N,) 1, 0, or -1 where the truth is unknown or there are not two pictures.
        resamples: Bootstrap resamples of the interval of weighted F1; 0 leaves it out.
        seed: Of the bootstrap.

    Returns:
        `rows`; `weighted_f1` (the task's score) and `weighted_f1_interval` (95%, percentile
        bootstrap over rows); `macro_f1`; `f1` by label; `accuracy`; `confusion` (rows true, columns
        predicted, in the order of `labels`); `text_relation_accuracy` (of the predicted label's
        relation); `image_relation_accuracy` (where known); `expected_calibration_error` (of the
        label's confidence, 15 bins of equal width, arXiv:1706.04599 eq. 3); `brier` (sum over the
        labels); `negative_log_likelihood` (nats).
    """
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss

    everything = np.arange(len(LABELS))
    predicted = probabilities.argmax(axis=1)
    f1 = f1_score(labels, predicted, labels=everything, average=None, zero_division=0)
    truth = np.eye(len(LABELS))[labels]
    known = same_picture >= 0
    # A label that cannot be (a multimodal one without two pictures) has probability zero; a row
    # that has it all the same costs a large loss and not an infinite one.
    possible = np.clip(probabilities, 1e-7, 1)
    possible /= possible.sum(axis=1, keepdims=True)
    metrics: dict[str, Any] = {
        "rows": len(labels),
        "weighted_f1": weighted_f1(labels, predicted),
        "macro_f1": float(f1.mean()),
        "accuracy": float(accuracy_score(labels, predicted)),
        "f1": dict(zip(map(str, LABELS), map(float, f1), strict=True)),
        "labels": [str(label) for label in LABELS],
        "confusion": confusion_matrix(labels, predicted, labels=everything).tolist(),
        "text_relation_accuracy": float((_RELATION_OF[predicted] == _RELATION_OF[labels]).mean()),
        "image_relation_accuracy": float(
            ((image_probabilities[known] >= 0.5) == (same_picture[known] == 1)).mean()
        )
        if known.any()
        else None,
        "expected_calibration_error": expected_calibration_error(
            probabilities.max(axis=1), predicted == labels
        ),
        "brier": float(((probabilities - truth) ** 2).sum(axis=1).mean()),
        "negative_log_likelihood": float(log_loss(labels, possible, labels=everything)),
    }
    if resamples:
        metrics["weighted_f1_interval"] = weighted_f1_interval(labels, predicted, resamples, seed)
    return metrics


def weighted_f1_interval(
    labels: np.ndarray, predicted: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> list[float]:
    """The 95% percentile bootstrap interval of weighted F1 over rows, `[low, high]`."""
    rng = np.random.default_rng(seed)
    draws = (rng.integers(len(labels), size=len(labels)) for _ in range(resamples))
    scores = [weighted_f1(labels[draw], predicted[draw]) for draw in draws]
    return [float(bound) for bound in np.quantile(scores, [0.025, 0.975])]


def expected_calibration_error(
    confidence: np.ndarray, correct: np.ndarray, bins: int = 15
) -> float:
    """Mean distance between confidence and accuracy over bins of equal width, weighted by rows.

    Args:
        confidence: (N,) probability of the predicted label.
        correct: (N,) bool, whether it was right.
        bins: Number of bins of [0, 1].
    """
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(which, minlength=bins)
    gap = np.bincount(which, weights=confidence, minlength=bins) - np.bincount(
        which, weights=correct, minlength=bins
    )
    return float(np.abs(gap).sum() / max(1, count.sum()))


def weighted_f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """F1 of each label, weighted by how many rows have it: the score of Factify 2."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predicted, average="weighted", zero_division=0))
