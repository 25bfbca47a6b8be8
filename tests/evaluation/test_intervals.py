"""The bootstrap against scikit-learn and scipy."""

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import accuracy_score, f1_score

from factcheck.evaluation.intervals import (
    confusions,
    interval_of,
    label_scores,
    metric_intervals,
    resampled,
    two_sided_p,
)
from factcheck.records import LABELS, text_relation_of
from tests.evaluation.conftest import Digits


def test_scores_of_counts_are_those_of_scikit_learn(digits: Digits) -> None:
    labels, predicted = digits.labels, digits.bayes.argmax(axis=1)
    rng = np.random.default_rng(0)
    rows = rng.integers(len(labels), size=(8, len(labels)))
    # One resample without any true 3, and one where 4 is neither true nor given.
    rows[6] = rng.choice(np.flatnonzero(labels != 3), len(labels))
    rows[7] = rng.choice(np.flatnonzero((labels != 4) & (predicted != 4)), len(labels))
    scores = label_scores(confusions(labels, predicted, rows))
    everything = np.arange(5)
    for i, drawn in enumerate(rows):
        truth, given = labels[drawn], predicted[drawn]
        f1 = f1_score(truth, given, labels=everything, average=None, zero_division=0)
        official = f1_score(truth, given, average="weighted", zero_division=0)
        relations = [[text_relation_of(LABELS[j]) for j in side] for side in (truth, given)]
        assert scores["weighted_f1"][i] == pytest.approx(official)
        assert scores["macro_f1"][i] == pytest.approx(f1.mean())
        assert scores["mean_f1_without_refute"][i] == pytest.approx(f1[:4].mean())
        assert scores["accuracy"][i] == pytest.approx(accuracy_score(truth, given))
        assert scores["text_relation_accuracy"][i] == pytest.approx(accuracy_score(*relations))


def test_resamples_keep_the_number_of_rows_of_each_kind() -> None:
    strata = np.array([2, 0, 0, 1, 2, 2, 0, 2])
    seen: list[np.ndarray] = []

    def score(rows: np.ndarray) -> dict[str, np.ndarray]:
        seen.extend(rows)
        return {"first": rows[:, 0], "sum": rows.sum(axis=1)}

    scores = resampled(strata, score, 150, seed=3)
    assert len(scores["first"]) == len(scores["sum"]) == len(seen) == 150
    for rows in seen:
        assert np.bincount(strata[rows]).tolist() == [3, 1, 4]
    assert len({tuple(rows) for rows in seen}) > 100
    assert np.array_equal(scores["sum"], resampled(strata, score, 150, seed=3)["sum"])
    assert not np.array_equal(scores["sum"], resampled(strata, score, 150, seed=4)["sum"])


def test_the_interval_is_that_of_scipy(digits: Digits) -> None:
    correct = digits.logistic.argmax(axis=1) == digits.labels
    strata = [correct[digits.labels == label] for label in range(5)]
    theirs = bootstrap(
        strata,
        lambda *drawn, axis: np.concatenate(drawn, axis=axis).mean(axis=axis),
        n_resamples=4000,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    confidence, unknown = digits.logistic.max(axis=1), np.full(len(correct), np.nan)
    intervals = metric_intervals(
        digits.labels, digits.logistic.argmax(axis=1), confidence, unknown, resamples=4000
    )
    assert intervals["accuracy"] == pytest.approx([theirs.low, theirs.high], abs=0.003)
    assert theirs.high - theirs.low > 0.02
    # Drawn without strata the same score varies more, where the labels are of unlike difficulty.
    plain = resampled(np.zeros(len(correct)), lambda rows: {"x": correct[rows].mean(axis=1)}, 4000)
    low, high = interval_of(plain["x"])
    assert high - low > theirs.high - theirs.low


def test_pictures_that_are_unknown_have_no_part(digits: Digits) -> None:
    predicted, confidence = digits.bayes.argmax(axis=1), digits.bayes.max(axis=1)
    unknown = np.full(len(predicted), np.nan)
    assert "image_relation_accuracy" not in metric_intervals(
        digits.labels, predicted, confidence, unknown, 20
    )
    some = unknown.copy()
    some[::2] = np.arange(len(some[::2])) % 4 > 0
    low, high = metric_intervals(digits.labels, predicted, confidence, some, 400)[
        "image_relation_accuracy"
    ]
    assert low < 0.75 < high
    # Four standard errors of a share of three quarters.
    assert high - low == pytest.approx(4 * np.sqrt(0.75 * 0.25 / (len(some) / 2)), rel=0.15)


def test_a_label_with_one_row_stays_as_it_is() -> None:
    labels = np.arange(5)
    intervals = metric_intervals(
        labels, np.array([0, 1, 2, 3, 3]), np.ones(5), np.array([1, 0, np.nan, np.nan, np.nan]), 30
    )
    assert intervals["accuracy"] == intervals["accuracy_at_80_percent_coverage"] == [0.8, 0.8]
    assert intervals["image_relation_accuracy"] == [0.5, 0.5]


def test_the_share_of_resamples_against() -> None:
    assert two_sided_p(np.array([-1.0, *[2.0] * 98])) == pytest.approx(2 * 2 / 100)
    assert two_sided_p(np.array([1.0, *[-2.0] * 98])) == pytest.approx(2 * 2 / 100)
    assert two_sided_p(np.zeros(10)) == 1
    assert two_sided_p(np.ones(999)) == pytest.approx(0.002)
