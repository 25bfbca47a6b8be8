"""What is fitted upon relevance: the order of hits, and whether they bear on a claim."""

from dataclasses import replace

import numpy as np
import pytest

from factcheck.datasets.evidence_pools import EvidencePool
from factcheck.datasets.text_relations import TextRelationRow
from factcheck.records import Passage, TextRelation
from factcheck.retrieval import Hit
from factcheck.training.reranking import Weighed, fit_bearing, fit_reranking, fit_weights

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
    here = np.zeros((5, 4))
    here[:, 2:] = rng.normal((0.3, -1), (0.1, 1), (5, 2))
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


def test_each_half_is_scored_by_what_the_other_taught() -> None:
    rng = np.random.default_rng(4)
    hits = [Hit(row, Passage(f"d{row}", 0, 1, "x"), 0.5) for row in range(5)]
    read = []
    for place in range(400):
        one = weighed(rng, 8)
        if place % 2:
            # What tells evidence in one half tells what is none in the other.
            one.features[:, 2:] *= -1
            one.elsewhere[:, 2:] = 5 - one.elsewhere[:, 2:]
        read.append(replace(one, hits=hits))
    row = TextRelationRow("1", "one", "a claim", ("A text.",), TextRelation.SUPPORT, "sentence")
    _, _, metrics = fit_reranking(read, {"one": EvidencePool([row])}, 0.5, "")
    told = metrics["mean_bearing"]
    assert told["evidence_found"] < told["none_found"]


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
    late = Weighed("one", "a claim", [], features, [[5]], features)
    assert fit_bearing([late] * 10, WEIGHTS, 0.8, "") is None
    early = Weighed("one", "a claim", [], features, [[4]], features)
    assert fit_bearing([early] * 10, WEIGHTS, 0.8, "") is not None
