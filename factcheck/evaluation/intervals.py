"""Bootstrap over groups of rows: 95% intervals of scores and of differences.

Rows that share a claim or a document stand and fall together: ten rows on one story tell less than
ten on ten. So what is drawn with replacement is not rows but groups of rows that share no text
(`shared_texts`), as a cluster bootstrap does (Davison & Hinkley, Bootstrap Methods and their
Application, 1997, sec. 3.8). A resample has as many groups of each label as the split has; where
every row is a group of its own, it has as many rows of each. Intervals are those of percentiles
(Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13).

`scipy.stats.bootstrap` knows no groups, so they are drawn here. Scores of many resamples at once
come from their counts: a call of scikit-learn for each of thousands would take minutes.
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

# How often rows are drawn is counted for so many rows at a time, which take some tens of megabytes.
_COUNTED_AT_ONCE = 1_000_000

Scores = dict[str, np.ndarray]
"""(B,) by name: scores of B resamples."""


def resampled(
    strata: np.ndarray,
    score: Callable[[np.ndarray], Scores],
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> Scores:
    """Scores of resamples of N rows.

    Two runs on the same rows are compared in pairs when `score` scores both on the rows drawn.

    Args:
        strata: (N,) what a row is; a resample has as many groups of each kind, a group being of the
            kind that most of its rows are of.
        score: From (B, N) how often each row is drawn to the scores of each of B resamples.
        resamples: How many; at least 1.
        seed: Of the draws.
        groups: (N,) the group of each row, drawn as a whole; without it every row is drawn alone.

    Returns:
        (resamples,) by name; NaN where there is but one group of each kind. Every resample would be
        the same then, which is no certainty: what other texts would give is not known.
    """
    rng = np.random.default_rng(seed)
    group, members = _groups_by_kind(strata, groups)
    if all(len(some) == 1 for some in members):
        once = score(np.ones((1, len(strata)), dtype=np.int64))
        return {name: np.full(resamples, np.nan) for name in once}
    count_of_groups = sum(map(len, members))
    at_once = min(100, max(1, _COUNTED_AT_ONCE // len(strata)))
    parts = []
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        drawn = [some[rng.integers(len(some), size=(count, len(some)))] for some in members]
        cells = np.concatenate(drawn, axis=1) + count_of_groups * np.arange(count)[:, None]
        times = np.bincount(cells.ravel(), minlength=count_of_groups * count)
        parts.append(score(times.reshape(count, -1)[:, group]))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _groups_by_kind(
    strata: np.ndarray, groups: np.ndarray | None
) -> tuple[np.ndarray, list[np.ndarray]]:
    """(N,) the group of each row, from 0, and the groups that each kind has (`resampled`)."""
    group = np.arange(len(strata)) if groups is None else np.unique(groups, return_inverse=True)[1]
    kinds, kind = np.unique(strata, return_inverse=True)
    rows_of_kind = np.zeros((group.max() + 1, len(kinds)), dtype=np.int64)
    np.add.at(rows_of_kind, (group, kind), 1)
    stratum = rows_of_kind.argmax(axis=1)
    return group, [np.flatnonzero(stratum == own) for own in np.unique(stratum)]


def _vary(counted: np.ndarray, strata: np.ndarray, groups: np.ndarray | None) -> bool:
    """Whether resamples can differ in the rows that count, (N,) bool."""
    group, members = _groups_by_kind(strata, groups)
    counts = np.bincount(group, weights=counted) > 0
    return any(len(some) > 1 and counts[some].any() for some in members)


def interval_of(scores: np.ndarray) -> list[float] | None:
    """The 95% percentile interval `[low, high]` of (R,) scores.

    NaN among them is left out; where there is nothing else, there is no interval.
    """
    if np.isnan(scores).all():
        return None
    return [float(bound) for bound in np.nanquantile(scores, [0.025, 0.975])]


def two_sided_p(differences: np.ndarray) -> float | None:
    """Twice the share of (R,) resampled differences that do not favour the side ahead, at most 1.

    None where nothing could be drawn (`resampled`).

    One is added to both counts, for no number of resamples can show that there is no chance at all
    (Davison & Hinkley, Bootstrap Methods and their Application, 1997, sec. 4.2).
    """
    if np.isnan(differences).all():
        return None
    against = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, 2 * (against + 1) / (len(differences) + 1))


def confusions(
    labels: np.ndarray,
    predicted: np.ndarray,
    times: np.ndarray,
    counted: np.ndarray | None = None,
) -> np.ndarray:
    """Confusion matrices of B resamples.

    Args:
        labels: (N,) true labels as positions in `records.LABELS`.
        predicted: (N,) labels given, likewise.
        times: (B, N) how often each row is drawn.
        counted: (N,) bool, the rows that count when they are drawn; all without it.

    Returns:
        (B, 5, 5) counts, rows true and columns given.
    """
    size = len(LABELS)
    cells = labels * size + predicted
    if counted is not None:
        cells = np.where(counted, cells, -1)
    sums = [times[:, cells == cell].sum(axis=1) for cell in range(size**2)]
    return np.stack(sums, axis=1).reshape(-1, size, size)


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
    # A resample of a part of the rows may have none.
    rows = np.maximum(1, true.sum(axis=-1))
    # A label that is neither true nor given anywhere has F1 zero, and is not in the macro mean.
    f1 = 2 * right / np.maximum(1, true + given)
    same_relation = RELATION_OF[:, None] == RELATION_OF[None, :]
    return {
        "weighted_f1": (f1 * true).sum(axis=-1) / rows,
        "macro_f1": f1.sum(axis=-1) / np.maximum(1, (true + given > 0).sum(axis=-1)),
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
    groups: np.ndarray | None = None,
) -> dict[str, list[float] | None]:
    """95% intervals of the scores of N predictions.

    Args:
        labels: (N,) true labels as positions in `records.LABELS`.
        predicted: (N,) labels given, likewise.
        confidence: (N,) probability of the label given.
        image_right: (N,) 1 where the image relation was told right, 0 where wrong, NaN where it is
            not known.
        resamples: How many; at least 1.
        seed: Of the draws.
        groups: (N,) the group of each row (`resampled`).

    Returns:
        `[low, high]` by name, None where none can be drawn (`resampled`): those of `label_scores`,
        `accuracy_at_80_percent_coverage`, and `image_relation_accuracy` where it is known for any
        row.
    """
    correct = predicted == labels
    known = ~np.isnan(image_right)
    right = known & (image_right == 1)
    varies = _vary(known, labels, groups)

    def score(times: np.ndarray) -> Scores:
        scores = label_scores(confusions(labels, predicted, times))
        scores["accuracy_at_80_percent_coverage"] = selective_accuracies(confidence, correct, times)
        if known.any():
            # Other rows may vary where the few that count are always drawn the same way.
            count = times[:, known].sum(axis=1) * varies
            # A resample of a small split may have no such row.
            scores["image_relation_accuracy"] = np.where(
                count > 0, times[:, right].sum(axis=1) / np.maximum(1, count), np.nan
            )
        return scores

    scores = resampled(labels, score, resamples, seed, groups)
    return {name: interval_of(values) for name, values in scores.items()}
