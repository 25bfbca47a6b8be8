import gzip
import json
from pathlib import Path

import pytest

from factcheck.datasets import read_claims, read_corpus
from factcheck.datasets.json_lines import MAX_LINE_BYTES
from factcheck.errors import InvalidInputError, MissingResourceError

GOOD = {"id": "a", "text": "Some words."}


def write(path: Path, *lines: object) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def test_a_full_document_is_read_and_other_keys_are_passed_over(tmp_path):
    line = GOOD | {
        "title": "T",
        "url": "https://example.org",
        "date": "2021-09-08",
        "image": "pictures/a.jpg",
        "ocr": "WORDS",
        "source": "elsewhere",
    }
    (document,) = read_corpus(write(tmp_path / "c.jsonl", line))
    assert (document.title, document.date, document.ocr) == ("T", "2021-09-08", "WORDS")
    assert document.image == tmp_path / "pictures" / "a.jpg"


def test_what_is_optional_may_be_null_blank_or_absent(tmp_path):
    path = write(tmp_path / "c.jsonl", GOOD | {"title": "", "date": None, "image": " "}, "")
    (document,) = read_corpus(path)
    assert (document.title, document.date, document.image, document.url) == (None,) * 4


def test_absolute_pictures_stay_where_they_are(tmp_path):
    (document,) = read_corpus(write(tmp_path / "c.jsonl", GOOD | {"image": "/pictures/a.jpg"}))
    assert document.image == Path("/pictures/a.jpg")


def test_gzip_and_a_byte_order_mark_are_read(tmp_path):
    path = tmp_path / "c.jsonl.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + json.dumps(GOOD).encode()))
    assert read_corpus(path)[0].id == "a"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{not json", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "not a JSON object"),
        ({"text": "words"}, "the key 'id' is missing"),
        ({"id": "b"}, "the key 'text' is missing"),
        ({"id": 5, "text": "words"}, "'id' does not fit"),
        ({"id": "b", "text": " "}, "'text' is empty"),
        ({"id": "b", "text": "half \ud800"}, "surrogate"),
        ({"id": "b", "text": "words", "title": 3}, "'title'"),
        ({"id": "b", "text": "words", "date": "8 Sep 2021"}, "not a date as YYYY-MM-DD"),
        ({"id": "b", "text": "words", "date": "2021-02-30"}, "not a date as YYYY-MM-DD"),
        ({"id": "b", "text": "words", "image": "a\0.jpg"}, "NUL"),
        ({"id": "b", "text": "words", "URL": "a.org"}, "the key 'URL', which must be 'url'"),
        ({"id": "b", "text": "words", "imgae": "a.jpg"}, "the key 'imgae', which must be 'image'"),
        ({"id": "b", "texts": "words"}, "the key 'texts', which must be 'text'"),
        (GOOD, "already that of line 1"),
    ],
)
def test_a_wrong_line_is_named_with_its_number(tmp_path, line, complaint):
    path = write(tmp_path / "c.jsonl", GOOD, line)
    with pytest.raises(InvalidInputError) as caught:
        read_corpus(path)
    assert str(caught.value).startswith(f"{path}, line 2: ")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_utf8_is_named(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b'\n{"id": "b", "text": "caf\xe9"}\n')
    with pytest.raises(InvalidInputError, match="line 2: not UTF-8"):
        read_corpus(path)


def test_a_line_without_end_is_not_read_to_the_end(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_bytes(b"x" * (MAX_LINE_BYTES + 10))
    with pytest.raises(InvalidInputError, match="line 1: longer than"):
        read_corpus(path)


def test_a_gzip_file_that_is_none_or_is_cut_off_is_named(tmp_path):
    path = tmp_path / "c.jsonl.gz"
    path.write_bytes(b"plain words")
    with pytest.raises(InvalidInputError, match="not a whole gzip file"):
        read_corpus(path)
    path.write_bytes(gzip.compress(json.dumps(GOOD).encode())[:-9])
    with pytest.raises(InvalidInputError, match="not a whole gzip file"):
        read_corpus(path)


@pytest.mark.parametrize("read", [read_corpus, read_claims])
def test_missing_and_empty_files_are_named(tmp_path, read):
    with pytest.raises(MissingResourceError, match=r"c\.jsonl: .*No such file"):
        read(tmp_path / "c.jsonl")
    with pytest.raises(InvalidInputError, match=r"c\.jsonl: "):
        read(write(tmp_path / "c.jsonl", ""))


def test_a_folder_of_factify_is_a_corpus(tmp_path):
    for split in ("val", "train"):
        (tmp_path / f"{split}.csv").write_text("\tclaim\tdocument\n4\tC\tD\n7\tC\tE\n")
    documents = read_corpus(tmp_path)
    assert [d.id for d in documents] == ["train-4", "train-7", "val-4", "val-7"]


def test_a_folder_of_something_else_is_none(tmp_path):
    (tmp_path / "results.csv").write_text("a,b\n1,2\n")
    with pytest.raises(MissingResourceError, match="no CSV file of Factify 2"):
        read_corpus(tmp_path)


def test_claims_come_under_either_name(tmp_path):
    path = write(
        tmp_path / "c.jsonl", {"claim": "One.", "image": "a.png"}, {"text": "Two.", "ocr": "X"}
    )
    one, two = read_claims(path)
    assert (one.text, one.image, one.ocr) == ("One.", tmp_path / "a.png", None)
    assert (two.text, two.image, two.ocr) == ("Two.", None, "X")


def test_a_misspelt_key_of_a_claim_is_named(tmp_path):
    lines = {"claim": "One.", "id": 3, "label": "true"}, {"claim": "Two.", "images": "a.png"}
    with pytest.raises(InvalidInputError) as caught:
        read_claims(write(tmp_path / "c.jsonl", *lines))
    assert str(caught.value) == (
        f"{tmp_path / 'c.jsonl'}, line 2: the line has the key 'images', which must be 'image'"
    )


def test_a_key_like_one_that_is_there_is_passed_over(tmp_path):
    line = {"claim": "One.", "image": "a.png", "images": 2}
    (claim,) = read_claims(write(tmp_path / "c.jsonl", line))
    assert claim.image == tmp_path / "a.png"


@pytest.mark.parametrize("line", [{"image": "a.png"}, {"claim": ""}, {"claim": ["One."]}])
def test_claims_without_words_are_named(tmp_path, line):
    with pytest.raises(InvalidInputError, match="line 1: "):
        read_claims(write(tmp_path / "c.jsonl", line))
