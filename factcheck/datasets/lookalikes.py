"""Photographs that look alike to a simple eye: similar layout and similar colours."""

from collections.abc import Callable, Sequence
from random import Random

import numpy as np
from PIL import Image

from factcheck.datasets.photographs import Photograph

NEIGHBOURS = 5
"""How many of the nearest photographs to draw from."""

_GRID = 8
_LEVELS = 4
_CHUNK = 1024


def describe(image: Image.Image) -> np.ndarray:
    """What a picture looks like from afar: a thumbnail and a histogram of its colours.

    Args:
        image: An RGB image.

    Returns:
        A unit vector, float32, shape (8 * 8 * 3 + 4 ** 3,): luma and chroma of a thumbnail,
        and the square roots of the shares of 64 colours, each half counting as much.
    """
    small = image.convert("RGB").resize((64, 64), Image.Resampling.BOX)
    thumbnail = np.asarray(
        small.convert("YCbCr").resize((_GRID, _GRID), Image.Resampling.BOX), dtype=np.float32
    )
    layout = (thumbnail - 128.0).ravel()
    layout /= max(float(np.linalg.norm(layout)), 1e-6)
    levels = np.asarray(small, dtype=np.int64) * _LEVELS // 256
    colour = (levels[..., 0] * _LEVELS + levels[..., 1]) * _LEVELS + levels[..., 2]
    counts = np.bincount(colour.ravel(), minlength=_LEVELS**3).astype(np.float32)
    colours = np.sqrt(counts / counts.sum())
    return np.concatenate([layout, colours]) / np.float32(np.sqrt(2))


class Lookalikes:
    """For each of a set of photographs the nearest others.

    Attributes:
        photographs: The set.
    """

    def __init__(
        self,
        photographs: Sequence[Photograph],
        open_photograph: Callable[[Photograph], Image.Image],
    ) -> None:
        """Describe all photographs and find the neighbours of each.

        Args:
            photographs: At least two.
            open_photograph: Reads one.
        """
        self.photographs = tuple(photographs)
        vectors = np.stack([describe(open_photograph(photo)) for photo in photographs])
        neighbours = []
        for start in range(0, len(vectors), _CHUNK):
            similar = vectors[start : start + _CHUNK] @ vectors.T
            similar[np.arange(len(similar)), start + np.arange(len(similar))] = -np.inf
            order = np.argsort(-similar, axis=1, kind="stable")
            neighbours.append(order[:, : min(NEIGHBOURS, len(vectors) - 1)])
        self._neighbours: list[list[int]] = np.concatenate(neighbours).tolist()
        self._places = {photo.sha256: place for place, photo in enumerate(self.photographs)}

    def near(self, photograph: Photograph, rng: Random) -> Photograph:
        """One of the photographs that look most like a given one of the set, never itself."""
        return self.photographs[rng.choice(self._neighbours[self._places[photograph.sha256]])]
