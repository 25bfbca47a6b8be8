"""Checkpoints: written whole, read back the same, refused with a reason."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from factcheck.errors import FactcheckError, InvalidInputError, MissingResourceError, RunError
from factcheck.fusion import checkpoint as checkpoint_module
from factcheck.fusion.checkpoint import (
    CheckpointConfig,
    build_head,
    load_checkpoint,
    save_checkpoint,
)
from factcheck.fusion.head import FusionHead


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
        (lambda data: data["head"].update(heads=5), "5 heads do not divide the width 32"),
        (lambda data: data["head"].update(width=10**9), "width"),
        (lambda data: data["text_encoder"].update(dimension=10**9), "text_encoder.dimension"),
        (lambda data: data["image_encoder"].update(dimension=0), "image_encoder.dimension"),
        (lambda data: data.update(image_tokens=10**9), "image_tokens"),
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


def test_a_large_shape_takes_no_memory_before_the_file_has_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's config.json may ask for gigabytes beside a file of a few kilobytes."""
    built: list[FusionHead] = []

    def build(config: CheckpointConfig) -> FusionHead:
        built.append(build_head(config))
        return built[-1]

    monkeypatch.setattr(checkpoint_module, "build_head", build)
    whole = load_checkpoint(folder).head
    assert all(w.device.type == "cpu" and w.requires_grad for w in whole.parameters())
    assert {w.dtype for w in whole.parameters()} == {torch.float32}
    edit_json(folder / "config.json", lambda data: data["head"].update(width=4096, layers=48))
    with pytest.raises(InvalidInputError, match=r"has shape \(.*\), but config.json asks for"):
        load_checkpoint(folder)
    assert all(weight.is_meta for weight in built[-1].parameters())


@pytest.mark.parametrize("stray", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_refused(folder: Path, stray: float) -> None:
    """Every probability would be NaN, and the first label the largest of them."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["text_relation.weight"][0, 0] = stray
    save_file(weights, path)
    with pytest.raises(
        InvalidInputError, match=r"safetensors: the weights of text_relation.weight are not all"
    ):
        load_checkpoint(folder)


def test_weights_that_are_finite_on_disk_alone_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["text_relation.bias"] = torch.full((3,), 1e300, dtype=torch.float64)
    save_file(weights, path)
    with pytest.raises(InvalidInputError, match=r"text_relation.bias"):
        load_checkpoint(folder)


def test_what_half_precision_cannot_hold_is_not_written(folder: Path) -> None:
    before = load_checkpoint(folder)
    head = load_checkpoint(folder).head
    with torch.no_grad():
        head.text_relation.weight[0, 0] = 70_000.0
    with pytest.raises(RunError, match=r"not written.*text_relation.weight"):
        save_checkpoint(folder, head, before.config, before.calibration, "card")
    assert load_checkpoint(folder).sha256 == before.sha256
