"""A Transformer's upper layers once more: a network of its own on lower layers that it shares."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from factcheck.encoders.weights import in_half_precision, read_weights
from factcheck.errors import InvalidInputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def with_own_upper_layers(
    body: "PreTrainedModel", layers: int, dropout: float
) -> "PreTrainedModel":
    """A Transformer whose upper layers are copies, and alone are trained.

    Args:
        body: The Transformer; its embeddings and lower layers are shared and not trained.
        layers: How many upper layers are copied.
        dropout: Within these, in training.

    Raises:
        InvalidInputError: The Transformer has no lower layers left.
    """
    every = _layers(body)
    if layers >= len(every):
        raise InvalidInputError(
            f"of {len(every)} layers of a Transformer, {layers} cannot be copied: one at least "
            "must be left to share"
        )
    shared = [body.embeddings, *every[:-layers]]
    found = copy.deepcopy(body, {id(module): module for module in shared})
    found.requires_grad_(False)
    for layer in upper_layers(found, layers):
        layer.requires_grad_(True)
        for module in layer.modules():
            if isinstance(module, nn.Dropout):
                module.p = dropout
    return found


def upper_layers(body: nn.Module, layers: int) -> list[nn.Module]:
    """So many layers of a Transformer, those nearest to its output."""
    return _layers(body)[-layers:]


def set_training(body: nn.Module, layers: int, mode: bool) -> None:
    """Put the upper layers into training mode or out of it; the others compute as in use."""
    body.train(False)
    for layer in upper_layers(body, layers):
        layer.train(mode)


def own_weights(body: nn.Module, layers: int) -> dict[str, Tensor]:
    """The weights of so many upper layers, by name."""
    count = len(_layers(body))
    prefixes = tuple(f"encoder.layer.{place}." for place in range(count - layers, count))
    return {key: one for key, one in body.state_dict().items() if key.startswith(prefixes)}


def read_own_weights(path: Path, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights from a file, in float32.

    Args:
        path: The file.
        wanted: Weights of the names and shapes that are needed.

    Raises:
        MissingResourceError: The file cannot be read.
        InvalidInputError: It does not hold these, or not numbers.
    """
    weights = {key: value.float() for key, value in read_weights(path).items()}
    shapes = {key: value.shape for key, value in wanted.items()}
    found = {key: value.shape for key, value in weights.items()}
    if found != shapes:
        odd = min(k for k in shapes.keys() | found.keys() if shapes.get(k) != found.get(k))
        raise InvalidInputError(f"{path}: {odd} does not fit its encoder")
    return weights


def save_own_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write weights in half precision, whole or not at all.

    Raises:
        RunError: One is no finite number in half precision.
    """
    from safetensors.torch import save_file

    halves = in_half_precision(weights, path)
    temporary = path.with_suffix(".tmp")
    save_file(halves, temporary)
    temporary.replace(path)


def _layers(body: nn.Module) -> list[nn.Module]:
    """The layers of a Transformer, from the lowest."""
    layers: nn.ModuleList = body.encoder.layer  # type: ignore[union-attr, assignment]
    return list(layers)
