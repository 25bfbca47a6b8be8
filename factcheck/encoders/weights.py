"""Naming a set of weights by its content."""

import hashlib

from torch import nn


def weights_hash(model: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and bytes of a model's state, in hexadecimal.

    It names the weights whatever file they came from, so that an encoding can say what made it.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
