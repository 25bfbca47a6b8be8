"""Retrieval: a corpus of evidence, cut, encoded, kept on disk and searched."""

from factcheck.retrieval.hits import Hit, ImageHit
from factcheck.retrieval.index import EvidenceIndex
from factcheck.retrieval.manifest import Manifest
from factcheck.retrieval.passages import split_passages, split_sentences
from factcheck.retrieval.store import ImageRow

__all__ = [
    "EvidenceIndex",
    "Hit",
    "ImageHit",
    "ImageRow",
    "Manifest",
    "split_passages",
    "split_sentences",
]
