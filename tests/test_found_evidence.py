"""Evidence that was found: whether it bears on the claim, and what becomes of that."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from factcheck import Claim, Document, EvidenceIndex, FactChecker
from factcheck.encoders import Encoders
from factcheck.encoders.bearing import Bearing
from factcheck.records import TEXT_RELATIONS, TextRelation
from factcheck.settings import SearchSettings


def test_what_was_found_is_insufficient_as_far_as_it_does_not_bear_on_the_claim(
    checker: FactChecker, index: EvidenceIndex
) -> None:
    claim = Claim("The library lent 1.2 million books.")
    verdict = checker.check(claim, index)
    evidence = verdict.evidence
    assert evidence.bearing is not None
    assert 0 < evidence.bearing < 1
    assert evidence.bearing == max(cited.bearing or 0 for cited in evidence.passages)
    bearing = checker.encoders.bearings(
        [(claim.text, cited.passage.text) for cited in evidence.passages],
        np.array([cited.score for cited in evidence.passages]),
    )
    assert [cited.bearing for cited in evidence.passages] == pytest.approx(bearing, abs=1e-5)
    with told_with(checker, None):
        plain = checker.check(claim, index)
    assert plain.evidence.bearing is None
    assert {cited.bearing for cited in plain.evidence.passages} == {None}
    for relation in TEXT_RELATIONS:
        rest = 1 - evidence.bearing if relation is TextRelation.INSUFFICIENT else 0.0
        wanted = evidence.bearing * plain.text_relation[relation] + rest
        assert verdict.text_relation[relation] == pytest.approx(wanted, abs=1e-6)
    assert sum(verdict.probabilities.values()) == pytest.approx(1)


@contextmanager
def told_with(checker: FactChecker, bearing: Bearing | None) -> Iterator[None]:
    """Another bearing for a while, or none."""
    relation = checker.encoders.relation
    assert relation is not None
    assert relation.relevance is not None
    before = relation.relevance.config
    relation.relevance.config = before.model_copy(update={"bearing": bearing})
    try:
        yield
    finally:
        relation.relevance.config = before


def test_what_hardly_bears_on_the_claim_is_not_read(
    checker: FactChecker,
    encoders: Encoders,
    index: EvidenceIndex,
    documents: list[Document],
    photographs: Path,
    tmp_path: Path,
) -> None:
    claim = Claim("A storm closed the harbour of Port Bell.", photographs / "00.jpg")
    every = checker.check(claim, index)
    scores = sorted((cited.score for cited in every.evidence.passages), reverse=True)
    assert len(scores) > 2
    between = (scores[1] + scores[2]) / 2
    steep = Bearing(
        bias=-100 * between, relevance=0.0, cosine=100.0, search_sha256=encoders.search_sha256
    )
    with told_with(checker, steep):
        verdict = checker.check(claim, index, explain=True)
        kept = {cited.passage.document_id for cited in verdict.evidence.passages}
        assert len(verdict.evidence.passages) == 2
        # As if nothing else had been there.
        left = [document for document in documents if document.id in kept]
        few = EvidenceIndex.build(left, tmp_path / "few", encoders)
        alone = checker.check(claim, few, explain=True)
    assert list(verdict.probabilities.values()) == pytest.approx(
        list(alone.probabilities.values()), abs=1e-5
    )
    assert [cited.passage for cited in verdict.evidence.passages] == [
        cited.passage for cited in alone.evidence.passages
    ]
    assert [cited.bearing for cited in verdict.evidence.passages] == pytest.approx(
        [cited.bearing for cited in alone.evidence.passages], abs=1e-4
    )
    assert verdict.evidence.image is not None
    assert alone.evidence.image is not None
    assert verdict.evidence.image.path == alone.evidence.image.path
    assert verdict.explanation is not None
    assert alone.explanation is not None
    for one, other in zip(verdict.explanation.removals, alone.explanation.removals, strict=True):
        assert one.removed == other.removed
        assert one.probability == pytest.approx(other.probability, abs=1e-4)
    read = {cited.passage for cited in verdict.evidence.passages}
    assert read < {cited.passage for cited in every.evidence.passages}


def test_it_is_told_of_passages_that_were_not_put_in_order(
    checker: FactChecker, index: EvidenceIndex
) -> None:
    claim = Claim("The library lent 1.2 million books.")
    verdict = checker.check(claim, index)
    for rerank in (0, 1):
        other = checker.check(claim, index, search=SearchSettings(rerank=rerank))
        told = {cited.passage: cited.bearing for cited in verdict.evidence.passages}
        again = {cited.passage: cited.bearing for cited in other.evidence.passages}
        assert len(told) > 1
        assert again == pytest.approx(told, abs=1e-5)
        assert other.search is not None
        assert verdict.search is not None
        assert other.search.reranked == rerank
        assert other.search.bearing_sha256 == verdict.search.bearing_sha256


def test_what_is_given_is_taken_to_bear_on_the_claim(checker: FactChecker) -> None:
    verdict = checker.compare(Claim("A comet was seen."), Document("d", "Cats sleep all day."))
    assert verdict.evidence.bearing is None
    assert {cited.bearing for cited in verdict.evidence.passages} == {None}
