"""Approximate indices: which are chosen, what they find, and what filters do to them."""

from pathlib import Path

import faiss
import numpy as np
import pytest

from factcheck.encoders import Encoders
from factcheck.errors import InvalidInputError, UsageError
from factcheck.records import Claim, Document
from factcheck.retrieval import EvidenceIndex, SourcePolicy
from factcheck.retrieval.approximate import (
    build_approximate,
    check_factory,
    factory_for,
    nearest_approximate,
    read_approximate,
)
from factcheck.retrieval.vectors import nearest


def _clustered(count: int, dimension: int = 32) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, dimension))
    vectors = centres[rng.integers(0, 40, count)] + 0.6 * rng.normal(size=(count, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_size_decides_and_small_ones_are_exact() -> None:
    assert factory_for(100, 384) == factory_for(100_000, 384) == "Flat"
    assert factory_for(100_001, 384) == "IVF1024,PQ96"
    assert factory_for(1_000_000, 384) == "IVF4096,PQ96"
    assert factory_for(200_000, 6) == "IVF2048,PQ1"


@pytest.mark.parametrize("factory", ["", "Flat,Flat", "IVF64", "LSH", "IVF64,PQ4;rm", "PQ0\n"])
def test_only_known_kinds_are_built(factory: str) -> None:
    with pytest.raises(UsageError, match="is no index that can be built here"):
        check_factory(factory)


@pytest.mark.parametrize(
    "factory",
    [
        *("HNSW0", "HNSW1", "HNSW01", "HNSW1,SQ8", "IVF0,Flat", "IVF01,Flat", "OPQ0,IVF2,Flat"),
        *("IVF2,PQ0", "HNSW8,PQ0", "IVF2,PQ8x0", "HNSW8,PQ8x0", "IVF2,PQ8x10", "IVF2,PQ8x24"),
    ],
)
def test_what_faiss_cannot_make_here_is_refused(factory: str) -> None:
    with pytest.raises(UsageError, match="is no index that can be built here"):
        check_factory(factory)


@pytest.mark.parametrize(
    "factory",
    ["HNSW2", "HNSW2,SQ8", "HNSW2,PQ1x1", "IVF1,PQ1x8", "IVF1,PQ4x1", "IVF1,SQ8"],
)
def test_what_is_at_the_border_can_be_built(factory: str, tmp_path: Path) -> None:
    vectors = faiss.IndexFlatIP(32)
    vectors.add(_clustered(500))
    assert 0 <= build_approximate(vectors, check_factory(factory), tmp_path / "index") <= 1
    read_approximate(tmp_path / "index", vectors)


@pytest.mark.parametrize(
    "factory", ["IVF32,PQ8", "HNSW16", "HNSW16,PQ8", "OPQ8,IVF32,PQ8", "IVF32,SQ8"]
)
def test_cosines_are_exact_and_filters_hold(factory: str, tmp_path: Path) -> None:
    vectors = faiss.IndexFlatIP(32)
    vectors.add(_clustered(4000))
    recall = build_approximate(vectors, check_factory(factory), tmp_path / "index")
    assert recall > 0.85
    index = read_approximate(tmp_path / "index", vectors)
    queries = _clustered(4000)[:20]
    for row, found in enumerate(nearest_approximate(index, vectors, queries, 5, None)):
        assert found[0][0] == row
        assert found[0][1] == pytest.approx(1, abs=1e-5)
    allowed = np.zeros(4000, dtype=bool)
    allowed[:50] = True
    exact = nearest(vectors, queries, 3, allowed)
    for found, truth in zip(
        nearest_approximate(index, vectors, queries, 3, allowed), exact, strict=True
    ):
        assert all(row < 50 for row, _ in found)
        assert found[0] == pytest.approx(truth[0], abs=1e-5)
    other = faiss.IndexFlatIP(32)
    other.add(_clustered(10))
    with pytest.raises(InvalidInputError, match="not an index of the vectors beside it"):
        read_approximate(tmp_path / "index", other)


def test_an_index_with_lists_finds_and_says_how_well(encoders: Encoders, tmp_path: Path) -> None:
    documents = [
        Document(f"d{i}", f"Report {i}: the {noun} was seen in the {place}.")
        for i, (noun, place) in enumerate(
            (noun, place)
            for noun in ("cat", "dog", "train", "comet", "minister", "storm", "ship", "choir")
            for place in ("harbour", "market", "library", "valley", "square", "museum")
        )
    ]
    index = EvidenceIndex.build(documents, tmp_path / "i", encoders, factory="IVF4,Flat")
    (segment,) = index.manifest.segments
    assert segment.approximate is not None
    assert segment.approximate.factory == "IVF4,Flat"
    assert segment.approximate.recall_at_10 > 0.9
    hits = index.search(Claim("A comet over the valley."), 5)
    assert "comet" in hits[0].passage.text
    after = index.delete([hits[0].document_id])
    assert hits[0].document_id not in {
        hit.document_id for hit in after.search(Claim("A comet over the valley."), 48)
    }
    exact = EvidenceIndex.open(index.folder, encoders, exact=True)
    vectors = encoders.texts(["A comet over the valley."])
    assert len(exact.search_vectors(vectors, 47, SourcePolicy())[0]) == 47
    with pytest.raises(UsageError, match="FAISS cannot build it"):
        EvidenceIndex.build(documents, tmp_path / "j", encoders, factory="IVF4000,PQ8")
