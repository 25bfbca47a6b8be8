"""Approximate indices: which are chosen, what they find, and what filters do to them."""

from pathlib import Path

import faiss
import numpy as np
import pytest
import stand_ins

from factcheck.encoders import Encoders
from factcheck.errors import InvalidInputError, UsageError
from factcheck.records import Claim, Document
from factcheck.retrieval import EvidenceIndex, Manifest, SourcePolicy, verify_index
from factcheck.retrieval.approximate import (
    ApproximateFile,
    build_approximate,
    check_factory,
    factory_for,
    fewest_vectors,
    nearest_approximate,
)
from factcheck.retrieval.segment_files import file_entry
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
    ApproximateFile(tmp_path / "index", vectors).index()


@pytest.mark.parametrize(
    "factory", ["IVF32,PQ8", "HNSW16", "HNSW16,PQ8", "OPQ8,IVF32,PQ8", "IVF32,SQ8"]
)
def test_cosines_are_exact_and_filters_hold(factory: str, tmp_path: Path) -> None:
    vectors = faiss.IndexFlatIP(32)
    vectors.add(_clustered(4000))
    recall = build_approximate(vectors, check_factory(factory), tmp_path / "index")
    assert recall > 0.85
    index = ApproximateFile(tmp_path / "index", vectors).index()
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
        ApproximateFile(tmp_path / "index", other).index()


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


def _dated(count: int) -> list[Document]:
    """Documents of one passage each, of which the first alone is of the last century."""
    return [
        Document(f"d{i}", f"Number {i} is told of here.", date="2024-01-01" if i else "1999-01-01")
        for i in range(count)
    ]


def _told_of(count: int) -> np.ndarray:
    return stand_ins.passages([f"Query {i}." for i in range(count)])


@pytest.mark.parametrize("factory", ["IVF64,Flat", "HNSW4"])
def test_the_one_passage_that_may_be_found_is_found(factory: str, tmp_path: Path) -> None:
    encoders = stand_ins.encoders()
    index = EvidenceIndex.build(_dated(1500), tmp_path / "i", encoders, factory=factory)
    old = SourcePolicy("2000-01-01")
    for hits in index.search_vectors(_told_of(50), 5, old):
        assert [hit.document_id for hit in hits] == ["d0"]
    # So it is among many, all but it deleted.
    after = index.delete([f"d{i}" for i in range(1, 1500)])
    for hits in after.search_vectors(_told_of(50), 5):
        assert [hit.document_id for hit in hits] == ["d0"]


