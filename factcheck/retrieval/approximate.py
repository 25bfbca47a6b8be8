"""Approximate search of large parts of an index: FAISS's inverted lists and graphs.

Looking at every vector is exact, and quick enough up to `EXACT_UP_TO` passages: 12 ms a query for
100,000 vectors of 384 floats on two cores (data/results/index-speed.json). Beyond that a part
gets an approximate index besides its vectors. What that proposes is measured again against the
vectors themselves, so that cosines are always exact and only a candidate can be missed; how often
one is, is measured when the part is made, and kept in the manifest.
"""

import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from factcheck.errors import InvalidInputError, UsageError
from factcheck.retrieval.vectors import nearest, ranked

if TYPE_CHECKING:
    import faiss

EXACT_UP_TO = 100_000
"""A part of at most so many passages is searched exactly."""

FACTORY = re.compile(
    r"Flat"
    r"|((OPQ[1-9]\d{0,2},)?IVF[1-9]\d{0,5}|HNSW([2-9]|[1-9]\d{1,2})),"
    r"(Flat|SQ8|PQ[1-9]\d{0,2}(x[1-8])?)"
    r"|HNSW([2-9]|[1-9]\d{1,2})"
)
"""The indices that may be asked for, as `faiss.index_factory` names them.

FAISS ends the process over a graph of fewer than 2 links or a code of 0 bits, and does not get done
in minutes with a code of 10 bits."""

_SEED = 1234
_TRAINED_ON = 64
_OVERSAMPLED = 10
_PROBED = 24
_AT_ONCE = 16_384
_QUERIES = 200


