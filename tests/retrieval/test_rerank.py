"""Reranking: what the order is made up of, and how its weights are fitted."""

from collections.abc import Sequence

import numpy as np
import pytest

from factcheck.encoders import Encoders
from factcheck.records import Found, Passage
from factcheck.retrieval import Hit, Reranker
from factcheck.retrieval.rerank import features


def hit(row: int, score: float, fused: float, words: float | None = None) -> Hit:
    passage = Passage(f"d{row}", 0, 4, f"text {row}")
    channels = {} if words is None else {"lexical": Found(1, words)}
    return Hit(row, passage, score, fused=fused, channels=channels)


HITS = [hit(0, 0.9, 0.03, 8.0), hit(1, 0.5, 0.02), hit(2, 0.1, 0.015, 2.0)]


def test_features_are_parts_of_the_highest() -> None:
    found = features(HITS, np.array([1.0, -2.0, 3.0]))
    assert found[0].tolist() == pytest.approx([1, 1, 0.9, 1])
    assert found[1].tolist() == pytest.approx([2 / 3, 0, 0.5, -2])
    assert found[2].tolist() == pytest.approx([0.5, 0.25, 0.1, 3])
    assert features([], np.zeros(0)).shape == (0, 4)


def by_number(pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    return np.array([float(passage.split()[1]) for _, passage in pairs])


def test_the_first_are_put_in_order_and_the_others_follow() -> None:
    reranker = Reranker(by_number, np.array([0, 0, 0, 2.0]), "")
    found = reranker.order(["a claim", "", "another"], [HITS, HITS, HITS[:1]], 2)
    assert [hit.row for hit in found[0]] == [1, 0, 2]
    assert [hit.reranked for hit in found[0]] == [2.0, 0.0, None]
    assert found[1] == HITS
    assert [hit.reranked for hit in found[2]] == [0.0]
    assert reranker.order([""], [HITS], 2) == [HITS]


def test_equals_keep_their_order() -> None:
    reranker = Reranker(by_number, np.zeros(4), "")
    [found] = reranker.order(["a claim"], [HITS], 3)
    assert [hit.row for hit in found] == [0, 1, 2]


def test_encoders_that_tell_relevance_can_rerank(encoders: Encoders) -> None:
    assert Reranker.of(Encoders(encoders.text, encoders.image)) is None
    reranker = Reranker.of(encoders)
    assert reranker is not None
    assert encoders.relation is not None
    assert encoders.relation.relevance is not None
    assert reranker.sha256 == encoders.relation.relevance.sha256
    [found] = reranker.order(["a claim"], [HITS], 3)
    logits = encoders.relevances([("a claim", hit.passage.text) for hit in HITS])
    config = encoders.relation.relevance.config
    wanted = features(HITS, logits) @ np.array(config.weights)
    assert [hit.reranked for hit in found] == pytest.approx(sorted(wanted, reverse=True), abs=1e-4)
    assert config.bearing is not None
    bearing = config.bearing.probabilities(logits, np.array([hit.score for hit in HITS]))
    assert [hit.bearing for hit in found] == pytest.approx([bearing[hit.row] for hit in found])


def test_what_is_not_reread_is_not_told_of(encoders: Encoders) -> None:
    reranker = Reranker.of(encoders)
    assert reranker is not None
    [found] = reranker.order(["a claim"], [HITS], 2)
    assert [hit.bearing is None for hit in found] == [False, False, True]
    [found] = Reranker(by_number, np.zeros(4), "").order(["a claim"], [HITS], 2)
    assert [hit.bearing for hit in found] == [None] * 3
