"""Weights named by their content, in whatever number format."""

import torch
from torch import nn

from factcheck.encoders.weights import weights_hash


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
