"""The text relation encoder: a claim and a passage in, what the passage says of the claim out.

A cross-encoder (arXiv:1810.04805, section 4.1: both texts in one sequence), because similarity is
not entailment: two texts that differ in a number or a "not" have nearly the same sentence vector,
and only a network that reads both word by word can tell them apart. Read out is the mean over all
tokens, as in the text encoder that it starts from, whose first token says little.

A document of several passages is read passage by passage. Each passage has a salience, and the
document's relation is the mean of its passages' logits, weighted by a softmax over their saliences
(attention pooling, arXiv:1802.04712, section 2.4). So long articles are not cut short, and what
each passage contributes can be said.

The word embeddings are those of the text encoder and are not trained: words that training never saw
stay where their neighbours are, and the weights that ship hold the layers alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn

from factcheck.encoders.precision import (
    KEYS_AT_A_TIME,
    NumberFormats,
    convert_body,
    number_format,
    texts_at_once,
)
from factcheck.encoders.relevance import Relevance
from factcheck.encoders.text import EMBEDDED as EMBEDDED_TEXT
from factcheck.encoders.text import TextEncoder
from factcheck.encoders.weights import in_half_precision, read_weights, weights_hash
from factcheck.errors import InvalidInputError, MissingResourceError, RunError, UsageError
from factcheck.settings import Precision, Settings, first_problem

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EMBEDDED = "embedded"
"""Name of the text relation encoder that the package carries."""

EMBEDDED_FOLDER = Path(__file__).parent.parent / "pretrained" / "text-relation-minilm"

RELATIONS = 3

_READOUT_DROPOUT = 0.1

# Not trained and not stored: they are the text encoder's own.
_SHARED = "body.embeddings."


class RelationConfig(Settings):
    """What `config.json` of a text relation encoder says.

    Attributes:
        base: The text encoder whose architecture and embeddings it has: `embedded`, a folder, or a
            sentence-transformers model of the hub.
        base_sha256: Hash of that text encoder's weights.
        max_tokens: Longest sequence of claim and passage together; the longer of the two is cut.
        layers: Of the text encoder's layers only so many, the lower ones; all without a number.
    """

    base: str = EMBEDDED_TEXT
    base_sha256: str
    max_tokens: int = Field(ge=16, le=8192)
    layers: int | None = Field(None, ge=1)


@dataclass(frozen=True)
class RelationEncodings:
    """What the text relation encoder gives for N pairs of claim and passage.

    Attributes:
        vectors: (N, D) float32, the mean state of the tokens.
        logits: (N, 3) float32, of support, insufficient, refute.
        salience: (N,) float32, how much the passage counts among a document's; a logit.
    """

    vectors: np.ndarray
    logits: np.ndarray
    salience: np.ndarray

    @property
    def packed(self) -> np.ndarray:
        """(N, D + 4) float32: vectors, logits and salience side by side."""
        return np.concatenate([self.vectors, self.logits, self.salience[:, None]], axis=1)


class RelationNetwork(nn.Module):
    """A Transformer with two readouts of the mean over its tokens.

    Args:
        body: The Transformer; its embeddings are frozen.
        dropout: Within the Transformer, in training. On a processor it takes a third of a step.
    """

    def __init__(self, body: PreTrainedModel, dropout: float = 0.0) -> None:
        super().__init__()
        self.body = body
        self.embeddings.requires_grad_(False)
        body.config.attention_probs_dropout_prob = dropout
        for module in body.modules():
            if isinstance(module, nn.Dropout):
                module.p = dropout
        width = body.config.hidden_size
        self.dropout = nn.Dropout(_READOUT_DROPOUT)
        self.relation = nn.Linear(width, RELATIONS)
        self.salience = nn.Linear(width, 1)
        for layer in (self.relation, self.salience):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    @property
    def embeddings(self) -> nn.Module:
        """The text encoder's, frozen."""
        embeddings: nn.Module = self.body.embeddings  # type: ignore[assignment]
        return embeddings

    def forward(self, tokens: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors (B, D), relation logits (B, 3) and saliences (B,) of B tokenised pairs."""
        # A body in bfloat16 is read out in float32.
        states = self.body(**tokens).last_hidden_state.to(self.relation.weight.dtype)
        present = tokens["attention_mask"][..., None].to(states.dtype)
        vectors = (states * present).sum(dim=1) / present.sum(dim=1)
        dropped = self.dropout(vectors)
        return vectors, self.relation(dropped), self.salience(dropped).squeeze(-1)


def document_logits(logits: Tensor, salience: Tensor, present: Tensor) -> Tensor:
    """Relation logits of documents from those of their passages.

    Args:
        logits: (B, K, 3) of the passages.
        salience: (B, K) of the passages.
        present: (B, K) bool; at least one a row, else the row is zero.

    Returns:
        (B, 3), the mean of the passages' logits weighted by a softmax over saliences.
    """
    return (passage_weights(salience, present)[..., None] * logits).sum(dim=1)


def passage_weights(salience: Tensor, present: Tensor) -> Tensor:
    """(B, K) shares of the passages in their document's relation, a softmax over saliences.

    Args:
        salience: (B, K) of the passages.
        present: (B, K) bool; a row without any has only zeros.
    """
    lowest = torch.finfo(salience.dtype).min
    return salience.masked_fill(~present, lowest).softmax(dim=-1) * present


class RelationEncoder:
    """A text relation cross-encoder behind a narrow interface.

    Attributes:
        name: What it was loaded as.
        config: What its folder says.
        network: The network, in evaluation mode, on the text encoder's device.
        sha256: Hash of all its weights, the embeddings included.
        dimension: Width D of its vectors.
        width: Width D + 4 of its packed encodings.
        tokenizer: The text encoder's.
        relevance: Tells how much a passage has to say of a claim; None where nothing in its folder
            does.
    """

    def __init__(
        self,
        name: str,
        config: RelationConfig,
        network: RelationNetwork,
        tokenizer: PreTrainedTokenizerBase,
    ) -> None:
        self.name = name
        self.config = config
        self.network = network.eval()
        self.sha256 = weights_hash(network)
        self.dimension: int = network.body.config.hidden_size
        self.width = self.dimension + RELATIONS + 1
        self.tokenizer = tokenizer
        self.relevance: Relevance | None = None
        self._formats = NumberFormats(self.network, convert_body)

    @classmethod
    def load(cls, name: str = EMBEDDED, text: TextEncoder | None = None) -> Self:
        """Load a text relation encoder.

        Args:
            name: `embedded`, or a folder with config.json and model.safetensors.
            text: The text encoder it is built on, where that is loaded already.

        Raises:
            MissingResourceError: The folder or a file of it is not there.
            InvalidInputError: Its files are damaged, or are not of this text encoder.
            PrerequisiteError: The text encoder it is built on cannot be had.
        """
        folder = folder_of(name)
        path = folder / "config.json"
        try:
            config = RelationConfig.model_validate_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise MissingResourceError(
                f"{path}: no text relation encoder can be read there ({error.strerror})"
            ) from error
        except (ValidationError, UnicodeDecodeError) as error:
            problem = first_problem(error) if isinstance(error, ValidationError) else str(error)
            raise InvalidInputError(f"{path}: {problem}") from error
        if text is None or text.sha256 != config.base_sha256:
            text = TextEncoder.load(config.base)
        if text.sha256 != config.base_sha256:
            raise InvalidInputError(
                f"{path}: made on the text encoder {config.base} ({config.base_sha256[:12]}), but "
                f"that is {text.sha256[:12]} here"
            )
        network, tokenizer = build_relation_network(text, config.layers)
        require_positions(network, config.max_tokens, f"{path}: max_tokens")
        load_relation_weights(network, folder)
        network.to(text.model.device)
        encoder = cls(folder.name, config, network, tokenizer)
        encoder.relevance = Relevance.load(folder, network.body, encoder.sha256)
        return encoder

    def encode(
        self,
        pairs: Sequence[tuple[str, str]],
        batch_size: int | None = None,
        on_progress: Callable[[int], None] | None = None,
        precision: Precision = "float32",
    ) -> RelationEncodings:
        """Read claims beside passages, longest first so that a batch holds pairs of like length.

        Args:
            pairs: N claims, each with a passage.
            batch_size: Pairs a batch; what suits the device without it.
            on_progress: Called with the number of pairs done since the last call.
            precision: Number format of the matrix products.

        Raises:
            PrerequisiteError: bfloat16 was asked for by name and the processor does not have it.
        """
        network = self._formats[number_format(precision, self._device)]

        def read(tokens: dict[str, Tensor]) -> Tensor:
            vectors, logits, salience = network(tokens)
            return torch.cat([vectors, logits, salience[:, None]], dim=1)

        return unpack(self._read(pairs, self.width, read, batch_size, on_progress))

    def relevances(
        self,
        pairs: Sequence[tuple[str, str]],
        batch_size: int | None = None,
        on_progress: Callable[[int], None] | None = None,
        precision: Precision = "float32",
    ) -> np.ndarray:
        """How much passages have to say of claims.

        Args:
            pairs: As for `encode`, like all that follows.
            batch_size: See there.
            on_progress: See there.
            precision: See there.

        Returns:
            (N,) float32 logits, to be compared between passages of one claim.

        Raises:
            RunError: They are not finite: weights that are finite overflow.
            UsageError: It has nothing that tells relevance.
            PrerequisiteError: As for `encode`.
        """
        if self.relevance is None:
            raise UsageError(f"{self.name}: has nothing that tells relevance")
        network = self.relevance.formats[number_format(precision, self._device)]

        def read(tokens: dict[str, Tensor]) -> Tensor:
            logits: Tensor = network(tokens)
            return logits[:, None]

        logits = self._read(pairs, 1, read, batch_size, on_progress)[:, 0]
        if not np.isfinite(logits).all():
            raise RunError(f"{self.name}: tells relevance in numbers that are not finite")
        return logits

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    def _read(
        self,
        pairs: Sequence[tuple[str, str]],
        width: int,
        read: Callable[[dict[str, Tensor]], Tensor],
        batch_size: int | None,
        on_progress: Callable[[int], None] | None,
    ) -> np.ndarray:
        """(N, width) float32 of pairs, by what is read of B tokenised ones: (B, width)."""
        given = np.zeros((len(pairs), width), dtype=np.float32)
        lengths = [len(claim) + len(passage) for claim, passage in pairs]
        order = sorted(range(len(pairs)), key=lambda i: lengths[i], reverse=True)
        device = self._device
        batch_size = batch_size or texts_at_once(device)
        for start in range(0, len(order), batch_size):
            chunk = order[start : start + batch_size]
            tokens = tokenise(self.tokenizer, [pairs[i] for i in chunk], self.config.max_tokens)
            with torch.inference_mode():
                found = read({name: one.to(device) for name, one in tokens.items()})
            given[chunk] = found.float().cpu().numpy()
            if on_progress is not None:
                on_progress(len(chunk))
        return given


def folder_of(name: str) -> Path:
    """Where the text relation encoder of a name lies: `embedded`, or a folder."""
    return EMBEDDED_FOLDER if name == EMBEDDED else Path(name)


def unpack(packed: np.ndarray) -> RelationEncodings:
    """The parts of (..., D + 4) encodings that `RelationEncodings.packed` put side by side."""
    width = packed.shape[-1] - RELATIONS - 1
    return RelationEncodings(packed[..., :width], packed[..., width:-1], packed[..., -1])


def tokenise(
    tokenizer: PreTrainedTokenizerBase, pairs: Sequence[tuple[str, str]], max_tokens: int
) -> dict[str, Tensor]:
    """What the network takes of pairs of claim and passage.

    Args:
        tokenizer: Of the text encoder.
        pairs: B pairs.
        max_tokens: Longest sequence; of a longer pair the longer text is cut.
    """
    claims, passages = zip(*pairs, strict=True)
    tokens: dict[str, Any] = tokenizer(
        [claim[: characters_read(max_tokens)] for claim in claims],
        [passage[: characters_read(max_tokens)] for passage in passages],
        truncation="longest_first",
        max_length=max_tokens,
        padding=True,
        pad_to_multiple_of=KEYS_AT_A_TIME,
        return_tensors="pt",
    )
    return dict(tokens)


def characters_read(max_tokens: int) -> int:
    """Where a text is cut before it is tokenised: a megabyte should cost what a page costs."""
    return 20 * max_tokens


def require_positions(network: RelationNetwork, max_tokens: int, name: str) -> None:
    """Refuse sequences that are longer than the text encoder has positions for.

    Args:
        network: Built on it.
        max_tokens: Longest sequence.
        name: What to call that number in an error.

    Raises:
        InvalidInputError: It is too large.
    """
    positions = _positions(network.embeddings)
    if positions is not None and max_tokens > positions:
        raise InvalidInputError(f"{name}: {max_tokens}, but its text encoder reads {positions}")


def _positions(embeddings: nn.Module) -> int | None:
    """How many tokens embeddings tell the places of; None where places are told in another way."""
    places = getattr(embeddings, "position_embeddings", None)
    if not isinstance(places, nn.Embedding):
        return None
    # RoBERTa and its kin count from behind the place of padding.
    return places.num_embeddings - (0 if places.padding_idx is None else places.padding_idx + 1)


def build_relation_network(
    text: TextEncoder, layers: int | None = None, dropout: float = 0.0
) -> tuple[RelationNetwork, PreTrainedTokenizerBase]:
    """A network that starts as the text encoder's Transformer, and its tokenizer.

    Args:
        text: The text encoder.
        layers: How many of its layers, from the lowest; all without a number.
        dropout: Within them, in training.

    Raises:
        InvalidInputError: The text encoder is not a Transformer that reads two texts at once.
    """
    module = text.model[0]
    body = getattr(module, "auto_model", None)
    tokenizer = text.model.tokenizer
    if body is None or not hasattr(body, "embeddings"):
        raise InvalidInputError(
            f"{text.name}: no text relation encoder can be built on this text encoder"
        )
    body = copy.deepcopy(body).float()
    if layers is not None:
        body.encoder.layer = body.encoder.layer[:layers]
    return RelationNetwork(body, dropout), tokenizer


def load_relation_weights(network: RelationNetwork, folder: Path) -> None:
    """Give a network the weights that `save_relation_encoder` wrote.

    Args:
        network: A network of the same shape, on the same text encoder.
        folder: Where the weights are.

    Raises:
        MissingResourceError: There are none.
        InvalidInputError: They are damaged, or of a network of another shape.
    """
    path = folder / "model.safetensors"
    weights = {key: value.float() for key, value in read_weights(path).items()}
    wanted = {
        key: tuple(value.shape)
        for key, value in network.state_dict().items()
        if not key.startswith(_SHARED)
    }
    found = {key: tuple(value.shape) for key, value in weights.items()}
    if found != wanted:
        odd = sorted(
            key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)
        )
        raise InvalidInputError(f"{path}: {odd[0]} does not fit the text encoder")
    network.load_state_dict(weights, strict=False)


def save_relation_encoder(folder: Path, config: RelationConfig, network: RelationNetwork) -> None:
    """Write a text relation encoder, in half precision and without the embeddings.

    Args:
        folder: Where; made if it is not there.
        config: What `config.json` is to say.
        network: The network.

    Raises:
        RunError: A weight is no finite number in half precision.
    """
    from safetensors.torch import save_file

    own = {key: w for key, w in network.state_dict().items() if not key.startswith(_SHARED)}
    weights = in_half_precision(own, folder / "model.safetensors")
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "model.tmp"
    save_file(weights, temporary)
    temporary.replace(folder / "model.safetensors")
    (folder / "config.json").write_text(config.model_dump_json(indent=2) + "\n")
