import csv
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from factcheck.datasets import find_splits, read_factify2
from factcheck.datasets.factify2 import inspect_factify2
from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.records import Label

HEADER = (
    "claim",
    "claim_image",
    "document",
    "document_image",
    "Category",
    "Claim OCR",
    "Document OCR",
)
ROWS = (
    ("C0", "https://x/c0", "D0", "https://x/d0", "Support_Multimodal", "words", ""),
    ("C1", "https://x/c1", 'D1 with "quotes"\nand\ta tab', "", "Refute", "", "more"),
)


def write(path, header=HEADER, rows=ROWS, indices=("3", "12"), separator="\t"):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(([""] if indices else []) + list(header))
        for place, row in enumerate(rows):
            writer.writerow(([indices[place]] if indices else []) + list(row))
    return path.parent


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)


@pytest.mark.parametrize("separator", ["\t", ","])
def test_rows_are_read_as_they_are(tmp_path, separator):
    first, second = read_factify2(write(tmp_path / "train.csv", separator=separator), "train")
    assert (first.index, first.label, first.same_picture) == (3, Label.SUPPORT_MULTIMODAL, True)
    assert (first.claim.text, first.claim.ocr) == ("C0", "words")
    assert (first.document.id, first.document.ocr) == ("train-3", None)
    assert (first.claim.image, first.document.image, first.source) == (None, None, None)
    assert first.document.url == "https://x/d0"
    assert second.document.text == 'D1 with "quotes"\nand\ta tab'
    assert (second.label, second.same_picture, second.document.url) == (Label.REFUTE, None, None)


def test_texts_are_cleaned_and_kept_as_they_are_in_the_file(tmp_path):
    cells = (
        "Rain &amp; wind https://t.co/x1",
        "",
        "It rained.\nAdvertisement",
        "",
        "Refute",
        "",
        "",
    )
    (row,) = read_factify2(write(tmp_path / "x.csv", rows=[cells], indices=["0"]), "x")
    assert (row.claim.text, row.document.text) == ("Rain & wind", "It rained.")
    assert (row.raw_claim, row.raw_document) == (cells[0], cells[2])


def test_where_pictures_were_is_kept(tmp_path):
    first, second = read_factify2(write(tmp_path / "train.csv"), "train")
    assert (first.claim_image_url, first.document_image_url) == ("https://x/c0", "https://x/d0")
    assert (second.claim_image_url, second.document_image_url) == ("https://x/c1", None)


def test_every_wrong_row_is_told_beside_the_good_ones(tmp_path):
    rows = [(*ROWS[0][:4], "Maybe", "", ""), ROWS[0], (" ", *ROWS[0][1:]), ROWS[1]]
    folder = write(tmp_path / "train.csv", rows=rows, indices=["0", "1", "2", "1"])
    good, wrong = inspect_factify2(folder, "train")
    assert [row.index for row in good] == [1]
    assert [str(error).split("train.csv, ")[1][:22] for error in wrong] == [
        "row 0: the Category 'M",
        "row 2: the claim text ",
        "data row 4: the index ",
    ]


def test_other_spellings_orders_and_a_missing_index_are_understood(tmp_path):
    header = ("Document_OCR", "CLAIM OCR", "Claim", "document", "category")
    rows = [("d", "c", "C", "D", "support text"), ("", "", "C", "D", "INSUFFICIENT_TEXT")]
    first, second = read_factify2(write(tmp_path / "x.csv", header, rows, indices=None), "x")
    assert (first.index, first.document.ocr, first.claim.ocr) == (0, "d", "c")
    assert (first.label, second.label) == (Label.SUPPORT_TEXT, Label.INSUFFICIENT_TEXT)


def test_a_test_split_may_have_no_category(tmp_path):
    rows = [(*row[:4], *row[5:]) for row in ROWS]
    header = (*HEADER[:4], *HEADER[5:])
    for row in read_factify2(write(tmp_path / "test.csv", header, rows), "test"):
        assert (row.label, row.same_picture) == (None, None)


@pytest.mark.parametrize(
    "name",
    [
        "images-train/claim/Support_Multimodal/3.jpg",
        "images-train/claim/3.webp",
        "images/train/claim/3.PNG",
        "images/train/claim/Support_Multimodal/3.jpeg",
    ],
)
def test_pictures_are_found_in_every_layout(tmp_path, name):
    folder = write(tmp_path / "train.csv")
    picture(tmp_path / name)
    first, second = read_factify2(folder, "train")
    assert first.claim.image == tmp_path / name
    assert first.document.image is second.claim.image is second.document.image is None


