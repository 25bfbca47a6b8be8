"""Where passages and pictures are encoded: in this process, or on a Ray cluster.

What is done to a batch is the same function in both (`encode_passages`, `encode_pictures`), and
batches come back in the order in which they went out, so that an index does not depend on it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from factcheck.encoders import Encoders
from factcheck.errors import FactcheckError, InvalidInputError
from factcheck.pictures import FINGERPRINT_SIDE, decode, fingerprint, read_bytes
from factcheck.retrieval.vectors import not_unit

PASSAGES_AT_ONCE = 2048
"""Passages of a batch: enough for sub-batches of like lengths, few enough to see progress."""

PICTURES_AT_ONCE = 64


@dataclass(frozen=True)
class EncodedPictures:
    """A batch of N picture files, of which n can be read.

    Attributes:
        vectors: (n, C) float32 pooled vectors of those that can be read, in order.
        tokens: (n, T, C) float16 their token grids.
        sha256: Of each of the N files the hash of its bytes; None where it cannot be read.
        fingerprints: Of each of the N pictures its fingerprint in hexadecimal, where it has one.
        problems: Of each of the N files why it cannot be read; None for a good one.
    """

    vectors: np.ndarray
    tokens: np.ndarray
    sha256: list[str | None]
    fingerprints: list[str | None]
    problems: list[str | None]


class Engine(Protocol):
    """Encodes batches, in order."""

    def passages(self, batches: Iterable[list[str]]) -> Iterator[np.ndarray]:
        """(n, D) float32 vectors of each batch of n texts."""
        ...

    def pictures(self, batches: Iterable[list[Path]]) -> Iterator[EncodedPictures]:
        """The encodings of each batch of picture files."""
        ...


class LocalEngine:
    """Encodes in this process."""

    def __init__(self, encoders: Encoders) -> None:
        self._encoders = encoders

    def passages(self, batches: Iterable[list[str]]) -> Iterator[np.ndarray]:
        """See `Engine`."""
        for batch in batches:
            yield encode_passages(self._encoders, batch)

    def pictures(self, batches: Iterable[list[Path]]) -> Iterator[EncodedPictures]:
        """See `Engine`."""
        for batch in batches:
            yield encode_pictures(self._encoders, batch)


def encode_passages(encoders: Encoders, texts: Sequence[str]) -> np.ndarray:
    """(N, D) float32 vectors of passages.

    Raises:
        InvalidInputError: The encoder gives vectors that are not of unit length.
    """
    vectors = encoders.passages(texts)
    if not_unit(vectors) is not None:
        raise InvalidInputError(
            f"{encoders.text.name}: the text encoder gave a vector that is not of unit length"
        )
    return vectors


def encode_pictures(encoders: Encoders, paths: Sequence[Path]) -> EncodedPictures:
    """The encodings of picture files.

    Raises:
        InvalidInputError: The encoder gives vectors that are not of unit length.
    """
    encoded = encoders.pictures(paths)
    rows = encoded.rows[encoded.rows >= 0]
    vectors = encoded.pooled[rows]
    if not_unit(vectors) is not None:
        raise InvalidInputError(
            f"{encoders.image.name}: the image encoder gave a vector that is not of unit length"
        )
    return EncodedPictures(
        vectors,
        encoded.tokens[rows].astype(np.float16),
        [encoded.sha256[row] if row >= 0 else None for row in encoded.rows],
        [
            _fingerprint(path) if row >= 0 else None
            for path, row in zip(paths, encoded.rows, strict=True)
        ],
        [encoded.problems.get(place) for place in range(len(paths))],
    )


def _fingerprint(path: Path) -> str | None:
    try:
        found = fingerprint(decode(read_bytes(path), path, side=FINGERPRINT_SIDE))
    except FactcheckError:
        # The file has changed since it was encoded.
        return None
    return None if found is None else f"{found:016x}"
