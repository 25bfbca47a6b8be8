import csv
import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import save_photograph
from factify2_folder import LAYOUTS

from factcheck.datasets.doctor import examine, identify
from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.records import LABELS

HEADER = (
    "claim",
    "claim_image",
    "document",
    "document_image",
    "Category",
    "Claim OCR",
    "Document OCR",
)


def row(number, label, **changes):
    cells = {
        "claim": f"The {number} bridges over the river were closed on Monday for repairs.",
        "claim_image": f"https://pbs.example.com/{number}.jpg",
        "document": f"Engineers found cracks in {number} pillars. Subscribe to our newsletter.",
        "document_image": "https://www.news.example/p.jpg",
        "Category": label,
        "Claim OCR": "",
        "Document OCR": "CLOSED",
    }
    return {**cells, **changes}


def write_table(path, rows, separator="\t", header=HEADER):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(["", *header])
        for index, cells in enumerate(rows):
            writer.writerow([index, *(cells[name] for name in HEADER[: len(header)])])


@pytest.fixture
def folder(tmp_path) -> Path:
    """Ten rows of `train` and five of `val`, each with two pictures."""
    folder = tmp_path / "data"
    folder.mkdir()
    for split, start, count in (("train", 0, 10), ("val", 20, 5)):
        rows = [row(start + i, LABELS[i % 5]) for i in range(count)]
        write_table(folder / f"{split}.csv", rows)
        for side, offset in (("claim", 0), ("document", 100)):
            for i in range(count):
                place = folder / f"images-{split}" / side / LABELS[i % 5]
                place.mkdir(parents=True, exist_ok=True)
                save_photograph(place / f"{i}.jpg", seed=start + offset + i, size=(48, 36))
    return folder


def test_a_good_folder_is_counted(folder):
    found = examine(folder)
    train = found["splits"]["train"]
    assert found["usable"]
    assert list(found["splits"]) == ["train", "val"]
    assert (train["rows"], found["splits"]["val"]["rows"]) == (10, 5)
    assert train["labels"] == dict.fromkeys(map(str, LABELS), 2)
    assert train["pictures"]["claim"] == {"found": 10, "missing": 0, "broken": 0}
    assert train["empty"] == {"claim": 0, "document": 0, "claim OCR": 10, "document OCR": 0}
    assert train["words"]["claim"] == [12, 12, 12]
    assert train["words"]["claim OCR"] == []
    assert train["documents_with_boilerplate"] == {"newsletter": 10}
    assert train["hosts"]["claim"]["Refute"] == {"pbs.example.com": 2}
    assert train["problems"] == train["broken"] == {"count": 0, "first": []}
    assert train["duplicates"]["claim pictures"] == {"exact": 0, "near": 0}
    # Twelve words, one of them another: not quite near duplicates.
    assert train["duplicates"]["claims"] == {"exact": 0, "near": 0}
    assert json.loads((folder / "doctor.json").read_text()) == found


def test_missing_broken_lonely_and_repeated_pictures_are_told(folder):
    claims = folder / "images-train" / "claim"
    (claims / "Support_Text" / "0.jpg").unlink()
    (claims / "Support_Multimodal" / "1.jpg").write_bytes(b"\xff\xd8 no")
    (claims / "Refute" / "77.jpg").write_bytes((claims / "Refute" / "4.jpg").read_bytes())
    shutil.copy(claims / "Refute" / "4.jpg", claims / "Refute" / "9.jpg")
    shutil.copy(claims / "Refute" / "4.jpg", folder / "images-val" / "claim" / "Refute" / "4.jpg")
    found = examine(folder)
    train = found["splits"]["train"]
    assert train["pictures"]["claim"] == {"found": 9, "missing": 1, "broken": 1}
    assert train["pictures_without_row"] == 1
    assert train["broken"]["count"] == 1
    assert "images-train/claim/Support_Multimodal/1.jpg" in train["broken"]["first"][0]
    assert train["duplicates"]["claim pictures"] == {"exact": 1, "near": 1}
    assert found["across"]["train/val"]["claim pictures"] == {"exact": 1, "near": 1}
    assert found["usable"]


def test_texts_in_two_splits_are_told(folder):
    rows = [row(20 + i, LABELS[i]) for i in range(5)]
    same = "A storm cut the power of four thousand homes in the north last night."
    first = [row(i, LABELS[i], claim=f"Claim number {i} of its own kind.") for i in range(5)]
    first[0]["claim"] = rows[0]["claim"] = same
    first[1]["document"] = same + " Nobody was hurt, it was said on Friday."
    rows[1]["document"] = same.upper() + " Nobody was hurt, it was said on Sunday."
    write_table(folder / "train.csv", first)
    write_table(folder / "val.csv", rows)
    across = examine(folder)["across"]["train/val"]
    assert across["claims"] == {"exact": 1, "near": 1}
    assert across["documents"]["exact"] == 0
    assert across["documents"]["near"] >= 1


