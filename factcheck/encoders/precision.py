"""Which number format a network may compute in, by what the processor can do."""

import copy
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import nn

from factcheck.encoders.packed_linear import pack_linear_layers
from factcheck.errors import PrerequisiteError
from factcheck.settings import Precision

KEYS_AT_A_TIME = 16
"""Keys that PyTorch's attention kernel for processors takes at once.

What is left over it takes one by one, so that 60 keys take twice as long as 64. Batches of texts
are filled up to a multiple of it."""

Network = TypeVar("Network", bound=nn.Module)


def number_format(precision: Precision, device: torch.device) -> torch.dtype:
    """The number format that a precision means on a device.

    Raises:
        PrerequisiteError: bfloat16 was asked for by name and the device does not have it.
    """
    if precision == "float32":
        return torch.float32
    if has_bfloat16(device):
        return torch.bfloat16
    if precision == "bfloat16":
        raise PrerequisiteError(
            f"precision bfloat16: this machine's {device.type} does not compute in it; "
            f"'auto' falls back to float32"
        )
    return torch.float32


class NumberFormats(Generic[Network]):
    """A network in each number format that it is asked for, converted once.

    To convert the weights once is a fifth faster than to have every product convert its own
    (`torch.autocast`), at a lowest cosine to float32, of sentence vectors, of 0.9998 instead of
    0.9999. Linear layers are packed for the processor besides (`packed_linear`).

    Args:
        network: The network, in float32.
        convert: Puts a copy of it into a number format; all of its weights by default.
    """

    def __init__(
        self,
        network: Network,
        convert: Callable[[Network, torch.dtype], object] = nn.Module.to,
    ) -> None:
        self._networks = {torch.float32: network}
        self._convert = convert

    def __getitem__(self, dtype: torch.dtype) -> Network:
        """The network in a number format."""
        if dtype not in self._networks:
            network = copy.deepcopy(self._networks[torch.float32])
            self._convert(network, dtype)
            pack_linear_layers(network)
            self._networks[dtype] = network
        return self._networks[dtype]


def convert_body(network: nn.Module, dtype: torch.dtype) -> None:
    """Convert the Transformer of a network, `body`, but not what reads it out."""
    body: nn.Module = network.body  # type: ignore[assignment]
    body.to(dtype)


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 in hardware.

    Where it does not, PyTorch converts back and forth and is slower than in float32.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # Without oneDNN there are no fast kernels for it, whatever the processor could do.
        has = torch.cpu.get_capabilities()
        instructions = ("avx512_bf16", "amx_bf16", "bf16")  # the last one is ARM's
        fast = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
        return fast and any(has.get(i) for i in instructions)
    return False


def texts_at_once(device: torch.device) -> int:
    """Texts, or pairs, a batch: what fills a graphics card does not fit a processor's cache."""
    return 32 if device.type == "cpu" else 256


def best_device() -> torch.device:
    """A CUDA device where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
