"""The documents of a segment: their texts, which of them count, and which may be found."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from factcheck.errors import InvalidInputError
from factcheck.retrieval.manifest import METADATA, SEGMENTS, Segment
from factcheck.retrieval.metadata_reader import MetadataReader
from factcheck.retrieval.mirrors import carries_addresses
from factcheck.retrieval.policy import SourcePolicy
from factcheck.retrieval.segment_files import check_file
from factcheck.retrieval.vectors import map_array

# What was found out of so many policies is kept, three arrays for each.
_POLICIES = 8

# numpy reads the head of an array file by Python's parser, which in CPython 3.11 fails when several
# threads use it at once.
OPENING = threading.RLock()
"""Held while a segment is opened."""


class SegmentDocuments:
    """The documents of a segment, open: all that a writer needs of most of them.

    One file descriptor is held, and no vector or word is read.

    Attributes:
        entry: What the manifest says of the segment.
        folder: Where it is.
        deleted: (deleted,) int64, rows of the documents that do not count, rising.
        metadata: Its texts.
    """

    def __init__(self, index: Path, entry: Segment, thorough: bool) -> None:
        """Open the file of the texts, once all files are as long as the manifest says.

        Args:
            index: Folder of the index.
            entry: What the manifest says of the segment.
            thorough: Whether every page of texts is looked at.

        Raises:
            InvalidInputError: A file is missing, damaged or another one.
            OSError: A file cannot be read.
        """
        self.entry = entry
        self.folder = index / SEGMENTS / entry.name
        for name, file in sorted(entry.files.items()):
            check_file(self.folder / name, file, thorough=False)
        with OPENING:
            self.deleted = self._read_deleted()
        self.metadata = MetadataReader(
            self.folder / METADATA, entry.documents, entry.passages, entry.images, thorough
        )
        self._allowed: OrderedDict[tuple[SourcePolicy, str], np.ndarray | None] = OrderedDict()
        self._remembering = threading.Lock()

    def close(self) -> None:
        """Release the file."""
        self.metadata.close()

    def counts(self, row: int) -> bool:
        """Whether the document in a row has not been deleted."""
        place = np.searchsorted(self.deleted, row)
        return not (place < len(self.deleted) and self.deleted[place] == row)

    def allowed_documents(self, policy: SourcePolicy) -> np.ndarray | None:
        """(n,) bool, which documents may be found; None for all."""
        return self._remembered(policy, "documents", lambda: self._allowed_documents(policy))

    def allowed_passages(self, policy: SourcePolicy) -> np.ndarray | None:
        """(n,) bool, which passages may be found; None for all."""
        return self._remembered(
            policy, "passages", lambda: self._of(policy, self.metadata.passage_documents)
        )

    def allowed_images(self, policy: SourcePolicy) -> np.ndarray | None:
        """(n,) bool, which pictures may be found; None for all."""
        return self._remembered(
            policy, "images", lambda: self._of(policy, self.metadata.image_documents)
        )

    def _remembered(
        self, policy: SourcePolicy, of: str, find: Callable[[], np.ndarray | None]
    ) -> np.ndarray | None:
        # A cache around a method of its own would hold the segment, and its files would stay open
        # until Python next looks for such circles.
        key = policy, of
        with self._remembering:
            if key in self._allowed:
                self._allowed.move_to_end(key)
                return self._allowed[key]
        found = find()
        with self._remembering:
            self._allowed[key] = found
            while len(self._allowed) > 3 * _POLICIES:
                self._allowed.popitem(last=False)
        return found

    def _allowed_documents(self, policy: SourcePolicy) -> np.ndarray | None:
        if policy.allows_all and not len(self.deleted):
            return None
        allowed = np.ones(self.entry.documents, dtype=bool)
        allowed[self.deleted] = False
        if policy.as_of is not None:
            late = self.metadata.published_after(policy.as_of, policy.undated == "drop")
            allowed[late] = False
        if policy.blocked:
            hosts = self.metadata.hosts()
            blocked = [host for host in hosts if policy.blocks(host)]
            allowed[self.metadata.from_hosts(blocked)] = False
            archives = [host for host in hosts if carries_addresses(host)]
            for row, url in self.metadata.addresses(archives):
                if policy.blocks_address(url):
                    allowed[row] = False
        return allowed

    def _of(self, policy: SourcePolicy, owners: Callable[[], np.ndarray]) -> np.ndarray | None:
        documents = self.allowed_documents(policy)
        return None if documents is None else documents[owners()]

    def _read_deleted(self) -> np.ndarray:
        if self.entry.deleted_file is None:
            return np.zeros(0, dtype=np.int64)
        path = self.folder / self.entry.deleted_file
        what = f"a list of {self.entry.deleted} documents"
        rows = np.array(map_array(path, "<i8", (self.entry.deleted,), what))
        if (np.diff(rows) <= 0).any() or rows[0] < 0 or rows[-1] >= self.entry.documents:
            raise InvalidInputError(f"{path}: not {what}")
        return rows