def factory_for(count: int, dimension: int) -> str:
    """What a part of so many vectors is indexed by, where nothing else is asked for.

    Args:
        count: Number of vectors.
        dimension: Length of the vectors.

    Returns:
        `Flat` up to `EXACT_UP_TO` vectors. Above that inverted lists, about 4 times the root of the
        count of them as FAISS advises, with product quantisation to a byte for every four
        dimensions.
    """
    if count <= EXACT_UP_TO:
        return "Flat"
    lists = 2 ** round(np.log2(4 * np.sqrt(count)))
    parts = next(n for n in range(dimension // 4, 0, -1) if dimension % n == 0)
    return f"IVF{lists},PQ{parts}"


def check_factory(factory: str) -> str:
    """A factory string that may be used.

    Raises:
        UsageError: It is none of the kinds that `FACTORY` knows.
    """
    if not FACTORY.fullmatch(factory):
        raise UsageError(
            f"{factory[:40]!r} is no index that can be built here: Flat, or IVF (from 1 list) or "
            "HNSW (from 2 links) with Flat, SQ8 or PQ (of 1 to 8 bits), as FAISS's index factory "
            "writes them"
        )
    return factory


def check_fits(factory: str, dimension: int) -> None:
    """Refuse an index whose codes do not divide vectors, before there are any.

    Args:
        factory: As for `check_factory`.
        dimension: Length of the vectors.

    Raises:
        UsageError: The parts of its product codes are not of one length.
    """
    for parts in re.findall(r"PQ(\d+)", factory):
        if dimension % int(parts):
            raise UsageError(
                f"{factory}: vectors of {dimension} numbers cannot be cut into {parts} equal parts"
            )


def fewest_vectors(factory: str) -> int:
    """Of how many vectors an index can be built, at least.

    FAISS trains a centre for each inverted list, and for each value of a product code (of 8 bits
    where nothing else is said, and in the rotation that comes before one).
    """
    needed = [int(lists) for lists in re.findall(r"IVF(\d+)", factory)]
    for rotation, bits in re.findall(r"(O?)PQ\d+(?:x(\d+))?", factory):
        needed.append(256 if rotation else 2 ** int(bits or 8))
    return max(needed, default=1)


def build_approximate(vectors: "faiss.Index", factory: str, path: Path) -> float:
    """Build an approximate index and write it.

    Args:
        vectors: The vectors, in a flat index.
        factory: What to build, not `Flat`.
        path: Where it goes.

    Returns:
        Share of the ten nearest that it finds, of `_QUERIES` vectors that lie between two of the
        part each.

    Raises:
        UsageError: FAISS cannot build it for these vectors.
        OSError: It cannot be written.
    """
    import faiss

    rng = np.random.default_rng(_SEED)
    count = vectors.ntotal
    try:
        index = faiss.index_factory(vectors.d, factory, faiss.METRIC_INNER_PRODUCT)
        lists = re.search(r"IVF(\d+)", factory)
        wanted = _TRAINED_ON * int(lists[1]) if lists else 65_536
        sample = np.sort(rng.choice(count, min(count, max(wanted, 10_000)), replace=False))
        index.train(vectors.reconstruct_batch(sample))
        for start in range(0, count, _AT_ONCE):
            index.add(vectors.reconstruct_n(start, min(_AT_ONCE, count - start)))
    except RuntimeError as error:
        reason = str(error).splitlines()[0].rpartition("Error: ")[2]
        raise UsageError(
            f"{factory}: FAISS cannot build it of {count:,} vectors ({reason})"
        ) from error
    faiss.write_index(index, str(path))
    one, other = (vectors.reconstruct_batch(rng.integers(0, count, _QUERIES)) for _ in range(2))
    queries = one + 0.5 * other
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    exact = nearest(vectors, queries, 10)
    found = nearest_approximate(index, vectors, queries, 10, None)
    return float(
        np.mean(
            [
                len({row for row, _ in a} & {row for row, _ in b}) / len(a)
                for a, b in zip(exact, found, strict=True)
            ]
        )
    )


class ApproximateFile:
    """The approximate index of a part, which is read when it is first searched.

    Most searches of a part with few passages that may be found do without it. The file is held
    open until it is read, as a writer may have removed its name by then. Several threads may share
    it.
    """

    def __init__(self, path: Path, vectors: "faiss.Index") -> None:
        """Open the file, of which nothing is read yet.

        Args:
            path: The file.
            vectors: The vectors it is of, a flat index.

        Raises:
            OSError: It cannot be opened.
        """
        self._path = path
        self._vectors: faiss.Index | None = vectors
        self._file = path.open("rb")
        self._read: faiss.Index | None = None
        self._reading = threading.Lock()

    def index(self) -> "faiss.Index":
        """The approximate index.

        Raises:
            InvalidInputError: FAISS cannot read it, or it is not one of these vectors.
            UsageError: It is closed.
        """
        with self._reading:
            if self._vectors is None:
                raise UsageError(f"{self._path.parent}: the index is closed")
            if self._read is None:
                self._file.seek(0)
                self._read = _read(self._file, self._path, self._vectors)
                self._file.close()
            return self._read

    def close(self) -> None:
        """Release the file and the memory."""
        with self._reading:
            self._vectors = self._read = None
            self._file.close()


def _read(file: BinaryIO, path: Path, vectors: "faiss.Index") -> "faiss.Index":
    import faiss

    # What FAISS makes of its C++ classes has no types worth the name.
    kinds: Any = faiss
    try:
        index = faiss.read_index(kinds.PyCallbackIOReader(file.read))
    except RuntimeError as error:
        raise InvalidInputError(f"{path}: FAISS cannot read it") from error
    # FAISS makes a graph of product codes by distance, whatever is asked for. Of vectors of unit
    # length the order is the same, and the cosines are measured apart from it.
    by_distance = isinstance(index, faiss.IndexHNSWPQ)
    metric = faiss.METRIC_L2 if by_distance else faiss.METRIC_INNER_PRODUCT
    if (index.d, index.ntotal, index.metric_type) != (vectors.d, vectors.ntotal, metric):
        raise InvalidInputError(f"{path}: not an index of the vectors beside it")
    return index


def nearest_approximate(
    index: "faiss.Index",
    vectors: "faiss.Index",
    queries: np.ndarray,
    k: int,
    allowed: np.ndarray | None,
) -> list[list[tuple[int, float]]]:
    """As `nearest`, of the candidates that an approximate index proposes.

    Args:
        index: The approximate index.
        vectors: The vectors themselves.
        queries: (N, D), rows of unit length.
        k: Rows for each.
        allowed: (n,) bool, which rows may be found; all without it. The smaller their share, the
            more of the index is searched, so that as many of them are met as without it.
    """
    proposed = min(_OVERSAMPLED * k, index.ntotal)
    _, rows = index.search(queries, proposed, params=_parameters(index, proposed, allowed))
    # Row -1 is none; its vector is that of row 0, and its cosine below any.
    candidates = vectors.reconstruct_batch(np.maximum(rows, 0).reshape(-1))
    candidates = candidates.reshape(*rows.shape, -1)
    cosines = np.einsum("nd,nkd->nk", queries, candidates)
    cosines[rows < 0] = -2
    return [found[:k] for found in ranked(cosines, rows)]


def _parameters(index: "faiss.Index", proposed: int, allowed: np.ndarray | None) -> Any:
    """How an index is searched, by its kind."""
    import faiss

    # What FAISS makes of its C++ classes has no types worth the name.
    kinds: Any = faiss
    selector = None
    if allowed is not None:
        selector = kinds.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
    inner: Any = faiss.downcast_index(index)
    if isinstance(inner, faiss.IndexPreTransform):
        within = _parameters(inner.index, proposed, allowed)
        return kinds.SearchParametersPreTransform(index_params=within)
    share = 1.0 if allowed is None else max(int(np.count_nonzero(allowed)), 1) / index.ntotal
    if isinstance(inner, faiss.IndexHNSW):
        effort = min(round(max(64, 2 * proposed) / share), inner.ntotal)
        return kinds.SearchParametersHNSW(efSearch=effort, sel=selector)
    probed = round(max(16, inner.nlist // _PROBED) / share)
    return kinds.SearchParametersIVF(nprobe=min(probed, inner.nlist), sel=selector)
