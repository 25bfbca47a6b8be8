"""What names an encoder for the cache: all that its encodings depend on, beside its weights.

The hash of the weights names an encoder in checkpoints and indices. Two encoders may have the same
weights and differ in how they are used: another side, other windows, heads that share the same
matrices out differently, another vocabulary or length. What one of them left in a cache must not be
taken for the other's.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

# Where a model was read from and by what, which changes nothing.
_ASIDE = ("transformers_version", "dtype", "torch_dtype", "architectures")
# What the last call left in a tokenizer.
_OF_A_CALL = ("truncation", "padding")


def settings_hash(*settings: Any) -> str:
    """SHA-256 of settings, plain types, in hexadecimal."""
    written = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(written.encode()).hexdigest()


def transformer_settings(config: PreTrainedConfig) -> dict[str, Any]:
    """What a Transformer's configuration says of how it computes."""
    return {
        key: value
        for key, value in config.to_dict().items()
        if not key.startswith("_") and key not in _ASIDE
    }


def tokenizer_settings(tokenizer: PreTrainedTokenizerBase) -> Mapping[str, Any]:
    """How a tokenizer parts texts, its vocabulary among it, whatever it was last used for."""
    if not tokenizer.is_fast:
        return {"kind": type(tokenizer).__name__, "vocabulary": tokenizer.get_vocab()}
    written: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return {key: value for key, value in written.items() if key not in _OF_A_CALL}
