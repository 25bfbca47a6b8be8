"""Metrics against cases whose answer is known."""

import json

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, f1_score, log_loss

from factcheck.evaluation.metrics import (
    calibration_error_by_chance,
    classification_metrics,
    errors_by_axis,
    expected_calibration_error,
    leaderboard_columns,
    macro_f1,
    reliability,
    weighted_f1,
)
from factcheck.evaluation.selective import risks
from factcheck.records import LABELS, Label
from tests.evaluation.conftest import Digits

NONE = np.full(5, np.nan)
UNKNOWN = np.full(5, -1)


def test_a_perfect_prediction() -> None:
    metrics = classification_metrics(np.eye(5), NONE, np.arange(5), UNKNOWN, resamples=20)
    assert metrics["weighted_f1"] == metrics["macro_f1"] == metrics["accuracy"] == 1
    assert metrics["brier"] == metrics["expected_calibration_error"] == 0
    assert metrics["negative_log_likelihood"] == pytest.approx(0, abs=1e-5)
    assert metrics["image_relation_accuracy"] is metrics["image_relation_auc"] is None
    assert np.array_equal(metrics["confusion"], np.eye(5))
    twice = np.repeat(np.arange(5), 2)
    many = classification_metrics(
        np.eye(5)[twice], np.full(10, np.nan), twice, np.full(10, -1), resamples=20
    )
    assert many["weighted_f1_interval"] == [1, 1]
    # Of one row for each label nothing can be drawn.
    assert metrics["weighted_f1_interval"] is None


def test_a_label_that_does_not_occur_is_not_in_the_macro_mean() -> None:
    labels = np.repeat([0, 1, 2, 3], 5)
    unknown, nowhere = np.full(20, -1), np.full(20, np.nan)
    metrics = classification_metrics(np.eye(5)[labels], nowhere, labels, unknown, resamples=20)
    assert metrics["macro_f1"] == metrics["weighted_f1"] == 1
    assert metrics["macro_f1_interval"] == [1, 1]
    # One that is given and never true is in it.
    given = np.where(np.arange(20) == 0, 4, labels)
    metrics = classification_metrics(np.eye(5)[given], nowhere, labels, unknown, resamples=0)
    assert metrics["macro_f1"] == pytest.approx((8 / 9 + 1 + 1 + 1 + 0) / 5)
    assert macro_f1(labels[:0], labels[:0]) is None
    # The papers' mean over the four labels but Refute stays a mean over four.
    refuted = np.full(20, 4)
    metrics = classification_metrics(np.eye(5)[refuted], nowhere, refuted, unknown, resamples=0)
    assert metrics["macro_f1"] == 1
    assert metrics["mean_f1_without_refute"] == 0


def test_a_wrong_picture_is_an_error_of_one_axis() -> None:
    """Support_Multimodal for Support_Text: the text relation is right, the picture is not."""
    probabilities = np.eye(5)[[1, 1, 2, 3, 4]]
    image = np.array([0.9, 0.8, 0.1, 0.7, np.nan])
    same = np.array([0, 1, 0, 1, -1])
    metrics = classification_metrics(probabilities, image, np.arange(5), same, resamples=0)
    assert metrics["text_relation_accuracy"] == 1
    assert metrics["image_relation_accuracy"] == 0.75
    # The two of the same picture each come before one of the two others.
    assert metrics["image_relation_auc"] == 0.5
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


def test_calibration_error_by_chance_is_that_of_a_mean() -> None:
    # One bin: the mean distance of a share from its expectation, which is nearly normal.
    for rows in (100, 10_000):
        expected = np.sqrt(2 / np.pi) * np.sqrt(0.8 * 0.2 / rows)
        found = calibration_error_by_chance(np.full(rows, 0.8))
        assert found == pytest.approx(expected, rel=0.2)
    assert calibration_error_by_chance(np.ones(50)) == 0


def test_bins_of_a_reliability_diagram() -> None:
    confidence = np.array([0.05, 0.5, 0.55, 0.7, 1.0])
    found = reliability(confidence, np.array([False, True, False, True, True]), bins=4)
    assert found["rows"] == [1, 0, 3, 1]
    assert found["confidence"] == pytest.approx([0.05, None, 1.75 / 3, 1.0])
    assert found["accuracy"] == pytest.approx([0, None, 2 / 3, 1])
    gap = (0.05 + 0.25) / 5
    correct = np.array([False, True, False, True, True])
    assert expected_calibration_error(confidence, correct, bins=4) == pytest.approx(gap)


def triple_check() -> tuple[np.ndarray, np.ndarray]:
    """True and given labels of the winner of Factify 2 on its test split (arXiv:2302.07740)."""
    order = (
        Label.SUPPORT_MULTIMODAL,
        Label.SUPPORT_TEXT,
        Label.INSUFFICIENT_MULTIMODAL,
        Label.INSUFFICIENT_TEXT,
        Label.REFUTE,
    )
    published = [
        [1262, 81, 146, 10, 1],
        [131, 1059, 81, 227, 2],
        [148, 61, 1208, 82, 1],
        [17, 182, 182, 1113, 6],
        [0, 0, 0, 0, 1500],
    ]
    positions = [LABELS.index(label) for label in order]
    cells = [(t, g) for t in positions for g in positions]
    pairs = np.repeat(cells, np.ravel(published), axis=0)
    return pairs[:, 0], pairs[:, 1]


