"""Local features: whether two pictures show the same things in the same places.

Token grids say how likely it is that two pictures are the same. They have learnt from photographs,
and drawings, charts and textures look alike to them. Here single points are compared, and where
they lie: points of high contrast (SIFT, Lowe, IJCV 2004; the root of its descriptors, Arandjelovic
and Zisserman, CVPR 2012, section 3) that have one clear counterpart in the other picture (the ratio
test, Lowe, section 7.1), of which as many as possible must be moved by one shift, scale and turn
(RANSAC, Fischler and Bolles, CACM 1981). Nothing is learnt, so nothing needs to have been seen
before. It takes the pixels, and much longer than to compare token grids.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from PIL import Image

SIDE = 400
"""The longer side, in pixels, of the picture that points are looked for in; none is enlarged."""

_POINTS = 500

# Half of what Lowe has: thin lines of drawings and the faded colours of re-posts count, too.
_CONTRAST = 0.02

_RATIO = 0.8

# So far, in pixels, a point may be from where it should be. Points that lie in one cell of the
# second size are one place: an edge has many, and so has one thing at several scales.
_TOLERANCE = 4.0
_CELL = 8.0

_TRIES = 2000
_CONFIDENCE = 0.999

# A picture of fewer pixels a side has no points.
_LEAST_SIDE = 16

# A descriptor is a grid of 4 by 4 cells with the gradient's direction in 8 bins each, both as seen
# from the direction of the point itself, which a mirror leaves where it is.
_CELLS, _BINS = 4, 8


@dataclass(frozen=True)
class LocalFeatures:
    """Points of a picture.

    Attributes:
        places: (N, 2) float32 positions x and y, in pixels of the picture scaled to `SIDE`.
        descriptors: (N, 128) float32 of unit length.
    """

    places: np.ndarray
    descriptors: np.ndarray

    def __len__(self) -> int:
        """Number N of points."""
        return len(self.places)

    @classmethod
    def of(cls, image: Image.Image) -> Self:
        """The points of a picture of any size."""
        # Takes a fifth of a second, which those that compare no pictures need not wait for.
        import cv2

        small = image.convert("L")
        small.thumbnail((SIDE, SIDE))
        if min(small.size) < _LEAST_SIDE:
            return cls(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
        detector = cv2.SIFT.create(nfeatures=_POINTS, contrastThreshold=_CONTRAST)
        points, found = detector.detectAndCompute(np.asarray(small), None)
        places = np.array([point.pt for point in points], np.float32).reshape(-1, 2)
        counts = np.zeros((0, 128), np.float32) if found is None else found
        sums = np.maximum(counts.sum(axis=1, keepdims=True), 1e-9)
        return cls(places, np.sqrt(counts / sums).astype(np.float32))

    def mirrored(self) -> Self:
        """The points of the picture with left and right exchanged, to the left of the origin."""
        grids = self.descriptors.reshape(-1, _CELLS, _CELLS, _BINS)
        # What lay to one side of a point's direction lies to the other, and turns count backwards.
        turned = grids[:, ::-1][..., -np.arange(_BINS) % _BINS]
        places = self.places * np.array([-1, 1], np.float32)
        return type(self)(places, np.ascontiguousarray(turned.reshape(-1, 128)))


def matched_places(picture: LocalFeatures, other: LocalFeatures) -> int:
    """In how many different places a picture, or its mirror image, matches another.

    Pictures of different things match in a handful of places at most, by chance
    (`scripts/measure_local_features.py`).

    Args:
        picture: Points of one picture.
        other: Points of the other.

    Returns:
        The number of places, of the two sides' the smaller one.
    """
    return max(_matched(picture, other), _matched(picture.mirrored(), other))


def _matched(left: LocalFeatures, right: LocalFeatures) -> int:
    import cv2

    # Two points always fit.
    if len(left) < 3 or len(right) < 3:
        return 0
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(left.descriptors, right.descriptors, k=2)
    chosen = [first for first, second in pairs if first.distance < _RATIO * second.distance]
    if len(chosen) < 3:
        return 0
    own = left.places[[match.queryIdx for match in chosen]]
    others = right.places[[match.trainIdx for match in chosen]]
    _, kept = cv2.estimateAffinePartial2D(
        own,
        others,
        method=cv2.RANSAC,
        ransacReprojThreshold=_TOLERANCE,
        maxIters=_TRIES,
        confidence=_CONFIDENCE,
    )
    if kept is None:
        return 0
    inside = kept.ravel().astype(bool)
    return min(_cells(own[inside]), _cells(others[inside]))


def _cells(places: np.ndarray) -> int:
    return len(np.unique(np.floor(places / _CELL), axis=0))
