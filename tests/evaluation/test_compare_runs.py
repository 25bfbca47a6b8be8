"""Two runs side by side: scores against scikit-learn, tests against scipy, and whom it refuses."""

from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.evaluation import classification_metrics, compare_runs
from factcheck.records import LABELS
from tests.evaluation.conftest import Digits, run_lines, write_run


@pytest.fixture
def runs(digits: Digits, tmp_path: Path) -> tuple[Path, Path]:
    return (
        write_run(tmp_path / "a", run_lines(digits.labels, digits.logistic, "val")),
        write_run(tmp_path / "b", run_lines(digits.labels, digits.bayes, "val")[::-1]),
    )


def test_scores_and_tests(digits: Digits, runs: tuple[Path, Path]) -> None:
    found = compare_runs(*runs)
    given = digits.logistic.argmax(axis=1), digits.bayes.argmax(axis=1)
    right = given[0] == digits.labels, given[1] == digits.labels
    assert found["rows"] == len(digits.labels)
    for name, average in (
        ("weighted_f1", "weighted"),
        ("macro_f1", "macro"),
        ("accuracy", "micro"),
    ):
        a, b = (f1_score(digits.labels, one, average=average) for one in given)
        scores = found["scores"][name]
        assert scores["a"] == pytest.approx(a)
        assert scores["b"] == pytest.approx(b)
        assert scores["b_minus_a"] == pytest.approx(b - a)
        for side in ("a", "b", "b_minus_a"):
            low, high = scores[f"{side}_interval"]
            assert low < scores[side] < high
    counts = found["counts"]
    assert counts == {
        "both": (right[0] & right[1]).sum(),
        "only_a": (right[0] > right[1]).sum(),
        "only_b": (right[1] > right[0]).sum(),
        "neither": (~right[0] & ~right[1]).sum(),
    }
    alone = counts["only_a"] + counts["only_b"]
    fewer = min(counts["only_a"], counts["only_b"])
    tail = sum(comb(alone, k) for k in range(fewer + 1)) / 2**alone
    assert found["mcnemar_p"] == pytest.approx(min(1, 2 * tail))


def test_an_interval_is_the_one_that_evaluate_gives(
    digits: Digits, runs: tuple[Path, Path]
) -> None:
    unknown = np.full(len(digits.labels), -1)
    none = np.full(len(digits.labels), np.nan)
    metrics = classification_metrics(digits.logistic, none, digits.labels, unknown)
    scores = compare_runs(*runs)["scores"]
    for name in ("weighted_f1", "macro_f1", "accuracy"):
        assert scores[name]["a"] == pytest.approx(metrics[name])
        assert scores[name]["a_interval"] == pytest.approx(metrics[f"{name}_interval"])


def test_pairs_narrow_the_interval_of_the_difference(runs: tuple[Path, Path]) -> None:
    """Rows that are hard for both are drawn for both, so the difference varies less."""
    scores = compare_runs(*runs)["scores"]["accuracy"]
    widths = {
        side: scores[f"{side}_interval"][1] - scores[f"{side}_interval"][0]
        for side in ("a", "b", "b_minus_a")
    }
    assert widths["b_minus_a"] < np.hypot(widths["a"], widths["b"])


def test_rows_that_flipped(digits: Digits, runs: tuple[Path, Path]) -> None:
    flips = compare_runs(*runs)["flips"]
    given = digits.logistic.argmax(axis=1), digits.bayes.argmax(axis=1)
    where = np.flatnonzero(given[0] != given[1])
    assert [flip["index"] for flip in flips] == where.tolist()
    first = flips[0]
    assert first == {
        "index": where[0],
        "true_label": LABELS[digits.labels[where[0]]],
        "a": LABELS[given[0][where[0]]],
        "b": LABELS[given[1][where[0]]],
        "a_confidence": digits.logistic[where[0]].max(),
        "b_confidence": digits.bayes[where[0]].max(),
    }


def test_a_run_against_itself_and_the_other_way_round(runs: tuple[Path, Path]) -> None:
    same = compare_runs(runs[0], runs[0])
    assert same["flips"] == []
    assert same["mcnemar_p"] == 1
    assert same["scores"]["macro_f1"]["b_minus_a_interval"] == [0, 0]
    assert same["scores"]["macro_f1"]["two_sided_p"] == 1
    there, back = compare_runs(*runs), compare_runs(*runs[::-1])
    assert there == compare_runs(*runs)
    assert back["mcnemar_p"] == pytest.approx(there["mcnemar_p"])
    for name, scores in there["scores"].items():
        assert back["scores"][name]["b_minus_a"] == pytest.approx(-scores["b_minus_a"])
    assert back["counts"]["only_a"] == there["counts"]["only_b"]


