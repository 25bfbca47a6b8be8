"""An audit: scores and differences that are what they say, files, and what is refused."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn.metrics import f1_score

from factcheck.errors import InvalidInputError, MissingResourceError, UsageError
from factcheck.evaluation.audit import audit
from factcheck.evaluation.audit_report import markdown, picture, write_audit
from factcheck.evaluation.audit_scores import SCORES, chance_weighted_f1, score_answers, score_rest
from factcheck.evaluation.audit_splits import DUPLICATES, FULL, MAJORITY, audit_splits
from factcheck.evaluation.splits import Split
from factcheck.fusion.run import relation_probabilities
from factcheck.pipeline import FactChecker
from factcheck.records import LABELS
from tests.evaluation.conftest import Digits, at_random, plant_hosts

SYSTEMS = [
    "majority",
    "claim only",
    "document only",
    "OCR only",
    "lengths only",
    "images only",
    "text only",
    "URL host only",
    "similarity + random forest",
    "concatenation MLP",
    "co-attention",
    "full model",
]
STRESS = [
    "documents shuffled",
    "images swapped",
    "document image dropped",
    "all images dropped",
    "OCR dropped",
    "debunking words masked",
    "near duplicates of train removed",
]


@pytest.fixture(scope="module")
def stages() -> list[tuple[str, int, int | None]]:
    return []


@pytest.fixture(scope="module")
def result(
    checker: FactChecker, factify2_folder: Path, stages: list[tuple[str, int, int | None]]
) -> dict[str, Any]:
    """The audit of a split without addresses by a full model with fresh weights."""
    return audit(checker, factify2_folder, on_progress=lambda *stage: stages.append(stage))


def test_everything_is_scored(
    result: dict[str, Any],
    stages: list[tuple[str, int, int | None]],
    splits: tuple[Split, Split],
    checker: FactChecker,
) -> None:
    assert [name for name in SYSTEMS if name != "URL host only"] == list(result["systems"])
    assert result["left_out"] == {"URL host only": "no training row has an address of a picture"}
    assert list(result["stress"]) == STRESS
    assert json.loads(json.dumps(result)) == result
    assert {role: found["rows"] for role, found in result["splits"].items()} == {
        "train": 200,
        "val": 60,
    }
    assert result["splits"]["val"]["labels"] == {str(label): 12 for label in LABELS}

    val = splits[1]
    majority = result["systems"][MAJORITY]
    expected = f1_score(val.labels, np.zeros(60), average="weighted")
    assert majority["weighted_f1"] == pytest.approx(expected)
    assert majority["above_majority"] is None
    labels = relation_probabilities(checker.checkpoint, val.inputs).label.argmax(axis=1)
    full = result["systems"][FULL]
    expected = f1_score(val.labels, labels, average="weighted")
    assert full["weighted_f1"] == pytest.approx(expected)
    assert full["full_model_ahead_by"] is None
    for name, system in result["systems"].items():
        low, high = system["weighted_f1_interval"]
        assert low <= system["weighted_f1"] <= high
        if name != MAJORITY:
            above = system["weighted_f1"] - majority["weighted_f1"]
            assert system["above_majority"] == pytest.approx(above)
        if name != FULL:
            ahead = full["weighted_f1"] - system["weighted_f1"]
            assert system["full_model_ahead_by"] == pytest.approx(ahead)
            low, high = system["full_model_ahead_by_interval"]
            assert low <= ahead <= high
    assert result["systems"]["text only"]["text_relation_accuracy"] > 0.8
    assert result["most_frequent"] == {"text_relation": 0.4, "image_relation": 0.5}

    stress = result["stress"]
    for test in STRESS[:-1]:
        change = stress[test]["weighted_f1"] - full["weighted_f1"]
        assert stress[test]["minus_unstressed"] == pytest.approx(change)
        assert stress[test]["rows"] == 60
    assert {name: stress[name]["changed"] for name in STRESS[2:6]} == {
        "document image dropped": 60,
        "all images dropped": 60,
        "OCR dropped": 20,
        "debunking words masked": 0,
    }
    assert stress["debunking words masked"]["minus_unstressed"] == 0
    assert stress[DUPLICATES]["changed"] + stress[DUPLICATES]["rows"] == 60

    names = list(dict.fromkeys(stage for stage, _, _ in stages))
    assert names == ["val encoded", "train encoded", "systems", "stress tests"]
    assert stages[-1] == ("stress tests", 7, 7)
    assert ("systems", 12, 12) in stages


def test_a_seed_gives_one_audit_and_a_planted_host_is_told(
    result: dict[str, Any], splits: tuple[Split, Split], checker: FactChecker
) -> None:
    from factcheck.evaluation.findings import find

    again = audit_splits(checker, *splits, 0, lambda *_: None)
    assert again == {name: result[name] for name in again}

    train, val = (plant_hosts(at_random(split, seed)) for seed, split in enumerate(splits))
    planted = audit_splits(checker, train, val, 0, lambda *_: None)
    assert planted["systems"]["URL host only"]["weighted_f1"] > 0.95
    assert planted["left_out"] == {}
    told = [sentence for sentence in find(planted) if "can be guessed" in sentence]
    assert len(told) == 1
    assert re.fullmatch(
        r"URL host only scores (1\.000|0\.9\d\d), 0\.\d{3} above the majority and 0\.\d{3} above "
        r"chance: labels can be guessed from where pictures were published\.",
        told[0],
    )


def test_scores_are_scikit_learns(digits: Digits) -> None:
    labels = digits.labels
    one, other = digits.logistic.argmax(axis=1), digits.bayes.argmax(axis=1)
    scores, differences = score_answers(labels, {"one": one, "other": other}, [("one", "other")])
    expected = f1_score(labels, one, average="weighted")
    assert scores["one"]["weighted_f1"] == pytest.approx(expected)
    difference = expected - f1_score(labels, other, average="weighted")
    found = differences["one", "other"]
    assert found["difference"] == pytest.approx(difference)
    for value, (low, high) in (
        *((scores["one"][name], scores["one"][f"{name}_interval"]) for name in SCORES),
        (difference, found["interval"]),
    ):
        assert low < value < high
        assert high - low < 0.2


def test_scores_on_the_rest(digits: Digits) -> None:
    labels, given = digits.labels, digits.logistic.argmax(axis=1)
    # Half of the rows, and hardly any of one label.
    removed = np.arange(len(labels)) % 2 == 0
    removed |= (labels == 3) & (np.arange(len(labels)) % 9 > 0)
    found = score_rest(labels, given, removed)
    expected = f1_score(labels[~removed], given[~removed], average="weighted")
    assert found["weighted_f1"] == pytest.approx(expected)
    left = np.bincount(labels[~removed], minlength=5) / np.bincount(labels, minlength=5)
    alike = f1_score(labels, given, average="weighted", sample_weight=left[labels])
    assert found["minus_unstressed"] == pytest.approx(expected - alike)
    low, high = found["minus_unstressed_interval"]
    assert low < found["minus_unstressed"] < high

    same = score_rest(labels, np.zeros_like(labels), removed)
    assert same["minus_unstressed"] == pytest.approx(0)
    assert same["minus_unstressed_interval"] == pytest.approx([0, 0])
    # Where all of a system's errors are among the rows removed, it gains.
    right = np.where(removed, (labels + 1) % 5, labels)
    assert score_rest(labels, right, removed)["weighted_f1"] == 1
    assert score_rest(labels, right, removed)["minus_unstressed_interval"][0] > 0.1
    assert set(score_rest(labels, given, np.ones_like(removed)).values()) == {None}


def test_chance(digits: Digits) -> None:
    labels, given = digits.labels, digits.logistic.argmax(axis=1)
    rng = np.random.default_rng(0)
    dealt = [f1_score(labels, rng.permutation(given), average="weighted") for _ in range(100)]
    assert chance_weighted_f1(labels, given) == pytest.approx(np.mean(dealt), abs=0.005)
    same = np.full_like(labels, 2)
    expected = f1_score(labels, same, average="weighted")
    assert chance_weighted_f1(labels, same) == pytest.approx(expected)


def test_the_image_relation_of_labels() -> None:
    names = [str(label) for label in LABELS]
    true = ["Support_Multimodal", "Support_Multimodal", "Insufficient_Text", "Support_Text"]
    given = ["Insufficient_Multimodal", "Refute", "Support_Text", "Support_Multimodal"]
    labels = np.array([names.index(name) for name in [*true, "Refute"]])
    predicted = np.array([names.index(name) for name in [*given, "Support_Multimodal"]])
    scores, _ = score_answers(labels, {"all": predicted})
    assert scores["all"]["image_relation_accuracy"] == 0.5
    only_refuted = score_answers(labels[-1:], {"all": predicted[-1:]})[0]["all"]
    assert only_refuted["image_relation_accuracy"] is None
    assert only_refuted["image_relation_accuracy_interval"] is None
    assert only_refuted["weighted_f1"] == 0


def test_nothing_left_after_duplicates(
    splits: tuple[Split, Split], checker: FactChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from factcheck.evaluation import audit_splits as module
    from factcheck.evaluation.findings import find

    # The baselines take their time and are not what is looked at.
    monkeypatch.setattr(module, "SHORTCUTS", {})
    monkeypatch.setattr(module, "_COMPARING", {})
    few = splits[0].take(np.arange(20))
    found = audit_splits(checker, splits[0], few, 0, lambda *_: None)
    removed = found["stress"][DUPLICATES]
    assert removed["changed"] == 20
    assert removed["rows"] == 0
    assert {removed[name] for name in (*SCORES, "minus_unstressed")} == {None}
    assert find(found)[-1].endswith("(20 of 20 rows): nothing is left to score.")


def test_files(result: dict[str, Any], tmp_path: Path) -> None:
    write_audit(tmp_path / "new" / "audit", result)
    written = {path.name: path.read_text() for path in (tmp_path / "new" / "audit").iterdir()}
    assert set(written) == {"audit.json", "audit.md", "audit.svg"}
    assert json.loads(written["audit.json"]) == result
    assert written["audit.md"] == markdown(result)
    assert written["audit.svg"] == picture(result)

    lines = written["audit.md"].splitlines()
    full = result["systems"][FULL]
    low, high = full["weighted_f1_interval"]
    [line] = [line for line in lines if line.startswith("| full model |")]
    assert line.startswith(
        f"| full model | {full['weighted_f1']:.3f} ({low:.3f} to {high:.3f}) | "
        f"{full['above_majority']:+.3f} ("
    )
    assert {line.count("|") for line in lines if line.startswith("|")} == {7, 8}
    assert line.endswith(f"| {full['by_chance']:.3f} |")
    assert all(f"- {sentence}" in lines for sentence in result["findings"])
    assert all(any(line.startswith(f"| {name} |") for line in lines) for name in STRESS)

    svg = ElementTree.fromstring(written["audit.svg"])
    space = "{http://www.w3.org/2000/svg}"
    texts = [node.text for node in svg.iter(f"{space}text")]
    assert set(texts) >= {*result["systems"], *STRESS}
    bars = svg.findall(f"{space}g/{space}rect")
    assert [float(bar.attrib["width"]) for bar in bars] == [
        pytest.approx(400 * scores["weighted_f1"], abs=0.01)
        for scores in (*result["systems"].values(), *result["stress"].values())
    ]
    assert "prefers-color-scheme: dark" in written["audit.svg"]
    assert "http" not in written["audit.svg"].replace("http://www.w3.org/2000/svg", "")


def test_a_picture_without_a_score(result: dict[str, Any]) -> None:
    gone = dict.fromkeys(result["stress"][DUPLICATES]) | {"rows": 0, "changed": 60}
    changed = {
        **result,
        "splits": {**result["splits"], "val": {**result["splits"]["val"], "name": "<val> & co"}},
        "stress": {**result["stress"], DUPLICATES: gone},
    }
    svg = ElementTree.fromstring(picture(changed))
    assert next(iter(svg)).text == "What <val> & co gives away"
    assert len(svg.findall(".//{*}g/{*}rect")) == 17
    assert f"| {DUPLICATES} | - | - | - | - | 60 |" in markdown(changed)


def rewrite(folder: Path, split: str, change: Callable[[list[str]], list[str]]) -> None:
    """Change the cells of a split's rows, or leave rows out."""
    path = folder / f"{split}.csv"
    header, *rows = path.read_text().splitlines()
    cells = [change(row.split("\t")) for row in rows]
    path.write_text("\n".join([header, *("\t".join(row) for row in cells if row)]) + "\n")


