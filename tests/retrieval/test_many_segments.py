"""Indices of many segments: what they hold open, and how their number is kept small."""

import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stand_ins

from factcheck.errors import UsageError
from factcheck.records import Document
from factcheck.retrieval import EvidenceIndex, SourcePolicy, verify_index
from factcheck.retrieval.merged_segment import segments_to_merge
from factcheck.retrieval.segment_documents import SegmentDocuments


def short(start: int, count: int) -> list[Document]:
    """Numbered documents of one passage each."""
    return [Document(f"s{i}", f"A short text of number {i}.") for i in range(start, start + count)]


def held(folder: Path) -> list[str]:
    """Files of a folder that this process has descriptors of."""
    links = []
    for one in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(one.readlink()))
        except FileNotFoundError:  # that of the listing itself
            continue
    return [link for link in links if link.startswith(str(folder))]


def mapped(folder: Path) -> bool:
    """Whether files of a folder are mapped into memory."""
    return str(folder) in Path("/proc/self/maps").read_text()


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Nothing goes but what is not referred to any more."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
def test_a_segment_holds_one_descriptor_and_nothing_once_it_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    encoders = stand_ins.encoders()
    EvidenceIndex.build(short(0, 12), folder, encoders, segment_passages=3).close()
    assert held(folder) == []
    index = EvidenceIndex.open(folder, encoders)
    vectors = stand_ins.passages(["A query."])
    # What a policy allows is kept, which must keep nothing else.
    assert len(index.search_vectors(vectors, 12, SourcePolicy("2024-01-01", "keep"))[0]) == 12
    assert len(index.manifest.segments) == 4
    assert len(held(folder)) == 4
    assert mapped(folder)
    index.close()
    assert held(folder) == []
    assert not mapped(folder)
    with pytest.raises(UsageError, match="the index is closed"):
        index.search_vectors(vectors)


@pytest.mark.usefixtures("uncollected")
def test_a_writer_lets_go_of_all_it_opened(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    index = EvidenceIndex.build(short(0, 3), folder, stand_ins.encoders())
    for number in range(3, 12):
        index.close()
        index = index.add(short(number, 1))
    index.close()
    index = index.add([replace(short(2, 1)[0], text="Another text.")], replace=True)
    index.close()
    index = index.delete(["s5"])
    index.close()
    index.compact().close()
    assert held(folder) == []


@pytest.mark.usefixtures("uncollected")
def test_a_build_opens_each_segment_a_fixed_number_of_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    begin = SegmentDocuments.__init__

    def counting(self: SegmentDocuments, index: Path, entry: Any, thorough: bool) -> None:
        opened.append(entry.name)
        begin(self, index, entry, thorough)

    monkeypatch.setattr(SegmentDocuments, "__init__", counting)
    for segments in (4, 16):
        opened.clear()
        documents, folder = short(0, 3 * segments), tmp_path / str(segments)
        EvidenceIndex.build(documents, folder, stand_ins.encoders(), segment_passages=3).close()
        # To look for its ids, to count it, and by the reader in the end.
        assert len(opened) == 3 * segments
        assert held(folder) == []


def test_an_index_that_grows_by_one_at_a_time_has_few_segments(tmp_path: Path) -> None:
    encoders = stand_ins.encoders()
    index = EvidenceIndex.build(short(0, 1), tmp_path / "i", encoders)
    for number in range(1, 24):
        index = index.add(short(number, 1))
        if number == 3:
            index = index.delete(["s2"])
        assert len(index.manifest.segments) <= 9
    whole = EvidenceIndex.build(
        [one for one in short(0, 24) if one.id != "s2"], tmp_path / "whole", encoders
    )
    assert index.sha256 == whole.sha256
    vectors = stand_ins.passages([f"Query {i}." for i in range(4)])
    for found, others in zip(
        index.search_vectors(vectors, 30), whole.search_vectors(vectors, 30), strict=True
    ):
        assert [hit.document_id for hit in found] == [hit.document_id for hit in others]
        assert len(found) == 23
    assert verify_index(index.folder)[1] == []
    named = {segment.name for segment in index.manifest.segments}
    assert {path.name for path in (index.folder / "segments").iterdir()} == named
    # What is replaced may be in a segment that is merged in the same step.
    changed = [replace(one, text=f"Changed: {one.text}") for one in short(20, 4)]
    for one in changed:
        index = index.add([one], replace=True)
    assert index.document("s21").text == changed[1].text
    assert index.manifest.documents == 23
    assert verify_index(index.folder)[1] == []


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_an_add_that_fails_while_it_merges_leaves_the_index_and_nothing_else(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    encoders = stand_ins.encoders()
    index = EvidenceIndex.build(short(0, 1), tmp_path / "i", encoders)
    for number in range(1, 7):
        index = index.add(short(number, 1))

    def fail(stage: str, done: int, total: int | None) -> None:
        if stage == "documents" and done == 5:
            raise failure

    # One document is added, so it is in merging that there are five.
    with pytest.raises(failure):
        index.add(short(7, 1), on_progress=fail)
    assert EvidenceIndex.open(index.folder, encoders).manifest == index.manifest
    named = {segment.name for segment in index.manifest.segments}
    assert {path.name for path in (index.folder / "segments").iterdir()} == named
    assert len(index.add(short(7, 1)).manifest.segments) == 1


@pytest.mark.parametrize(
    ("sizes", "number"),
    [
        ([], 0),
        ([5], 1),
        ([1] * 7, 1),
        ([1] * 8, 8),
        ([200_000] + [1] * 7, 1),
        ([200_000] + [1] * 8, 8),
        # Those of lower tiers go with the last, as many as there are.
        ([1] * 90, 90),
        ([*[1] * 7, 500], 8),
        # What is merged counts with what is before it.
        ([*[8] * 7, *[1] * 8], 15),
        # A segment holds so many; full ones stay.
        ([40_000] * 8, 6),
        ([*[140_000] * 9], 1),
        ([*[1] * 9, 140_000], 1),
    ],
)
def test_small_segments_at_the_end_are_merged(sizes: list[int], number: int) -> None:
    assert segments_to_merge(sizes, 262_144) == number


def test_the_number_of_segments_grows_slowly_and_passages_are_rarely_written() -> None:
    rng = np.random.default_rng(0)
    for choices in ([1], [1, 1, 1, 10, 100], [1, 8, 64, 512]):
        sizes: list[int] = []
        written = added = 0
        for _ in range(3000):
            added += (new := int(rng.choice(choices)))
            sizes.append(new)
            if (last := segments_to_merge(sizes, 262_144)) > 1:
                together = sum(sizes[-last:])
                written += together
                sizes[-last:] = [together]
            assert len(sizes) <= 7 * (1 + np.log(added) / np.log(8))
        assert written <= 6 * added
