"""What a search asks with: a claim's vector for finding evidence, not for likeness alone.

A sentence encoder puts next to a claim what says the same. What decides a claim often says
something else, in other words ("Polar bears thrive" and a sentence on sea ice). So the upper layers
of the text encoder are there once more for claims alone, trained to bring a claim near its evidence
(`training.query`). The vectors of passages stay those of the text encoder: query-side fine-tuning
(Lee et al., Learning Dense Representations of Phrases at Scale, ACL 2021), for which no index has
to be built again.
"""

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from factcheck.encoders.text import MAX_CHARACTERS, TextEncoder
from factcheck.encoders.upper_layers import (
    own_weights,
    read_own_weights,
    save_own_weights,
    set_training,
    with_own_upper_layers,
)
from factcheck.errors import InvalidInputError
from factcheck.settings import Settings, read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedModel

EMBEDDED_FOLDER = Path(__file__).parents[1] / "pretrained" / "query-minilm"
"""That of the embedded text encoder."""

CONFIG_FILE = "query.json"
WEIGHTS_FILE = "query.safetensors"
"""What lies in the folder of a text encoder that has one."""


_OPPOSITE = 1e-3


class QueryConfig(Settings):
    """What `query.json` says.

    Attributes:
        text_sha256: Hash of the text encoder whose lower layers it reads.
        layers: How many upper layers are its own.
    """

    text_sha256: str
    layers: int = Field(ge=1)


class QueryNetwork(nn.Module):
    """A text encoder with upper layers of its own.

    Args:
        text: The text encoder, whose Transformer is one of layers like BERT's.
        layers: How many layers are copied.
        dropout: Within these, in training.

    Attributes:
        model: The sentence-transformers model.

    Raises:
        InvalidInputError: The Transformer has no lower layers left.
    """

    def __init__(self, text: TextEncoder, layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        body = _body_of(text.model)
        own = with_own_upper_layers(body, layers, dropout)
        self.model = copy.deepcopy(text.model, {id(body): own})
        self._upper = layers

    def train(self, mode: bool = True) -> Self:
        """As of any module, but what is not trained computes as it does in use."""
        super().train(mode)
        set_training(_body_of(self.model), self._upper, mode)
        return self

    @property
    def own(self) -> dict[str, Tensor]:
        """The weights that are its own, by name."""
        return own_weights(_body_of(self.model), self._upper)

    def put(self, weights: dict[str, Tensor]) -> None:
        """Put weights in the place of its own."""
        _body_of(self.model).load_state_dict(weights, strict=False)

    def forward(self, claims: "Sequence[str]") -> Tensor:
        """(B, D) unit vectors of B claims."""
        tokens = self.model.preprocess([claim[:MAX_CHARACTERS] for claim in claims])
        device = next(self.parameters()).device
        placed = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in tokens.items()}
        return torch.nn.functional.normalize(self.model(placed)["sentence_embedding"], dim=1)


def _body_of(model: "SentenceTransformer") -> "PreTrainedModel":
    """The Transformer of a sentence-transformers model."""
    body: PreTrainedModel = model[0].auto_model  # type: ignore[assignment]
    return body


def load_query_encoder(text: TextEncoder) -> TextEncoder | None:
    """What a search asks with beside a text encoder.

    Args:
        text: The text encoder, which the passages were encoded by.

    Returns:
        What lies in its folder, or what ships if that was made for it; None where neither is, and a
        search asks with the text encoder's own vectors.

    Raises:
        MissingResourceError: There is one file without the other.
        InvalidInputError: They are damaged, or lie beside another text encoder than they were made
            for.
    """
    files = (CONFIG_FILE, WEIGHTS_FILE)
    beside = text.folder if text.folder and any((text.folder / n).exists() for n in files) else None
    path = (beside or EMBEDDED_FOLDER) / CONFIG_FILE
    config = read_json(path, QueryConfig)
    if config.text_sha256 != text.sha256:
        if beside is None:
            return None
        raise InvalidInputError(
            f"{path}: made for the text encoder {config.text_sha256[:12]}, but beside it lies "
            f"{text.sha256[:12]}"
        )
    try:
        network = QueryNetwork(text, config.layers)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error
    network.put(read_own_weights(path.with_name(WEIGHTS_FILE), network.own))
    return TextEncoder(f"{text.name} (queries)", network.model)


def halfway(plain: np.ndarray, own: np.ndarray) -> np.ndarray:
    """What is asked with: (N, D) unit vectors halfway between two times (N, D) of them.

    Args:
        plain: Of the text encoder.
        own: Of what `load_query_encoder` gives.
    """
    between: np.ndarray = plain + own
    # Opposite vectors have no middle.
    lengths = np.linalg.norm(between, axis=1, keepdims=True)
    return np.where(lengths > _OPPOSITE, between / np.maximum(lengths, _OPPOSITE), plain)


def save_query(folder: Path, config: QueryConfig, network: QueryNetwork) -> None:
    """Write what a search asks with, in half precision.

    Args:
        folder: Where to.
        config: What `query.json` is to say.
        network: The network.

    Raises:
        RunError: A weight is no finite number in half precision.
    """
    save_own_weights(folder / WEIGHTS_FILE, network.own)
    (folder / CONFIG_FILE).write_text(config.model_dump_json(indent=2) + "\n")
