"""The vector and token files of an index, written, checked and read."""

import struct
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from factcheck.errors import InvalidInputError, UsageError

if TYPE_CHECKING:
    import faiss

FACTORY = "Flat"

# What FAISS writes before the vectors of a flat inner-product index: four letters, dimension,
# number of vectors, two constants, whether it is trained, the metric (0 is the inner product), and
# the number of floats that follow (faiss/impl/index_write.cpp).
_HEADER = struct.Struct("<4siqqqBiQ")
_LETTERS = b"IxFI"
_CONSTANT = 1 << 20

# The norm of float32 vectors of unit length differs from 1 by far less.
_TOLERANCE = 1e-2
_CHECKED_AT_ONCE = 2**16


def new_index(dimension: int) -> "faiss.Index":
    """An empty index of vectors of that length, compared by inner product."""
    import faiss

    return faiss.index_factory(dimension, FACTORY, faiss.METRIC_INNER_PRODUCT)


def write_index(index: "faiss.Index", path: Path) -> None:
    """Write an index.

    Raises:
        RuntimeError: FAISS could not write it.
        OSError: FAISS wrote less than it should have, of which it says nothing.
    """
    import faiss

    faiss.write_index(index, str(path))
    expected = _HEADER.size + 4 * index.ntotal * index.d
    if (size := path.stat().st_size) != expected:
        raise OSError(0, f"{size:,} of {expected:,} bytes of {path.name} were written")


def read_index(path: Path, dimension: int, count: int) -> "faiss.Index":
    """Read an index, once its header and size are known to be what the manifest says.

    FAISS's reader takes sizes and kinds of index from the file; one from a stranger could make it
    allocate without bound or run into code that is not needed here.

    Args:
        path: The file.
        dimension: Length of its vectors.
        count: Number of its vectors.

    Raises:
        InvalidInputError: The file is not a flat inner-product index of that shape, or its vectors
            are not of unit length.
    """
    import faiss

    with path.open("rb") as file:
        header = file.read(_HEADER.size)
    floats = count * dimension
    expected = (_LETTERS, dimension, count, _CONSTANT, _CONSTANT, 1, 0, floats)
    if not header.startswith(_LETTERS):
        raise InvalidInputError(f"{path}: not a flat inner-product index of FAISS")
    if len(header) < _HEADER.size or _HEADER.unpack(header) != expected:
        raise InvalidInputError(
            f"{path}: its header is not that of {count} vectors of length {dimension}"
        )
    if (size := path.stat().st_size) != _HEADER.size + 4 * floats:
        raise InvalidInputError(
            f"{path}: {size:,} bytes are not {count} vectors of length {dimension}"
        )
    try:
        index = faiss.read_index(str(path))
    except RuntimeError as error:
        raise InvalidInputError(f"{path}: FAISS cannot read it") from error
    for start in range(0, count, _CHECKED_AT_ONCE):
        rows = min(_CHECKED_AT_ONCE, count - start)
        bad = not_unit(index.reconstruct_n(start, rows))
        if bad is not None:
            raise InvalidInputError(f"{path}: vector {start + bad} is not of unit length")
    return index


def not_unit(vectors: np.ndarray) -> int | None:
    """The first row of (N, D) vectors that is not of unit length, or holds what is no number."""
    squares = np.einsum("nd,nd->n", vectors, vectors)
    # The comparison is false for NaN too.
    bad = np.flatnonzero(~(np.abs(squares - 1) < _TOLERANCE))
    return int(bad[0]) if bad.size else None


class TokenWriter:
    """Writes (n, T, C) float16 token grids to a .npy file, n being known only at the end.

    Grids go through the file system's ordinary writes: on a full disk a memory map would end the
    process with a bus error.
    """

    def __init__(self, path: Path, tokens: int, dimension: int) -> None:
        self._shape = (tokens, dimension)
        self._count = 0
        self._file = path.open("wb")
        _write_header(self._file, (0, *self._shape))
        self._start = self._file.tell()

    def add(self, grids: np.ndarray) -> None:
        """Append (n, T, C) grids."""
        self._file.write(np.ascontiguousarray(grids, dtype="<f2").tobytes())
        self._count += len(grids)

    def commit(self) -> None:
        """Finish the file."""
        # numpy leaves room in a header for its first axis to grow, so the second fits the first.
        self._file.seek(0)
        _write_header(self._file, (self._count, *self._shape))
        if self._file.tell() != self._start:
            raise OSError(0, "the header of the token file changed its length")
        self._file.close()

    def close(self) -> None:
        """Let go of the file, finished or not."""
        # What could not be written before cannot be written now, and has been reported.
        with suppress(OSError):
            self._file.close()


def read_tokens(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Map a token file into memory, once it is known to be what the manifest says.

    Args:
        path: The file.
        shape: The (n, T, C) that it must have.

    Returns:
        (n, T, C) float16, on disk until it is read.

    Raises:
        InvalidInputError: The file is not an array of that shape.
    """
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise ValueError(f"version {version}")
            header = np.lib.format.read_array_header_1_0(file)
            start = file.tell()
    except (ValueError, EOFError) as error:
        raise InvalidInputError(f"{path}: not an array file of numpy") from error
    if header != (shape, False, np.dtype("<f2")):
        raise InvalidInputError(f"{path}: not a float16 array of shape {shape}")
    if path.stat().st_size != start + 2 * shape[0] * shape[1] * shape[2]:
        raise InvalidInputError(f"{path}: its size is not that of an array of shape {shape}")
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def nearest(index: "faiss.Index", vectors: np.ndarray, k: int) -> list[list[tuple[int, float]]]:
    """For each vector its nearest rows with their cosines, best first, equals by row.

    Raises:
        UsageError: `k` is less than 1, or the vectors have another shape or are not numbers.
    """
    check_k(k)
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if vectors.ndim != 2 or vectors.shape[1] != index.d:
        raise UsageError(f"vectors of shape {vectors.shape} given, (N, {index.d}) needed")
    if not np.isfinite(vectors).all():
        raise UsageError("a vector to search with is not a finite number throughout")
    k = min(k, index.ntotal)
    if k == 0 or not len(vectors):
        return [[] for _ in vectors]
    scores, rows = index.search(vectors, k)
    # Rounding takes a cosine of equals a little past 1.
    scores = np.clip(scores, -1, 1)
    order = np.lexsort((rows, -scores), axis=1)
    return [[(int(rows[i, j]), float(scores[i, j])) for j in order[i]] for i in range(len(vectors))]


def check_k(k: int) -> None:
    """Refuse a search for no results."""
    if k < 1:
        raise UsageError(f"k is {k}, and at least 1 result must be asked for")


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f2", "fortran_order": False, "shape": shape}
    )
