"""A Twins-SVT as an ONNX file, for programs that do not carry PyTorch."""

from pathlib import Path

import torch
from torch import Tensor

from factcheck.encoders.twins_svt import TwinsSVT
from factcheck.errors import PrerequisiteError

OPSET = 20
"""Version of the ONNX operators: the first with GELU."""

_SMALLEST_SIDE = 64
"""PyTorch's exporter treats a side of one token as a constant, so two tokens are the least."""


def export_onnx(network: TwinsSVT, path: Path) -> None:
    """Write a network as ONNX, with dynamic batch, height and width (from 64 pixels on).

    Its input is `images` (B, 3, H, W), float32, normalised; its outputs are `tokens` and `pooled`,
    as `TwinsSVT` gives them.

    Args:
        network: The network; its windows and sub-windows become part of the file.
        path: The file to write.

    Raises:
        PrerequisiteError: The packages onnx and onnxscript are not installed.
    """
    try:
        import onnxscript  # noqa: F401  (torch.onnx needs it and reports its absence late)
    except ImportError as error:
        raise PrerequisiteError(
            "ONNX export needs the packages onnx and onnxscript: pip install 'factcheck[onnx]'"
        ) from error
    dynamic = {
        0: torch.export.Dim("batch", min=1, max=2**16),
        2: torch.export.Dim("height", min=_SMALLEST_SIDE, max=2**14),
        3: torch.export.Dim("width", min=_SMALLEST_SIDE, max=2**14),
    }
    # Sides that nothing divides, so that no accident of the example is written into the graph.
    example: Tensor = torch.zeros(2, 3, 261, 331)
    exported = torch.export.export(
        network.eval(),
        (example,),
        dynamic_shapes={"images": dynamic},
        prefer_deferred_runtime_asserts_over_guards=True,
    )
    program = torch.onnx.export(
        exported,
        input_names=["images"],
        output_names=["tokens", "pooled"],
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    temporary = path.with_name(f".{path.name}.partial")
    try:
        program.save(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
