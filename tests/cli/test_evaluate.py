"""`factcheck evaluate`."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command


def test_a_split_with_labels(
    command: Command, factify2: Path, checkpoint_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    given = ["evaluate", factify2, "--split", "test", "--checkpoint", checkpoint_folder]
    found = command(*given, "--out", out, "--json")
    assert found.code == 0
    assert found.err == ""
    assert found.envelope["command"] == "evaluate"
    assert found.envelope["result"] == json.loads((out / "metrics.json").read_text())
    assert 0 <= found.envelope["result"]["weighted_f1"] <= 1
    rows = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert [row["index"] for row in rows] == [0, 1, 2, 3, 4]
    assert set(rows[0]) >= {"label", "probabilities", "text_relation", "image_relation"}
    assert (out / "report.html").read_text().count("<article") == 5

    exact = command(*given, "--out", tmp_path / "exact", "--precision", "float32")
    assert exact.code == 0
    assert json.loads((tmp_path / "exact" / "run.json").read_text())["precision"] == "float32"
    wrong = command(*given, "--precision", "int4")
    assert (wrong.code, "--precision: 'int4' is none of auto" in wrong.err) == (2, True)

    refused = command(*given, "--out", out)
    assert refused.code == 2
    assert "--overwrite" in refused.err
    shown = command(*given, "--out", out, "--overwrite")
    assert shown.code == 0
    score = found.envelope["result"]["weighted_f1"]
    # Of one row for each label nothing can be drawn.
    assert found.envelope["result"]["weighted_f1_interval"] is None
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    assert "95% interval" in lines
    assert f"weighted f1 {score:.4f} -" in lines
    assert any(line.startswith("accuracy at 80 percent coverage 0.") for line in lines)
    assert "confusion (rows true, columns given)" in lines
    assert "F1 leaderboard's 2r/(1+r)" in lines
    assert "errors by axis" in lines
    # The curves are for drawing.
    assert "reliability" not in shown.out
    assert "risk coverage" not in shown.out.replace("area under risk coverage", "")


def test_a_split_without_labels(
    command: Command, factify2: Path, checkpoint_folder: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache.sqlite"
    given = ["evaluate", factify2, "--split", "hidden", "--checkpoint", checkpoint_folder]
    found = command(*given, "--cache", cache, "--json")
    assert found.code == 0
    assert cache.exists()
    assert found.envelope["result"]["rows"] == 5
    assert "weighted_f1" not in found.envelope["result"]
    warning = "without a run folder or a submission no verdict is kept"
    assert sum(warning in one for one in found.envelope["warnings"]) == 1
    kept = command(*given, "--submission", tmp_path / "answer.csv", "--json")
    assert not any(warning in one for one in kept.envelope["warnings"])


@pytest.mark.parametrize("option", ["--out", "--submission"])
def test_a_place_that_cannot_be_written_is_told_before_the_work(
    command: Command, factify2: Path, checkpoint_folder: Path, tmp_path: Path, option: str
) -> None:
    (tmp_path / "file").write_text("")
    given = ["evaluate", factify2, "--split", "test", "--checkpoint", checkpoint_folder]
    cache = tmp_path / "cache.sqlite"
    found = command(*given, option, tmp_path / "file" / "a", "--cache", cache)
    assert found.code == 6
    assert "file/a: cannot be written" in found.err.replace("\n", "")
    assert not cache.exists()


def test_a_submission(
    command: Command, factify2: Path, checkpoint_folder: Path, tmp_path: Path
) -> None:
    answer = tmp_path / "answer.csv"
    given = ["evaluate", factify2, "--split", "hidden", "--checkpoint", checkpoint_folder]
    assert command(*given, "--out", tmp_path / "run", "--submission", answer).code == 0
    lines = (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()
    labels = [json.loads(line)["label"] for line in lines]
    expected = "Id,Category\n" + "".join(f"{i},{label}\n" for i, label in enumerate(labels))
    assert answer.read_text() == expected

    answer.write_text("mine")
    refused = command(*given, "--submission", answer)
    assert refused.code == 2
    assert "answer.csv" in refused.err
    assert "--overwrite" in refused.err
    assert answer.read_text() == "mine"
    assert command(*given, "--submission", answer, "--overwrite").code == 0
    assert answer.read_text() == expected
    folder = command(*given, "--submission", tmp_path / "run", "--overwrite")
    assert folder.code == 2
    assert "this is a folder" in folder.err


def test_a_split_that_is_not_there(command: Command, factify2: Path, tmp_path: Path) -> None:
    found = command("evaluate", factify2, "--split", "none", "--out", tmp_path / "run")
    assert found.code == 4
    assert "none.csv" in found.err
    assert not (tmp_path / "run").exists()


def test_parts_are_made_and_merged(
    command: Command, factify2: Path, checkpoint_folder: Path, tmp_path: Path
) -> None:
    given = ["evaluate", factify2, "--split", "test", "--checkpoint", checkpoint_folder]
    runs = [tmp_path / "1", tmp_path / "2"]
    for number, out in enumerate(runs, start=1):
        assert command(*given, "--shard", f"{number}/2", "--out", out).code == 0
    merged = command("evaluate", "merge", factify2, *runs, "--out", tmp_path / "run", "--json")
    assert merged.code == 0
    assert merged.envelope["command"] == "evaluate merge"
    assert merged.envelope["result"]["rows"] == 5
    assert (tmp_path / "run" / "report.html").exists()
    refused = command("evaluate", "merge", factify2, *runs, "--out", tmp_path / "run")
    assert refused.code == 2
    for shard in ("0/2", "3/2", "1", "a/b"):
        wrong = command(*given, "--shard", shard, "--out", tmp_path / "x")
        assert wrong.code == 2
        assert f"'{shard}' is not i/n" in wrong.err
    alone = command(*given, "--shard", "1/2")
    assert alone.code == 2
    assert "--out is not given" in alone.err