@pytest.mark.parametrize("factory", ["IVF64,Flat", "HNSW4"])
def test_as_much_is_found_among_a_part_as_among_all(
    factory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A part of so few passages would be looked through.
    monkeypatch.setattr("factcheck.retrieval.segment.EXACT_UP_TO", 0)
    encoders = stand_ins.encoders()
    documents = [
        Document(f"d{i}", f"Number {i} is told of here.", date="1999-01-01" if i % 10 else None)
        for i in range(3000)
    ]
    index = EvidenceIndex.build(documents, tmp_path / "i", encoders, factory=factory)
    exact = EvidenceIndex.open(tmp_path / "i", encoders, exact=True)

    def recall(policy: SourcePolicy) -> float:
        found = index.nearest(_told_of(100), 40, policy)
        truth = exact.nearest(_told_of(100), 40, policy)
        assert {len(one) for one in found} == {40}
        both = zip(found, truth, strict=True)
        return float(np.mean([len({r for r, _ in a} & {r for r, _ in b}) / 40 for a, b in both]))

    # A tenth of the passages: those without a date.
    undated = SourcePolicy("1998-01-01", "keep")
    assert recall(undated) > recall(SourcePolicy()) - 0.03
    # More than an index proposes are asked for.
    assert {len(one) for one in index.nearest(_told_of(5), 2900)} == {2900}


def test_what_a_stranger_wrote_for_faiss_is_never_read_by_an_exact_search(tmp_path: Path) -> None:
    encoders = stand_ins.encoders()
    folder = tmp_path / "i"
    EvidenceIndex.build(_dated(600), folder, encoders, factory="IVF16,Flat").close()
    (segment,) = Manifest.read(folder).segments
    path = folder / "segments" / segment.name / "passages_approximate.faiss"
    path.write_bytes(b"IxFI" + b"\xff" * 1000)
    files = {**segment.files, path.name: file_entry(path)}
    forged = segment.model_copy(update={"files": files})
    Manifest.read(folder).model_copy(update={"segments": [forged]}).write(folder)

    vectors = _told_of(1)
    with EvidenceIndex.open(folder, encoders, exact=True) as index:
        assert len(index.search_vectors(vectors, 5)[0]) == 5
        # What a change gives back is opened as what it was made of.
        with index.add([Document("one", "One more.")]) as after:
            assert len(after.search_vectors(vectors, 700)[0]) == 601
    assert verify_index(folder)[1] == []
    with EvidenceIndex.open(folder, encoders) as index:
        # What may be found is so little that all of it is looked at.
        assert len(index.search_vectors(vectors, 5, SourcePolicy("2000-01-01"))[0]) == 1
        with pytest.raises(InvalidInputError, match=r"approximate\.faiss: FAISS cannot read it"):
            index.search_vectors(vectors, 5)
        # Nor is it read by what changes an index.
        index.add([Document("new", "A new text.")]).delete(["d3"]).close()
        assert index.compact().search_vectors(vectors, 5) != []


def test_an_open_index_reads_what_a_writer_has_removed(tmp_path: Path) -> None:
    encoders = stand_ins.encoders()
    with (
        EvidenceIndex.build(_dated(600), tmp_path / "i", encoders, factory="IVF16,Flat") as index,
        index.delete(["d1"]) as after,
    ):
        after.compact().close()
        assert len(list((tmp_path / "i/segments").iterdir())) == 1
        assert len(index.search_vectors(_told_of(1), 5)[0]) == 5
        # An approximate index that was never searched is let go of, too.
    assert not [one for one in Path("/proc/self/fd").iterdir() if str(tmp_path) in _link(one)]
    with pytest.raises(UsageError, match="the index is closed"):
        index.search_vectors(_told_of(1), 5)


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except FileNotFoundError:
        return ""


@pytest.mark.parametrize("key", [None, "k"])
def test_a_segment_that_is_too_small_is_searched_exactly(key: str | None, tmp_path: Path) -> None:
    encoders = stand_ins.encoders()
    warnings: list[str] = []
    index = EvidenceIndex.build(
        _dated(130),
        tmp_path / "i",
        encoders,
        factory="IVF16,PQ4x6",
        segment_passages=100,
        key=key,
        on_warning=warnings.append,
    )
    large, small = index.manifest.segments
    assert large.approximate is not None
    assert small.approximate is None
    assert warnings == [
        "segment 000002: its 30 passages are searched exactly, as IVF16,PQ4x6 takes 64"
    ]
    after = index.add([Document("new", "A new text.")], factory="IVF16,PQ4x6")
    assert after.manifest.segments[2].approximate is None
    assert verify_index(tmp_path / "i")[1] == []


@pytest.mark.parametrize(
    ("factory", "needed"),
    [
        *(("HNSW2,PQ1", 256), ("HNSW2,PQ4x4", 16), ("IVF16,Flat", 16), ("IVF30,PQ4x3", 30)),
        *(("IVF2,PQ4x2", 4), ("OPQ1,IVF8,Flat", 256)),
    ],
)
def test_an_index_is_built_of_as_many_vectors_as_it_takes(
    factory: str, needed: int, tmp_path: Path
) -> None:
    assert fewest_vectors(factory) == needed
    vectors = faiss.IndexFlatIP(32)
    vectors.add(_clustered(needed - 1))
    with pytest.raises(UsageError, match="FAISS cannot build it"):
        build_approximate(vectors, factory, tmp_path / "index")
    vectors.add(_clustered(1))
    build_approximate(vectors, factory, tmp_path / "index")


def test_some_indices_are_built_of_any_number_of_vectors() -> None:
    assert [fewest_vectors(one) for one in ("Flat", "HNSW8", "HNSW8,SQ8", "IVF1,SQ8")] == [1] * 4


@pytest.mark.parametrize("factory", ["IVF2,PQ3", "OPQ3,IVF2,Flat", "HNSW8,PQ16"])
def test_codes_that_do_not_divide_vectors_are_refused_before_anything_is_encoded(
    factory: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="vectors of 8 numbers cannot be cut into"):
        EvidenceIndex.build(iter([]), tmp_path / "i", stand_ins.encoders(), factory=factory)
