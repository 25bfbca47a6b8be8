"""Labels at a promised error rate: worked by hand, at the edges, and by simulation."""

import math

import numpy as np
import pytest
from pydantic import ValidationError

from factcheck.fusion.abstention import Conformal
from factcheck.records import LABELS, Label


def conformal(confidence: list[float], correct: list[bool]) -> Conformal:
    return Conformal(confidence=tuple(confidence), correct=tuple(correct), truth=tuple(confidence))


NINE = conformal(
    [0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35, 0.3],
    [True, True, False, True, False, True, False, False, True],
)
"""Nine rows, of which those of confidence 0.7, 0.5, 0.4 and 0.35 are wrong."""


@pytest.mark.parametrize(
    ("max_error", "threshold"),
    [
        # (k + 1) / 10 <= max_error, k the wrong labels given.
        (0.05, None),
        (0.1, 0.7),
        (0.19, 0.7),
        (0.2, 0.5),
        (0.3, 0.4),
        (0.4, 0.35),
        (0.5, 0.0),
        (0.9, 0.0),
    ],
)
def test_the_threshold_worked_by_hand(max_error: float, threshold: float | None) -> None:
    assert NINE.threshold(max_error) == threshold


@pytest.mark.parametrize(
    ("max_error", "lowest"),
    [(0.05, 0.0), (0.1, 0.3), (0.2, 0.35), (0.5, 0.5), (0.9, 0.9)],
)
def test_the_lowest_probability_worked_by_hand(max_error: float, lowest: float) -> None:
    assert NINE.lowest_probability(max_error) == lowest


def test_rows_that_are_all_right_or_all_wrong() -> None:
    right, wrong = conformal([0.4] * 99, [True] * 99), conformal([0.4] * 99, [False] * 99)
    assert right.threshold(0.01) == 0.0
    assert right.threshold(0.009) is None
    assert wrong.threshold(0.01) == 0.4
    assert wrong.threshold(0.99) == 0.4
    nothing = conformal([], [])
    assert nothing.threshold(0.99) is None
    assert nothing.lowest_probability(0.5) == 0.0


def test_the_error_among_answered_counts_one_more() -> None:
    # Above 0.5 there are four rows, one of them wrong.
    assert NINE.error_among_answered(0.5) == pytest.approx(2 / 5)
    assert NINE.error_among_answered(0.9) is None
    assert NINE.error_among_answered(None) is None


def test_equal_confidences_are_given_a_label_together_or_not_at_all() -> None:
    tied = conformal([0.5] * 10 + [0.9] * 9, [False] * 5 + [True] * 14)
    # One wrong label would be allowed, but the five that tie would all be given.
    assert tied.threshold(0.1) == 0.5
    assert tied.threshold(0.3) == 0.0


def probabilities(*values: float) -> dict[Label, float]:
    return dict(zip(LABELS, values, strict=True))


def test_a_decision() -> None:
    sure = NINE.decide(probabilities(0.75, 0.05, 0.1, 0.05, 0.05), 0.1)
    assert sure.answered
    assert sure.threshold == 0.7
    assert sure.possible_labels == (Label.SUPPORT_TEXT,)
    # Of the two rows above 0.7 none is wrong.
    assert sure.error_among_answered == pytest.approx(1 / 3)
    unsure = NINE.decide(probabilities(0.4, 0.35, 0.25, 0.0, 0.0), 0.1)
    assert not unsure.answered
    assert unsure.possible_labels == (Label.SUPPORT_TEXT, Label.SUPPORT_MULTIMODAL)
    # Exactly at the threshold is not above it.
    assert not NINE.decide(probabilities(0.7, 0.3, 0.0, 0.0, 0.0), 0.1).answered


def test_some_label_is_always_possible() -> None:
    even = NINE.decide(probabilities(0.2, 0.2, 0.2, 0.2, 0.2), 0.5)
    assert even.possible_labels == (Label.SUPPORT_TEXT,)
    nothing = NINE.decide(probabilities(1.0, 0, 0, 0, 0), 0.01)
    assert nothing.possible_labels == LABELS
    assert not nothing.answered


def draw(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a model that is too sure of itself, and the truth."""
    honest = rng.dirichlet(np.full(len(LABELS), 0.6), rows)
    labels = (honest.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1)
    sharp = honest**2 + 1e-9
    return sharp / sharp.sum(axis=1, keepdims=True), np.minimum(labels, len(LABELS) - 1)


@pytest.mark.parametrize("max_error", [0.02, 0.1, 0.3])
def test_what_is_promised_is_kept_on_average(max_error: float) -> None:
    """Over many draws of the kept-back rows: the promise is of the mean, not of each draw."""
    rng = np.random.default_rng(0)
    wrong, missed = [], []
    for _ in range(300):
        some = Conformal.of(*draw(rng, 120))
        asked, truth = draw(rng, 200)
        threshold, lowest = some.threshold(max_error), some.lowest_probability(max_error)
        given = np.zeros(200, bool) if threshold is None else asked.max(axis=1) > threshold
        wrong.append((given & (asked.argmax(axis=1) != truth)).mean())
        missed.append((asked[np.arange(200), truth] < lowest).mean())
    for found in (wrong, missed):
        error = np.std(found) / math.sqrt(len(found))
        assert np.mean(found) <= max_error + 3 * error
    # The rates are used, not merely kept: within two rows in 120, and a sampling error.
    assert np.mean(wrong) >= max_error - 2 / 121 - 3 * np.std(wrong) / math.sqrt(len(wrong))


def test_a_file_of_unequal_rows_is_refused() -> None:
    with pytest.raises(ValidationError, match="not of the same number of rows"):
        Conformal(confidence=(0.5,), correct=(), truth=(0.5,))
    with pytest.raises(ValidationError):
        Conformal(confidence=(1.5,), correct=(True,), truth=(0.5,))
