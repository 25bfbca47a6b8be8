"""Twins-SVT: a vision transformer of locally grouped and global sub-sampled attention.

After Chu et al., "Twins: Revisiting the Design of Spatial Attention in Vision Transformers"
(arXiv:2104.13840), to be read next to its section 3.3. Four stages look at the picture on grids of
1/4, 1/8, 1/16 and 1/32 of its side. In each, blocks of locally grouped attention (LSA, within a
window) and of global sub-sampled attention (GSA, to one representative of each sub-window)
alternate, as a depthwise and a pointwise convolution do in a separable one.

One memory layout is kept throughout: (B, h, w, C), channels last. What the paper writes as a
strided convolution (patch embedding, sub-sampling) has a kernel as large as its stride, so it is a
matrix product over the channels of a k x k square, and needs no other layout.

Shapes are written with B images, a grid of h x w tokens of width C (HW tokens in all), windows of
side w, sub-windows of side k, and heads of width d.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from factcheck.encoders.packed_linear import PackedLinear
from factcheck.encoders.precision import KEYS_AT_A_TIME

PATCH = 4
"""Side of a patch of the first stage, pixels; each later stage halves the grid."""

SMALLEST_SIDE = 32
"""Height and width that leave the last stage one token, pixels."""

_EPSILON = 1e-6
_TILE = {torch.float32: 2**19, torch.bfloat16: 2**21}
"""Numbers of a hidden layer that are held at once: in float32 2 MiB, which caches hold. A product
in bfloat16 is so fast that what a call costs counts for more."""

_FEW_KEYS = 8
"""Left-over keys that are faster taken one by one in float32; in bfloat16 half as many are."""


class TwinsSVTOutput(NamedTuple):
    """What the network gives.

    Attributes:
        tokens: (B, h * w, C), the final token grid in row order, h = H // 32 and w = W // 32.
        pooled: (B, C), the mean of the tokens.
    """

    tokens: Tensor
    pooled: Tensor


def pad_to_multiple(grid: Tensor, side: int) -> Tensor:
    """Add zeros at the bottom and the right until `side` divides both sides of (B, h, w, C)."""
    bottom, right = -grid.shape[1] % side, -grid.shape[2] % side
    # A compiled or exported graph must not depend on whether the sides happen to divide.
    if torch.compiler.is_compiling() or bottom or right:
        grid = F.pad(grid, (0, 0, 0, right, 0, bottom))
    return grid


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scaled dot-product attention, (B, heads, L, d) for queries and (B, heads, S, d) for the rest.

    PyTorch's kernel for processors takes keys sixteen at a time and what is left over one by one:
    with 25 keys half of its time goes into the last nine. So many are added, masked out, that none
    is left over, where that takes less time than it saves. The result is the same but for the last
    digits.
    """
    if torch.compiler.is_compiling() or key.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value)
    if torch.is_grad_enabled():
        return _attend_in_training(query, key, value)
    left_over = key.shape[-2] % KEYS_AT_A_TIME
    if left_over < (_FEW_KEYS if key.dtype == torch.float32 else _FEW_KEYS // 2):
        return F.scaled_dot_product_attention(query, key, value)
    more = KEYS_AT_A_TIME - left_over
    mask = key.new_zeros(key.shape[-2] + more)
    mask[key.shape[-2] :] = -torch.inf
    key, value = F.pad(key, (0, 0, 0, more)), F.pad(value, (0, 0, 0, more))
    mask = mask.expand(query.shape[0], 1, query.shape[-2], -1)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def _attend_in_training(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """As `attend`, for gradients on a processor.

    Backwards in bfloat16, PyTorch's kernel takes longer than the rest of the network together.
    """
    if key.dtype == torch.float32:
        return F.scaled_dot_product_attention(query, key, value)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    attended: Tensor = scores.softmax(dim=-1, dtype=torch.float32).to(value.dtype) @ value
    return attended


def merge_squares(grid: Tensor, side: int) -> Tensor:
    """Concatenate the channels of each square: (B, h, w, C) to (B, h // k, w // k, k * k * C).

    Rows and columns beyond the last whole square are dropped, as a strided convolution does.
    """
    batch, height, width, channels = grid.shape
    rows, columns = height // side, width // side
    squares = grid[:, : rows * side, : columns * side]
    squares = squares.reshape(batch, rows, side, columns, side, channels)
    return squares.transpose(2, 3).reshape(batch, rows, columns, side * side * channels)


class LocallyGroupedAttention(nn.Module):
    """LSA (section 3.3): every token attends to the tokens of its own window.

    Takes and gives (B, h, w, C). All windows of all images stand side by side in the batch of one
    fused attention call, (B * windows, heads, w * w, d).

    Complexity: 2 w^2 HWC multiply-adds in the attention itself, linear in the number of tokens, and
    4 HWC^2 in the projections. A grid that windows do not divide is padded with zeros, which are
    attended to as the authors' implementation does.

    Args:
        dim: Width C of a token.
        heads: Attention heads.
        window: Side of a window, tokens.
    """

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, grid: Tensor) -> Tensor:
        """(B, h, w, C) to (B, h, w, C)."""
        batch, height, width, dim = grid.shape
        side = self.window
        grid = pad_to_multiple(grid, side)
        rows, columns = grid.shape[1] // side, grid.shape[2] // side
        windows = grid.reshape(batch, rows, side, columns, side, dim).transpose(2, 3)
        windows = windows.reshape(batch * rows * columns, side * side, dim)
        qkv = self.qkv(windows).unflatten(-1, (3, self.heads, dim // self.heads))
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attended = attend(query, key, value)
        projected: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        projected = projected.reshape(batch, rows, columns, side, side, dim).transpose(2, 3)
        projected = projected.reshape(batch, rows * side, columns * side, dim)
        return projected[:, :height, :width]


class GlobalSubsampledAttention(nn.Module):
    """GSA (section 3.3): every token attends to one representative of each sub-window.

    Takes and gives (B, h, w, C). A representative is a linear map of the k * k tokens of its
    sub-window (the paper's strided convolution), layer normalised; keys and values come from it.

    Complexity: 2 (HW)^2 C / k^2 multiply-adds in the attention itself, and HWC^2 (3 + 2 / k^2) in
    the projections and the sub-sampling. Against LSA's 2 w^2 HWC it is least for k^2 = sqrt(HW);
    see `twins_svt_cost`.

    Args:
        dim: Width C of a token.
        heads: Attention heads.
        sub_window: Side k of a sub-window, tokens; 1 is full attention.
    """

    def __init__(self, dim: int, heads: int, sub_window: int) -> None:
        super().__init__()
        self.heads = heads
        self.sub_window = sub_window
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        if sub_window > 1:
            self.subsample = nn.Linear(sub_window**2 * dim, dim)
            self.norm = nn.LayerNorm(dim)

    def representatives(self, grid: Tensor) -> Tensor:
        """(B, h, w, C) to (B, h // k, w // k, C); a shorter side counts as one sub-window."""
        if self.sub_window == 1:
            return grid
        if not torch.compiler.is_compiling():
            bottom = max(0, self.sub_window - grid.shape[1])
            right = max(0, self.sub_window - grid.shape[2])
            if bottom or right:
                grid = F.pad(grid, (0, 0, 0, right, 0, bottom))
        summary: Tensor = self.norm(self.subsample(merge_squares(grid, self.sub_window)))
        return summary

    def forward(self, grid: Tensor) -> Tensor:
        """(B, h, w, C) to (B, h, w, C)."""
        shape, dim = grid.shape, grid.shape[-1]
        per_head = (self.heads, dim // self.heads)
        query = self.query(grid).flatten(1, 2).unflatten(-1, per_head).transpose(1, 2)
        key_value = self.key_value(self.representatives(grid)).flatten(1, 2)
        key, value = key_value.unflatten(-1, (2, *per_head)).permute(2, 0, 3, 1, 4).unbind(0)
        attended = attend(query, key, value)
        projected: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return projected.reshape(shape)


class ConditionalPositionEncoding(nn.Module):
    """CPE by a position encoding generator (PEG, arXiv:2102.10882, section 3.3).

    A depthwise 3 x 3 convolution with a residual, (B, h, w, C) to (B, h, w, C). The zeros around
    the grid tell a token where it stands, so any size of grid has positions. 9 HWC multiply-adds.

    Args:
        dim: Width C of a token.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, grid: Tensor) -> Tensor:
        """(B, h, w, C) to (B, h, w, C)."""
        # The permuted view is what PyTorch calls channels_last: nothing is copied.
        local: Tensor = self.convolution(grid.permute(0, 3, 1, 2))
        return grid + local.permute(0, 2, 3, 1)


class FeedForward(nn.Sequential):
    """Two linear layers with a GELU between, on every token alone: (..., C) to (..., C).

    Without gradients on a processor, tokens pass a tile at a time, so that the wide layer between
    stays in the cache and large maps need no memory for it. 2 r HWC^2 multiply-adds.

    Args:
        dim: Width C of a token.
        ratio: Width of the hidden layer over C, r.
    """

    def __init__(self, dim: int, ratio: int) -> None:
        super().__init__(nn.Linear(dim, ratio * dim), nn.GELU(), nn.Linear(ratio * dim, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., C) to (..., C)."""
        widen, activate, narrow = cast("tuple[nn.Linear, nn.GELU, nn.Linear]", tuple(self))
        on_processor = tokens.device.type == "cpu" and not torch.compiler.is_compiling()
        if torch.is_grad_enabled() or not on_processor:
            result: Tensor = narrow(activate(widen(tokens)))
            return result
        flat = tokens.flatten(0, -2)
        result = torch.empty_like(flat)
        tile = max(1, _TILE.get(tokens.dtype, _TILE[torch.float32]) // widen.out_features)
        for part, place in zip(torch.split(flat, tile), torch.split(result, tile), strict=True):
            hidden = activate(widen(part))
            if isinstance(narrow, PackedLinear):
                place.copy_(narrow(hidden))
            else:
                torch.addmm(narrow.bias, hidden, narrow.weight.T, out=place)
        return result.view_as(tokens)


class Block(nn.Module):
    """A transformer block (pre-norm) around one of the two attentions: (B, h, w, C), both ways.

    Args:
        dim: Width C of a token.
        attention: The attention, (B, h, w, C) to (B, h, w, C).
        mlp_ratio: Width of the hidden layer over C.
    """

    def __init__(self, dim: int, attention: nn.Module, mlp_ratio: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim, eps=_EPSILON)
        self.attention = attention
        self.mlp_norm = nn.LayerNorm(dim, eps=_EPSILON)
        self.mlp = FeedForward(dim, mlp_ratio)

    def forward(self, grid: Tensor) -> Tensor:
        """(B, h, w, C) to (B, h, w, C)."""
        grid = grid + self.attention(self.attention_norm(grid))
        result: Tensor = grid + self.mlp(self.mlp_norm(grid))
        return result


class Stage(nn.Module):
    """Patch embedding, then blocks of LSA and GSA in turn, with the CPE after the first.

    Takes (B, h, w, C_in), gives (B, h // patch, w // patch, C).

    Args:
        dim_in: Width of what comes in.
        dim: Width C of a token.
        patch: Side of a patch, in what comes in.
        depth: Blocks; even ones attend locally, odd ones globally.
        heads: Attention heads.
        window: Side of a window of LSA, tokens.
        sub_window: Side of a sub-window of GSA, tokens.
        mlp_ratio: Width of a block's hidden layer over C.
    """

    def __init__(
        self,
        dim_in: int,
        dim: int,
        *,
        patch: int,
        depth: int,
        heads: int,
        window: int,
        sub_window: int,
        mlp_ratio: int,
    ) -> None:
        super().__init__()
        self.patch = patch
        self.embedding = nn.Linear(patch**2 * dim_in, dim)
        self.embedding_norm = nn.LayerNorm(dim)
        self.position = ConditionalPositionEncoding(dim)
        self.blocks = nn.ModuleList(
            Block(
                dim,
                GlobalSubsampledAttention(dim, heads, sub_window)
                if number % 2
                else LocallyGroupedAttention(dim, heads, window),
                mlp_ratio,
            )
            for number in range(depth)
        )
        self.gradient_checkpointing = False

    def forward(self, grid: Tensor) -> Tensor:
        """(B, h, w, C_in) to (B, h // patch, w // patch, C)."""
        grid = self.embedding_norm(self.embedding(merge_squares(grid, self.patch)))
        for number, block in enumerate(self.blocks):
            if self.gradient_checkpointing and self.training:
                grid = checkpoint(block, grid, use_reentrant=False)
            else:
                grid = block(grid)
            if number == 0:
                grid = self.position(grid)
        return grid


class TwinsSVT(nn.Module):
    """Twins-SVT without a classifier (arXiv:2104.13840, section 3.3 and the table of variants).

    The defaults are the paper's small variant.

    Args:
        dims: Width of each stage.
        heads: Attention heads of each stage.
        depths: Blocks of each stage.
        windows: Side of the windows of LSA, tokens, of each stage.
        sub_windows: Side of the sub-windows of GSA, tokens, of each stage.
        mlp_ratio: Width of a block's hidden layer over the width of its stage.

    Example:
        >>> tokens, pooled = TwinsSVT()(torch.zeros(1, 3, 224, 224))
        >>> tokens.shape, pooled.shape
        (torch.Size([1, 49, 512]), torch.Size([1, 512]))
    """

    def __init__(
        self,
        dims: Sequence[int] = (64, 128, 256, 512),
        heads: Sequence[int] = (2, 4, 8, 16),
        depths: Sequence[int] = (2, 2, 10, 4),
        windows: Sequence[int] = (7, 7, 7, 7),
        sub_windows: Sequence[int] = (8, 4, 2, 1),
        mlp_ratio: int = 4,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            Stage(
                dim_in,
                dim,
                patch=PATCH if number == 0 else 2,
                depth=depth,
                heads=stage_heads,
                window=window,
                sub_window=sub_window,
                mlp_ratio=mlp_ratio,
            )
            for number, (dim_in, dim, depth, stage_heads, window, sub_window) in enumerate(
                zip((3, *dims[:-1]), dims, depths, heads, windows, sub_windows, strict=True)
            )
        )
        self.norm = nn.LayerNorm(dims[-1], eps=_EPSILON)
        self.apply(_initialise)

    @classmethod
    def from_timm(cls, source: str | nn.Module) -> Self:
        """The network of a timm Twins-SVT, with its weights.

        Args:
            source: A model, or a name with its pretrained tag, such as `twins_svt_small.in1k`.

        Raises:
            PrerequisiteError: The named weights are not on disk, and no hub.
            InvalidInputError: The model is no Twins-SVT.
        """
        from factcheck.encoders.twins_svt_weights import (
            load_weights,
            our_names,
            shape_of,
            timm_model,
        )

        model = timm_model(source) if isinstance(source, str) else source
        name = source if isinstance(source, str) else type(source).__name__
        state = our_names(model.state_dict())
        shape = shape_of(state, name)
        # Windows have no weights: the model itself tells them.
        windows = [stage[0].attn.ws for stage in model.blocks]  # type: ignore[union-attr]
        with torch.device("meta"):
            network = cls(windows=windows, **asdict(shape))
        load_weights(network, state, name)
        return network

    @classmethod
    def from_file(cls, path: str | Path, windows: Sequence[int] = (7, 7, 7, 7)) -> Self:
        """The network in a checkpoint, `.safetensors` or PyTorch's, under timm's names or ours.

        Its shape is read off the weights.

        Args:
            path: The file.
            windows: Side of the windows of each stage, which have no weights.

        Raises:
            MissingResourceError: The file cannot be read.
            InvalidInputError: It is no checkpoint of a Twins-SVT.
        """
        from factcheck.encoders.twins_svt_weights import load_weights, our_names, shape_of
        from factcheck.encoders.weights import read_weights

        state = our_names(read_weights(Path(path)))
        with torch.device("meta"):
            network = cls(windows=windows, **asdict(shape_of(state, path)))
        load_weights(network, state, path)
        return network

    def set_windows(self, windows: Sequence[int]) -> None:
        """Change the side of the windows of LSA of each stage; no weight depends on it."""
        for stage, window in zip(self.stages, windows, strict=True):
            for module in stage.modules():
                if isinstance(module, LocallyGroupedAttention):
                    module.window = window

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Whether training keeps only each block's input and computes the rest again."""
        for module in self.modules():
            if isinstance(module, Stage):
                module.gradient_checkpointing = enabled

    def forward(self, images: Tensor) -> TwinsSVTOutput:
        """Encode images.

        Args:
            images: (B, 3, H, W), normalised, of any size from 32 x 32 on.

        Raises:
            ValueError: The images have another shape.
        """
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images of shape (B, 3, H, W) are needed, not {tuple(images.shape)}")
        if min(images.shape[2:]) < SMALLEST_SIDE:
            raise ValueError(
                f"images of {images.shape[3]} x {images.shape[2]} pixels: the network needs at "
                f"least {SMALLEST_SIDE} x {SMALLEST_SIDE}"
            )
        grid = images.permute(0, 2, 3, 1)
        for stage in self.stages:
            grid = stage(grid)
        tokens = self.norm(grid).flatten(1, 2)
        return TwinsSVTOutput(tokens, tokens.mean(dim=1))


def _initialise(module: nn.Module) -> None:
    """Linear maps as the authors' (truncated normal of deviation 0.02), the CPE by its fan-out."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, ConditionalPositionEncoding):
        nn.init.normal_(module.convolution.weight, std=(2 / 9) ** 0.5)
        assert module.convolution.bias is not None
        nn.init.zeros_(module.convolution.bias)
