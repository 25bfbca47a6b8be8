"""`factcheck data compose`, `factcheck train` and `factcheck evaluate`, one after another."""

import json
from pathlib import Path

import pytest
import yaml
from conftest import save_photograph

from factcheck.datasets import find_splits, read_factify2

SUBJECTS = ("The mayor", "A nurse", "The pilot", "Our teacher", "The baker", "A farmer")
VERBS = ("opened", "painted", "sold", "repaired", "visited", "measured", "lost")
OBJECTS = ("the bridge", "a lighthouse", "the hall", "an old ship", "the tower", "a windmill")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: 252 claims with evidence of each relation in turn, and 40 photographs."""
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for who in SUBJECTS:
        for did in VERBS:
            for what in OBJECTS:
                number = len(rows)
                relation = ("support", "insufficient", "refute")[number % 3]
                evidence = {
                    "support": f"On day {number} {who.lower()} {did} {what}, it was reported.",
                    "insufficient": f"On day {number} {who.lower()} was seen near {what}.",
                    "refute": f"On day {number} {who.lower()} never {did} {what} at all.",
                }[relation]
                rows.append(
                    {
                        "id": f"r{number}",
                        "source": "made",
                        "claim": f"{who} {did} {what}.",
                        "evidence": [evidence],
                        "relation": relation,
                        "unit": "sentence",
                    }
                )
    (folder / "text.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "photos").mkdir()
    for seed in range(40):
        save_photograph(folder / "photos" / f"{seed}.png", seed)
    return folder


def test_compose_train_and_evaluate(
    command,
    data: Path,
    tiny_image_encoder_folder: Path,
    relation_encoder_folder: Path,
    tmp_path: Path,
) -> None:
    shares = {"train": [0.0, 0.5], "val": [0.5, 0.75], "test": [0.75, 1.0]}
    (tmp_path / "compose.yaml").write_text(
        yaml.safe_dump(
            {
                "kind": "compose",
                "text": ["text.jsonl"],
                "photographs": ["photos"],
                "rows": {"train": 40, "val": 20, "test": 20},
                "text_shares": shares,
                "photograph_shares": shares,
                "sources": {"made": {"members": ["made"], "weight": 1, "sentence_pairs": True}},
                "sentence_pairs_at_most": 1.0,
                "workers": 1,
            }
        )
    )
    composed = tmp_path / "composed"
    done = command(
        "data", "compose", tmp_path / "compose.yaml", "--data", data, "--out", composed, "--json"
    )
    assert done.code == 0, done.err
    assert done.envelope["command"] == "data compose"
    assert find_splits(composed) == ["train", "val", "test"]
    assert len(read_factify2(composed, "train")) == 40

    (tmp_path / "fusion.yaml").write_text(
        yaml.safe_dump(
            {
                "kind": "fusion",
                "image_encoder": str(tiny_image_encoder_folder),
                "relation_encoder": str(relation_encoder_folder),
                "head": {"width": 16, "heads": 2, "layers": 1, "passages": 2},
                "epochs": 1,
            }
        )
    )
    run = tmp_path / "run"
    done = command("train", tmp_path / "fusion.yaml", "--data", composed, "--out", run, "--json")
    assert done.code == 0, done.err
    assert done.envelope["command"] == "train"
    assert done.envelope["result"]["rows"] == {"train": 40, "val": 20}

    done = command(
        *("evaluate", composed, "--split", "test", "--out", tmp_path / "evaluated"),
        *("--checkpoint", run / "checkpoint", "--json"),
    )
    assert done.code == 0, done.err
    assert done.envelope["result"]["rows"] == 20
    assert json.loads((tmp_path / "evaluated" / "metrics.json").read_text())["weighted_f1"] >= 0
    assert len((tmp_path / "evaluated" / "predictions.jsonl").read_text().splitlines()) == 20


def test_a_run_folder_that_cannot_be_made_is_told_before_the_work(
    command, data: Path, tmp_path: Path
) -> None:
    config = tmp_path / "train.yaml"
    config.write_text("kind: fusion\n")
    (tmp_path / "file").write_text("")
    found = command("train", config, "--data", data, "--out", tmp_path / "file" / "run")
    assert found.code == 6
    assert "file/run: cannot be written" in found.err


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("kind: fusion\nsurprise: 1\n", "surprise"),
        ("kind: nothing\n", "kind"),
        ("kind: fusion\nepochs: -1\n", "epochs"),
        ("a: [1, 2\n", "not a YAML file"),
    ],
)
def test_a_bad_configuration_is_one_sentence(
    command, tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    done = command("train", tmp_path / "bad.yaml", "--data", tmp_path, "--out", tmp_path / "run")
    assert done.code == 5
    assert "bad.yaml" in done.err
    assert reason in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "run").exists()
