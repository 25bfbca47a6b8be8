"""Training all of a checker in stages, as configs/factify2-large.yaml does, with small models."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors.torch import load_file
from transformers import DebertaV2Config, DebertaV2Model

from factcheck.cli.main import run as run_command
from factcheck.encoders import TextEncoder
from factcheck.errors import InvalidInputError, MissingResourceError, UsageError
from factcheck.pipeline import FactChecker
from factcheck.records import Claim, Document
from factcheck.settings import read_yaml
from factcheck.training import train
from factcheck.training_settings import StagedTraining, TrainingSettings

LARGE = Path(__file__).parents[2] / "configs" / "factify2-large.yaml"


@pytest.fixture(scope="module")
def deberta(text_encoder: TextEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DeBERTa-v3 of two narrow layers with fresh weights, and a tokenizer."""
    folder = tmp_path_factory.mktemp("deberta")
    tokenizer = text_encoder.model.tokenizer
    config = DebertaV2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        type_vocab_size=0,
        # What makes it version 3.
        relative_attention=True,
        position_buckets=16,
        pos_att_type=["p2c", "c2p"],
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        position_biased_input=False,
    )
    DebertaV2Model(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def small(deberta: Path, tiny_image_encoder_folder: Path) -> StagedTraining:
    """The large configuration with small models and short runs."""
    large: StagedTraining = read_yaml(LARGE, TrainingSettings)  # type: ignore[arg-type]
    changes = {
        "text_relation": {
            "text_encoder": str(deberta),
            "selector": "embedded",
            "rows": 64,
            "epochs": 1,
            "batch_size": 16,
            "chunk": 8,
            "max_tokens": 64,
            "checkpoint_every": 2,
        },
        "image_relation": {
            "image_encoder": str(tiny_image_encoder_folder),
            "epochs": 1,
            "batch_size": 32,
            "chunk": 16,
            "checkpoint_every": 2,
        },
        "fusion": {
            "text_encoder": "embedded",
            "head": {"width": 32, "heads": 4, "layers": 1, "passages": 3},
            "epochs": 2,
            "batch_size": 32,
            "trees": {"trees": 5},
        },
    }
    plain = large.model_dump(mode="json")
    for stage, changed in changes.items():
        plain[stage] |= changed
    return StagedTraining.model_validate(plain)


@pytest.fixture(scope="module")
def run(
    small: StagedTraining, factify2_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("run") / "large"
    train(small, factify2_folder, out)
    return out


def test_each_stage_feeds_the_next_and_the_checkpoint_gives_verdicts(run: Path) -> None:
    checker = FactChecker.load(run / "fusion" / "checkpoint")
    config = checker.checkpoint.config
    assert config.relation_encoder is not None
    assert config.relation_encoder.load == str(run / "text-relation" / "encoder")
    assert config.image_encoder.load == str(run / "image-relation" / "encoder")
    assert checker.encoders.relation is not None
    # The cross-encoder is on another text encoder than the one that chooses passages.
    assert config.relation_encoder.dimension == 32 + 4
    assert config.text_encoder.dimension == 384
    assert checker.checkpoint.trees is not None
    assert checker.checkpoint.trees.trees.roots.shape == (5, 3)
    verdict = checker.compare(
        Claim("The mayor opened the bridge on Monday."),
        Document("d", "It was reported that the mayor opened the bridge on Monday."),
    )
    assert sum(verdict.probabilities.values()) == pytest.approx(1)


def test_a_run_is_moved_with_its_encoders(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = FactChecker.load(run / "fusion" / "checkpoint").checkpoint
    written = json.loads((run / "fusion" / "checkpoint" / "config.json").read_text())
    assert written["image_encoder"]["load"] == "beside:../../image-relation/encoder"
    moved = Path(shutil.copytree(run, tmp_path / "elsewhere"))
    (tmp_path / "link").symlink_to(moved / "fusion" / "checkpoint")
    monkeypatch.chdir(tmp_path)
    for name in (moved / "fusion" / "checkpoint", "elsewhere/fusion/checkpoint", "link"):
        found = FactChecker.load(name).checkpoint
        assert found.sha256 == before.sha256
        assert found.config.image_encoder.load != before.config.image_encoder.load
        assert Path(found.config.image_encoder.load).samefile(moved / "image-relation" / "encoder")


def test_a_stage_that_is_done_is_not_done_again(
    run: Path, small: StagedTraining, factify2_folder: Path
) -> None:
    stages = []

    def report(stage: str, done: int, total: int, figures: dict[str, float]) -> None:
        stages.append(stage)

    metrics = train(small, factify2_folder, run, report)
    assert stages == []
    read = {
        name.replace("-", "_"): json.loads((run / name / "metrics.json").read_text())
        for name in ("text-relation", "image-relation", "fusion")
    }
    assert metrics == read
    assert sum(read["text_relation"]["rows"]["factify2"].values()) == 64
    assert read["image_relation"]["val"]["pairs"] == 60
    # Other settings of the last stage are another run of it alone.
    longer = small.fusion.model_copy(update={"epochs": 1})
    train(small.model_copy(update={"fusion": longer}), factify2_folder, run, report)
    assert {stage.partition(":")[0] for stage in stages} == {"fusion"}


def test_what_the_stages_need_is_known_before_the_first(
    small: StagedTraining,
    factify2_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = tmp_path / "data"
    shutil.copytree(factify2_folder, data)
    (data / "val.csv").unlink()
    stages: list[str] = []
    with pytest.raises(MissingResourceError, match=r"val\.csv: training needs this split"):
        train(small, data, tmp_path / "run", lambda stage, *_: stages.append(stage))
    head, first, second, *_ = (factify2_folder / "val.csv").read_text().splitlines(keepends=True)
    (data / "val.csv").write_text("".join([head, first, second]))
    with pytest.raises(InvalidInputError, match=r"of 2 rows, .* leave none for early stopping"):
        train(small, data, tmp_path / "run", lambda stage, *_: stages.append(stage))
    shutil.rmtree(data)
    shutil.copytree(factify2_folder, data)
    for folder in data.glob("images*"):
        shutil.rmtree(folder)
    with pytest.raises(InvalidInputError, match=r"train\.csv: pairs of the same picture and pairs"):
        train(small, data, tmp_path / "run", lambda stage, *_: stages.append(stage))
    three = SimpleNamespace(num_processes=3)
    monkeypatch.setattr("factcheck.training.staged.start_accelerator", lambda: three)
    with pytest.raises(UsageError, match=r"32 rows cannot be shared out evenly among 3 processes"):
        train(small, factify2_folder, tmp_path / "run", lambda stage, *_: stages.append(stage))
    assert stages == []
    assert not (tmp_path / "run").exists()


def test_data_that_were_mended_do_not_keep_what_the_old_ones_taught(
    run: Path, small: StagedTraining, factify2_folder: Path, tmp_path: Path
) -> None:
    mended = tmp_path / "mended"
    shutil.copytree(factify2_folder, mended)
    table = mended / "train.csv"
    table.write_text(table.read_text().replace("bridge", "tunnel"))
    with pytest.raises(UsageError, match=r"text-relation: holds a checkpoint of .* other data"):
        train(small, mended, run)


def test_the_command_takes_the_configuration(
    run: Path, small: StagedTraining, factify2_folder: Path, tmp_path: Path
) -> None:
    config = tmp_path / "small.yaml"
    config.write_text(small.model_dump_json())
    command = ["train", str(config), "--data", str(factify2_folder), "--out", str(run)]
    assert run_command(command) == 0


# Two processes load PyTorch and the encoders, three times.
@pytest.mark.slow
def test_two_processes_train_what_one_trains(
    run: Path, small: StagedTraining, factify2_folder: Path, tmp_path: Path
) -> None:
    config = tmp_path / "small.yaml"
    config.write_text(small.model_dump_json())
    out = tmp_path / "two"
    # What `accelerate launch` runs. It starts several processes only for several GPUs; without any
    # they compute on the processor. A run whose processes do not find each other is refused.
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    launch += ["--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
    launch += ["--dynamo_backend", "no", "-m", "factcheck"]
    train_it = ["train", str(config), "--data", str(factify2_folder), "--out", str(out)]
    subprocess.run([*launch, *train_it], check=True, timeout=500)
    one, two = (
        load_file(folder / "text-relation" / "encoder" / "model.safetensors")
        for folder in (run, out)
    )
    # Dropout differs from process to process, so that the weights are alike and not equal.
    moved = max(float((one[name].float() - two[name].float()).abs().max()) for name in one)
    assert moved < 5e-3
    assert FactChecker.load(out / "fusion" / "checkpoint").checkpoint.config.image_tokens == 4
