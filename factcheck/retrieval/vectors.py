"""The vector and token files of an index, written, checked and read."""

import math
import struct
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from factcheck.errors import InvalidInputError, UsageError
from factcheck.retrieval.mapped import map_bytes

if TYPE_CHECKING:
    import faiss

# What FAISS writes before the vectors of a flat inner-product index: four letters, dimension,
# number of vectors, two constants, whether it is trained, the metric (0 is the inner product), and
# the number of floats that follow (faiss/impl/index_write.cpp).
_HEADER = struct.Struct("<4siqqqBiQ")
_LETTERS = b"IxFI"
_CONSTANT = 1 << 20

# The norm of float32 vectors of unit length differs from 1 by far less.
_TOLERANCE = 1e-2
_CHECKED_AT_ONCE = 2**16

# What numpy writes before the arrays of an index takes 128 bytes.
_MAX_HEADER = 1024


class VectorWriter:
    """Writes (n, D) float32 vectors as a flat inner-product index of FAISS, n known at the end.

    Vectors go to disk as they come, so that memory holds a batch of them whatever n is, and a build
    that was stopped goes on behind the last whole vector.
    """

    def __init__(self, path: Path, dimension: int, resume: bool = False) -> None:
        """Open the file.

        Args:
            path: The file.
            dimension: Length D of the vectors.
            resume: Whether the vectors that are there already are kept.

        Raises:
            OSError: It cannot be written.
        """
        self._dimension = dimension
        self._file = path.open("r+b" if resume and path.exists() else "wb")
        self.count = max(0, path.stat().st_size - _HEADER.size) // (4 * dimension)
        if self.count == 0:
            self._file.write(self._header(0))
        self.truncate(self.count)

    def truncate(self, count: int) -> None:
        """Keep only the first vectors."""
        self.count = count
        self._file.seek(_HEADER.size + 4 * self._dimension * count)
        self._file.truncate()

    def kept(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, D) vectors that are there."""
        self._file.seek(_HEADER.size + 4 * self._dimension * start)
        data = self._file.read(4 * self._dimension * (stop - start))
        self._file.seek(0, 2)
        return np.frombuffer(data, dtype="<f4").reshape(-1, self._dimension)

    def add(self, vectors: np.ndarray) -> None:
        """Append (n, D) vectors."""
        self._file.write(np.ascontiguousarray(vectors, dtype="<f4").tobytes())
        self._file.flush()
        self.count += len(vectors)

    def commit(self) -> None:
        """Finish the file."""
        self._file.seek(0)
        self._file.write(self._header(self.count))
        self._file.close()

    def close(self) -> None:
        """Let go of the file, finished or not."""
        # What could not be written before cannot be written now, and has been reported.
        with suppress(OSError):
            self._file.close()

    def _header(self, count: int) -> bytes:
        floats = count * self._dimension
        return _HEADER.pack(_LETTERS, self._dimension, count, _CONSTANT, _CONSTANT, 1, 0, floats)


def read_vectors(path: Path, dimension: int, count: int, thorough: bool) -> "faiss.Index":
    """Map a vector file into memory, once its header and size are what the manifest says.

    FAISS's reader takes sizes and kinds of index from the file; one from a stranger could make it
    allocate without bound or run into code that is not needed here.

    Args:
        path: The file.
        dimension: Length of its vectors.
        count: Number of its vectors.
        thorough: Whether every vector is looked at, which takes time.

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
    if count == 0:
        # There is nothing to map.
        return faiss.IndexFlatIP(dimension)
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise InvalidInputError(f"{path}: FAISS cannot read it") from error
    for start in range(0, count if thorough else 0, _CHECKED_AT_ONCE):
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

    def __init__(self, path: Path, tokens: int, dimension: int, resume: bool = False) -> None:
        """Open the file.

        Args:
            path: The file.
            tokens: Tokens T of a grid.
            dimension: Width C of a token.
            resume: Whether the grids that are there already are kept.

        Raises:
            OSError: It cannot be written.
        """
        self._shape = (tokens, dimension)
        self._bytes = 2 * tokens * dimension
        self._file = path.open("r+b" if resume and path.exists() else "wb")
        _write_header(self._file, (0, *self._shape))
        self._start = self._file.tell()
        self.count = max(0, path.stat().st_size - self._start) // self._bytes
        self.truncate(self.count)

    def truncate(self, count: int) -> None:
        """Keep only the first grids."""
        self.count = count
        self._file.seek(self._start + self._bytes * count)
        self._file.truncate()

    def add(self, grids: np.ndarray) -> None:
        """Append (n, T, C) grids."""
        self._file.write(np.ascontiguousarray(grids, dtype="<f2").tobytes())
        self._file.flush()
        self.count += len(grids)

    def commit(self) -> None:
        """Finish the file."""
        # numpy leaves room in a header for its first axis to grow, so the second fits the first.
        self._file.seek(0)
        _write_header(self._file, (self.count, *self._shape))
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
    return map_array(path, "<f2", shape, f"a float16 array of shape {shape}")


