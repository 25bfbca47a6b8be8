"""`factcheck evaluate`."""

import json
from pathlib import Path

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

    refused = command(*given, "--out", out)
    assert refused.code == 2
    assert "--overwrite" in refused.err
    shown = command(*given, "--out", out, "--overwrite")
    assert shown.code == 0
    assert "weighted f1, 95% interval" in shown.out
    assert "confusion" in shown.out


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


def test_a_split_that_is_not_there(command: Command, factify2: Path, tmp_path: Path) -> None:
    found = command("evaluate", factify2, "--split", "none", "--out", tmp_path / "run")
    assert found.code == 4
    assert "none.csv" in found.err
    assert not (tmp_path / "run").exists()