@pytest.mark.parametrize(
    ("split", "change", "expected"),
    [
        (
            "val",
            lambda cells: [*cells[:5], "", *cells[6:]],
            r"val\.csv: row 0 has no Category",
        ),
        (
            "train",
            lambda cells: cells if int(cells[0]) < 49 else [],
            r"train\.csv: has 49 rows, and baselines need at least 50",
        ),
        (
            "train",
            lambda cells: [*cells[:5], "Refute", *cells[6:]],
            r"train\.csv: all rows are Refute",
        ),
        (
            "train",
            lambda cells: [*cells[:5], "Refute" if cells[0] == "7" else "Support_Text", *cells[6:]],
            r"train\.csv: has a single row of Refute",
        ),
    ],
    ids=["unlabelled", "too few", "one label", "a label once"],
)
def test_what_is_refused(
    checker: FactChecker,
    factify2_folder: Path,
    tmp_path: Path,
    split: str,
    change: Callable[[list[str]], list[str]],
    expected: str,
) -> None:
    for name in ("train", "val"):
        shutil.copy(factify2_folder / f"{name}.csv", tmp_path)
    rewrite(tmp_path, split, change)
    stages: list[str] = []
    with pytest.raises(InvalidInputError, match=expected):
        audit(checker, tmp_path, on_progress=lambda stage, *_: stages.append(stage))
    assert stages == []


def test_splits_that_will_not_do(checker: FactChecker, factify2_folder: Path) -> None:
    with pytest.raises(UsageError, match="'val' is to be scored"):
        audit(checker, factify2_folder, train="val")
    with pytest.raises(MissingResourceError, match="no such split"):
        audit(checker, factify2_folder, val="nowhere")
