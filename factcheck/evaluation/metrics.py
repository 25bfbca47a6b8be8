"""What a split's predictions are worth: the official score, its axes, calibration and intervals.

Arithmetic is scikit-learn's; what is added is the two axes, expected calibration error, selective
prediction (`selective`) and the bootstrap (`intervals`).
"""

from typing import Any

import numpy as np

from factcheck.evaluation.intervals import (
    NOT_REFUTE,
    RELATION_OF,
    RESAMPLES,
    SAME_PICTURE,
    metric_intervals,
)
from factcheck.evaluation.selective import risk_coverage_curve, risks, selective_accuracies
from factcheck.records import LABELS


def classification_metrics(
    probabilities: np.ndarray,
    image_probabilities: np.ndarray,
    labels: np.ndarray,
    same_picture: np.ndarray,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> dict[str, Any]:
    """Metrics of N predictions.

    Args:
        probabilities: (N, 5) of the labels, in the order of `records.LABELS`.
        image_probabilities: (N,) of the same picture; NaN where there are not two.
        labels: (N,) true labels as positions in `records.LABELS`.
        same_picture: (N,) 1, 0, or -1 where the truth is unknown or there are not two pictures.
        resamples: Bootstrap resamples of the intervals; 0 leaves these out.
        seed: Of the bootstrap.
        groups: (N,) the group of each row (`shared_texts`), which is drawn as a whole; without it
            rows count as independent.

    Returns:
        - `rows`, and with `groups` their number, `text_groups`.
        - `weighted_f1` (the task's score); `macro_f1`, the mean over the labels that any row has or
          is given, as scikit-learn has it (null if there are none); `mean_f1_without_refute`, as
          the task's papers have it, the mean over all four labels but Refute, where one that no
          row has or is given counts as zero; `accuracy`.
        - `f1` by label, and `leaderboard_columns` by label (`leaderboard_columns`).
        - `labels`, and `confusion` in their order (rows true, columns given).
        - `text_relation_accuracy` (of the given label's relation) and `image_relation_accuracy` (of
          the image probability, where the truth is known; null if it nowhere is), and
          `image_relation_auc`, the area under its ROC curve (null unless both truths occur).
        - `errors_by_axis` (`errors_by_axis`).
        - `expected_calibration_error`, `calibration_error_by_chance` (what it would be of
          probabilities that are as they should be) and `reliability` (`reliability`).
        - `brier` (sum over the labels) and `negative_log_likelihood` (nats).
        - `area_under_risk_coverage` and `risk_coverage`, the curve (`selective`);
          `accuracy_at_80_percent_coverage`.
        - For the scores that `metric_intervals` names, `{name}_interval`: 95%, `[low, high]`; None
          where all rows of each label share texts, which no interval can be drawn from.
    """
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss

    everything = np.arange(len(LABELS))
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    correct = predicted == labels
    f1 = f1_score(labels, predicted, labels=everything, average=None, zero_division=0)
    confusion = confusion_matrix(labels, predicted, labels=everything)
    truth = np.eye(len(LABELS))[labels]
    known = same_picture >= 0
    image_right = np.where(known, (image_probabilities >= 0.5) == (same_picture == 1), np.nan)
    # A label that cannot be (a multimodal one without two pictures) has probability zero; a row
    # that has it all the same costs a large loss and not an infinite one.
    possible = np.clip(probabilities, 1e-7, 1)
    possible /= possible.sum(axis=1, keepdims=True)
    risk = risks(confidence, correct)
    metrics: dict[str, Any] = {
        "rows": len(labels),
        **({} if groups is None else {"text_groups": len(np.unique(groups))}),
        "weighted_f1": weighted_f1(labels, predicted),
        "macro_f1": macro_f1(labels, predicted),
        "mean_f1_without_refute": float(f1[NOT_REFUTE].mean()),
        "accuracy": float(accuracy_score(labels, predicted)),
        "f1": dict(zip(map(str, LABELS), map(float, f1), strict=True)),
        "leaderboard_columns": leaderboard_columns(labels, predicted),
        "labels": [str(label) for label in LABELS],
        "confusion": confusion.tolist(),
        "text_relation_accuracy": float((RELATION_OF[predicted] == RELATION_OF[labels]).mean()),
        "image_relation_accuracy": float(image_right[known].mean()) if known.any() else None,
        "image_relation_auc": _image_auc(image_probabilities[known], same_picture[known]),
        "errors_by_axis": errors_by_axis(confusion),
        "expected_calibration_error": expected_calibration_error(confidence, correct),
        "calibration_error_by_chance": calibration_error_by_chance(confidence, seed),
        "reliability": reliability(confidence, correct),
        "brier": float(((probabilities - truth) ** 2).sum(axis=1).mean()),
        "negative_log_likelihood": float(log_loss(labels, possible, labels=everything)),
        "area_under_risk_coverage": float(risk.mean()),
        "accuracy_at_80_percent_coverage": float(
            selective_accuracies(confidence, correct, np.ones((1, len(labels)), dtype=int))[0]
        ),
        "risk_coverage": risk_coverage_curve(risk),
    }
    if resamples:
        intervals = metric_intervals(
            labels, predicted, confidence, image_right, resamples, seed, groups
        )
        metrics |= {f"{name}_interval": interval for name, interval in intervals.items()}
    return metrics


def weighted_f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """F1 of each label, weighted by how many rows have it: the score of Factify 2."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predicted, average="weighted", zero_division=0))


def macro_f1(labels: np.ndarray, predicted: np.ndarray) -> float | None:
    """The mean F1 of the labels that any row has or is given; None if there are no rows.

    A label that is neither true nor given anywhere says nothing of who gives labels: counted as
    zero, it would keep even one who is always right from one.

    Args:
        labels: (N,) true labels as positions in `records.LABELS`.
        predicted: (N,) labels given, likewise.
    """
    from sklearn.metrics import f1_score

    if not len(labels):
        return None
    return float(f1_score(labels, predicted, average="macro", zero_division=0))


def _image_auc(probabilities: np.ndarray, same_picture: np.ndarray) -> float | None:
    from sklearn.metrics import roc_auc_score

    if len(np.unique(same_picture)) < 2:
        return None
    return float(roc_auc_score(same_picture, probabilities))


def leaderboard_columns(labels: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    """What Factify 2's leaderboard has in a label's column, which is not the label's F1.

    It is F1 on the label's own rows alone. No other label can be taken for it there, so precision
    is 1 and what remains of F1 is 2r / (1 + r), r being the label's recall.

    Args:
        labels: (N,) true labels as positions in `records.LABELS`.
        predicted: (N,) labels given, likewise.

    Returns:
        The figure by label; None for a label that no row has.
    """
    from sklearn.metrics import recall_score

    everything = np.arange(len(LABELS))
    recalls = recall_score(
        labels, predicted, labels=everything, average=None, zero_division=np.nan
    ).tolist()
    return {
        str(label): None if np.isnan(recall) else 2 * recall / (1 + recall)
        for label, recall in zip(LABELS, recalls, strict=True)
    }


def errors_by_axis(confusion: np.ndarray) -> dict[str, dict[str, Any]]:
    """Errors by the axis on which the label given parts from the true one.

    Args:
        confusion: (5, 5) counts in the order of `records.LABELS`, rows true and columns given.

    Returns:
        `count` and `share` (of all errors; null if there are none), each with `text_only`,
        `image_only`, `both`, and `refute`: one of the two labels is Refute, which says nothing of
        the picture.
    """
    text = RELATION_OF[:, None] != RELATION_OF[None, :]
    image = SAME_PICTURE[:, None] != SAME_PICTURE[None, :]
    neither_refute = NOT_REFUTE[:, None] & NOT_REFUTE[None, :]
    kinds = {
        "text_only": neither_refute & text & ~image,
        "image_only": neither_refute & image & ~text,
        "both": neither_refute & text & image,
        "refute": ~neither_refute & text,
    }
    count = {name: int(confusion[cells].sum()) for name, cells in kinds.items()}
    errors = sum(count.values())
    return {
        "count": count,
        "share": {name: n / errors if errors else None for name, n in count.items()},
    }


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> dict[str, Any]:
    """Confidence and accuracy over bins of equal width, as a reliability diagram shows them.

    Args:
        confidence: (N,) probability of the label given.
        correct: (N,) bool, whether it was right.
        bins: Number of bins of [0, 1]; a confidence on an edge is in the upper one.

    Returns:
        `rows`, `confidence` (mean) and `accuracy`, each with one figure a bin; the latter two are
        null for a bin without rows.
    """
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = np.bincount(which, minlength=bins).tolist()

    def means(values: np.ndarray) -> list[float | None]:
        sums = np.bincount(which, weights=values, minlength=bins).tolist()
        return [total / n if n else None for total, n in zip(sums, rows, strict=True)]

    return {"rows": rows, "confidence": means(confidence), "accuracy": means(correct)}


def expected_calibration_error(
    confidence: np.ndarray, correct: np.ndarray, bins: int = 15
) -> float:
    """Mean distance between confidence and accuracy over bins of equal width, weighted by rows.

    arXiv:1706.04599 eq. 3.

    Args:
        confidence: (N,) probability of the label given.
        correct: (N,) bool, whether it was right.
        bins: Number of bins of [0, 1].
    """
    found = reliability(confidence, correct, bins)
    gaps = [
        n * abs(sure - right)
        for n, sure, right in zip(
            found["rows"], found["confidence"], found["accuracy"], strict=True
        )
        if n
    ]
    return float(sum(gaps) / max(1, len(confidence)))


def calibration_error_by_chance(confidence: np.ndarray, seed: int = 0, draws: int = 200) -> float:
    """The mean calibration error of rows that are right as often as their confidence says.

    It is not zero, for of few rows in a bin not just so many are right; what a system has more than
    that is its own.

    Args:
        confidence: (N,) probability of the label given.
        seed: Of the draws.
        draws: How often it is drawn which rows are right.
    """
    rng = np.random.default_rng(seed)
    errors = [
        expected_calibration_error(confidence, rng.random(len(confidence)) < confidence)
        for _ in range(draws)
    ]
    return float(np.mean(errors))
