"""Which rows of a split hang together by their texts.

Fact-checking data pair a claim with several documents and a document with several claims. What a
system makes of one such row says something of what it makes of the others, so intervals are drawn
from groups of rows, not from rows (`intervals`). Two rows are of one group if they share a text,
whichever of the two roles it has in each, or if both share one with a third. Pictures are not
looked at.
"""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from factcheck.datasets import Factify2Row
from factcheck.datasets.text_splits import normalise


def text_keys(row: Factify2Row) -> tuple[str, ...]:
    """What tells the claim and the document of a row from other texts; an empty one has none."""
    words = (normalise(row.claim.text), normalise(row.document.text))
    return tuple(hashlib.sha256(text.encode()).hexdigest()[:16] for text in words if text)


def text_groups(rows: Iterable[Factify2Row]) -> np.ndarray:
    """(N,) for each of N rows the number of its group, from 0."""
    return groups_of([text_keys(row) for row in rows])


def groups_of(keys: Sequence[Sequence[str]]) -> np.ndarray:
    """Groups of rows that share a key, directly or by way of others.

    Args:
        keys: Of each of N rows; one without any is a group of its own.

    Returns:
        (N,) numbers from 0.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    numbers: dict[str, int] = {}
    ends = [
        (row, len(keys) + numbers.setdefault(key, len(numbers)))
        for row, own in enumerate(keys)
        for key in own
    ]
    size = len(keys) + len(numbers)
    row, key = np.array(ends, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(ends), dtype=np.int8), (row, key)), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    groups: np.ndarray = np.unique(component[: len(keys)], return_inverse=True)[1]
    return groups
