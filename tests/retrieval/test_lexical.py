"""Words: the same score for the same passages, however they came into an index."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factcheck.errors import InvalidInputError
from factcheck.records import Document
from factcheck.retrieval import EvidenceIndex, verify_index
from factcheck.retrieval.lexical import LexicalIndex, WordStatistics, write_lexical
from factcheck.retrieval.words import words_of
from tests import stand_ins
from tests.retrieval.test_hostile import forge

# Long ones first, so that parts differ in their mean length, and a rare word in one of them.
LONG = [
    Document(f"long-{i}", f"The senate voted on {'the budget of the coast guard ' * 9}in case {i}.")
    for i in range(12)
]
SHORT = [
    Document(f"short-{i}", f"The senate voted: {'budget ' * (i % 3)}zebra.") for i in range(12)
]
GONE = [Document(f"gone-{i}", f"A senate, a budget, a budget of note {i}.") for i in range(40)]
QUERY = words_of(["Senate budget zebra budget"])[0]


class _Engine:
    """Encodes nothing, for words need no vectors."""

    def passages(self, batches: Any) -> Any:
        return map(stand_ins.passages, batches)

    def pictures(self, batches: Any) -> Any:
        return (None for _ in batches)


def built(folder: Path, *parts: Sequence[Document]) -> EvidenceIndex:
    """An index to which the parts were added one after the other."""
    engine = _Engine()
    index = EvidenceIndex.build(parts[0], folder, stand_ins.encoders(), engine=engine)
    for part in parts[1:]:
        index = index.add(part, engine=engine)
    return index


def ranking(index: EvidenceIndex) -> list[tuple[str, float]]:
    """Documents with their scores."""
    found = index.by_words(QUERY, 100)
    stored = index.passages_at([row for row, _ in found])
    return [(stored[row].passage.document_id, score) for row, score in found]


def test_scores_do_not_depend_on_how_the_documents_came(tmp_path: Path) -> None:
    whole = built(tmp_path / "whole", [*LONG, *SHORT])
    expected = ranking(whole)
    assert len(expected) == 24
    by_parts = built(tmp_path / "parts", LONG, SHORT[:5], SHORT[5:])
    assert len(by_parts.manifest.segments) == 3
    assert by_parts.sha256 == whole.sha256
    # To the last bit.
    assert ranking(by_parts) == expected
    assert ranking(by_parts.compact()) == expected


def test_what_was_deleted_does_not_count(tmp_path: Path) -> None:
    whole = built(tmp_path / "whole", [*LONG, *SHORT])
    expected = ranking(whole)
    for name, parts in (
        ("within", [[*LONG, *GONE, *SHORT]]),
        ("part", [LONG, [*GONE, SHORT[0]], SHORT[1:]]),
    ):
        index = built(tmp_path / name, *parts).delete([document.id for document in GONE])
        assert sum(segment.deleted for segment in index.manifest.segments) == len(GONE)
        assert index.sha256 == whole.sha256
        assert ranking(index) == expected
        assert ranking(index.compact()) == expected


def test_scores_are_those_of_bm25s(tmp_path: Path) -> None:
    import bm25s

    documents = [*LONG, *SHORT, *GONE]
    reference = bm25s.BM25(method="lucene")
    reference.index(words_of([document.text for document in documents]), show_progress=False)
    expected = dict(
        zip((d.id for d in documents), reference.get_scores(QUERY).tolist(), strict=True)
    )
    found = dict(ranking(built(tmp_path / "whole", documents)))
    assert found.keys() == expected.keys()
    for document_id, score in found.items():
        assert score == pytest.approx(expected[document_id], rel=1e-6)


def test_words_are_counted_of_titles_too_and_of_passages_without_any(tmp_path: Path) -> None:
    write_lexical(
        [("Zebras", "Zebra and zebra."), (None, "!"), (None, "A lion. A lion?")], tmp_path
    )
    index = LexicalIndex.read(tmp_path, 3, thorough=True)
    assert index.words_in(None) == 5
    assert index.words_in(np.array([False, True, True])) == 2
    [zebra, lion] = words_of(["zebra lion"])[0]
    assert (index.frequency(zebra, None), index.frequency("none", None)) == (1, 0)
    assert index.frequency(zebra, np.array([False, True, True])) == 0
    statistics = WordStatistics.of(3, 5, {zebra: 1, lion: 1})
    # log(1 + 2.5 / 1.5) * tf / (tf + 1.5 * (0.25 + 0.75 * length / mean))
    expected = np.log1p(2.5 / 1.5) * np.array(
        [3 / (3 + 1.5 * (0.25 + 0.75 * 3 * 3 / 5)), 0, 2 / (2 + 1.5 * (0.25 + 0.75 * 2 * 3 / 5))]
    )
    assert index.score([zebra, lion], statistics) == pytest.approx(expected, rel=1e-12)
    write_lexical([(None, "!")], tmp_path)
    empty = LexicalIndex.read(tmp_path, 1, thorough=True)
    assert empty.score([zebra], WordStatistics.of(1, 0, {zebra: 0})).tolist() == [0]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("lexical_counts.npy", lambda a: a[:0], "lexical_starts.npy: does not fit"),
        ("lexical_counts.npy", lambda a: a * 0, "a word is counted that is not there"),
        ("lexical_counts.npy", lambda a: a + 1, "lexical_lengths.npy: does not fit"),
        ("lexical_counts.npy", lambda a: a.astype("<f4"), "not a list of uint16"),
        ("lexical_lengths.npy", lambda a: a[1:], "not a list of 6 int32"),
        ("lexical_lengths.npy", lambda a: a - 99, "lexical_lengths.npy: does not fit"),
        ("lexical_passages.npy", lambda a: a + 6, "names a passage that is not there"),
        ("lexical_passages.npy", lambda a: a - 6, "names a passage that is not there"),
        ("lexical_passages.npy", lambda a: a * 0, "names a passage twice in a column"),
        ("lexical_starts.npy", lambda a: a[::-1].copy(), "its columns overlap"),
    ],
)
def test_entries_that_are_never_written_are_refused(
    copy: Path, tmp_path: Path, name: str, change: Any, message: str
) -> None:
    array = np.load(copy / "segments/000001" / name)
    np.save(tmp_path / "other.npy", change(array))
    forge(copy, name, (tmp_path / "other.npy").read_bytes())
    with pytest.raises(InvalidInputError, match=message):
        EvidenceIndex.open(copy)
    assert [message in problem for problem in verify_index(copy)[1]] == [True]


@pytest.mark.parametrize("delete", [False, True])
@pytest.mark.parametrize(
    ("name", "number", "message"),
    [
        ("lexical_passages.npy", 2**30, "names a passage that is not there"),
        ("lexical_lengths.npy", -1, "a passage of less than no words"),
    ],
)
def test_entries_that_were_not_looked_at_are_when_they_are_used(
    copy: Path, encoders: Any, name: str, number: int, message: str, delete: bool
) -> None:
    if delete:
        EvidenceIndex.open(copy, encoders).delete(["cat"])
    data = (copy / "segments/000001" / name).read_bytes()
    head, numbers = data[:128], data[128:]
    forge(copy, name, head + struct.pack("<i", number) * (len(numbers) // 4))
    with (
        EvidenceIndex.open(copy, thorough=False) as index,
        pytest.raises(InvalidInputError, match=message),
    ):
        index.by_words(words_of(["the rocket"])[0], 5)
