"""Checkpoints: written whole, read back the same, refused with a reason."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from factcheck.errors import FactcheckError, InvalidInputError, MissingResourceError
from factcheck.fusion.checkpoint import load_checkpoint, save_checkpoint


@pytest.fixture
def folder(checkpoint_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint_folder, tmp_path / "copy"))


def edit_json(path: Path, change: Callable[[dict], None]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_what_is_saved_is_loaded(folder: Path, tmp_path: Path) -> None:
    first = load_checkpoint(folder)
    again = save_checkpoint(tmp_path / "again", first.head, first.config, first.calibration, "card")
    assert again.sha256 == first.sha256
    assert again.config == first.config
    for key, value in first.head.state_dict().items():
        assert torch.equal(value, again.head.state_dict()[key])
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_saving_over_a_checkpoint_replaces_it(folder: Path) -> None:
    first = load_checkpoint(folder)
    calibration = first.calibration.model_copy(update={"image_temperature": 2.0})
    assert save_checkpoint(folder, first.head, first.config, calibration, "card").sha256 != (
        first.sha256
    )
    assert load_checkpoint(folder).calibration.image_temperature == 2.0


def test_the_hash_does_not_depend_on_the_card(folder: Path) -> None:
    before = load_checkpoint(folder).sha256
    (folder / "README.md").write_text("another card")
    assert load_checkpoint(folder).sha256 == before


def test_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(MissingResourceError, match=r"none: no such checkpoint folder"):
        load_checkpoint(tmp_path / "none")


@pytest.mark.parametrize(
    "name", ["config.json", "labels.json", "calibration.json", "model.safetensors"]
)
def test_a_missing_or_damaged_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\xff garbage")
    with pytest.raises(InvalidInputError, match=name):
        load_checkpoint(folder)
    (folder / name).unlink()
    with pytest.raises(MissingResourceError, match=name):
        load_checkpoint(folder)


def test_wrong_shapes_are_named_with_both_shapes(folder: Path) -> None:
    edit_json(folder / "config.json", lambda data: data["head"].update(width=64))
    with pytest.raises(InvalidInputError, match=r"has shape \(.*\), but config.json asks for"):
        load_checkpoint(folder)


def test_missing_and_extra_weights_are_named(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    lost = weights.pop("readouts")
    save_file(weights, path)
    with pytest.raises(InvalidInputError, match=r"the weights lack readouts"):
        load_checkpoint(folder)
    save_file({**weights, "readouts": lost, "stranger": lost.clone()}, path)
    with pytest.raises(InvalidInputError, match=r"the weights have stranger"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data.update(format=99), "checkpoint format 99"),
        (lambda data: data.update(surprise=1), "surprise"),
        (lambda data: data["head"].update(heads=5), "impossible shape"),
        (lambda data: data["head"].update(width=10**9), "width"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(
    folder: Path, change: Callable[[dict], None], reason: str
) -> None:
    edit_json(folder / "config.json", change)
    with pytest.raises(FactcheckError, match=reason):
        load_checkpoint(folder)


def test_other_labels_are_refused(folder: Path) -> None:
    edit_json(folder / "labels.json", lambda data: data["labels"].reverse())
    with pytest.raises(InvalidInputError, match=r"other labels"):
        load_checkpoint(folder)
