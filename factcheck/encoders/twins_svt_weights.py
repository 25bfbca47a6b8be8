"""Weights of a Twins-SVT: from timm's models, from checkpoint files, and checked against a shape.

timm and the authors name the same parameters alike, and write what we write as a matrix product
(`twins_svt`) as a convolution. Nothing is changed but names and the order of a kernel's entries.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from factcheck.errors import InvalidInputError, PrerequisiteError

HEAD_WIDTH = 32
"""Width of an attention head in every published variant."""

_STAGE = r"stages.\1."
_BLOCK = r"stages.\1.blocks.\2."
_RENAMED = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^patch_embeds\.(\d+)\.proj\.", f"{_STAGE}embedding."),
        (r"^patch_embeds\.(\d+)\.norm\.", f"{_STAGE}embedding_norm."),
        (r"^pos_block\.(\d+)\.proj\.0\.", f"{_STAGE}position.convolution."),
        (r"^blocks\.(\d+)\.(\d+)\.norm1\.", f"{_BLOCK}attention_norm."),
        (r"^blocks\.(\d+)\.(\d+)\.norm2\.", f"{_BLOCK}mlp_norm."),
        (r"^blocks\.(\d+)\.(\d+)\.mlp\.fc1\.", f"{_BLOCK}mlp.0."),
        (r"^blocks\.(\d+)\.(\d+)\.mlp\.fc2\.", f"{_BLOCK}mlp.2."),
        (r"^blocks\.(\d+)\.(\d+)\.attn\.qkv\.", f"{_BLOCK}attention.qkv."),
        (r"^blocks\.(\d+)\.(\d+)\.attn\.q\.", f"{_BLOCK}attention.query."),
        (r"^blocks\.(\d+)\.(\d+)\.attn\.kv\.", f"{_BLOCK}attention.key_value."),
        (r"^blocks\.(\d+)\.(\d+)\.attn\.sr\.", f"{_BLOCK}attention.subsample."),
        (r"^blocks\.(\d+)\.(\d+)\.attn\.norm\.", f"{_BLOCK}attention.norm."),
        (r"^blocks\.(\d+)\.(\d+)\.attn\.proj\.", f"{_BLOCK}attention.out."),
    )
)
_CLASSIFIER = ("head.", "head_dist.")


@dataclass(frozen=True)
class TwinsSVTShape:
    """What the weights alone tell of a network; windows have no weights.

    Attributes:
        dims: Width of each stage.
        heads: Attention heads of each stage, of `HEAD_WIDTH`.
        depths: Blocks of each stage.
        sub_windows: Side of the sub-windows of GSA of each stage.
        mlp_ratio: Width of a block's hidden layer over the width of its stage.
    """

    dims: tuple[int, ...]
    heads: tuple[int, ...]
    depths: tuple[int, ...]
    sub_windows: tuple[int, ...]
    mlp_ratio: int


def our_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under our names, whether they came under ours, timm's or the authors'.

    The classifier is left out. A kernel (C_out, C_in, k, k) whose stride is its size becomes a
    matrix (C_out, k * k * C_in). A tensor that says it has more numbers than it holds is left as it
    is: to lay it out could take any amount of memory, and shapes are looked at later.
    """
    converted = {}
    for name, tensor in state.items():
        if name.startswith(_CLASSIFIER):
            continue
        ours = name
        for pattern, replacement in _RENAMED:
            ours, found = pattern.subn(replacement, name)
            if found:
                break
        if tensor.ndim == 4 and ".position." not in ours and not _repeats(tensor):
            tensor = tensor.permute(0, 2, 3, 1).flatten(1)
        converted[ours] = tensor
    return converted


def _repeats(tensor: Tensor) -> bool:
    """Whether a tensor has more numbers than there are in memory, as one that `expand` gives."""
    return tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes()


def shape_of(state: Mapping[str, Tensor], name: str | Path) -> TwinsSVTShape:
    """Read the shape of the network off its weights, which have our names.

    Args:
        state: The weights.
        name: What to call them in an error.

    Raises:
        InvalidInputError: They are not a Twins-SVT's.
    """
    try:
        stages = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("stages."))
        dims = [state[f"stages.{i}.embedding.weight"].shape[0] for i in range(stages)]
        hidden = state["stages.0.blocks.0.mlp.0.weight"].shape[0]
        depths, sub_windows = [], []
        for i, dim in enumerate(dims):
            blocks = {key.split(".")[3] for key in state if key.startswith(f"stages.{i}.blocks.")}
            depths.append(len(blocks))
            summary = state.get(f"stages.{i}.blocks.1.attention.subsample.weight")
            sub_windows.append(1 if summary is None else round((summary.shape[1] / dim) ** 0.5))
        mlp_ratio = max(1, hidden // dims[0])
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        raise InvalidInputError(
            f"{name}: expected the weights of a Twins-SVT, found {_summary(state)}"
        ) from error
    return TwinsSVTShape(
        dims=tuple(dims),
        heads=tuple(max(1, dim // HEAD_WIDTH) for dim in dims),
        depths=tuple(depths),
        sub_windows=tuple(sub_windows),
        mlp_ratio=mlp_ratio,
    )


def load_weights(network: nn.Module, state: Mapping[str, Tensor], name: str | Path) -> None:
    """Put weights under our names into a network, all of them or none, in float32.

    Args:
        network: Where they go; it may be on the meta device, without any of its own.
        state: The weights.
        name: What to call them in an error.

    Raises:
        InvalidInputError: A weight is missing, too many, or of another shape; the sentence names
            the first of each kind, and says what was expected and what was found.
    """
    wanted = network.state_dict()
    missing = [key for key in wanted if key not in state]
    extra = [key for key in state if key not in wanted]
    unlike = [key for key in wanted if key in state and wanted[key].shape != state[key].shape]
    problems = [
        *_some("missing", missing),
        *_some("not expected", extra),
        *(
            f"{unlike[0]} expected as {tuple(wanted[unlike[0]].shape)}, found as "
            f"{tuple(state[unlike[0]].shape)}{_more(unlike)}"
            for _ in unlike[:1]
        ),
    ]
    if problems:
        raise InvalidInputError(
            f"{name}: the weights do not fit the network: {'; '.join(problems)}"
        )
    network.load_state_dict(
        {key: state[key].float().contiguous().clone() for key in wanted}, assign=True
    )


def timm_model(name: str) -> nn.Module:
    """A Twins-SVT of timm with its pretrained weights, such as `twins_svt_small.in1k`.

    Raises:
        PrerequisiteError: The weights are not on disk, and no hub.
    """
    import timm

    try:
        model: nn.Module = timm.create_model(name, pretrained=True, num_classes=0)
    except (OSError, RuntimeError) as error:
        raise PrerequisiteError(
            f"{name}: its weights are not on this machine and could not be had from the model hub "
            f"({type(error).__name__}); give a folder or 'embedded'"
        ) from error
    return model


def _some(what: str, keys: list[str]) -> list[str]:
    return [f"{what} {keys[0]}{_more(keys)}"] if keys else []


def _more(keys: list[str]) -> str:
    return f" and {len(keys) - 1} more" if len(keys) > 1 else ""


def _summary(state: Mapping[str, Tensor]) -> str:
    names = sorted(state)
    return f"{len(names)} tensors, {names[0]} first" if names else "no tensors"
