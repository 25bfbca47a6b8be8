"""Naming a set of weights by its content."""

import hashlib

import torch
from torch import nn


def weights_hash(model: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and bytes of a model's state, in hexadecimal.

    It names the weights whatever file they came from, so that an encoding can say what made it.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        # As bytes, for NumPy does not know every number format of PyTorch's, bfloat16 among them.
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
