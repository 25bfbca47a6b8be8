"""What is fitted upon relevance: the order of hits, and whether they bear on a claim."""

import numpy as np
import pytest

from factcheck.training.reranking import Weighed, fit_bearing, fit_weights

WEIGHTS = np.array([0.0, 0.0, 0.0, 1.0])


def test_the_fit_finds_what_tells_the_right_ones() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([0.0, 2.0, -1.0, 0.5])
    lists = []
    for _ in range(2000):
        own = rng.normal(size=(6, 4))
        likelihood = np.exp(own @ truth)
        lists.append((own, [[rng.choice(6, p=likelihood / likelihood.sum())]]))
    assert fit_weights(lists) == pytest.approx(truth, abs=0.15)


def test_a_document_is_found_by_any_of_its_passages() -> None:
    # What tells one passage of the right document from the wrong ones, the other does not have.
    own = np.array([[3.0], [-0.5], [0.0], [0.5]])
    together, apart = fit_weights([(own, [[0, 1]])]), fit_weights([(own, [[0], [1]])])
    assert together[0] > 2 * abs(apart[0])


def test_claims_that_say_nothing_are_passed_over() -> None:
    rng = np.random.default_rng(0)
    own = rng.normal(size=(5, 4))
    none: list[list[int]] = []
    every = [[0, 1], [2, 3, 4]]
    assert fit_weights([(own, none), (own, every)]) == pytest.approx(np.zeros(4))
    one = [[2]]
    assert fit_weights([(own, one)]) == pytest.approx(fit_weights([(own, none), (own, one)]))


def weighed(rng: np.random.Generator, elsewhere: int) -> Weighed:
    """A claim whose evidence has a high logit and cosine, and what is found elsewhere low ones."""
    here = np.zeros((8, 4))
    here[:, 2:] = rng.normal((0.3, -1), (0.1, 1), (8, 2))
    here[2, 2:] = rng.normal((0.7, 3), (0.1, 1))
    others = np.zeros((elsewhere, 4))
    others[:, 2:] = rng.normal((0.3, -1), (0.1, 1), (elsewhere, 2))
    return Weighed("one", "a claim", [], here, [[2]], others)


def test_what_is_found_where_no_evidence_is_does_not_bear_on_a_claim() -> None:
    rng = np.random.default_rng(0)
    bearing = fit_bearing([weighed(rng, 8) for _ in range(400)], WEIGHTS, 0.5, "")
    assert bearing is not None
    likely = bearing.probabilities(np.array([3.0, -1.0, 0.0]), np.array([0.7, 0.3, 0.3]))
    assert likely[0] > 0.9
    assert likely[1] < 0.1
    assert bearing.relevance > 0.1
    assert bearing.cosine > 0.1


def test_where_evidence_is_taken_to_be_held_more_often_it_is_likelier() -> None:
    rng = np.random.default_rng(1)
    read = [weighed(rng, 8) for _ in range(200)]
    told = []
    for held in (0.5, 0.8):
        bearing = fit_bearing(read, WEIGHTS, held, "")
        assert bearing is not None
        told.append(bearing.probabilities(np.array([0.5]), np.array([0.4]))[0])
    assert told[1] > told[0]


def test_claims_looked_for_in_one_way_alone_say_nothing_of_it() -> None:
    rng = np.random.default_rng(2)
    assert fit_bearing([weighed(rng, 0) for _ in range(20)], WEIGHTS, 0.8, "") is None
    never = [
        Weighed(one.source, one.claim, [], one.features, [], one.elsewhere)
        for one in (weighed(rng, 8) for _ in range(20))
    ]
    assert fit_bearing(never, WEIGHTS, 0.8, "") is None


def test_only_what_a_verdict_would_rest_on_counts() -> None:
    # Evidence that comes after the first five passages was not found.
    features = np.zeros((8, 4))
    features[:, 3] = np.arange(8)[::-1]
    late = Weighed("one", "a claim", [], features, [[6]], features)
    assert fit_bearing([late] * 10, WEIGHTS, 0.8, "") is None
    early = Weighed("one", "a claim", [], features, [[4]], features)
    assert fit_bearing([early] * 10, WEIGHTS, 0.8, "") is not None
