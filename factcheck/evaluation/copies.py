"""How well an image encoder tells a re-posted copy from another picture.

A positive pair is a photograph lightly edited and the same one heavily edited; a negative pair is a
photograph lightly edited and another one heavily edited, every second time one that looks alike.
There are as many of each.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Similarity = Callable[[Tensor, Tensor], Tensor]
"""From the token grids (N, T, C) of both sides to (N,) similarities."""


def others_of(lookalikes: np.ndarray, seed: int) -> np.ndarray:
    """For each of N photographs the one it makes a negative pair with.

    Args:
        lookalikes: (N,) for each the position of one that looks alike.
        seed: Chooses the rest.

    Returns:
        (N,) positions: its look-alike for every second, for the others any other photograph.
    """
    count = len(lookalikes)
    steps = np.random.default_rng(seed).integers(1, count, count)
    positions = np.arange(count)
    return np.where(positions % 2 == 0, lookalikes, (positions + steps) % count)


@dataclass(frozen=True)
class Separation:
    """How well similarities part copies from other pictures.

    Attributes:
        auc: Area under the ROC curve.
        accuracy: Share of pairs told right at the threshold, both kinds weighing alike.
        threshold: The similarity from which on a pair counts as a copy.
    """

    auc: float
    accuracy: float
    threshold: float


def separation(
    same: np.ndarray, different: np.ndarray, threshold: float | None = None
) -> Separation:
    """Measure how well similarities part copies from other pictures.

    Args:
        same: (P,) similarities of copies.
        different: (N,) similarities of different pictures.
        threshold: Where to part them; the best for these very pairs without one, which is above all
            of them where no threshold parts them better than chance.
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    scores = np.concatenate([same, different])
    truth = np.concatenate([np.ones(len(same)), np.zeros(len(different))])
    if threshold is None:
        false_rate, true_rate, thresholds = roc_curve(truth, scores, drop_intermediate=False)
        best = int(np.argmax(true_rate - false_rate))
        # Half way to the next lower one: a threshold on the edge would fit these pairs alone.
        below = scores[scores < thresholds[best]]
        if np.isinf(thresholds[best]):
            # scikit-learn's first threshold, above all scores; JSON knows no infinity.
            threshold = float(np.nextafter(scores.max(), scores.dtype.type(np.inf)))
        elif len(below):
            threshold = float((thresholds[best] + below.max()) / 2)
        else:
            threshold = float(thresholds[best])
    accuracy = ((same >= threshold).mean() + (different < threshold).mean()) / 2
    return Separation(float(roc_auc_score(truth, scores)), float(accuracy), threshold)


@torch.inference_mode()
def pair_similarities(
    light: Tensor, heavy: Tensor, others: np.ndarray, similarity: Similarity
) -> tuple[np.ndarray, np.ndarray]:
    """Similarities of the positive and of the negative pairs.

    Args:
        light: (N, T, C) token grids of the lightly edited photographs.
        heavy: (N, T, C) token grids of the heavily edited ones, in the same order.
        others: (N,) positions, as `others_of` gives them.
        similarity: How two grids are compared.
    """
    same = similarity(light, heavy)
    different = similarity(light, heavy[torch.from_numpy(others)])
    return same.numpy(), different.numpy()
