"""Metrics against cases whose answer is known."""

import numpy as np
import pytest

from factcheck.evaluation.metrics import (
    classification_metrics,
    expected_calibration_error,
    weighted_f1,
    weighted_f1_interval,
)
from factcheck.records import LABELS

NONE = np.full(5, np.nan)
UNKNOWN = np.full(5, -1)


def test_a_perfect_prediction() -> None:
    metrics = classification_metrics(np.eye(5), NONE, np.arange(5), UNKNOWN, resamples=20)
    assert metrics["weighted_f1"] == metrics["macro_f1"] == metrics["accuracy"] == 1
    assert metrics["brier"] == metrics["expected_calibration_error"] == 0
    assert metrics["negative_log_likelihood"] == pytest.approx(0, abs=1e-5)
    assert metrics["image_relation_accuracy"] is None
    assert np.array_equal(metrics["confusion"], np.eye(5))
    assert metrics["weighted_f1_interval"] == [1, 1]


def test_a_wrong_picture_is_an_error_of_one_axis() -> None:
    """Support_Multimodal for Support_Text: the text relation is right, the picture is not."""
    probabilities = np.eye(5)[[1, 1, 2, 3, 4]]
    image = np.array([0.9, 0.8, 0.1, 0.7, np.nan])
    same = np.array([0, 1, 0, 1, -1])
    metrics = classification_metrics(probabilities, image, np.arange(5), same, resamples=0)
    assert metrics["text_relation_accuracy"] == 1
    assert metrics["image_relation_accuracy"] == 0.75
    assert metrics["f1"][LABELS[0]] == 0
    assert metrics["f1"][LABELS[1]] == pytest.approx(2 / 3)
    assert metrics["confusion"][0][1] == 1


def test_a_label_of_probability_zero_costs_much_but_not_everything() -> None:
    metrics = classification_metrics(
        np.eye(5)[[1, 0, 2, 3, 4]], NONE, np.arange(5), UNKNOWN, resamples=0
    )
    assert 1 < metrics["negative_log_likelihood"] < 100


def test_weighted_f1_weighs_by_rows() -> None:
    truth = np.array([0, 0, 0, 1])
    assert weighted_f1(truth, np.array([0, 0, 0, 0])) == pytest.approx(0.75 * 6 / 7)


def test_calibration_error_is_the_gap() -> None:
    rng = np.random.default_rng(0)
    confidence = np.full(10_000, 0.8)
    honest = rng.random(10_000) < 0.8
    boastful = rng.random(10_000) < 0.5
    assert expected_calibration_error(confidence, honest) == pytest.approx(0, abs=0.02)
    assert expected_calibration_error(confidence, boastful) == pytest.approx(0.3, abs=0.02)
    assert expected_calibration_error(np.ones(4), np.ones(4, dtype=bool)) == 0


def test_the_interval_holds_the_score_narrows_with_rows_and_repeats() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 4000)
    predicted = np.where(rng.random(4000) < 0.7, truth, rng.integers(0, 5, 4000))
    few = weighted_f1_interval(truth[:200], predicted[:200], 200)
    many = weighted_f1_interval(truth, predicted, 200)
    assert many[0] < weighted_f1(truth, predicted) < many[1]
    assert many[1] - many[0] < few[1] - few[0]
    assert weighted_f1_interval(truth, predicted, 200) == many
