"""Batches for the image encoder: edited views of photographs, look-alikes together."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from factcheck.datasets.photo_edits import heavy_copy, light_copy
from factcheck.datasets.photographs import Photograph
from factcheck.encoders.image import ImageTransform
from factcheck.training.teacher import nearest_neighbours
from factcheck.training_settings import SmallStart


class EditedPairs(Dataset[tuple[Tensor, Tensor, int]]):
    """Two edited views of each photograph, made anew at each reading.

    Photographs are decoded once and held in memory (about 0.2 MB each at 192 pixels).
    Item `(index, step)` gives `(light, heavy, index)`: uint8 tensors (3, side, side).

    Args:
        photographs: The photographs.
        transform: From an edited picture to pixels.
        small_start: The first steps, whose pictures are smaller.
    """

    def __init__(
        self,
        photographs: list[Photograph],
        transform: ImageTransform,
        small_start: SmallStart | None = None,
    ) -> None:
        self.transform = transform
        self.small_start = small_start
        self.images: list[Image.Image] = []
        for photograph in photographs:
            with Image.open(photograph.path) as image:
                self.images.append(image.convert("RGB"))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor, int]:
        index, step = key
        rng = Random(f"{index}/{step}")
        image = self.images[index]
        light, heavy = light_copy(image, rng), heavy_copy(image, rng)
        transform = self.transform
        if self.small_start is not None and step < self.small_start.steps:
            transform = replace(transform, side=self.small_start.side)
        return transform.pixels(light), transform.pixels(heavy), index


class LookalikeBatches(Sampler[list[tuple[int, int]]]):
    """Batches made of clusters: a random photograph and some of its nearest neighbours.

    Args:
        neighbours: (photographs, n) indices of each photograph's nearest neighbours, nearest first.
        batch_size: Photographs a batch.
        cluster_size: Photographs a cluster, the first drawn at random without replacement.
        start: Number of batches already used (a resumed run goes on with the next).
        stop: Number of batches at which the run ends.
        seed: Seed of the whole sequence of batches.
    """

    def __init__(
        self,
        neighbours: np.ndarray,
        batch_size: int,
        cluster_size: int,
        start: int,
        stop: int,
        seed: int,
    ) -> None:
        self.neighbours = neighbours
        self.batch_size = batch_size
        self.cluster_size = cluster_size
        self.start, self.stop, self.seed = start, stop, seed

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.start, self.stop):
            rng = np.random.default_rng((self.seed, step))
            chosen: dict[int, None] = {}
            while len(chosen) < self.batch_size:
                first = int(rng.integers(len(self.neighbours)))
                near = rng.permutation(self.neighbours[first])[: self.cluster_size - 1]
                for index in (first, *map(int, near)):
                    if len(chosen) < self.batch_size:
                        chosen.setdefault(index)
            yield [(index, step) for index in chosen]


def own_neighbours(latest: np.ndarray, neighbours: np.ndarray, count: int) -> np.ndarray:
    """Put a network's own look-alikes beside those of its teacher.

    What a network itself takes for alike are the negatives that it has most to learn from.

    Args:
        latest: (photographs, C) its latest vector of each photograph, zeros where it has none.
        neighbours: (photographs, n) the teacher's look-alikes.
        count: How many of the network's own are added.

    Returns:
        (photographs, n + count) indices, the teacher's first; unchanged neighbours while the
        network has seen fewer than half of the photographs. Those not yet seen repeat the
        teacher's.
    """
    seen = np.flatnonzero(np.abs(latest).sum(axis=1) > 0)
    if count == 0 or 2 * len(seen) < len(latest):
        return neighbours
    own = np.resize(neighbours.T, (count, len(neighbours))).T
    own[seen] = seen[nearest_neighbours(latest[seen], count)]
    return np.concatenate([neighbours, own], axis=1)
