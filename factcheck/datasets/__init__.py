"""Data sets: Factify 2, corpora, claims, text pairs, photographs, and composing one from others."""

from factcheck.datasets.compose import Composed, compose
from factcheck.datasets.compose_settings import ComposeSettings
from factcheck.datasets.corpus import (
    corpus_key,
    iterate_corpus,
    read_claims,
    read_corpus,
    read_ids,
)
from factcheck.datasets.factify2 import (
    Factify2Row,
    find_splits,
    read_factify2,
    require_split,
)
from factcheck.datasets.photographs import Photograph, list_photographs
from factcheck.datasets.text_relations import TextRelationRow, read_text_relations
from factcheck.datasets.text_splits import split_texts

__all__ = [
    "ComposeSettings",
    "Composed",
    "Factify2Row",
    "Photograph",
    "TextRelationRow",
    "compose",
    "corpus_key",
    "find_splits",
    "iterate_corpus",
    "list_photographs",
    "read_claims",
    "read_corpus",
    "read_factify2",
    "read_ids",
    "read_text_relations",
    "require_split",
    "split_texts",
]
