"""Whether what was found bears on a claim: what is fitted, and what of a stranger's is refused."""

import numpy as np
import pytest
from pydantic import ValidationError

from factcheck.encoders.bearing import Bearing


def drawn(count: int, seed: int) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Claims of one to five passages whose likeliest says whether evidence is among them."""
    rng = np.random.default_rng(seed)
    truth = Bearing(bias=-3.0, relevance=0.8, cosine=4.0, search_sha256="")
    sizes = rng.integers(1, 6, count)
    relevances = [rng.normal(0, 2, size) for size in sizes]
    cosines = [rng.uniform(0, 1, size) for size in sizes]
    likeliest = [
        truth.probabilities(one, two).max() for one, two in zip(relevances, cosines, strict=True)
    ]
    return relevances, cosines, rng.uniform(size=count) < likeliest


def test_the_fit_finds_what_decides() -> None:
    relevances, cosines, found = drawn(6000, seed=0)
    fitted = Bearing.fit(relevances, cosines, found, np.ones(len(found)), "")
    assert fitted.relevance == pytest.approx(0.8, abs=0.1)
    assert fitted.cosine == pytest.approx(4.0, abs=0.5)
    assert fitted.bias == pytest.approx(-3.0, abs=0.4)


def test_what_counts_more_is_taken_to_be_commoner() -> None:
    relevances, cosines, found = drawn(2000, seed=1)
    even = Bearing.fit(relevances, cosines, found, np.ones(len(found)), "")
    weighed = Bearing.fit(relevances, cosines, found, np.where(found, 4.0, 1.0), "")
    odds = [
        np.log(p / (1 - p))
        for p in (one.probabilities(np.array([0.0]), np.array([0.5]))[0] for one in (even, weighed))
    ]
    assert odds[1] - odds[0] == pytest.approx(np.log(4), abs=0.3)


def test_claims_told_apart_perfectly_ask_for_finite_weights() -> None:
    found = np.arange(20) < 10
    relevances = [np.array([5.0 if one else -5.0]) for one in found]
    fitted = Bearing.fit(relevances, [np.array([0.5])] * 20, found, np.ones(20), "")
    likely = fitted.probabilities(np.array([5.0, -5.0]), np.array([0.5, 0.5]))
    assert likely[0] > 0.99
    assert likely[1] < 0.01
    assert fitted.relevance < 20


def test_what_says_more_never_makes_it_less_likely() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Bearing(bias=0.0, relevance=-1.0, cosine=1.0, search_sha256="")
    with pytest.raises(ValidationError, match="less than or equal to 100"):
        Bearing(bias=1e9, relevance=1.0, cosine=1.0, search_sha256="")