GOOD = run_lines(np.array([0, 1, 4]), np.eye(5)[[0, 2, 4]], "val")
P = GOOD[1]["probabilities"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (GOOD[:2], r"b.*has no row 2, which .*a.* has"),
        ([*GOOD, {**GOOD[0], "index": 7}], r"a.*has no row 7, which .*b.* has"),
        (
            [*GOOD[:2], {**GOOD[2], "true_label": "Support_Text"}],
            r"row 2 .*Support_Text, and Refut",
        ),
        (run_lines(np.array([0, 1, 4]), np.eye(5)[:3], "test"), r"row 0 .*'test-0', and 'val-0'"),
        ([*GOOD[:2], {**GOOD[2], "true_label": None}], r"line 3: row 2 has no true label"),
        ([*GOOD, GOOD[1]], r"line 4: row 1 is there for the second time"),
        ([GOOD[0], "{"], r"line 2: not JSON"),
        ([GOOD[0], "[]"], r"line 2: not a JSON object but list"),
        ([{**GOOD[0], "label": "Refuted"}], r"line 1: 'label' is none of the five labels"),
        ([{**GOOD[0], "label": 3}], r"line 1: 'label' is none of the five labels"),
        ([{**GOOD[0], "index": "0"}], r"line 1: 'index' does not fit"),
        (
            [{k: v for k, v in GOOD[0].items() if k != "label"}],
            r"line 1: the key 'label' is missing",
        ),
        ([GOOD[0], {**GOOD[1], "probabilities": {"Refute": 1.0}}], r"line 2: .* not all five"),
        ([{**GOOD[1], "probabilities": {**P, "Refute": 0.2}}], r"'probabilities' sum to 1\.2000"),
        ([{**GOOD[1], "probabilities": {**P, "Refute": float("nan")}}], r"line 1: .*Refute"),
        ([{**GOOD[1], "probabilities": {**P, "Refute": -0.1}}], r"line 1: .*Refute"),
        ([], r"holds no predictions"),
    ],
)
def test_whom_it_refuses(tmp_path: Path, lines: list[Any], expected: str) -> None:
    a, b = write_run(tmp_path / "a", GOOD), write_run(tmp_path / "b", lines)
    with pytest.raises(InvalidInputError, match=expected) as raised:
        compare_runs(a, b)
    assert "predictions.jsonl" in str(raised.value)


def test_predictions_without_evidence_will_do(tmp_path: Path) -> None:
    bare = [{k: v for k, v in line.items() if k != "evidence"} for line in GOOD]
    found = compare_runs(write_run(tmp_path / "a", GOOD), write_run(tmp_path / "b", bare))
    assert found["counts"] == {"both": 2, "only_a": 0, "only_b": 0, "neither": 1}


def test_rows_on_one_text_say_nothing_for_sure(digits: Digits, tmp_path: Path) -> None:
    folders = []
    for name, probabilities in (("a", digits.logistic), ("b", digits.bayes)):
        lines = run_lines(digits.labels, probabilities, "val")
        folders.append(write_run(tmp_path / name, [{**x, "text_keys": ["it"]} for x in lines]))
    found = compare_runs(*folders)
    assert found["text_groups"] == 1
    for scores in found["scores"].values():
        assert scores["b_minus_a"] != 0
        intervals = [scores[f"{side}_interval"] for side in ("a", "b", "b_minus_a")]
        assert [*intervals, scores["two_sided_p"]] == [None] * 4


def test_a_run_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingResourceError, match=r"none.predictions\.jsonl"):
        compare_runs(write_run(tmp_path / "a", GOOD), tmp_path / "none")


def test_rows_that_share_texts_are_drawn_together(digits: Digits, tmp_path: Path) -> None:
    def run(name: str, probabilities: np.ndarray, texts: int | None) -> Path:
        lines = run_lines(digits.labels, probabilities, "val")
        for place, line in enumerate(lines):
            if texts is not None:
                line["text_keys"] = [f"claim {place % texts}", f"document {place}"]
        return write_run(tmp_path / name, lines)

    rows = len(digits.labels)
    alone = compare_runs(run("a", digits.logistic, None), run("b", digits.bayes, None))
    tied = compare_runs(run("c", digits.logistic, 30), run("d", digits.bayes, 30))
    assert alone["text_groups"] == alone["rows"] == tied["rows"] == rows
    assert tied["text_groups"] == 30
    for name, scores in tied["scores"].items():
        assert scores["b_minus_a"] == alone["scores"][name]["b_minus_a"]
        assert scores["b_minus_a_interval"] != alone["scores"][name]["b_minus_a_interval"]
