"""The pictures of an index, in the order of how likely each is the one that is looked for.

Re-posts by fingerprint come first, then those of the highest cosine of picture vectors; both in the
order of how much of the picture that is looked for is found in them by token grids.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from factcheck.encoders.image import pool
from factcheck.encoders.image_match import found_in
from factcheck.retrieval.policy import SourcePolicy
from factcheck.retrieval.segment import Ranking

if TYPE_CHECKING:
    from factcheck.retrieval.reader import IndexReader

PICTURES_COMPARED = 200
"""So many pictures are compared by their tokens even where fewer are wanted: the original of a
heavily edited copy is nearly always among the 200 of highest cosine, far less often the first."""

# Of those that are left out so many are looked past for other pictures.
_LOOKED_PAST = 10_000


class PictureSearch:
    """Looks for one picture; asked for more, it compares only what it has not compared yet.

    A picture of an agency, or a site's emblem, stands beside thousands of documents. Of them those
    of the earliest dates are looked at, for whoever asks where a picture is from wants the first,
    and the others are left out altogether.

    Args:
        index: Where to look.
        tokens: (T, C) the picture's.
        fingerprint: Its fingerprint, where it has one.
        policy: Which documents may be found.
        reposts: Re-posts that are looked at.
    """

    def __init__(
        self,
        index: "IndexReader",
        tokens: np.ndarray,
        fingerprint: int | None,
        policy: SourcePolicy,
        reposts: int = PICTURES_COMPARED,
    ) -> None:
        self._index = index
        self._tokens = tokens
        self._fingerprint = fingerprint
        self._policy = policy
        self._at_most = reposts
        self._scores: dict[int, float] = {}

    @cached_property
    def reposts(self) -> list[int]:
        """Rows of the re-posts that are looked at, oldest first, undated last."""
        return self._index.oldest_pictures(sorted(self._all_reposts), self._at_most)

    @cached_property
    def left_out(self) -> set[int]:
        """Rows of the re-posts that are not looked at."""
        return self._all_reposts - set(self.reposts)

    def best(self, k: int) -> Ranking:
        """The first pictures, by row, each with how much of the picture is found in it."""
        [nearest] = self._index.nearest_pictures(
            pool(self._tokens[None]),
            max(k, PICTURES_COMPARED) + min(len(self.left_out), _LOOKED_PAST),
            self._policy,
        )
        first = set(self.reposts)
        others = [row for row, _ in nearest if row not in self.left_out]
        others = others[: max(k, PICTURES_COMPARED)]
        candidates = list(dict.fromkeys([*others, *self.reposts]))
        self._compare([row for row in candidates if row not in self._scores])
        candidates.sort(key=lambda row: (row not in first, -self._scores[row], row))
        return [(row, self._scores[row]) for row in candidates[:k]]

    @cached_property
    def _all_reposts(self) -> set[int]:
        if self._fingerprint is None:
            return set()
        return set(self._index.reposts(self._fingerprint, self._policy))

    def _compare(self, rows: Sequence[int]) -> None:
        picture = torch.from_numpy(self._tokens)
        for start in range(0, len(rows), PICTURES_COMPARED):
            some = rows[start : start + PICTURES_COMPARED]
            shared = found_in(picture, torch.from_numpy(self._index.image_tokens(some)))
            self._scores |= dict(zip(some, shared.tolist(), strict=True))
