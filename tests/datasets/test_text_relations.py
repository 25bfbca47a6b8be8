import json

import pytest

from factcheck.datasets import read_text_relations
from factcheck.errors import InvalidInputError
from factcheck.records import TextRelation

GOOD = {
    "id": "a",
    "source": "s",
    "claim": "C",
    "evidence": ["One.", "Two."],
    "relation": "refute",
    "unit": "passage",
}


def test_rows_are_read(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(GOOD))
    (row,) = read_text_relations([path])
    assert row.relation is TextRelation.REFUTE
    assert row.evidence_text == "One. Two."


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"relation": "maybe"}, "'relation' is 'maybe', not one of support"),
        ({"evidence": []}, "'evidence'"),
        ({"evidence": ["x", ""]}, "'evidence.1' is empty"),
        ({"unit": "book"}, "'unit'"),
        ({"id": "a"}, "the id 'a' is already that of"),
    ],
)
def test_wrong_rows_are_named(tmp_path, change, complaint):
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + json.dumps(GOOD | {"id": "b"} | change))
    with pytest.raises(InvalidInputError, match=f"line 2: {complaint}"):
        read_text_relations([path])


def test_no_rows_are_an_error(tmp_path):
    (tmp_path / "t.jsonl").write_text("")
    with pytest.raises(InvalidInputError, match="no text relations"):
        read_text_relations([tmp_path / "t.jsonl"])


def test_tables_of_one_name_have_the_same_ids_and_are_refused(tmp_path):
    paths = [tmp_path / name / "train.csv" for name in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_text("\tclaim\tdocument\tCategory\n3\tC\tD\tRefute\n")
    assert [row.id for row in read_text_relations(paths[:1])] == ["train-3"]
    with pytest.raises(
        InvalidInputError,
        match=r"b/train\.csv, row 3: the id 'train-3' is already that of .*a/train\.csv, row 3",
    ):
        read_text_relations(paths)


def test_a_file_that_is_named_twice_is_refused(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(GOOD))
    with pytest.raises(InvalidInputError, match="the id 'a' is already that of"):
        read_text_relations([path, path])
