"""A Twins-SVT compiled for inference, for those who encode enough pictures to wait for a compiler.

TorchInductor fuses what lies between the matrix products (normalisation, activation, the moves into
windows and out of them), and with its weights frozen it lays them out once as the matrix product
wants them.
"""

from collections.abc import Callable

import torch
import torch._inductor.config
from torch import Tensor

from factcheck.encoders.twins_svt import TwinsSVT, TwinsSVTOutput
from factcheck.errors import PrerequisiteError


def compile_for_inference(network: TwinsSVT) -> Callable[[Tensor], TwinsSVTOutput]:
    """Compile a network, in the number format that its weights have.

    The first call with a shape compiles, which takes about half a minute; a second batch size makes
    the batch dynamic, which is somewhat slower, and after which no other makes one wait. No
    gradients are kept.

    Args:
        network: The network. Its weights become constants: a later change of them has no effect.

    Returns:
        What takes (B, 3, H, W) images in the network's number format, as the network does. It
        raises PrerequisiteError where no C++ compiler is found.
    """
    compiled = torch.compile(network.eval())

    def forward(images: Tensor) -> TwinsSVTOutput:
        try:
            # As an option of torch.compile it would come too late: the graph must be captured with
            # its weights in it.
            with torch._inductor.config.patch(freezing=True), torch.no_grad():
                output: TwinsSVTOutput = compiled(images)
        except RuntimeError as error:
            if "InvalidCxxCompiler" in str(error):
                raise PrerequisiteError(
                    "compiling the image encoder needs a C++ compiler (g++ or clang++, or the one "
                    "that the environment variable CXX names), and none was found"
                ) from error
            raise
        return output

    return forward
