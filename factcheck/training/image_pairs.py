"""Batches for the image encoder: edited views of photographs, look-alikes together."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from factcheck.datasets.photo_edits import heavy_copy, light_copy
from factcheck.datasets.photographs import Photograph
from factcheck.encoders.image import ImageTransform
from factcheck.errors import InvalidInputError
from factcheck.training.teacher import nearest_neighbours
from factcheck.training_settings import ImageEncoderTraining, SmallStart


def require_enough(
    settings: ImageEncoderTraining, trained_on: int, kept_aside: int, folders: Sequence[Path]
) -> None:
    """Make sure that there are photographs enough for what the settings ask of them.

    Args:
        settings: The run.
        trained_on: Photographs of `share`.
        kept_aside: Photographs of `validation_share`.
        folders: Where they are from.

    Raises:
        InvalidInputError: There are not.
    """
    where = ", ".join(map(str, folders))
    if trained_on < settings.batch_size:
        raise InvalidInputError(
            f"{where}: of share {settings.share[0]:g} to {settings.share[1]:g} there are "
            f"{trained_on} photographs, too few for a batch of {settings.batch_size} (batch_size)"
        )
    if trained_on <= settings.neighbours:
        raise InvalidInputError(
            f"{where}: of share {settings.share[0]:g} to {settings.share[1]:g} there are "
            f"{trained_on} photographs, too few for each to have {settings.neighbours} look-alikes "
            "(neighbours)"
        )
    if kept_aside < 2:
        low, high = settings.validation_share
        raise InvalidInputError(
            f"{where}: fewer than two photographs are of validation_share {low:g} to {high:g}, and "
            "none can be told from another"
        )


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

    Raises:
        InvalidInputError: There are fewer photographs than a batch holds.
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
        if len(neighbours) < batch_size:
            raise InvalidInputError(
                f"{len(neighbours)} photographs are too few for a batch of {batch_size}"
            )
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
        network has seen fewer than half of the photographs, or too few to have so many. Those not
        yet seen repeat the teacher's.
    """
    seen = np.flatnonzero(np.abs(latest).sum(axis=1) > 0)
    if count == 0 or 2 * len(seen) < len(latest) or len(seen) <= count:
        return neighbours
    own = np.resize(neighbours.T, (count, len(neighbours))).T
    own[seen] = seen[nearest_neighbours(latest[seen], count)]
    return np.concatenate([neighbours, own], axis=1)
