"""Retrieval: a corpus of evidence, cut, encoded, kept on disk and searched."""

from factcheck.retrieval.hits import Hit, ImageHit, ShownPicture
from factcheck.retrieval.index import EvidenceIndex, picture_fingerprint
from factcheck.retrieval.manifest import Manifest
from factcheck.retrieval.metadata_reader import ImageRow
from factcheck.retrieval.passages import split_passages, split_sentences
from factcheck.retrieval.picture_search import PictureSearch
from factcheck.retrieval.policy import SourcePolicy
from factcheck.retrieval.rerank import Reranker
from factcheck.retrieval.search import Query
from factcheck.retrieval.shown_pictures import places_in_index
from factcheck.retrieval.verify import verify_index

__all__ = [
    "EvidenceIndex",
    "Hit",
    "ImageHit",
    "ImageRow",
    "Manifest",
    "PictureSearch",
    "Query",
    "Reranker",
    "ShownPicture",
    "SourcePolicy",
    "picture_fingerprint",
    "places_in_index",
    "split_passages",
    "split_sentences",
    "verify_index",
]
