"""Calibration: fitted temperatures undo a known distortion."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import expit, softmax

from factcheck.fusion.calibration import Calibration


def sample(rng: np.random.Generator, probabilities: np.ndarray) -> np.ndarray:
    return (probabilities.cumsum(axis=1) < rng.random((len(probabilities), 1))).sum(axis=1)


def test_fitting_recovers_temperature_and_bias() -> None:
    rng = np.random.default_rng(0)
    text = rng.normal(size=(20_000, 3)) * 2
    relations = sample(rng, softmax(text, axis=1))
    image = rng.normal(size=20_000) * 2
    same = rng.random(20_000) < expit(image)
    fitted = Calibration.fit(text * 3 + [0.0, 1.5, 0.0], relations, image * 4 + 2, same)
    assert fitted.text_temperature == pytest.approx(3, rel=0.1)
    assert fitted.text_bias[1] == pytest.approx(-0.5, abs=0.1)
    assert fitted.image_temperature == pytest.approx(4, rel=0.1)
    assert fitted.image_bias == pytest.approx(-0.5, abs=0.1)


def test_fitting_recovers_rows_that_are_too_sure_in_the_middle_alone() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(20_000, 3)) * 2
    truth -= truth.mean(axis=1, keepdims=True)
    relations = sample(rng, softmax(truth, axis=1))
    length = np.linalg.norm(truth, axis=1, keepdims=True)
    squeezed = truth / length * length**0.5
    fitted = Calibration.fit(squeezed, relations, np.zeros(0), np.zeros(0, dtype=bool))
    assert fitted.text_power == pytest.approx(2, rel=0.05)
    assert fitted.text_temperature == pytest.approx(1, rel=0.05)
    found = fitted.text_probabilities(squeezed)
    assert found == pytest.approx(softmax(truth, axis=1), abs=0.03)


def test_a_power_changes_how_sure_a_row_is_and_not_of_what() -> None:
    logits = np.random.default_rng(0).normal(size=(200, 3)) * 3
    plain, more = (Calibration(text_power=power).text_probabilities(logits) for power in (1.0, 1.5))
    assert np.argsort(more, axis=1).tolist() == np.argsort(plain, axis=1).tolist()
    sure = np.linalg.norm(logits - logits.mean(axis=1, keepdims=True), axis=1) > 1
    assert (more.max(axis=1)[sure] >= plain.max(axis=1)[sure]).all()
    assert (more.max(axis=1)[~sure] <= plain.max(axis=1)[~sure]).all()
    assert Calibration(text_power=0.5).text_probabilities(np.full((1, 3), 2.0)) == pytest.approx(
        np.full((1, 3), 1 / 3)
    )


@pytest.mark.parametrize("value", [0.0, -1.0, 300.0, float("inf"), float("nan")])
@pytest.mark.parametrize(
    "name", ["text_temperature", "text_power", "image_temperature", "passage_temperature"]
)
def test_what_no_fit_gives_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=name):
        Calibration.model_validate({name: value})


@pytest.mark.parametrize("value", [-300.0, float("inf"), float("nan")])
def test_biases_that_no_fit_gives_are_refused(value: float) -> None:
    for name, found in (("text_bias", (0, value, 0)), ("image_bias", value)):
        with pytest.raises(ValidationError, match=name):
            Calibration.model_validate({name: found})


def test_the_default_changes_nothing() -> None:
    logits = np.array([[1.0, 0.0, -1.0], [0.0, 3.0, 0.0]])
    assert Calibration().text_probabilities(logits) == pytest.approx(softmax(logits, axis=1))
    assert Calibration().image_probabilities(logits[0]) == pytest.approx(expit(logits[0]))


def test_rows_that_are_separated_off_centre_stay_on_their_sides() -> None:
    # Perfectly told apart, but not where the largest logit changes: the optimum is at infinity.
    text = np.array([[0.3, 0.0, 0.1], [0.2, 0.0, 0.2], [0.1, 0.2, 0.1], [0.0, 0.1, 0.6]])
    relations = np.array([0, 0, 1, 2])
    fitted = Calibration.fit(text, relations, np.array([-1.0, -2.0]), np.array([True, False]))
    assert fitted.text_probabilities(text).argmax(axis=1).tolist() == relations.tolist()
    above, below = fitted.image_probabilities(np.array([-1.0, -2.0]))
    assert above > 0.5 > below
    assert np.abs(fitted.text_bias).max() <= 10


def test_separable_and_empty_rows_stay_finite() -> None:
    text = np.array([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]])
    fitted = Calibration.fit(text, np.arange(3), np.array([5.0, -5.0]), np.array([True, False]))
    assert np.isfinite(fitted.text_probabilities(text)).all()
    assert 0 < fitted.image_probabilities(np.array([5.0]))[0] <= 1
    nothing = Calibration.fit(text, np.arange(3), np.zeros(0), np.zeros(0, dtype=bool))
    assert (nothing.image_temperature, nothing.image_bias) == (1.0, 0.0)


def compared_pairs(count: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits that are wrong for every tenth pair, and places that are right for all."""
    rng = np.random.default_rng(0)
    same = np.arange(count) % 2 == 0
    logits = np.where(same != (np.arange(count) % 10 < 1), 2.0, -2.0) + rng.normal(size=count)
    places = np.where(same, rng.integers(15, 200, count), rng.integers(0, 4, count))
    return logits, places.astype(np.float32), same


def fitted(logits: np.ndarray, places: np.ndarray, same: np.ndarray) -> Calibration:
    none = np.zeros((0, 3)), np.zeros(0, dtype=int)
    return Calibration.fit(*none, logits, same, matched_places=places)


def test_places_that_match_decide_where_the_head_is_wrong() -> None:
    logits, places, same = compared_pairs()
    calibration = fitted(logits, places, same)
    assert ((calibration.image_probabilities(logits) > 0.5) != same).mean() > 0.05
    probabilities = calibration.image_probabilities(logits, places)
    assert ((probabilities > 0.5) == same).all()
    # No surer than four hundred pairs allow of those that are neither the best nor the worst.
    assert 0.001 < np.median(probabilities[~same]) < 0.05
    more = calibration.image_probabilities(np.zeros(50), np.arange(50))
    assert (np.diff(more) > 0).all()


def test_pairs_that_were_not_compared_go_by_the_head() -> None:
    logits, places, same = compared_pairs()
    places[::3] = np.nan
    calibration = fitted(logits, places, same)
    assert calibration.matched is not None
    plain = calibration.image_probabilities(logits)
    found = calibration.image_probabilities(logits, places)
    assert (found[::3] == plain[::3]).all()
    assert (found[1::3] != plain[1::3]).all()
    unknown = calibration.model_copy(update={"matched": None})
    assert (unknown.image_probabilities(logits, places) == plain).all()


def test_pairs_of_one_kind_say_nothing_of_places() -> None:
    logits, places, same = compared_pairs()
    assert fitted(logits[same], places[same], same[same]).matched is None
    assert fitted(logits, np.full_like(places, np.nan), same).matched is None
    none = np.zeros((0, 3)), np.zeros(0, dtype=int)
    assert Calibration.fit(*none, logits, same).matched is None
