"""Evaluating a split: every row has a prediction, and the files are whole."""

import json
import shutil
from pathlib import Path

import pytest
from factify2_folder import LAYOUTS

from factcheck.datasets import read_factify2
from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.evaluation import evaluate_split
from factcheck.evaluation.baselines import BASELINES
from factcheck.evaluation.evaluate import merge_runs
from factcheck.evaluation.runs import Shard
from factcheck.evaluation.splits import encode_split
from factcheck.evidence import Reading
from factcheck.pipeline import FactChecker
from factcheck.records import LABELS
from factcheck.settings import PassageSettings


def test_predictions_and_metrics_agree(
    checker: FactChecker, factify2_folder: Path, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    metrics = evaluate_split(
        checker,
        factify2_folder,
        "test",
        tmp_path / "run",
        on_progress=lambda *counts: told.append(counts),
    )
    assert told[-1] == (40, 40)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == metrics
    report = (tmp_path / "run" / "report.html").read_text()
    assert f"{metrics['weighted_f1']:.4f}" in report
    assert report.count("<article") == 40
    rows = [
        json.loads(line)
        for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()
    ]
    assert [row["index"] for row in rows] == list(range(40))
    right = sum(row["label"] == row["true_label"] for row in rows)
    assert metrics["accuracy"] == pytest.approx(right / 40)
    for row in rows:
        assert set(row["probabilities"]) == set(map(str, LABELS))
        assert sum(row["text_relation"].values()) == pytest.approx(1)
        assert 0 <= row["image_relation"] <= 1


def test_the_same_verdicts_as_compare(
    checker: FactChecker, factify2_folder: Path, tmp_path: Path
) -> None:
    evaluate_split(checker, factify2_folder, "test", tmp_path)
    first = json.loads((tmp_path / "predictions.jsonl").read_text().splitlines()[0])
    row = read_factify2(factify2_folder, "test")[0]
    verdict = checker.compare(row.claim, row.document)
    assert first["label"] == verdict.label
    assert list(first["probabilities"].values()) == pytest.approx(
        list(verdict.probabilities.values()), abs=1e-5
    )


@pytest.fixture
def copy(factify2_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(factify2_folder, tmp_path / "copy"))


def test_without_labels_there_are_predictions_only(
    checker: FactChecker, copy: Path, tmp_path: Path
) -> None:
    table = [line.split("\t") for line in (copy / "test.csv").read_text().splitlines()]
    # An index that does not count from 0 shows what becomes the Id.
    table[3][0] = "4711"
    (copy / "test.csv").write_text("".join("\t".join(c[:5] + c[6:]) + "\n" for c in table))
    submission = tmp_path / "answers" / "answer.csv"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "report.html").write_text("of an earlier run")
    metrics = evaluate_split(checker, copy, "test", tmp_path / "run", submission=submission)
    assert "weighted_f1" not in metrics
    assert metrics["rows"] == 40
    files = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert files == ["metrics.json", "predictions.jsonl", "run.json"]
    lines = (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()
    predictions = [json.loads(line) for line in lines]
    assert submission.read_text().splitlines() == [
        "Id,Category",
        *(f"{row['index']},{row['label']}" for row in predictions),
    ]
    assert len(predictions) == 40
    assert [path.name for path in submission.parent.iterdir()] == ["answer.csv"]


def test_a_bad_picture_never_drops_a_row(checker: FactChecker, copy: Path, tmp_path: Path) -> None:
    bad = next((copy / "images-test" / "claim").glob("3.*"))
    bad.write_bytes(b"")
    warnings: list[str] = []
    metrics = evaluate_split(checker, copy, "test", on_warning=warnings.append)
    assert metrics["rows"] == 40
    assert metrics["rows_without_two_pictures"] == 1
    assert len(warnings) == 1
    assert "test row 3" in warnings[0]
    assert bad.name in warnings[0]
    with pytest.raises(InvalidInputError, match=bad.name):
        evaluate_split(checker, copy, "test", tmp_path / "run", strict=True)
    assert not (tmp_path / "run").exists()


def test_a_claim_that_is_too_long_is_named_by_row(checker: FactChecker, copy: Path) -> None:
    text = (copy / "test.csv").read_text().splitlines()
    cells = text[6].split("\t")
    text[6] = "\t".join([cells[0], "long " * 19_999 + "long.", *cells[2:]])
    (copy / "test.csv").write_text("\n".join(text) + "\n")
    with pytest.raises(InvalidInputError, match=r"test\.csv.*row 5 has a claim of 100,000"):
        evaluate_split(checker, copy, "test")


def test_a_split_that_is_not_there(checker: FactChecker, factify2_folder: Path) -> None:
    with pytest.raises(MissingResourceError, match=r"no such split"):
        evaluate_split(checker, factify2_folder, "nowhere")


def test_baselines_learn_what_they_can(checker: FactChecker, factify2_folder: Path) -> None:
    reading = Reading(checker.encoders, PassageSettings(), 3)

    train, test = (
        encode_split(reading, factify2_folder, name).labelled() for name in ("train", "test")
    )
    accuracy = {}
    for name, baseline in BASELINES.items():
        probabilities = baseline(train, test, 0)
        assert probabilities.shape == (40, 5)
        assert probabilities.sum(axis=1) == pytest.approx(1)
        accuracy[name] = (probabilities.argmax(axis=1) == test.labels).mean()
    assert accuracy["majority"] == pytest.approx(0.2)
    assert accuracy["similarity + random forest"] > 0.5


@pytest.fixture(scope="module")
def small(factify2_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty rows of `val`, with their pictures by class."""
    folder = tmp_path_factory.mktemp("layouts") / "small"
    shutil.copytree(factify2_folder / "images-val", folder / "images-val")
    lines = (factify2_folder / "val.csv").read_text().splitlines(keepends=True)
    (folder / "val.csv").write_text("".join(lines[:21]))
    return folder


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_verdicts(
    checker: FactChecker, small: Path, layout: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(small, tmp_path / "other"))
    LAYOUTS[layout](folder)
    before = evaluate_split(checker, small, "val", tmp_path / "before")
    after = evaluate_split(checker, folder, "val", tmp_path / "after")
    for figure in ("rows", "rows_without_two_pictures"):
        assert after[figure] == before[figure]
    assert before["rows_without_two_pictures"] == 0
    assert ("weighted_f1" in after) == (layout != "no Category")
    if layout != "no Category":
        assert after["weighted_f1"] == before["weighted_f1"]
    for name in ("before", "after"):
        assert (tmp_path / name / "predictions.jsonl").exists()
    rows = [
        [json.loads(line) for line in (tmp_path / name / "predictions.jsonl").open()]
        for name in ("before", "after")
    ]
    for one, other in zip(*rows, strict=True):
        assert other["probabilities"] == one["probabilities"]
        assert other["true_label"] == (None if layout == "no Category" else one["true_label"])


def test_labels_at_an_error_rate(
    checker: FactChecker, factify2_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    plain = evaluate_split(checker, factify2_folder, "test")
    found = evaluate_split(checker, factify2_folder, "test", out, max_error=0.3)
    assert {key: found[key] for key in plain} == plain
    rows = [json.loads(line) for line in (out / "predictions.jsonl").open()]
    answered = [row for row in rows if row["decision"]["answered"]]
    wrong = [row for row in answered if row["label"] != row["true_label"]]
    held = [row for row in rows if row["true_label"] in row["decision"]["possible_labels"]]
    assert found["max_error"] == 0.3
    assert found["answered"] == pytest.approx(len(answered) / 40)
    assert found["wrong_labels"] == pytest.approx(len(wrong) / 40)
    if answered:
        assert found["error_among_answered"] == pytest.approx(len(wrong) / len(answered))
    assert found["possible_labels_hold_truth"] == pytest.approx(len(held) / 40)
    sizes = [len(row["decision"]["possible_labels"]) for row in rows]
    assert found["mean_possible_labels"] == pytest.approx(sum(sizes) / 40)
    assert json.loads((out / "run.json").read_text())["max_error"] == 0.3
    none = evaluate_split(checker, factify2_folder, "test", max_error=0.001)
    assert (none["answered"], none["error_among_answered"]) == (0.0, None)


def test_a_run_at_another_error_rate_is_another_run(
    checker: FactChecker, factify2_folder: Path, tmp_path: Path
) -> None:
    parts = []
    for number, max_error in ((1, 0.2), (2, 0.3)):
        out = tmp_path / str(number)
        shard = Shard(number, 2)
        evaluate_split(checker, factify2_folder, "test", out, shard=shard, max_error=max_error)
        parts.append(out)
    with pytest.raises(InvalidInputError, match="is not of the same run"):
        merge_runs(parts, factify2_folder)
