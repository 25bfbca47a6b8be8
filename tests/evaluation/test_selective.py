"""Risk and coverage: hand-computed cases, ties, and many resamples at once."""

from itertools import permutations

import numpy as np
import pytest

from factcheck.evaluation.selective import risk_coverage_curve, risks, selective_accuracies
from tests.evaluation.conftest import Digits


def test_the_surest_come_first() -> None:
    confidence = np.array([0.5, 0.9, 0.6, 0.8, 0.7])
    correct = np.array([False, True, True, False, True])
    assert risks(confidence, correct) == pytest.approx([0, 1 / 2, 1 / 3, 1 / 4, 2 / 5])
    assert selective_accuracies(confidence, correct, np.ones((1, 5), dtype=int)) == pytest.approx(
        [3 / 4]
    )


def test_four_fifths_of_the_rows_are_rounded_up() -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    correct = np.array([True, True, True, True, False, False])
    assert selective_accuracies(confidence, correct, np.ones((1, 6), dtype=int)) == pytest.approx(
        [4 / 5]
    )


def test_ties_count_as_the_mean_over_their_orders() -> None:
    confidence = np.array([0.9, 0.7, 0.7, 0.7, 0.2])
    correct = np.array([True, False, True, True, False])
    found = [
        np.cumsum(~correct[[0, *order, 4]]) / np.arange(1, 6) for order in permutations([1, 2, 3])
    ]
    assert len({tuple(one) for one in found}) == 3
    assert risks(confidence, correct) == pytest.approx(np.mean(found, axis=0))


def test_the_order_in_the_file_does_not_matter(digits: Digits) -> None:
    confidence, correct = digits.bayes.max(axis=1), digits.bayes.argmax(axis=1) == digits.labels
    assert len(np.unique(confidence)) < len(confidence) / 2
    order = np.random.default_rng(0).permutation(len(correct))
    # By sorting alone the wrong rows among the ties would move.
    plain = np.argsort(-confidence, kind="stable"), np.argsort(-confidence[order], kind="stable")
    assert (correct[plain[0]] != correct[order][plain[1]]).any()
    assert risks(confidence, correct) == pytest.approx(risks(confidence[order], correct[order]))


def test_the_curve_has_a_point_for_each_percent(digits: Digits) -> None:
    confidence, correct = digits.logistic.max(axis=1), digits.logistic.argmax(1) == digits.labels
    risk = risks(confidence, correct)
    curve = risk_coverage_curve(risk)
    assert len(curve["coverage"]) == len(curve["risk"]) == 101
    assert curve["coverage"][-1] == 1
    assert curve["risk"][-1] == pytest.approx(1 - correct.mean())
    accepted = round(curve["coverage"][40] * len(risk))
    assert (accepted - 1) / len(risk) < 0.4 <= accepted / len(risk)
    surest = np.argsort(-confidence)[:accepted]
    assert curve["risk"][40] == pytest.approx(1 - correct[surest].mean())
    few = risk_coverage_curve(risk[:7])
    assert few["coverage"] == pytest.approx(np.arange(1, 8) / 7)
    assert few["risk"] == risk[:7].tolist()


@pytest.mark.parametrize("system", ["logistic", "bayes"])
def test_many_resamples_at_once_are_each_alone(digits: Digits, system: str) -> None:
    probabilities = {"logistic": digits.logistic, "bayes": digits.bayes}[system]
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == digits.labels
    rows = np.random.default_rng(0).integers(len(correct), size=(20, len(correct)))
    accepted = int(np.ceil(0.8 * len(correct)))
    alone = [1 - risks(confidence[drawn], correct[drawn])[accepted - 1] for drawn in rows]
    times = np.array([np.bincount(drawn, minlength=len(correct)) for drawn in rows])
    assert selective_accuracies(confidence, correct, times) == pytest.approx(alone)
    assert len(set(alone)) > 10
