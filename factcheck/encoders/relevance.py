"""How much a passage has to say of a claim: what a search puts its hits in order by.

That is another question than what the passage says. A passage may leave a claim open because it
speaks of something else, or because it speaks of just this and does not decide it; a search is to
find the second and not the first. So the upper layers of the text relation encoder are there twice:
a copy of them is trained for this question alone (`training.relevance`), on the lower layers as
they are. To read a passage for its relevance takes as long as to read it for its relation.

What is read out is a logit. Of the passages found for a claim it says, by a softmax over them,
which is the likeliest to be evidence (ListNet, Cao et al., ICML 2007); between claims it cannot be
compared. Whether any of them is evidence, `encoders.bearing` says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, FiniteFloat
from torch import Tensor, nn

from factcheck.encoders.bearing import Bearing
from factcheck.encoders.precision import NumberFormats, convert_body
from factcheck.encoders.upper_layers import (
    own_weights,
    read_own_weights,
    save_own_weights,
    set_training,
    with_own_upper_layers,
)
from factcheck.encoders.weights import state_hash
from factcheck.errors import InvalidInputError
from factcheck.settings import Settings, read_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CONFIG_FILE = "relevance.json"
WEIGHTS_FILE = "relevance.safetensors"
"""What lies in the folder of a text relation encoder that can tell relevance."""


class RelevanceConfig(Settings):
    """What `relevance.json` says.

    Attributes:
        relation_sha256: Hash of the text relation encoder whose lower layers it reads.
        layers: How many upper layers are its own.
        weights: Of what the order of a search's hits is made up of (`retrieval.rerank.features`).
        bearing: Whether hits bear on a claim at all; None where that was not fitted.
    """

    relation_sha256: str
    layers: int = Field(ge=1)
    weights: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    bearing: Bearing | None = None


class RelevanceNetwork(nn.Module):
    """Upper layers of its own on the lower layers of a text relation encoder, and a readout.

    Args:
        body: The text relation encoder's Transformer. Its embeddings and lower layers are shared
            and not trained; the upper layers are copied.
        layers: How many layers are copied.
        dropout: Within these, and of the readout, in training.

    Raises:
        InvalidInputError: The Transformer has no lower layers left.
    """

    def __init__(self, body: PreTrainedModel, layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.body = with_own_upper_layers(body, layers, dropout)
        self.dropout = nn.Dropout(dropout)
        self.relevance = nn.Linear(body.config.hidden_size, 1)
        nn.init.normal_(self.relevance.weight, std=0.02)
        nn.init.zeros_(self.relevance.bias)
        self._upper = layers

    def train(self, mode: bool = True) -> Self:
        """As of any module, but what is not trained computes as it does in use."""
        super().train(mode)
        set_training(self.body, self._upper, mode)
        return self

    @property
    def own(self) -> dict[str, Tensor]:
        """The weights that are its own, by name."""
        readout = {f"relevance.{key}": own for key, own in self.relevance.state_dict().items()}
        upper = own_weights(self.body, self._upper)
        return {f"body.{key}": value for key, value in upper.items()} | readout

    def forward(self, tokens: Mapping[str, Tensor]) -> Tensor:
        """(B,) relevance logits of B tokenised pairs."""
        # A body in bfloat16 is read out in float32.
        states = self.body(**tokens).last_hidden_state.to(self.relevance.weight.dtype)
        present = tokens["attention_mask"][..., None].to(states.dtype)
        vectors = (states * present).sum(dim=1) / present.sum(dim=1)
        logits: Tensor = self.relevance(self.dropout(vectors)).squeeze(-1)
        return logits


class Relevance:
    """What tells the relevance of passages, as `RelationEncoder` holds it.

    Attributes:
        config: What its file says.
        network: The network, in evaluation mode.
        formats: The same network in each number format.
        sha256: Hash of its own weights and of what its file says of them, the text relation
            encoder's hash among it.
    """

    def __init__(self, config: RelevanceConfig, network: RelevanceNetwork) -> None:
        self.config = config
        self.network = network.eval()
        self.formats = NumberFormats(self.network, convert_body)
        # What is made of its logits between claims changes neither them nor an order.
        said = config.model_dump_json(exclude={"bearing"})
        named = f"{said} {state_hash(network.own)}"
        self.sha256 = hashlib.sha256(named.encode()).hexdigest()

    @classmethod
    def load(cls, folder: Path, body: PreTrainedModel, relation_sha256: str) -> Self | None:
        """Load what lies beside a text relation encoder; None where there is nothing.

        Args:
            folder: Of the text relation encoder.
            body: Its Transformer.
            relation_sha256: Its hash.

        Raises:
            MissingResourceError: There is one file without the other.
            InvalidInputError: They are damaged, or are of another text relation encoder.
        """
        path = folder / CONFIG_FILE
        if not path.exists() and not (folder / WEIGHTS_FILE).exists():
            return None
        config = read_json(path, RelevanceConfig)
        if config.relation_sha256 != relation_sha256:
            raise InvalidInputError(
                f"{path}: made for the text relation encoder {config.relation_sha256[:12]}, but "
                f"beside it lies {relation_sha256[:12]}"
            )
        try:
            network = RelevanceNetwork(body, config.layers)
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}: {error}") from error
        network.load_state_dict(read_own_weights(folder / WEIGHTS_FILE, network.own), strict=False)
        network.to(body.device)
        return cls(config, network)


def save_relevance(folder: Path, config: RelevanceConfig, network: RelevanceNetwork) -> None:
    """Write what tells relevance beside its text relation encoder, in half precision.

    Args:
        folder: Of the text relation encoder.
        config: What `relevance.json` is to say.
        network: The network.

    Raises:
        RunError: A weight is no finite number in half precision.
    """
    save_own_weights(folder / WEIGHTS_FILE, network.own)
    said = config.model_dump_json(indent=2, exclude_none=True)
    (folder / CONFIG_FILE).write_text(said + "\n")