def map_array(path: Path, kind: str, shape: tuple[int | None, ...], what: str) -> np.ndarray:
    """Map an array file of numpy into memory, once its header and size are what they must be.

    `np.load` takes a file that does not begin like an array for an archive or a pickle, and maps
    what the header says, which a stranger may have written.

    Args:
        path: The file.
        kind: The type of its numbers, as numpy writes it.
        shape: Its shape, None for an axis of any length.
        what: What the file must be, for messages.

    Returns:
        The array, on disk until it is read.

    Raises:
        InvalidInputError: The file is not such an array.
        OSError: It cannot be read.
    """
    found, fortran, dtype, start = _read_header(path)
    if (
        dtype != np.dtype(kind)
        or (fortran and len(shape) > 1)
        or len(found) != len(shape)
        or any(wanted not in (None, length) for wanted, length in zip(shape, found, strict=True))
    ):
        raise InvalidInputError(f"{path}: not {what}")
    if min(found) < 0 or path.stat().st_size != start + dtype.itemsize * math.prod(found):
        raise InvalidInputError(f"{path}: its size is not that of an array of shape {found}")
    return map_bytes(path)[start:].view(dtype).reshape(found)


def _read_header(path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, order and type of an array file, and where its numbers begin."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise ValueError(f"version {version}")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(
                file, max_header_size=_MAX_HEADER
            )
            return shape, fortran, dtype, file.tell()
    except OSError:
        raise
    except Exception as error:
        # The header is read by Python's parser: of one bad byte there may come any error.
        raise InvalidInputError(f"{path}: not an array file of numpy") from error


def nearest(
    index: "faiss.Index", vectors: np.ndarray, k: int, allowed: np.ndarray | None = None
) -> list[list[tuple[int, float]]]:
    """For each vector its nearest rows with their cosines, best first, equals by row.

    Args:
        index: A flat index.
        vectors: (N, D), rows of unit length.
        k: Rows for each.
        allowed: (n,) bool, which rows may be found; all without it.

    Raises:
        UsageError: `k` is less than 1, or the vectors have another shape or are not numbers.
    """
    import faiss

    vectors = check_vectors(vectors, index.d, k)
    k = min(k, index.ntotal)
    if k == 0 or not len(vectors):
        return [[] for _ in vectors]
    parameters = None
    if allowed is not None:
        # What FAISS makes of its C++ classes has no types worth the name.
        kinds: Any = faiss
        bits = np.packbits(allowed, bitorder="little")
        parameters = kinds.SearchParameters(sel=kinds.IDSelectorBitmap(bits))
    scores, rows = index.search(vectors, k, params=parameters)
    return ranked(scores, rows)


def ranked(scores: np.ndarray, rows: np.ndarray) -> list[list[tuple[int, float]]]:
    """Rows with their cosines, (N, k) each, best first and equals by row; row -1 is none."""
    # Rounding takes a cosine of equals a little past 1.
    scores = np.clip(scores, -1, 1)
    order = np.lexsort((rows, -scores), axis=1)
    return [
        [(int(rows[i, j]), float(scores[i, j])) for j in order[i] if rows[i, j] >= 0]
        for i in range(len(rows))
    ]


def check_vectors(vectors: np.ndarray, dimension: int, k: int) -> np.ndarray:
    """(N, D) float32 vectors to search with.

    Raises:
        UsageError: `k` is less than 1, or the vectors have another shape or are not numbers.
    """
    check_k(k)
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise UsageError(f"vectors of shape {vectors.shape} given, (N, {dimension}) needed")
    if not np.isfinite(vectors).all():
        raise UsageError("a vector to search with is not a finite number throughout")
    return vectors


def check_k(k: int) -> None:
    """Refuse a search for no results."""
    if k < 1:
        raise UsageError(f"k is {k}, and at least 1 result must be asked for")


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f2", "fortran_order": False, "shape": shape}
    )
