"""Reading a set of weights, and naming it by its content."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.files import file_sha256


def weights_hash(model: nn.Module) -> str:
    """SHA-256 of a model's state (`state_hash`)."""
    return state_hash(model.state_dict())


def state_hash(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over the names, types, shapes and bytes of weights, in hexadecimal.

    It names the weights whatever file they came from, so that an encoding can say what made it.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        # As bytes, for NumPy does not know every number format of PyTorch's, bfloat16 among them.
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def require_hash(path: Path, sha256: str, name: str) -> None:
    """Make sure that a file is the one that is known.

    Args:
        path: The file.
        sha256: What the hash of its bytes is to be, in hexadecimal.
        name: Whose weights it should hold.

    Raises:
        InvalidInputError: It is another.
    """
    found = file_sha256(path)
    if found != sha256:
        raise InvalidInputError(
            f"{path}: not the weights of {name}: sha256 {sha256[:12]}... expected, "
            f"{found[:12]}... found"
        )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint, safetensors by its ending or else PyTorch's with `weights_only`.

    Raises:
        MissingResourceError: The file cannot be read.
        InvalidInputError: It is no checkpoint, or holds more than tensors.
    """
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise MissingResourceError(f"{path}: the weights cannot be read ({reason})") from error
    except Exception as error:
        # The unpickler raises whatever a damaged or hostile file leads it to; the file is at fault.
        raise InvalidInputError(
            f"{path}: expected a checkpoint of tensors, found none that can be read safely"
        ) from error
    return _only_tensors(loaded, path)


def _only_tensors(loaded: Any, path: Path) -> dict[str, Tensor]:
    """The state in a checkpoint, which training scripts wrap in a dictionary of their own."""
    for wrapper in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    if not isinstance(loaded, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in loaded.items()
    ):
        raise InvalidInputError(
            f"{path}: expected a dictionary of tensors, found {type(loaded).__name__}"
        )
    return dict(loaded)
