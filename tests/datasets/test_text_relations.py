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
