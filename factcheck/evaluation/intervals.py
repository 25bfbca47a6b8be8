"""Bootstrap over rows, stratified by their true label: 95% intervals of scores and of differences.

A resample has as many rows of each label as the split has, drawn with replacement; intervals are
those of percentiles (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13).

`scipy.stats.bootstrap` could draw the strata as independent samples, but it refuses a sample of one
row, which small splits have, so rows are drawn here. Scores of many resamples at once come from
their counts: a call of scikit-learn for each of thousands would take minutes.
"""

from collections.abc import Callable

import numpy as np

from factcheck.evaluation.selective import selective_accuracies
from factcheck.records import LABELS, TEXT_RELATIONS, Label, same_picture_of, text_relation_of

RESAMPLES = 1000
"""Bootstrap resamples of an interval."""

RELATION_OF = np.array([TEXT_RELATIONS.index(text_relation_of(label)) for label in LABELS])
"""(5,) for each label the position of its text relation in `records.TEXT_RELATIONS`."""

NOT_REFUTE = np.array([label is not Label.REFUTE for label in LABELS])
"""(5,) bool, the labels that have an image axis."""

SAME_PICTURE = np.array([same_picture_of(label) is True for label in LABELS])
"""(5,) bool, the labels that say of both pictures that they are the same."""

# Resamples drawn at a time: 7,500 rows of so many take some tens of megabytes.
_AT_ONCE = 100

Scores = dict[str, np.ndarray]
"""(B,) by name: scores of B resamples."""


def resampled(
    strata: np.ndarray,
    score: Callable[[np.ndarray], Scores],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Scores:
    """Scores of resamples of N rows.

    Two runs on the same rows are compared in pairs when `score` scores both on the rows drawn.

    Args:
        strata: (N,) what a row is; a resample has as many rows of each kind.
        score: From (B, N) positions of the rows of B resamples to the scores of each.
        resamples: How many; at least 1.
        seed: Of the draws.

    Returns:
        (resamples,) by name.
    """
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    parts = []
    for start in range(0, resamples, _AT_ONCE):
        count = min(_AT_ONCE, resamples - start)
        drawn = [group[rng.integers(len(group), size=(count, len(group)))] for group in groups]
        parts.append(score(np.concatenate(drawn, axis=1)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def interval_of(scores: np.ndarray) -> list[float]:
    """The 95% percentile interval `[low, high]` of (R,) scores; NaN among them is left out."""
    return [float(bound) for bound in np.nanquantile(scores, [0.025, 0.975])]


def two_sided_p(differences: np.ndarray) -> float:
    """Twice the share of (R,) resampled differences that do not favour the side ahead, at most 1.

    One is added to both counts, for no number of resamples can show that there is no chance at all
    (Davison & Hinkley, Bootstrap Methods and their Application, 1997, sec. 4.2).
    """
    against = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, 2 * (against + 1) / (len(differences) + 1))


def confusions(
    labels: np.ndarray,
    predicted: np.ndarray,
    rows: np.ndarray,
    counted: np.ndarray | None = None,
) -> np.ndarray:
    """Confusion matrices of B resamples.

    Args:
        labels: (N,) true labels as positions in `records.LABELS`.
        predicted: (N,) labels given, likewise.
        rows: (B, N) positions of the rows drawn.
        counted: (N,) bool, the rows that count when they are drawn; all without it.

    Returns:
        (B, 5, 5) counts, rows true and columns given.
    """
    size = len(LABELS)
    cells = (labels * size + predicted)[rows] + size**2 * np.arange(len(rows))[:, None]
    drawn = cells.ravel() if counted is None else cells[counted[rows]]
    counts = np.bincount(drawn, minlength=size**2 * len(rows))
    return counts.reshape(-1, size, size)


def label_scores(confusion: np.ndarray) -> Scores:
    """Scores that follow from labels alone, of many confusion matrices at once.

    Args:
        confusion: (..., 5, 5) counts, rows true and columns given.

    Returns:
        (...,) `weighted_f1`, `macro_f1`, `mean_f1_without_refute`, `accuracy` and
        `text_relation_accuracy`, as `metrics.classification_metrics` defines them.
    """
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    true, given = confusion.sum(axis=-1), confusion.sum(axis=-2)
    rows = true.sum(axis=-1)
    # A label that is neither true nor given anywhere has F1 zero.
    f1 = 2 * right / np.maximum(1, true + given)
    same_relation = RELATION_OF[:, None] == RELATION_OF[None, :]
    return {
        "weighted_f1": (f1 * true).sum(axis=-1) / rows,
        "macro_f1": f1.mean(axis=-1),
        "mean_f1_without_refute": f1[..., NOT_REFUTE].mean(axis=-1),
        "accuracy": right.sum(axis=-1) / rows,
        "text_relation_accuracy": (confusion * same_relation).sum(axis=(-2, -1)) / rows,
    }


def metric_intervals(
    labels: np.ndarray,
    predicted: np.ndarray,
    confidence: np.ndarray,
    image_right: np.ndarray,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, list[float]]:
    """95% intervals of the scores of N predictions.

    Args:
        labels: (N,) true labels as positions in `records.LABELS`.
        predicted: (N,) labels given, likewise.
        confidence: (N,) probability of the label given.
        image_right: (N,) 1 where the image relation was told right, 0 where wrong, NaN where it is
            not known.
        resamples: How many; at least 1.
        seed: Of the draws.

    Returns:
        `[low, high]` by name: those of `label_scores`, `accuracy_at_80_percent_coverage`, and
        `image_relation_accuracy` where it is known for any row.
    """
    correct = predicted == labels
    known = ~np.isnan(image_right)
    right = known & (image_right == 1)

    def score(rows: np.ndarray) -> Scores:
        scores = label_scores(confusions(labels, predicted, rows))
        scores["accuracy_at_80_percent_coverage"] = selective_accuracies(confidence, correct, rows)
        if known.any():
            count = known[rows].sum(axis=1)
            # A resample of a small split may have no such row.
            scores["image_relation_accuracy"] = np.where(
                count > 0, right[rows].sum(axis=1) / np.maximum(1, count), np.nan
            )
        return scores

    scores = resampled(labels, score, resamples, seed)
    return {name: interval_of(values) for name, values in scores.items()}
