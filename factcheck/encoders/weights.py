"""Reading and writing a set of weights, and naming it by its content."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from factcheck.errors import InvalidInputError, MissingResourceError, RunError
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


def require_finite(state: Mapping[str, Tensor], name: str | Path) -> None:
    """Make sure that weights are numbers, in float32, which they are used in.

    With one that is none, all that is computed is none, and the largest of five such probabilities
    is the first: a label that looks like any other.

    Args:
        state: The weights.
        name: Their file, or what to call them in an error.

    Raises:
        InvalidInputError: One is not finite.
    """
    stray = _not_finite(state)
    if stray is not None:
        raise InvalidInputError(f"{name}: the weights of {stray} are not all finite numbers")


def in_half_precision(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Weights as they are written, on the processor and in half precision.

    Args:
        state: The weights.
        path: Where they are to go, for an error.

    Raises:
        RunError: One is not finite, or too large for half precision, whose largest number is
            65,504.
    """
    weights = {key: value.detach().cpu().half().contiguous() for key, value in state.items()}
    stray = _not_finite(weights)
    if stray is not None:
        raise RunError(
            f"{path}: not written, since the weights of {stray} are not all finite numbers in half "
            "precision"
        )
    return weights


def _not_finite(state: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor that holds something else than finite numbers."""
    for key, value in state.items():
        # What is too large for float32 is infinite in use, whatever format it was stored in.
        if value.is_floating_point() and not bool(_stored(value).float().isfinite().all()):
            return key
    return None


def _stored(tensor: Tensor) -> Tensor:
    """What a tensor is made of: a few numbers in a file may stand for billions of a shape."""
    storage = tensor.untyped_storage()
    count = storage.nbytes() // tensor.element_size()
    if tensor.numel() <= count:
        return tensor
    return torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(storage, 0, (count,), (1,))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint, safetensors by its ending or else PyTorch's with `weights_only`.

    Raises:
        MissingResourceError: The file cannot be read.
        InvalidInputError: It is no checkpoint, holds more than tensors, or numbers that are not
            finite.
    """
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            loaded = load_file(path)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise MissingResourceError(f"{path}: the weights cannot be read ({reason})") from error
    except Exception as error:
        # The unpickler raises whatever a damaged or hostile file leads it to; the file is at fault.
        raise InvalidInputError(
            f"{path}: expected a checkpoint of tensors, found none that can be read safely"
        ) from error
    state = _only_tensors(loaded, path)
    require_finite(state, path)
    return state


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
