"""Pairs of pictures that token grids leave in doubt, compared by their local features.

To compare two pictures point by point takes some hundredths of a second
(`data/results/local-features.json`), and where token grids are sure it changes little. So only
those pairs are compared that a readout of the grids (`image_match.CopyReadout`) is not sure of.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from factcheck import pictures
from factcheck.encoders.encoders import DECODERS, Encoders
from factcheck.encoders.local_features import SIDE, LocalFeatures, matched_places
from factcheck.errors import FactcheckError

DOUBTFUL = (-3.0, 3.0)
"""Logits of the readout between which pairs of photographs are compared, of thousands that is: one
in twelve, and five in six of those that the readout would get wrong."""

POSSIBLE = (-5.0, 10.0)
"""Logits between which a pair is compared where there are few: two drawings of the demo that are
not the same reach 8, and of 2,810 pairs of photographs one is wrong beyond 5 either way."""

SAME_PLACES = 20
"""Pictures that match in so many places are taken to be the same one. Those that share no more than
a station's frame stay below; another moment of the same scene may not (`local-features.json`)."""

# Names what a cached number depends on beside the two files.
_METHOD = "matched places 1"

# Of fewer points nothing can be told: a flag has some twenty, a photograph hundreds.
_LEAST_POINTS = 40

_AT_ONCE = 64


@dataclass(frozen=True)
class PictureFile:
    """A picture as it was encoded.

    Attributes:
        path: Where it lies.
        sha256: Hash of the bytes it was encoded from, in hexadecimal. A file that has others now,
            or that a stranger's index names and nobody has encoded, is not looked at.
    """

    path: str | Path
    sha256: str


def doubtful_pairs(
    encoders: Encoders, left: np.ndarray, right: np.ndarray, between: tuple[float, float]
) -> np.ndarray:
    """Which pairs of pictures the readout of their token grids is not sure of.

    Args:
        encoders: The image encoder's readout; without one all pairs are in doubt.
        left: (N, T, C) token grids.
        right: (N, T, C) those beside them.
        between: The logits that it is not sure between.

    Returns:
        (N,) bool.
    """
    logits = copy_logits(encoders, left, right)
    # Without a readout the logits are NaN.
    sure: np.ndarray = (logits <= between[0]) | (logits >= between[1])
    return ~sure


def copy_logits(encoders: Encoders, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """What the readout of token grids says of pairs of pictures.

    Args:
        encoders: The image encoder's readout.
        left: (N, T, C) token grids.
        right: (N, T, C) those beside them.

    Returns:
        (N,) float32 logits of being the same picture; NaN without a readout.
    """
    readout = encoders.image.copies
    if readout is None or not len(left):
        return np.full(len(left), np.nan, dtype=np.float32)
    device = next(readout.parameters()).device
    with torch.inference_mode():
        grids = (torch.from_numpy(side).to(device) for side in (left, right))
        logits: np.ndarray = readout(*grids).cpu().numpy()
    return logits


def compare_pictures(
    encoders: Encoders, pairs: Sequence[tuple[PictureFile, PictureFile]]
) -> np.ndarray:
    """In how many places pictures match (`local_features`), each different pair compared once.

    Args:
        encoders: Hold the cache, if there is one.
        pairs: N pairs.

    Returns:
        (N,) float32; NaN where a file is not there any more, cannot be read or is another one now,
        and where a picture shows too little to be compared.
    """
    different = list(dict.fromkeys(pairs))
    keys = [_key(*pair) for pair in different]
    cache = encoders.cache
    known = encoders.known(keys, 1)
    places = {
        pair: float(known[key][0])
        for pair, key in zip(different, keys, strict=True)
        if key in known
    }
    new = [pair for pair in different if pair not in places]
    with ThreadPoolExecutor(DECODERS) as threads:
        for start in range(0, len(new), _AT_ONCE):
            some = new[start : start + _AT_ONCE]
            files = list(dict.fromkeys(file for pair in some for file in pair))
            features = dict(zip(files, threads.map(_features, files), strict=True))
            sides = ([features[pair[side]] for pair in some] for side in (0, 1))
            found = dict(zip(some, threads.map(_matched, *sides), strict=True))
            places |= found
            if cache is not None:
                # What could not be read now may be there another time.
                cache.put(
                    (_key(*pair), np.array([value], dtype=np.float32))
                    for pair, value in found.items()
                    if not np.isnan(value)
                )
    return np.array([places[pair] for pair in pairs], dtype=np.float32)


def _key(left: PictureFile, right: PictureFile) -> bytes:
    return hashlib.sha256(f"{_METHOD} {left.sha256} {right.sha256}".encode()).digest()


def _features(file: PictureFile) -> LocalFeatures | None:
    """The points of a picture; None where it is not there as it was encoded."""
    try:
        data = pictures.read_bytes(file.path)
        if hashlib.sha256(data).hexdigest() != file.sha256:
            return None
        return LocalFeatures.of(pictures.decode(data, file.path, side=SIDE))
    except FactcheckError:
        return None


def _matched(left: LocalFeatures | None, right: LocalFeatures | None) -> float:
    if left is None or right is None or min(len(left), len(right)) < _LEAST_POINTS:
        return float("nan")
    return float(matched_places(left, right))
