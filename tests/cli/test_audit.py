"""`factcheck audit`."""

import json
import shutil
from pathlib import Path

from tests.cli.conftest import Command


def test_an_audit(
    command: Command, factify2_folder: Path, checkpoint_folder: Path, tmp_path: Path
) -> None:
    given = ["audit", factify2_folder, "--checkpoint", checkpoint_folder]
    shown = command(*given, "--out", tmp_path / "audit", "--cache", tmp_path / "cache.sqlite")
    assert shown.code == 0
    assert shown.err == ""
    files = sorted(path.name for path in (tmp_path / "audit").iterdir())
    assert files == ["audit.json", "audit.md", "audit.svg"]
    result = json.loads((tmp_path / "audit" / "audit.json").read_text())
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    assert lines[0] == "60 rows of val, baselines trained on 200 rows of train"
    score = result["systems"]["text only"]
    low, high = score["weighted_f1_interval"]
    assert (
        f"text only {score['weighted_f1']:.3f} {low:.3f} to {high:.3f} "
        f"{score['above_majority']:+.3f} {score['text_relation_accuracy']:.3f} "
        f"{score['image_relation_accuracy']:.3f} {score['by_chance']:.3f}"
    ) in lines
    change = result["stress"]["all images dropped"]["minus_unstressed"]
    assert any(line.startswith("all images dropped") and f"{change:+.3f}" in line for line in lines)
    table = shown.out[: shown.out.index("F1: weighted")]
    assert max(map(len, table.splitlines())) <= 80
    assert [f"- {sentence}" for sentence in result["findings"]] == lines[-len(result["findings"]) :]
    assert "- URL host only is left out: no training row has an address of a picture." in lines

    # The other way round, from what the cache holds; small splits train fast.
    swapped = command(
        *given,
        "--train",
        "val",
        "--val",
        "test",
        "--cache",
        tmp_path / "cache.sqlite",
        "--json",
        "--precision",
        "float32",
    )
    assert swapped.code == 0
    assert swapped.err == ""
    assert swapped.envelope["command"] == "audit"
    splits = swapped.envelope["result"]["splits"]
    assert [(split["name"], split["rows"]) for split in splits.values()] == [
        ("val", 60),
        ("test", 40),
    ]
    assert swapped.envelope["result"]["model"] == result["model"]
    assert swapped.envelope["result"]["precision"] == "float32"
    assert result["precision"] in ("float32", "bfloat16")


def test_what_it_refuses(
    command: Command, factify2: Path, factify2_folder: Path, checkpoint_folder: Path, tmp_path: Path
) -> None:
    given = ["--checkpoint", checkpoint_folder]
    same = command("audit", factify2_folder, *given, "--train", "val")
    assert same.code == 2
    missing = command("audit", factify2, *given)
    assert missing.code == 4
    assert "val.csv: no such split" in missing.err
    unlabelled = command("audit", factify2, *given, "--train", "test", "--val", "hidden")
    assert unlabelled.code == 5
    assert "hidden.csv: row 0 has no Category" in unlabelled.err
    small = command("audit", factify2_folder, *given, "--train", "test")
    assert small.code == 5
    assert "test.csv: has 40 rows, and baselines need at least 50" in small.err
    file = shutil.copy(factify2_folder / "val.csv", tmp_path / "file")
    refused = command("audit", factify2_folder, *given, "--out", file)
    assert refused.code == 2
    assert "this is a file" in refused.err
    for found in (same, missing, unlabelled, small, refused):
        assert found.out == ""
        assert found.err.count("\n") == 1
