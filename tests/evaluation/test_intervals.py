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
    times = np.array([np.bincount(drawn, minlength=len(labels)) for drawn in rows])
    scores = label_scores(confusions(labels, predicted, times))
    everything = np.arange(5)
    for i, drawn in enumerate(rows):
        truth, given = labels[drawn], predicted[drawn]
        f1 = f1_score(truth, given, labels=everything, average=None, zero_division=0)
        official = f1_score(truth, given, average="weighted", zero_division=0)
        relations = [[text_relation_of(LABELS[j]) for j in side] for side in (truth, given)]
        assert scores["weighted_f1"][i] == pytest.approx(official)
        macro = f1_score(truth, given, average="macro", zero_division=0)
        assert scores["macro_f1"][i] == pytest.approx(macro)
        assert scores["mean_f1_without_refute"][i] == pytest.approx(f1[:4].mean())
        assert scores["accuracy"][i] == pytest.approx(accuracy_score(truth, given))
        assert scores["text_relation_accuracy"][i] == pytest.approx(accuracy_score(*relations))


def test_resamples_keep_the_number_of_rows_of_each_kind() -> None:
    strata = np.array([2, 0, 0, 1, 2, 2, 0, 2])
    seen: list[np.ndarray] = []

    def score(times: np.ndarray) -> dict[str, np.ndarray]:
        seen.extend(times)
        return {"first": times[:, 0], "sum": times @ np.arange(8)}

    scores = resampled(strata, score, 150, seed=3)
    assert len(scores["first"]) == len(scores["sum"]) == len(seen) == 150
    for times in seen:
        assert np.bincount(strata, weights=times).tolist() == [3, 1, 4]
    assert len({tuple(times) for times in seen}) > 100
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
    plain = resampled(
        np.zeros(len(correct)), lambda times: {"x": times @ correct / len(correct)}, 4000
    )
    low, high = interval_of(plain["x"])
    assert high - low > theirs.high - theirs.low


def test_groups_are_drawn_as_a_whole() -> None:
    # A group of three, of kind 1 as most of it is; one of two; three rows alone.
    strata = np.array([1, 0, 1, 0, 0, 0, 1, 1])
    groups = np.array([7, 7, 7, 2, 2, 4, 5, 9])
    seen: list[np.ndarray] = []

    def score(times: np.ndarray) -> dict[str, np.ndarray]:
        seen.extend(times)
        return {"rows": times.sum(axis=1)}

    rows = resampled(strata, score, 200, groups=groups)["rows"]
    for times in seen:
        for group in np.unique(groups):
            assert len(set(times[groups == group])) == 1
        # Two groups of kind 0 and three of kind 1.
        assert times[3] + times[5] == 2
        assert times[0] + times[6] + times[7] == 3
    assert len(set(rows.tolist())) > 3
    alone = resampled(strata, score, 200, groups=np.arange(8)[::-1])["rows"]
    assert set(alone.tolist()) == {8}


def test_copies_of_rows_do_not_narrow_an_interval(digits: Digits) -> None:
    labels, predicted = digits.labels, digits.logistic.argmax(axis=1)
    confidence, unknown = digits.logistic.max(axis=1), np.full(len(labels), np.nan)

    def width(copies: int, groups: np.ndarray | None) -> float:
        low, high = metric_intervals(
            np.tile(labels, copies),
            np.tile(predicted, copies),
            np.tile(confidence, copies),
            np.tile(unknown, copies),
            groups=groups,
        )["weighted_f1"]
        return high - low

    once = width(1, None)
    assert width(4, None) == pytest.approx(once / 2, rel=0.15)
    assert width(4, np.tile(np.arange(len(labels)), 4)) == pytest.approx(once, rel=1e-9)


def test_the_interval_of_groups_is_that_of_their_means(digits: Digits) -> None:
    # Groups of ten that are all right or all wrong: a tenth as many rows for the interval.
    correct = np.repeat(digits.logistic.argmax(axis=1)[:80] == digits.labels[:80], 10)
    groups = np.repeat(np.arange(80), 10)
    drawn = resampled(
        np.zeros(800), lambda times: {"x": times @ correct / times.sum(axis=1)}, 4000, 0, groups
    )
    theirs = bootstrap(
        (correct[::10],),
        np.mean,
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert interval_of(drawn["x"]) == pytest.approx([theirs.low, theirs.high], abs=0.015)
    assert theirs.high - theirs.low > 0.1


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
    labels = np.array([0, 1, 2, 3, 4, 4])
    image_right = np.array([1, 0, *[np.nan] * 4])
    intervals = metric_intervals(
        labels, np.array([0, 1, 2, 3, 3, 4]), np.ones(6), image_right, resamples=30
    )
    # Both rows of the last label may be drawn twice, all others come once.
    assert intervals["accuracy"] == pytest.approx([4 / 6, 1])
    # The two rows with pictures are among the others, so nothing is known of what might have been.
    assert intervals["image_relation_accuracy"] is None
    image_right[4] = 1
    varied = metric_intervals(
        labels, np.array([0, 1, 2, 3, 3, 4]), np.ones(6), image_right, resamples=200
    )
    # The third is drawn twice, once or not at all.
    assert varied["image_relation_accuracy"] == pytest.approx([1 / 2, 3 / 4])


@pytest.mark.parametrize(("rows", "groups"), [(5, None), (40, 5), (40, 1)])
def test_what_can_be_drawn_in_one_way_alone_has_no_interval(rows: int, groups: int | None) -> None:
    labels = np.arange(rows) % 5
    given = np.where(np.arange(rows) == 1, 3, labels)
    shared = None if groups is None else np.arange(rows) % groups
    intervals = metric_intervals(
        labels, given, np.ones(rows), np.ones(rows), resamples=30, groups=shared
    )
    assert len(intervals) == 7
    assert set(intervals.values()) == {None}


def test_the_share_of_resamples_against() -> None:
    assert two_sided_p(np.array([-1.0, *[2.0] * 98])) == pytest.approx(2 * 2 / 100)
    assert two_sided_p(np.array([1.0, *[-2.0] * 98])) == pytest.approx(2 * 2 / 100)
    assert two_sided_p(np.zeros(10)) == 1
    assert two_sided_p(np.ones(999)) == pytest.approx(0.002)
    assert two_sided_p(np.full(9, np.nan)) is None