def test_pictures_in_folders_of_categories_are_found_without_a_category_column(tmp_path):
    folder = write(tmp_path / "test.csv", ("claim", "document"), [("C", "D")], ["5"])
    picture(tmp_path / "images-test" / "document" / "Refute" / "5.jpg")
    (row,) = read_factify2(folder, "test")
    assert row.document.image is not None
    assert row.label is None


def test_provenance_tells_what_the_label_does_not(tmp_path):
    folder = write(tmp_path / "train.csv")
    lines = [
        {"index": 12, "source": "fnc1", "same_picture": True, "text_id": "x"},
        {"index": 3, "source": "wice", "same_picture": None},
    ]
    (tmp_path / "provenance-train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    first, second = read_factify2(folder, "train")
    assert (second.source, second.same_picture) == ("fnc1", True)
    assert (first.source, first.same_picture) == ("wice", None)


def test_splits_are_found_in_their_order(tmp_path):
    for name in ("test", "extra", "train"):
        write(tmp_path / f"{name}.csv")
    (tmp_path / "scores.csv").write_text("label,f1\n")
    assert find_splits(tmp_path) == ["train", "test", "extra"]


@pytest.mark.parametrize("split", ["val", "../train", "..", ""])
def test_a_missing_split_is_named_with_those_that_are_there(tmp_path, split):
    folder = write(tmp_path / "train.csv")
    with pytest.raises(MissingResourceError, match="no such split, the folder has train"):
        read_factify2(folder, split)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(MissingResourceError, match="nowhere"):
        read_factify2(tmp_path / "nowhere", "train")


def test_missing_and_doubled_columns_are_named(tmp_path):
    write(tmp_path / "a.csv", ("claim", "text"), [("C", "D")], ["0"])
    with pytest.raises(InvalidInputError, match=r"a\.csv: the column 'document' is missing among"):
        read_factify2(tmp_path, "a")
    write(tmp_path / "b.csv", ("claim", "document", "Claim OCR", "claim_ocr"), [("C", "D", "", "")])
    with pytest.raises(InvalidInputError, match="2 columns are named 'claimocr'"):
        read_factify2(tmp_path, "b")


@pytest.mark.parametrize(
    ("place", "value", "complaint"),
    [
        (0, " ", "row 12: the claim text is empty"),
        (2, "", "row 12: the document text is empty"),
        (
            0,
            "word " * 2001,
            "row 12 has a claim of 10,004 characters, more than",
        ),
        (4, "True", "row 12: the Category 'True' is not one of Support_Text"),
        (4, "", "row 12: the Category '' is not one of"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, place, value, complaint):
    wrong = (*ROWS[1][:place], value, *ROWS[1][place + 1 :])
    with pytest.raises(InvalidInputError, match=complaint):
        read_factify2(write(tmp_path / "train.csv", rows=(ROWS[0], wrong)), "train")


@pytest.mark.parametrize("index", ["../../etc/passwd", "-1", "1.0", "", "x", "³"])
def test_an_index_is_nothing_but_digits(tmp_path, index):
    with pytest.raises(InvalidInputError, match=r"data row 2: the index .* is not a whole number"):
        read_factify2(write(tmp_path / "train.csv", indices=("0", index)), "train")


def test_a_doubled_index_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match="data row 2: the index 7 is already that of data"):
        read_factify2(write(tmp_path / "train.csv", indices=("7", "07")), "train")


def test_files_that_are_no_tables_are_named(tmp_path):
    (tmp_path / "a.csv").write_bytes("claim\tdocument\ncafé\tD\n".encode("latin-1"))
    (tmp_path / "b.csv").write_bytes(b"")
    (tmp_path / "c.csv").write_text("claim,document\nC,D,x\nC,D,x,y\n")
    (tmp_path / "d.csv").write_text("claim,document\n")
    (tmp_path / "e.csv").write_text("claim,document\n0,x,C,D\n")
    for name in "abcde":
        with pytest.raises(InvalidInputError, match=rf"{name}\.csv"):
            read_factify2(tmp_path, name)


@pytest.mark.parametrize(
    ("lines", "row"),
    [
        # It would end in the middle of the next row, which would be lost.
        (['0\t"Sure", he said.\tD', "1\tC\tD"], 1),
        (["0\tC\tD", '1\t"No.\tD', '2\tA "new" one.\tD', "3\tC\tD"], 2),
        (["0\tC\tD", '1\tC\t"D', "2\tC\tD"], 2),
        # The next one ends a cell.
        (['0\t"It is over\tD', '1\tthe end"\tD', "2\tC\tD"], 1),
        (['0\t"It is over\tD', "1\tC\tD", '2\tthe end"\tD', "3\tC\tD"], 1),
    ],
)
def test_a_stray_quotation_mark_swallows_no_rows(tmp_path, lines, row):
    (tmp_path / "x.csv").write_text("\n".join(["\tclaim\tdocument", *lines, ""]))
    complaint = rf"x\.csv: from data row {row} on cells cannot be told apart: .* quotation mark"
    with pytest.raises(InvalidInputError, match=complaint):
        read_factify2(tmp_path, "x")


def test_quotation_marks_within_cells_are_kept(tmp_path):
    cells = ["6'4\" tall", '"', '""quoted""', "a\nb\r\nc", "x" * 300_000 + '"']
    folder = write(tmp_path / "x.csv", ("claim", "document"), [("C", cell) for cell in cells], None)
    assert [row.raw_document for row in read_factify2(folder, "x")] == cells
    # Nor need one that does not begin a cell be written twice.
    (tmp_path / "y.csv").write_text('claim\tdocument\n6\'4" tall\tsaid "so"\n')
    assert read_factify2(tmp_path, "y")[0].raw_document == 'said "so"'


ODD_NAMES = ("Unnamed: 0", "unnamed: 0", "Unnamed: 0.1", "S.No", "S No.", "Row_ID", "IDX")


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_index_is_known_by_its_names_at_any_place(tmp_path, name, place):
    header, row = ["claim", "document"], ["C", "D"]
    header.insert(place, name)
    row.insert(place, "7")
    (found,) = read_factify2(write(tmp_path / "x.csv", header, [row], indices=None), "x")
    assert (found.index, found.claim.text) == (7, "C")


def test_several_index_columns_that_agree_are_one(tmp_path):
    header = ("Unnamed: 0.1", "Unnamed: 0", "claim", "document", "Id")
    rows = [("7", "7", "C", "D", "7"), ("9", "9", "C", "D", "9")]
    found = read_factify2(write(tmp_path / "x.csv", header, rows, indices=None), "x")
    assert [row.index for row in found] == [7, 9]


def test_index_columns_that_disagree_are_named(tmp_path):
    header = ("Unnamed: 0.1", "Unnamed: 0", "claim", "document")
    rows = [("7", "7", "C", "D"), ("8", "9", "C", "D")]
    with pytest.raises(
        InvalidInputError,
        match=r"x\.csv: the columns 'Unnamed: 0\.1' and 'Unnamed: 0' both number the rows, and "
        r"differ from data row 2 on",
    ):
        read_factify2(write(tmp_path / "x.csv", header, rows, indices=None), "x")


def test_columns_of_those_names_that_hold_no_numbers_are_no_index(tmp_path):
    # A separator at the end of each line, and names of posts.
    rows = [("C", "D", "a1", ""), ("C", "D", "b2", "")]
    folder = write(tmp_path / "x.csv", ("claim", "document", "Id", ""), rows, indices=None)
    assert [row.index for row in read_factify2(folder, "x")] == [0, 1]
    folder = write(tmp_path / "y.csv", ("claim", "document", "Id", ""), rows, ("4", "5"))
    assert [row.index for row in read_factify2(folder, "y")] == [4, 5]
    named_first = [("a1", "C", "D", "3"), ("b2", "C", "D", "4")]
    header = ("Id", "claim", "document", "index")
    folder = write(tmp_path / "z.csv", header, named_first, indices=None)
    assert [row.index for row in read_factify2(folder, "z")] == [3, 4]


def test_a_wrong_number_in_an_index_column_elsewhere_is_named(tmp_path):
    rows = [("C", "D", "7"), ("C", "D", "x")]
    folder = write(tmp_path / "x.csv", ("claim", "document", "Id"), rows, indices=None)
    with pytest.raises(InvalidInputError, match="data row 2: the index 'x' is not a whole number"):
        read_factify2(folder, "x")


def test_a_first_column_that_looks_like_an_index_is_not_passed_over(tmp_path):
    header = ("tweet", "claim", "document")

    def indices(*numbers):
        rows = [(number, "C", "D") for number in numbers]
        folder = write(tmp_path / "x.csv", header, rows, indices=None)
        return [row.index for row in read_factify2(folder, "x")]

    with pytest.raises(InvalidInputError, match=r"x\.csv: the first column, 'tweet', has another"):
        indices("7", "9")
    assert indices("0", "1") == [0, 1]  # as rows are counted anyway
    assert indices("7", "7") == indices("7", "x") == [0, 1]


def test_a_split_is_found_only_if_it_may_be_asked_for(tmp_path):
    for name in ("train", "train (1)", "train copy", ".hidden", "val.v2"):
        write(tmp_path / f"{name}.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    assert find_splits(tmp_path) == ["train", "val.v2"]
    for split in find_splits(tmp_path):
        read_factify2(tmp_path, split)
