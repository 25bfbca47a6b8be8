"""What the two attentions of a Twins-SVT cost, and which sub-windows cost least.

Chu et al. (arXiv:2104.13840, section 3.3) give the cost of a block of LSA followed by one of GSA on
a map of H x W tokens of width d, with windows and sub-windows of k1 x k2 tokens:

    O(k1 k2 H W d  +  H^2 W^2 d / (k1 k2))

The first term grows with k, the second shrinks, and the sum is least at k1 k2 = sqrt(HW), where it
is 2 HWd sqrt(HW). The authors say that k could be calibrated for each stage, and use 7 everywhere.
`calibrate` does it, by the formula and by timing the attentions themselves.
"""

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from factcheck.encoders.twins_svt import (
    PATCH,
    SMALLEST_SIDE,
    GlobalSubsampledAttention,
    LocallyGroupedAttention,
)


def attention_cost(height: int, width: int, dim: int, window: float, sub_window: float) -> float:
    """Multiply-adds of LSA then GSA, of the order that the paper gives (section 3.3).

    Counted is one product of queries with keys for each; the products with values double both
    terms, and the linear maps around them do not depend on the sides.

    Args:
        height: Height of the map, tokens.
        width: Width of the map, tokens.
        dim: Width d of a token.
        window: Side of a window of LSA, tokens.
        sub_window: Side of a sub-window of GSA, tokens.

    Returns:
        window^2 HWd + H^2 W^2 d / sub_window^2.
    """
    tokens = height * width
    return tokens * dim * (window**2 + tokens / sub_window**2)


def network_cost(
    height: int,
    width: int,
    *,
    dims: Sequence[int] = (64, 128, 256, 512),
    depths: Sequence[int] = (2, 2, 10, 4),
    windows: Sequence[int] = (7, 7, 7, 7),
    sub_windows: Sequence[int] = (8, 4, 2, 1),
    mlp_ratio: int = 4,
) -> float:
    """Multiply-adds of a whole Twins-SVT for one image of `height` x `width` pixels.

    The two products of each attention, the linear maps, the patch embeddings and the convolutions
    of the position encoding; norms and activations are left out. The defaults are the small
    variant.
    """
    total = 0.0
    dim_in, rows, columns, patch = 3, height, width, PATCH
    for dim, depth, window, k in zip(dims, depths, windows, sub_windows, strict=True):
        rows, columns = rows // patch, columns // patch
        tokens = rows * columns
        local, sampled = (depth + 1) // 2, depth // 2
        total += tokens * patch**2 * dim_in * dim + 9 * tokens * dim
        total += depth * 2 * mlp_ratio * tokens * dim**2
        total += local * (4 * tokens * dim**2 + 2 * tokens * window**2 * dim)
        subsampling = tokens * dim**2 if k > 1 else 0
        total += sampled * (
            2 * tokens * dim**2
            + subsampling
            + 2 * tokens / k**2 * dim**2
            + 2 * tokens**2 / k**2 * dim
        )
        dim_in, patch = dim, 2
    return total


@dataclass(frozen=True)
class StageCalibration:
    """The best side of windows and sub-windows, k, for one stage at one resolution.

    Attributes:
        stage: Number of the stage, from 1.
        height: Height of its map, tokens.
        width: Width of its map, tokens.
        formula: Multiply-adds by the paper's formula, for each k.
        seconds: Median time of one LSA and one GSA with that k; empty when nothing was timed.
    """

    stage: int
    height: int
    width: int
    formula: dict[int, float]
    seconds: dict[int, float]

    @property
    def by_formula(self) -> int:
        """The k of the lowest cost by the formula."""
        return min(self.formula, key=lambda k: self.formula[k])

    @property
    def by_measurement(self) -> int | None:
        """The k of the shortest time, if it was measured."""
        return min(self.seconds, key=lambda k: self.seconds[k]) if self.seconds else None


def calibrate(
    height: int,
    width: int,
    *,
    dims: Sequence[int] = (64, 128, 256, 512),
    heads: Sequence[int] = (2, 4, 8, 16),
    candidates: Iterable[int] = range(1, 17),
    repeats: int = 5,
) -> list[StageCalibration]:
    """Find the best k = window = sub-window of each stage, by formula and on this machine.

    The candidates of a stage are timed in turn, round after round, so that a busy moment of the
    machine falls on all of them.

    Args:
        height: Height of the images, pixels.
        width: Width of the images, pixels.
        dims: Width of each stage; the default is the small variant's.
        heads: Attention heads of each stage.
        candidates: Values of k to try; those larger than a stage's map are left out.
        repeats: Rounds of timing; 0 leaves only the formula.

    Raises:
        ValueError: The image is smaller than the network takes.
    """
    if min(height, width) < SMALLEST_SIDE:
        raise ValueError(
            f"{width} x {height} pixels: the network needs at least {SMALLEST_SIDE} x "
            f"{SMALLEST_SIDE}"
        )
    sides = sorted(set(candidates))
    calibrations = []
    rows, columns, patch = height, width, PATCH
    for number, (dim, stage_heads) in enumerate(zip(dims, heads, strict=True)):
        rows, columns = rows // patch, columns // patch
        fitting = [k for k in sides if 1 <= k <= min(rows, columns)]
        formula = {k: attention_cost(rows, columns, dim, k, k) for k in fitting}
        seconds = _time_attention(rows, columns, dim, stage_heads, fitting, repeats)
        calibrations.append(StageCalibration(number + 1, rows, columns, formula, seconds))
        patch = 2
    return calibrations


@torch.inference_mode()
def _time_attention(
    rows: int, columns: int, dim: int, heads: int, sides: list[int], repeats: int
) -> dict[int, float]:
    grid = torch.randn(1, rows, columns, dim, generator=torch.Generator().manual_seed(0))
    pairs = {
        k: nn.Sequential(
            LocallyGroupedAttention(dim, heads, k), GlobalSubsampledAttention(dim, heads, k)
        ).eval()
        for k in sides
    }
    times: dict[int, list[float]] = {k: [] for k in sides}
    for number in range(repeats + 1 if repeats else 0):
        for k, pair in pairs.items():
            started = time.perf_counter()
            pair(grid)
            if number:  # The first round warms up.
                times[k].append(time.perf_counter() - started)
    return {k: statistics.median(rounds) for k, rounds in times.items() if rounds}
