"""Which number format a network may compute in, by what the processor can do."""

from contextlib import AbstractContextManager
from typing import Literal

import torch

from factcheck.errors import PrerequisiteError

Precision = Literal["float32", "bfloat16", "auto"]
"""`auto` is bfloat16 where the processor multiplies it in hardware, else float32."""


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


def computing_in(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """A context in which matrix products are computed in a number format, and sums in float32.

    Weights stay what they are, and so does what is added up from layer to layer, which keeps more
    of the digits than a network that is converted as a whole.
    """
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


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


def best_device() -> torch.device:
    """A CUDA device where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
