import csv
import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from factcheck.datasets import compose, compose_pictures, find_splits, read_factify2
from factcheck.datasets.lookalikes import describe
from factcheck.errors import InvalidInputError, RunError, UsageError
from factcheck.records import LABELS, TextRelation, label_of, same_picture_of, text_relation_of

SPLITS = ("train", "val", "test")


@pytest.fixture(scope="session")
def composed(data, compose_settings, tmp_path_factory) -> Path:
    return compose(compose_settings, data, tmp_path_factory.mktemp("out") / "set").folder


def bytes_of(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def provenance(folder: Path, split: str) -> list[dict]:
    lines = (folder / f"provenance-{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_it_reads_like_factify(composed, compose_settings):
    assert find_splits(composed) == list(SPLITS)
    for split in SPLITS:
        rows = read_factify2(composed, split)
        counts = Counter(row.label for row in rows)
        wanted = getattr(compose_settings.rows, split)
        assert [counts[label] for label in LABELS] == [wanted // 5] * 5
        assert [row.index for row in rows] == list(range(wanted))


def test_the_manifest_says_what_was_made_from_what(composed, data):
    manifest = json.loads((composed / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["labels"]["train"]["Refute"] == 12
    text = (data / "text" / "pairs.jsonl.gz").read_bytes()
    assert manifest["sha256"]["text"]["text/pairs.jsonl.gz"] == hashlib.sha256(text).hexdigest()
    assert str(data) not in (composed / "manifest.json").read_text(encoding="utf-8")


def test_factors_and_labels_agree(composed):
    for split in SPLITS:
        for row, line in zip(
            read_factify2(composed, split), provenance(composed, split), strict=True
        ):
            relation = TextRelation(line["relation"])
            assert text_relation_of(row.label) is relation
            if row.claim.image is None or row.document.image is None:
                assert row.same_picture is None
                assert same_picture_of(row.label) is not True
            else:
                assert row.label is label_of(relation, line["same_picture"])
                assert line["same_picture"] == (line["claim_photo"] == line["document_photo"])


def test_refuted_rows_have_either_picture_and_lose_some(composed):
    rows = [row for split in SPLITS for row in read_factify2(composed, split)]
    refuted = Counter(row.same_picture for row in rows if row.label == "Refute")
    assert refuted[True] >= 4
    assert refuted[False] >= 4
    missing = Counter(
        row.label for row in rows if row.claim.image is None or row.document.image is None
    )
    assert missing["Refute"] > 0
    assert missing["Support_Text"] > 0


def test_no_photograph_and_no_claim_is_in_two_splits(composed):
    photographs = []
    claims = []
    for split in SPLITS:
        lines = provenance(composed, split)
        photographs.append(
            {line[side] for line in lines for side in ("claim_photo", "document_photo")} - {None}
        )
        claims.append({row.claim.text.lower() for row in read_factify2(composed, split)})
    for sets in (photographs, claims):
        assert sum(map(len, sets)) == len(set.union(*sets))


def test_the_same_picture_looks_more_alike_than_another(composed):
    def look(path: Path) -> np.ndarray:
        with Image.open(path) as image:
            # A caption comes on top of the longest side.
            assert max(image.size) <= 256 * 1.6
            return describe(image)

    likeness: dict[bool, list[float]] = {True: [], False: []}
    for split in SPLITS:
        for row in read_factify2(composed, split):
            if row.same_picture is not None:
                claim, document = look(row.claim.image), look(row.document.image)
                likeness[row.same_picture].append(float(claim @ document))
    # Heavy copies are far from their photograph, and half of the others were chosen as lookalikes.
    assert np.mean(likeness[True]) > np.mean(likeness[False]) + 0.02


def test_each_pair_has_one_light_and_one_heavy_copy_and_captions_are_in_the_table(composed):
    heavy = Counter()
    for split in SPLITS:
        for row, line in zip(
            read_factify2(composed, split), provenance(composed, split), strict=True
        ):
            edits = line["edits"]
            for side, ocr in (("claim", row.claim.ocr), ("document", row.document.ocr)):
                assert ("caption" in edits[side]) == (ocr is not None)
                heavy[side] += "heavy" in edits[side]
            if row.same_picture is not None:
                assert {edits["claim"][0], edits["document"][0]} == {"light", "heavy"}
    assert min(heavy.values()) > 20


def test_no_column_but_the_category_tells_the_label(composed):
    for split in SPLITS:
        with (composed / f"{split}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        addresses = [row[side] for row in rows for side in ("claim_image", "document_image")]
        assert len(set(addresses)) == len(addresses)
        for row in rows:
            row.pop("Category")
            told = " ".join(row.values()).lower()
            assert not any(
                name in told for name in ("support", "insufficient", "refute", "multimodal")
            )
        names = [path.relative_to(composed).as_posix() for path in composed.rglob("*.jpg")]
        assert not any(label.lower() in name.lower() for name in names for label in LABELS)


def test_the_same_settings_give_the_same_bytes_in_any_number_of_processes(
    composed, data, compose_settings, tmp_path
):
    two = compose_settings.model_copy(update={"workers": 2})
    calls = []
    compose(two, data, tmp_path / "again", lambda done, total: calls.append((done, total)))
    assert bytes_of(tmp_path / "again") == bytes_of(composed)
    assert calls[-1][0] == calls[-1][1] > 150


def test_another_seed_gives_another_set(composed, data, compose_settings, tmp_path):
    rows = compose_settings.rows.model_copy(update={"train": 0, "test": 0})
    other = compose_settings.model_copy(update={"seed": 1, "rows": rows})
    compose(other, data, tmp_path / "other")
    assert find_splits(tmp_path / "other") == ["val"]
    assert (tmp_path / "other" / "val.csv").read_bytes() != (composed / "val.csv").read_bytes()


@pytest.mark.parametrize(
    ("error", "raised"), [(KeyboardInterrupt, KeyboardInterrupt), (OSError, RunError)]
)
def test_nothing_is_left_of_a_run_that_was_stopped(
    data, compose_settings, tmp_path, monkeypatch, error, raised
):
    def stop(pictures):
        raise error

    monkeypatch.setattr(compose_pictures, "_make", stop)
    with pytest.raises(raised):
        compose(compose_settings, data, tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_photograph_is_named(data, compose_settings, tmp_path):
    photographs = tmp_path / "photos"
    photographs.mkdir()
    for path in (data / "photos").iterdir():
        (photographs / path.name).write_bytes(path.read_bytes()[:200])
    broken = compose_settings.model_copy(update={"photographs": [photographs]})
    with pytest.raises(InvalidInputError, match=r"photos/\d+\.png: "):
        compose(broken, data, tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_a_folder_with_something_in_it_is_left_alone(data, compose_settings, tmp_path):
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        compose(compose_settings, data, tmp_path)
    assert (tmp_path / "kept.txt").read_text() == "mine"