def test_what_is_published_of_the_winner_of_factify_2() -> None:
    labels, given = triple_check()
    none, unknown = np.full(7500, np.nan), np.full(7500, -1)
    metrics = classification_metrics(np.eye(5)[given], none, labels, unknown)
    assert metrics["weighted_f1"] == pytest.approx(0.8182, abs=5e-5)
    assert metrics["mean_f1_without_refute"] == pytest.approx(0.774, abs=5e-4)
    columns = {
        label: round(100 * value, 2) for label, value in metrics["leaderboard_columns"].items()
    }
    assert columns == {
        "Support_Text": 82.77,
        "Support_Multimodal": 91.38,
        "Insufficient_Text": 85.19,
        "Insufficient_Multimodal": 89.22,
        "Refute": 100.0,
    }
    errors = metrics["errors_by_axis"]
    assert errors["count"] == {"text_only": 703, "image_only": 476, "both": 169, "refute": 10}
    assert sum(errors["count"].values()) == 1358
    assert {name: round(100 * share) for name, share in errors["share"].items()} == {
        "text_only": 52,
        "image_only": 35,
        "both": 12,
        "refute": 1,
    }
    assert errors["share"]["refute"] < 0.01
    # At 7,500 rows and an F1 near 0.8 about 0.9 points to either side.
    low, high = metrics["weighted_f1_interval"]
    assert low < metrics["weighted_f1"] < high
    assert (high - low) / 2 == pytest.approx(0.009, abs=0.001)


def test_a_leaderboard_column_is_f1_on_the_rows_of_its_label(digits: Digits) -> None:
    given = digits.bayes.argmax(axis=1)
    columns = leaderboard_columns(digits.labels, given)
    for position, label in enumerate(LABELS):
        own = digits.labels == position
        assert columns[label] == pytest.approx(
            f1_score(digits.labels[own], given[own], labels=[position], average="macro")
        )
    some = digits.labels != 2
    assert leaderboard_columns(digits.labels[some], given[some])[LABELS[2]] is None


def test_no_errors_have_no_shares() -> None:
    errors = errors_by_axis(np.eye(5, dtype=int))
    assert set(errors["count"].values()) == {0}
    assert set(errors["share"].values()) == {None}


@pytest.mark.parametrize("system", ["logistic", "bayes"])
def test_real_predictions_against_scikit_learn(digits: Digits, system: str) -> None:
    probabilities = {"logistic": digits.logistic, "bayes": digits.bayes}[system]
    rows = len(digits.labels)
    none, unknown = np.full(rows, np.nan), np.full(rows, -1)
    metrics = classification_metrics(probabilities, none, digits.labels, unknown)
    given = probabilities.argmax(axis=1)
    assert metrics["macro_f1"] == pytest.approx(f1_score(digits.labels, given, average="macro"))
    brier = brier_score_loss(digits.labels, probabilities, labels=range(5), scale_by_half=False)
    assert metrics["brier"] == pytest.approx(brier)
    # Naive Bayes is so sure that the floor under a probability counts.
    loss = log_loss(digits.labels, probabilities)
    if system == "logistic":
        assert metrics["negative_log_likelihood"] == pytest.approx(loss)
    else:
        assert 0 < metrics["negative_log_likelihood"] < loss
    risk = risks(probabilities.max(axis=1), given == digits.labels)
    assert metrics["area_under_risk_coverage"] == pytest.approx(risk.mean())
    assert metrics["accuracy_at_80_percent_coverage"] > metrics["accuracy"]
    assert sum(metrics["reliability"]["rows"]) == rows
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_the_intervals_hold_the_scores_narrow_with_rows_and_repeat(digits: Digits) -> None:
    def measure(rows: slice) -> dict[str, object]:
        labels = digits.labels[rows]
        same = np.where(labels == 4, -1, labels % 2)
        image = digits.bayes[rows, 1] + digits.bayes[rows, 3]
        return classification_metrics(digits.bayes[rows], image, labels, same, 200)

    many, few = measure(slice(None)), measure(slice(120))
    names = [name.removesuffix("_interval") for name in many if name.endswith("_interval")]
    assert names == [
        "weighted_f1",
        "macro_f1",
        "mean_f1_without_refute",
        "accuracy",
        "text_relation_accuracy",
        "accuracy_at_80_percent_coverage",
        "image_relation_accuracy",
    ]
    for name in names:
        low, high = many[f"{name}_interval"]
        assert low < many[name] < high
        assert high - low < few[f"{name}_interval"][1] - few[f"{name}_interval"][0]
    assert measure(slice(None)) == many
