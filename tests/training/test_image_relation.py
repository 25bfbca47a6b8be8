"""Fine-tuning an image encoder on a data set's pairs: it learns, and a stop changes nothing."""

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from factify2_folder import write_factify2_folder
from PIL import Image
from safetensors.torch import load_file

from factcheck.datasets.photo_edits import heavy_copy
from factcheck.encoders import ImageEncoder
from factcheck.errors import InvalidInputError, UsageError
from factcheck.training import train
from factcheck.training.image_relation import picture_pairs
from factcheck.training_settings import ImageRelationTraining


def settings(image_encoder: Path, **changes: Any) -> ImageRelationTraining:
    return ImageRelationTraining.model_validate(
        {
            "kind": "image-relation",
            "image_encoder": str(image_encoder),
            "epochs": 16,
            "batch_size": 16,
            "chunk": 8,
            "learning_rate": 5e-3,
            "checkpoint_every": 3,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def data(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set whose claims show pictures that are edited beyond what a file's bytes tell."""
    folder = write_factify2_folder(
        tmp_path_factory.mktemp("data") / "edited",
        sorted(path for path in photographs.iterdir() if path.suffix in (".jpg", ".png")),
        {"train": 80, "val": 60},
    )
    for split in ("train", "val"):
        for number, pair in enumerate(picture_pairs(folder, split)):
            with Image.open(pair.claim) as opened:
                edited = heavy_copy(opened.convert("RGB"), Random(number))
            edited.save(pair.claim)
    return folder


@pytest.fixture(scope="module")
def run(
    tiny_image_encoder_folder: Path, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("run") / "images"
    train(settings(tiny_image_encoder_folder), data, out)
    return out


def test_it_learns_which_pictures_are_the_same(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert sum(metrics["pairs"].values()) == 80
    assert metrics["val"]["pairs"] == 60
    assert metrics["val"]["accuracy"] > metrics["val_before"]["accuracy"]
    assert metrics["val"]["auc"] > metrics["val_before"]["auc"] + 0.05
    losses = [float(line.split(",")[3]) for line in (run / "log.csv").read_text().splitlines()[1:]]
    assert losses[-1] < 0.7 * losses[0]


def test_what_it_writes_is_an_image_encoder_of_the_same_shape(
    run: Path, tiny_image_encoder_folder: Path
) -> None:
    before = ImageEncoder.load(str(tiny_image_encoder_folder))
    after = ImageEncoder.load(str(run / "encoder"))
    assert after.sha256 != before.sha256
    assert (after.tokens, after.dimension) == (before.tokens, before.dimension)
    configs = [
        json.loads((folder / "config.json").read_text())
        for folder in (tiny_image_encoder_folder, run / "encoder")
    ]
    for config in configs:
        # It has no block of the kind that has them.
        del config["architecture"]["sub_windows"]
    assert configs[0] == configs[1]


def test_a_larger_side_has_more_tokens(
    tiny_image_encoder_folder: Path, data: Path, tmp_path: Path
) -> None:
    larger = settings(tiny_image_encoder_folder, side=96, epochs=1, gradient_checkpointing=True)
    train(larger, data, tmp_path / "run")
    assert ImageEncoder.load(str(tmp_path / "run" / "encoder")).tokens == 9


def test_a_run_that_was_cut_off_ends_with_the_same_weights(
    tiny_image_encoder_folder: Path, data: Path, tmp_path: Path
) -> None:
    short = settings(tiny_image_encoder_folder, epochs=1)
    train(short, data, tmp_path / "whole")

    class StoppedError(Exception):
        pass

    def report(stage: str, done: int, total: int, figures: dict[str, float]) -> None:
        if stage == "train" and done == 4:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(short, data, tmp_path / "cut", report)
    assert torch.load(tmp_path / "cut" / "checkpoint.pt", weights_only=True)["step"] == 3
    metrics = train(short, data, tmp_path / "cut")
    whole, cut = (
        load_file(tmp_path / name / "encoder" / "model.safetensors") for name in ("whole", "cut")
    )
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert metrics == json.loads((tmp_path / "whole" / "metrics.json").read_text())
    other = settings(tiny_image_encoder_folder, epochs=1, seed=1)
    with pytest.raises(UsageError, match="cut: holds a checkpoint of a run with other settings"):
        train(other, data, tmp_path / "cut")


def test_the_same_data_in_another_folder_teach_the_same(
    tiny_image_encoder_folder: Path, data: Path, tmp_path: Path
) -> None:
    short = settings(tiny_image_encoder_folder, epochs=1)
    moved = shutil.copytree(data, tmp_path / "moved")
    train(short, data, tmp_path / "here")
    train(short, moved, tmp_path / "there")
    here, there = (
        load_file(tmp_path / name / "encoder" / "model.safetensors") for name in ("here", "there")
    )
    assert all(torch.equal(here[name], there[name]) for name in here)


def test_pictures_that_cannot_be_read_teach_nothing(
    tiny_image_encoder_folder: Path, data: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(data, tmp_path / "data")
    for pair in picture_pairs(folder, "val")[:10]:
        pair.claim.write_bytes(b"no picture")
    for pair in picture_pairs(folder, "train")[:20]:
        pair.evidence.write_bytes(b"no picture")
    metrics = train(settings(tiny_image_encoder_folder, epochs=1), folder, tmp_path / "run")
    assert metrics["val"]["pairs"] == 50


def test_pairs_of_both_kinds_are_needed(tiny_image_encoder_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("\tclaim\tdocument\tCategory\n0\tC.\tD.\tSupport_Text\n")
    with pytest.raises(InvalidInputError, match=r"train\.csv: pairs of the same picture and pairs"):
        train(settings(tiny_image_encoder_folder), tmp_path, tmp_path / "run")