def test_all_bad_rows_are_listed_and_make_it_unusable(folder):
    rows = [row(i, LABELS[i % 5]) for i in range(30)]
    for i in range(12):
        rows[i]["claim"] = " "
    rows[20]["Category"] = "Maybe"
    write_table(folder / "train.csv", rows)
    found = examine(folder)
    train = found["splits"]["train"]
    assert not found["usable"]
    assert (train["rows"], train["problems"]["count"]) == (17, 13)
    assert len(train["problems"]["first"]) == 10
    assert "row 0: the claim text is empty" in train["problems"]["first"][0]


def test_a_split_that_is_no_table_is_told_beside_the_others(folder):
    with (folder / "train.csv").open("a", encoding="latin-1") as file:
        file.write("10\tcafé\t\tx\t\tRefute\t\t\n")
    found = examine(folder)
    assert not found["usable"]
    assert "not UTF-8" in found["splits"]["train"]["problems"]["first"][0]
    assert found["splits"]["val"]["rows"] == 5


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_says_the_same(folder, layout):
    before = examine(folder)["splits"]["val"]
    LAYOUTS[layout](folder)
    after = examine(folder)["splits"]["val"]
    assert after["labels"] == ({"no label": 5} if layout == "no Category" else before["labels"])
    for figure in ("rows", "pictures", "duplicates", "words", "pictures_sha256"):
        assert after[figure] == before[figure]


def test_the_hash_names_the_data(folder, tmp_path):
    before = examine(folder)["sha256"]
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved, ignore=shutil.ignore_patterns("doctor.*"))
    assert examine(moved)["sha256"] == before
    save_photograph(folder / "images-val" / "document" / LABELS[0] / "0.jpg", seed=999)
    assert examine(folder)["sha256"] != before


def test_a_run_cites_what_was_examined_as_long_as_it_is_the_same(folder):
    fresh = identify(folder, "val")
    assert (fresh["pictures_sha256"], fresh["data_sha256"]) == (None, None)
    found = examine(folder)
    cited = identify(folder, "val")
    assert cited["csv_sha256"] == found["splits"]["val"]["csv_sha256"] == fresh["csv_sha256"]
    assert cited["pictures_sha256"] == found["splits"]["val"]["pictures_sha256"]
    assert cited["data_sha256"] == found["sha256"]
    write_table(folder / "val.csv", [row(99, LABELS[0])])
    changed = identify(folder, "val")
    assert changed["csv_sha256"] != cited["csv_sha256"]
    assert changed["data_sha256"] is None
    (folder / "doctor.json").write_text('{"splits": 3}')
    assert identify(folder, "train")["data_sha256"] is None


def test_pictures_that_are_gone_are_seen_without_examining_them(folder):
    before = identify(folder, "val")
    assert identify(folder, "val") == before
    next((folder / "images-val").rglob("*.jpg")).unlink()
    fewer = identify(folder, "val")
    assert fewer["picture_files_sha256"] != before["picture_files_sha256"]
    (folder / "provenance-val.jsonl").write_text('{"index": 0, "same_picture": true}\n')
    assert identify(folder, "val")["provenance_sha256"] != before["provenance_sha256"]


def test_the_folder_itself_may_be_left_alone(folder, tmp_path):
    before = sorted(folder.rglob("*"))
    examine(folder, out=tmp_path / "out")
    assert sorted(folder.rglob("*")) == before
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["doctor.json", "doctor.sqlite"]


def test_only_what_is_asked_for_is_examined_in_the_usual_order(folder):
    assert list(examine(folder, ["val"])["splits"]) == ["val"]
    assert list(examine(folder, ["val", "train"])["splits"]) == ["train", "val"]
    with pytest.raises(MissingResourceError, match="no such split, the folder has train, val"):
        examine(folder, ["dev"])


def test_a_folder_without_splits_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match="holds no split"):
        examine(tmp_path)


def test_progress_tells_each_stage_to_its_end(folder):
    told = {}
    examine(folder, on_progress=lambda stage, done, total: told.update({stage: (done, total)}))
    assert told == {"splits read": (2, 2), "pictures": (30, 30), "duplicates": (4, 4)}


def test_names_that_are_not_utf8_are_spelt(folder):
    odd = folder.with_name(os.fsdecode(b"donn\xe9es"))
    folder.rename(odd)
    claims = odd / "images-train" / "claim"
    (claims / "Support_Text" / "0.jpg").write_bytes(b"no picture")
    (claims / os.fsdecode(b"\xe9.jpg")).write_bytes(b"no picture")
    for _ in range(2):
        found = examine(odd)
        (problem,) = found["splits"]["train"]["broken"]["first"]
        assert "donn\\udce9es/images-train/claim/Support_Text/0.jpg: not an image" in problem
        assert json.loads((odd / "doctor.json").read_text()) == found
    assert identify(odd, "train")["data_sha256"] == found["sha256"]
