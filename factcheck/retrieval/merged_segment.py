"""Writing a segment from documents of others, without encoding anything, and when that is done.

Each segment costs every search a little, and an index to which something is added every hour would
have thousands. So small segments are merged when others come behind them.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from factcheck.retrieval.folder import new_segment, writing
from factcheck.retrieval.lexical import write_lexical
from factcheck.retrieval.manifest import IMAGES, METADATA, PASSAGES, TOKENS, Segment
from factcheck.retrieval.metadata_reader import StoredDocument
from factcheck.retrieval.metadata_writer import MetadataWriter
from factcheck.retrieval.policy import host_of
from factcheck.retrieval.segment import OpenSegment
from factcheck.retrieval.segment_plan import SegmentPlan, finish_segment
from factcheck.retrieval.vectors import TokenWriter, VectorWriter

# From so many segments on they are merged, and so many times as large as the last is the next tier.
_FAN = 8

# Tier of the segments that are full; above all others.
_FULL = 64


def segments_to_merge(sizes: Sequence[int], at_most: int) -> int:
    """How many of the last segments of an index are to be written as one.

    Sizes fall into tiers, of which each begins at `_FAN` times the passages of the one before.
    Where `_FAN` segments or more lie at the end of the index that are of the tier of the last one
    or of lower ones, they are merged. So an index has at most `_FAN` - 1 segments for each tier,
    which grows with the logarithm of its passages until segments are full, and a passage is written
    anew a few times for each of the six tiers below that. The rule looks at nothing but the sizes:
    the same changes give the same segments.

    Args:
        sizes: Passages of the segments, in the order of the index.
        at_most: Passages that a segment may have. One of more than half of them is full, and
            stays as it is.

    Returns:
        Number of the segments, from the end; 1 where none are to be merged, 0 without any.
    """
    merged = list(sizes)
    parts = [1] * len(merged)
    while merged:
        tiers = [_tier(size, at_most) for size in merged]
        larger = [place for place, tier in enumerate(tiers) if tier > tiers[-1]]
        together = len(merged) - (larger[-1] + 1 if larger else 0)
        if tiers[-1] == _FULL or together < _FAN:
            break
        while sum(merged[-together:]) > at_most:
            together -= 1
        merged[-together:] = [sum(merged[-together:])]
        parts[-together:] = [sum(parts[-together:])]
    return parts[-1] if parts else 0


def _tier(size: int, at_most: int) -> int:
    if 2 * size > at_most:
        return _FULL
    tier = 0
    while size >= _FAN ** (tier + 1):
        tier += 1
    return tier


class MergedSegment:
    """Writes one segment from documents of others, without encoding anything.

    Args:
        index: Folder of the index, for messages.
        folder: Where the segment goes.
        plan: How.
    """

    def __init__(self, index: Path, folder: Path, plan: SegmentPlan) -> None:
        self._index = index
        self._folder = folder
        self._plan = plan

    def write(self, documents: Iterator[tuple[OpenSegment, StoredDocument]]) -> Segment | None:
        """Write documents until there are no more or the segment is full; None without any.

        Args:
            documents: Documents with the segments they are in, which stay open until the next.

        Raises:
            RunError: The disk is full or cannot be written.
        """
        plan, image = self._plan, self._plan.encoders.image
        with writing(self._index):
            new_segment(self._folder)
            # Of a segment for which there were no more documents, or of a try that failed.
            (self._folder / METADATA).unlink(missing_ok=True)
            metadata = MetadataWriter(self._folder / METADATA)
            passages = VectorWriter(self._folder / PASSAGES, plan.encoders.text.dimension)
            images = VectorWriter(self._folder / IMAGES, image.dimension)
            tokens = TokenWriter(self._folder / TOKENS, image.tokens, image.dimension)
        with closing(metadata), closing(passages), closing(images), closing(tokens):
            for source, stored in documents:
                with writing(self._index):
                    document = stored.document
                    row = metadata.add_document(
                        document,
                        stored.borders,
                        host_of(document.url),
                        stored.digest,
                        stored.sketch,
                    )
                    assert row is not None  # ids are different in an index
                    own = source.metadata.passages_of([stored.row])[stored.row]
                    passages.add(source.passages.reconstruct_batch(np.array(own)))
                    if stored.image is not None:
                        place, sha256, fingerprint = stored.image
                        metadata.add_image(row, str(document.image), sha256, fingerprint)
                        images.add(source.images.reconstruct_batch(np.array([place])))
                        tokens.add(source.tokens[place : place + 1])
                plan.on_progress("documents", metadata.documents, None)
                if metadata.passages >= plan.at_most:
                    break
            if metadata.documents == 0:
                return None
            with writing(self._index):
                passages.commit()
                images.commit()
                tokens.commit()
                write_lexical(metadata.titled_passages(), self._folder)
                metadata.commit()
        return finish_segment(self._index, self._folder, metadata, plan)
