"""Weights named by their content, in whatever number format."""

import hashlib
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from factcheck.encoders import ImageEncoder, TextEncoder
from factcheck.encoders.image_match import READOUT_FILE, CopyReadout
from factcheck.encoders.relation import RelationEncoder
from factcheck.encoders.weights import (
    in_half_precision,
    read_weights,
    require_hash,
    weights_hash,
)
from factcheck.errors import InvalidInputError, RunError


def layer() -> nn.Linear:
    linear = nn.Linear(3, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.arange(6.0).reshape(2, 3))
        linear.bias.fill_(0.5)
    return linear


def test_the_same_weights_have_the_same_name() -> None:
    assert weights_hash(layer()) == weights_hash(layer())
    changed = layer()
    with torch.no_grad():
        changed.bias[1] += 1
    assert weights_hash(changed) != weights_hash(layer())


def test_number_formats_are_told_apart() -> None:
    assert len({weights_hash(layer().to(kind)) for kind in (torch.float32, torch.bfloat16)}) == 2


def test_a_file_that_is_not_the_known_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"known")
    known = hashlib.sha256(b"known").hexdigest()
    require_hash(path, known, "a model")
    path.write_bytes(b"other")
    with pytest.raises(InvalidInputError, match=r"safetensors: not the weights of a model: sha256"):
        require_hash(path, known, "a model")


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
@pytest.mark.parametrize("stray", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, ending: str, stray: float) -> None:
    path = tmp_path / f"model.{ending}"
    state = {"fine": torch.ones(3), "odd": torch.tensor([1.0, stray]), "count": torch.tensor(3)}
    (save_file if ending == "safetensors" else torch.save)(state, path)
    with pytest.raises(InvalidInputError, match=rf"model.{ending}: the weights of odd are not all"):
        read_weights(path)


def spoil(path: Path) -> str:
    """Put a NaN into the first of a file's weights, and say which one that is."""
    weights = load_file(path)
    name = min(weights)
    weights[name].view(-1)[0] = float("nan")
    save_file(weights, path)
    return name


def test_no_encoder_is_loaded_with_weights_that_are_no_numbers(
    text_encoder: TextEncoder,
    tiny_image_encoder_folder: Path,
    relation_encoder_folder: Path,
    tmp_path: Path,
) -> None:
    image = Path(shutil.copytree(tiny_image_encoder_folder, tmp_path / "image"))
    CopyReadout(ImageEncoder.load(str(image)).tokens).save(image)
    for file in (READOUT_FILE, "model.safetensors"):
        name = spoil(image / file)
        with pytest.raises(InvalidInputError, match=rf"{file}: the weights of {name} are not all"):
            ImageEncoder.load(str(image))
    relation = Path(shutil.copytree(relation_encoder_folder, tmp_path / "relation"))
    for file in ("relevance.safetensors", "model.safetensors"):
        name = spoil(relation / file)
        with pytest.raises(InvalidInputError, match=rf"{file}: the weights of {name} are not all"):
            RelationEncoder.load(str(relation), text_encoder)
    text = tmp_path / "text"
    text_encoder.model.save(str(text))
    name = spoil(text / "model.safetensors")
    with pytest.raises(InvalidInputError, match=r"text: the weights of .* are not all finite"):
        TextEncoder.load(str(text))


@pytest.mark.parametrize("stray", [float("nan"), 70_000.0])
def test_what_half_precision_cannot_hold_is_not_written(stray: float) -> None:
    state = {"fine": torch.full((2,), 65_504.0), "odd": torch.tensor([0.0, stray])}
    with pytest.raises(RunError, match=r"model: not written, since the weights of odd are not"):
        in_half_precision(state, Path("model"))
    assert in_half_precision({"fine": state["fine"]}, Path("model"))["fine"].dtype == torch.float16
