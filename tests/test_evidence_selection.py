"""Which hits a verdict rests on."""

from collections.abc import Sequence

import numpy as np
import pytest

from factcheck.encoders import Encoders
from factcheck.evidence_selection import bearing_of, select_hits
from factcheck.records import Passage
from factcheck.retrieval import Hit, Query

QUERY = Query("The harbour was closed.", None)


def hits(bearing: Sequence[float | None]) -> list[Hit]:
    return [
        Hit(row, Passage(f"d{row}", 0, 6, f"text {row}"), 0.5, bearing=own)
        for row, own in enumerate(bearing)
    ]


@pytest.mark.parametrize(
    ("bearing", "kept"),
    [
        ((0.9, 0.46, 0.44, 0.8), (0, 1, 3)),
        # The first leads whatever it says, for its picture is compared.
        ((0.1, 0.9, 0.2), (0, 1)),
        # None of them bears on the claim, and each as little as the others.
        ((0.02, 0.011, 0.009), (0, 1)),
        ((0.0, 0.0), (0, 1)),
        ((), ()),
    ],
)
def test_those_that_bear_about_as_probably_as_any_are_read(
    encoders: Encoders, bearing: Sequence[float], kept: Sequence[int]
) -> None:
    [read] = select_hits(encoders, [QUERY], [hits(bearing)])
    assert [hit.row for hit in read] == list(kept)


def test_what_was_not_reranked_is_read_for_it(encoders: Encoders) -> None:
    found = [hits((0.6, None)), hits(()), hits((None,))]
    read = select_hits(encoders, [QUERY] * 3, found)
    told = encoders.bearings([(QUERY.text, "text 1"), (QUERY.text, "text 0")], np.array([0.5, 0.5]))
    assert read[0][0].bearing == 0.6
    assert read[0][1].bearing == pytest.approx(told[0], abs=1e-5)
    assert read[1] == []
    assert read[2][0].bearing == pytest.approx(told[1], abs=1e-5)


def test_where_nothing_tells_it_all_are_read(encoders: Encoders) -> None:
    bare = Encoders(encoders.text, encoders.image)
    assert select_hits(bare, [QUERY], [hits((None, None))]) == [hits((None, None))]
    assert np.isnan(bearing_of([hits((None, None))], 3)).all()


def test_they_are_laid_out_by_place() -> None:
    laid = bearing_of([hits((0.5, 0.25)), hits((0.75,))], 3)
    assert laid.dtype == np.float32
    assert laid[0, :2].tolist() == [0.5, 0.25]
    assert laid[1, 0] == 0.75
    assert np.isnan(laid).sum() == 3
