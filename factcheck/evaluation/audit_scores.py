"""Scores of several systems on the same rows, with intervals, and their differences in pairs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from factcheck.evaluation.intervals import (
    NOT_REFUTE,
    RESAMPLES,
    SAME_PICTURE,
    Scores,
    confusions,
    interval_of,
    label_scores,
    resampled,
)
from factcheck.records import LABELS

SCORES = ("weighted_f1", "text_relation_accuracy", "image_relation_accuracy")
"""Scores of a system, all of the labels it gives."""

_RIGHT_IMAGE = (
    (SAME_PICTURE[:, None] == SAME_PICTURE[None, :]) & NOT_REFUTE[:, None] & NOT_REFUTE[None, :]
)


def score_answers(
    labels: np.ndarray,
    answers: Mapping[str, np.ndarray],
    differences: Sequence[tuple[str, str]] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> tuple[dict[str, dict[str, Any]], dict[tuple[str, str], dict[str, Any]]]:
    """Score systems on the same rows and the same resamples of them.

    Args:
        labels: (N,) true labels as positions in `records.LABELS`.
        answers: By name of the system the (N,) labels that it gives.
        differences: Pairs of names; the weighted F1 of the second is taken from that of the first.
        resamples: How many; at least 1.
        seed: Of the draws.
        groups: (N,) the group of each row (`intervals.resampled`).

    Returns:
        By name the `SCORES` (`label_and_image_scores`), each with its `{name}_interval`, 95% and
        `[low, high]`; by pair the `difference` and its `interval`, the rows drawn in pairs. A score
        that no row bears on is None, and so is its interval; so are all intervals where all rows of
        each label share texts.
    """

    def score(times: np.ndarray) -> Scores:
        found: Scores = {}
        for name, given in answers.items():
            scores = label_and_image_scores(confusions(labels, given, times))
            found |= {f"{name} {kind}": scores[kind] for kind in SCORES}
        for one, other in differences:
            found[f"{one} - {other}"] = found[f"{one} weighted_f1"] - found[f"{other} weighted_f1"]
        return found

    measured = _measured(labels, score, resamples, seed, groups)
    scored: dict[str, dict[str, Any]] = {}
    for name in answers:
        scored[name] = {}
        for kind in SCORES:
            point, interval = measured[f"{name} {kind}"]
            scored[name] |= {kind: point, f"{kind}_interval": interval}
    compared = {}
    for one, other in differences:
        point, interval = measured[f"{one} - {other}"]
        compared[one, other] = {"difference": point, "interval": interval}
    return scored, compared


def score_rest(
    labels: np.ndarray,
    predicted: np.ndarray,
    removed: np.ndarray,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> dict[str, Any]:
    """Score a system on the rows that are left when some are removed.

    Args:
        labels: (N,) true labels as positions in `records.LABELS`.
        predicted: (N,) labels given, likewise.
        removed: (N,) bool.
        resamples: How many; at least 1.
        seed: Of the draws.
        groups: (N,) the group of each row (`intervals.resampled`).

    Returns:
        The `SCORES` with their intervals, as `score_answers` gives them, and `minus_unstressed`
        with its interval: the weighted F1 on the rest less that on all rows, the labels of which
        are weighted to be as frequent as in the rest. Unweighted the two would differ for a system
        that cannot tell the rows apart. All are None where no row is left.
    """
    if removed.all():
        names = (*SCORES, "minus_unstressed")
        return dict.fromkeys(f"{name}{part}" for name in names for part in ("", "_interval"))

    def score(times: np.ndarray) -> Scores:
        rest = confusions(labels, predicted, times, ~removed)
        everything = confusions(labels, predicted, times)
        kept = rest.sum(axis=-1) / np.maximum(1, everything.sum(axis=-1))
        alike = label_scores(everything * kept[..., None])["weighted_f1"]
        scores = label_and_image_scores(rest)
        found = {kind: scores[kind] for kind in SCORES}
        return {**found, "minus_unstressed": found["weighted_f1"] - alike}

    result: dict[str, Any] = {}
    # Strata by removal too, so that no resample is left without rows.
    strata = 2 * labels + removed
    for name, (point, interval) in _measured(strata, score, resamples, seed, groups).items():
        result |= {name: point, f"{name}_interval": interval}
    return result


def _measured(
    strata: np.ndarray,
    score: Callable[[np.ndarray], Scores],
    resamples: int,
    seed: int,
    groups: np.ndarray | None,
) -> dict[str, tuple[float | None, list[float] | None]]:
    """Scores on the rows as they are, each with its interval; None where there is none."""
    points = score(np.ones((1, len(strata)), dtype=np.int64))
    drawn = resampled(strata, score, resamples, seed, groups)
    return {
        name: (None, None) if np.isnan(point).any() else (float(point[0]), interval_of(drawn[name]))
        for name, point in points.items()
    }


def chance_weighted_f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """What a system's labels would score if they were dealt to the rows at random.

    A system that gives one label everywhere scores far below one that guesses wildly: of five
    equally frequent labels 0.07 and 0.20. So being above the majority is not yet to know anything.

    Args:
        labels: (N,) true labels as positions in `records.LABELS`.
        predicted: (N,) labels given, likewise.

    Returns:
        The weighted F1 of the confusion matrix that is to be expected, as often as each label is.
    """
    size = len(LABELS)
    true, given = (np.bincount(some, minlength=size) for some in (labels, predicted))
    return float(label_scores(np.outer(true, given) / len(labels))["weighted_f1"])


def label_and_image_scores(confusion: np.ndarray) -> Scores:
    """`intervals.label_scores` with the accuracy of the image relation that labels imply.

    Args:
        confusion: (..., 5, 5) counts, rows true and columns given.

    Returns:
        (...,) by name; `image_relation_accuracy` is the share of the rows that are not Refute whose
        given label says the same of the pictures as the true one. Refute says nothing of them, so
        where it is given wrongly this is wrong too. NaN without such rows.
    """
    axis_rows = confusion.sum(axis=-1)[..., NOT_REFUTE].sum(axis=-1)
    right = (confusion * _RIGHT_IMAGE).sum(axis=(-2, -1))
    image = np.where(axis_rows > 0, right / np.maximum(1, axis_rows), np.nan)
    return {**label_scores(confusion), "image_relation_accuracy": image}
