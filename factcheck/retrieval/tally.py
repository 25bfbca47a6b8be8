"""What counts in the segments of an index, as its manifest says it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np

from factcheck.retrieval.manifest import Segment, canonical_json
from factcheck.retrieval.segment_documents import SegmentDocuments


@dataclass(frozen=True)
class _Counted:
    """What counts in a segment.

    Attributes:
        deleted_file: The file that says what does not.
        documents: Number of documents that count.
        passages: Number of their passages.
        images: Number of their pictures.
        corpus: Digests of these documents with the hashes of their pictures, in order.
    """

    deleted_file: str | None
    documents: int
    passages: int
    images: int
    corpus: list[str]


class Tally:
    """What counts in segments; each of them is counted once, until more of it is deleted."""

    def __init__(self) -> None:
        self._counted: dict[str, _Counted] = {}

    def knows(self, entry: Segment) -> bool:
        """Whether a segment has been counted as it is."""
        known = self._counted.get(entry.name)
        return known is not None and known.deleted_file == entry.deleted_file

    def add(self, segment: SegmentDocuments) -> None:
        """Count a segment, too."""
        alive = np.ones(segment.entry.documents, dtype=bool)
        alive[segment.deleted] = False
        corpus = [
            (digest + (picture or "").encode()).hex()
            for row, digest, picture in segment.metadata.digests()
            if alive[row]
        ]
        self._counted[segment.entry.name] = _Counted(
            segment.entry.deleted_file,
            int(alive.sum()),
            int(alive[segment.metadata.passage_documents()].sum()),
            int(alive[segment.metadata.image_documents()].sum()),
            sorted(corpus),
        )

    def keep(self, entries: Iterable[Segment]) -> None:
        """Forget all segments but some."""
        names = {entry.name for entry in entries}
        self._counted = {name: one for name, one in self._counted.items() if name in names}

    @property
    def documents(self) -> int:
        """Number of documents that count."""
        return sum(one.documents for one in self._counted.values())

    @property
    def passages(self) -> int:
        """Number of their passages."""
        return sum(one.passages for one in self._counted.values())

    @property
    def images(self) -> int:
        """Number of their pictures."""
        return sum(one.images for one in self._counted.values())

    @property
    def corpus_sha256(self) -> str:
        """Hash of the documents that count and of the contents of their pictures."""
        # Each part is in order, and to put parts in order takes little more than to read them.
        corpus = sorted(chain.from_iterable(one.corpus for one in self._counted.values()))
        return hashlib.sha256(canonical_json(corpus)).hexdigest()
