"""Slices: every row is in one of each kind, and its figures are those of its rows alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from factcheck.datasets import Factify2Row, read_factify2
from factcheck.evaluation.slices import NO_SOURCE, by_name, by_quartile, slice_rows
from factcheck.records import LABELS, Evidence, TextRelation, Verdict


@pytest.fixture
def rows(factify2_folder: Path) -> list[Factify2Row]:
    return read_factify2(factify2_folder, "test")


@pytest.fixture
def verdicts(rows: list[Factify2Row]) -> list[Verdict]:
    rng = np.random.default_rng(0)
    return [
        Verdict.from_factors(
            dict(zip(TextRelation, rng.dirichlet([1, 1, 1]).tolist(), strict=True)),
            float(rng.random()),
            Evidence(),
            "model",
        )
        for _ in rows
    ]


def test_figures_are_those_of_the_rows_alone(
    rows: list[Factify2Row], verdicts: list[Verdict]
) -> None:
    rows = [replace(row, source="b" if row.index < 10 else None) for row in rows]
    found = slice_rows(rows, verdicts)
    assert list(found) == ["source", "words of the claim", "words of the document"]
    assert [(one.name, one.rows) for one in found["source"]] == [(NO_SOURCE, 30), ("b", 10)]
    few = found["source"][1]
    true, given = ([str(one.label) for one in part[:10]] for part in (rows, verdicts))
    assert few.weighted_f1 == pytest.approx(
        f1_score(true, given, labels=list(map(str, LABELS)), average="weighted", zero_division=0)
    )
    right = sum(a == b for a, b in zip(true, given, strict=True))
    assert few.accuracy == right / 10
    assert few.confidence == pytest.approx(np.mean([one.confidence for one in verdicts[:10]]))
    low, high = few.accuracy_interval
    assert 0 <= low < few.accuracy < high <= 1


def test_the_interval_is_wilsons(rows: list[Factify2Row], verdicts: list[Verdict]) -> None:
    right = [replace(one, label=row.label) for row, one in zip(rows, verdicts, strict=True)]
    (one,) = slice_rows(rows, right)["source"]
    z = 1.959964
    assert one.accuracy == 1
    assert one.accuracy_interval == pytest.approx((40 / (40 + z**2), 1))


def test_without_sources_there_are_lengths_only(
    rows: list[Factify2Row], verdicts: list[Verdict]
) -> None:
    rows = [replace(row, source=None) for row in rows]
    found = slice_rows(rows, verdicts)
    assert list(found) == ["words of the claim", "words of the document"]
    assert all(sum(one.rows for one in slices) == 40 for slices in found.values())
    words = [len(row.document.text.split()) for row in rows]
    names = [one.name for one in found["words of the document"]]
    assert names[0].split()[0] == str(min(words))
    assert names[-1].split()[-1] == str(max(words))


def test_quarters() -> None:
    found = by_quartile(np.array([1000, 9, 8, 7, 1, 2, 3, 4]))
    assert [name for name, _ in found] == ["1 to 2", "3 to 4", "7 to 8", "9 to 1,000"]
    assert np.sum([chosen for _, chosen in found], axis=0).tolist() == [1] * 8


def test_equal_counts_stay_together() -> None:
    found = by_quartile(np.array([5, 5, 5, 5, 5, 5, 5, 8]))
    assert [(name, int(chosen.sum())) for name, chosen in found] == [("5", 7), ("8", 1)]
    assert [name for name, _ in by_quartile(np.array([3]))] == ["3"]


def test_names_by_size() -> None:
    found = by_name(["c", "b", "a", "b", "c", "d"])
    assert [(name, int(chosen.sum())) for name, chosen in found] == [
        ("b", 2),
        ("c", 2),
        ("a", 1),
        ("d", 1),
    ]
