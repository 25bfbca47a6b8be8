"""Groups of rows by the texts that they share."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from factcheck.datasets import read_factify2
from factcheck.evaluation.shared_texts import groups_of, text_groups
from factcheck.evaluation.splits import Split


def test_rows_hang_together_by_way_of_others() -> None:
    keys = [["a", "x"], ["b", "y"], ["c", "x"], ["d", "z"], ["c", "y"], [], []]
    groups = groups_of(keys)
    assert groups.tolist() == [0, 0, 0, 1, 0, 2, 3]
    assert groups_of([]).tolist() == []
    assert groups_of([[], []]).tolist() == [0, 1]


def test_a_text_ties_rows_in_either_role_however_it_is_written(factify2_folder: Path) -> None:
    rows = read_factify2(factify2_folder, "test")[:6]
    # Claims and documents of these rows are all different but for what is done here.
    rows = [
        replace(
            row,
            claim=replace(row.claim, text=f"Claim number {i}"),
            document=replace(row.document, text=f"Document number {i}"),
        )
        for i, row in enumerate(rows)
    ]
    assert len(np.unique(text_groups(rows))) == 6
    rows[1] = replace(rows[1], claim=replace(rows[1].claim, text="CLAIM, number 0!"))
    rows[3] = replace(rows[3], claim=replace(rows[3].claim, text="Document number 2."))
    for place in (4, 5):
        # That both have no document ties nothing.
        rows[place] = replace(rows[place], document=replace(rows[place].document, text=""))
    assert text_groups(rows).tolist() == [0, 0, 1, 1, 2, 3]


def test_a_split_knows_its_groups(splits: tuple[Split, Split]) -> None:
    _, val = splits
    groups = val.text_groups
    claims = [row.claim.text for row in val.rows]
    documents = [row.document.text for row in val.rows]
    for one in range(len(val)):
        for other in range(one):
            if claims[one] == claims[other] or documents[one] == documents[other]:
                assert groups[one] == groups[other]
