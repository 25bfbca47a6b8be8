"""`factcheck compare-runs`."""

import json
from pathlib import Path

import pytest

from factcheck.evaluation import compare_runs
from tests.cli.conftest import Command
from tests.evaluation.conftest import classify_digits, run_lines, write_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder, digits = tmp_path_factory.mktemp("runs"), classify_digits()
    return (
        write_run(folder / "a", run_lines(digits.labels, digits.logistic, "val")),
        write_run(folder / "b", run_lines(digits.labels, digits.bayes, "val")),
    )


def test_what_a_program_reads(command: Command, runs: tuple[Path, Path]) -> None:
    found = command("compare-runs", *runs, "--flips", 1, "--json")
    assert found.code == 0
    assert found.err == ""
    assert found.envelope["command"] == "compare-runs"
    a, b = map(str, runs)
    assert found.envelope["result"] == {"a": a, "b": b, **compare_runs(*runs)}
    assert len(found.envelope["result"]["flips"]) > 20


def test_what_a_person_reads(command: Command, runs: tuple[Path, Path]) -> None:
    expected = compare_runs(*runs)
    shown = command("compare-runs", *runs, "--flips", 2)
    assert shown.code == 0
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    score = expected["scores"]["weighted_f1"]
    low, high = score["b_minus_a_interval"]
    assert (
        f"B minus A {score['b_minus_a']:.4f} {low:.4f} to {high:.4f} {score['two_sided_p']:.4f}"
        in lines
    )
    assert f"only A right {expected['counts']['only_a']}" in lines
    assert f"McNemar's exact test, two-sided p {expected['mcnemar_p']:.4f}" in lines
    flips = expected["flips"]
    where = lines.index(f"rows that flipped: {len(flips)}, shown: 2")
    assert len(lines) == where + 4
    assert lines[-1].split()[:2] == [str(flips[1]["index"]), flips[1]["true_label"]]
    assert max(map(len, shown.out.splitlines())) <= 80

    bare = command("compare-runs", *runs, "--flips", 0)
    assert bare.out.splitlines()[-1] == f"rows that flipped: {len(flips)}, shown: 0"
    assert len(command("compare-runs", *runs).out.splitlines()) == len(bare.out.splitlines()) + 21


def test_runs_of_evaluate(
    command: Command, factify2: Path, checkpoint_folder: Path, tmp_path: Path
) -> None:
    given = ["evaluate", factify2, "--checkpoint", checkpoint_folder]
    for split in ("test", "hidden"):
        assert command(*given, "--split", split, "--out", tmp_path / split).code == 0
    test, hidden = tmp_path / "test", tmp_path / "hidden"
    found = command("compare-runs", test, test, "--json")
    assert found.code == 0
    assert found.envelope["result"]["rows"] == 5
    metrics = json.loads((test / "metrics.json").read_text())
    scores = found.envelope["result"]["scores"]
    assert scores["weighted_f1"]["a"] == pytest.approx(metrics["weighted_f1"])
    refused = command("compare-runs", test, hidden, "--json")
    assert refused.code == 5
    assert refused.out == ""
    assert "no true label" in refused.err


def test_what_it_refuses(command: Command, runs: tuple[Path, Path], tmp_path: Path) -> None:
    missing = command("compare-runs", runs[0], tmp_path / "none")
    assert missing.code == 4
    assert "none/predictions.jsonl" in missing.err
    assert command("compare-runs", runs[0]).code == 2
    assert command("compare-runs", *runs, "--flips", "-1").code == 2
    lines = (runs[1] / "predictions.jsonl").read_text().splitlines()
    wrong = command("compare-runs", runs[0], write_run(tmp_path / "b", [*lines[:4], "oh"]))
    assert wrong.code == 5
    assert "line 5: not JSON" in wrong.err
    assert wrong.err.count("\n") == 1
