"""Weights named by their content, in whatever number format."""

import hashlib
from pathlib import Path

import pytest
import torch
from torch import nn

from factcheck.encoders.weights import require_hash, weights_hash
from factcheck.errors import InvalidInputError


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
