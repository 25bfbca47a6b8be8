"""Linear layers whose weights lie in memory as the processor's matrix product wants them.

PyTorch hands bfloat16 products to oneDNN, which puts the weights into blocks for the processor's
matrix instructions, at every call. Here they are put there once.
"""

import torch
from torch import Tensor, nn


class PackedLinear(nn.Linear):
    """A linear layer for inference on a processor, (..., in) to (..., out).

    It keeps its weights as they were beside the packed ones, in twice the memory: for gradients,
    for graphs, and for networks that read the weights of their layers. The operators are those that
    PyTorch's own compiler (TorchInductor, with frozen weights) puts in the place of a linear layer.

    Args:
        layer: A layer in bfloat16, on a processor.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(
            layer.in_features,
            layer.out_features,
            bias=layer.bias is not None,
            device="meta",
        )
        self.weight = layer.weight
        self.bias = layer.bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), None)

    def forward(self, input: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or not input.numel():
            return super().forward(input)
        result: Tensor = torch.ops.mkldnn._linear_pointwise(
            input, self._packed, self.bias, "none", [], ""
        )
        return result


def can_pack() -> bool:
    """Whether this PyTorch has these operators, and they compute in bfloat16 on this processor."""
    operators = ("_reorder_linear_weight", "_linear_pointwise", "_is_mkldnn_bf16_supported")
    if not all(hasattr(torch.ops.mkldnn, name) for name in operators):
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def pack_linear_layers(network: nn.Module) -> None:
    """Pack the linear layers of a network that compute in bfloat16 on a processor.

    Does nothing where layers cannot be packed; see `can_pack`.
    """
    if not can_pack():
        return
    for name, child in network.named_children():
        # Exactly this class: one derived from it computes something of its own.
        if type(child) is not nn.Linear:
            pack_linear_layers(child)
        elif child.weight.dtype == torch.bfloat16 and child.weight.device.type == "cpu":
            setattr(network, name, PackedLinear(child))
