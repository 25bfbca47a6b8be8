"""Encoders that cost nothing, for processes that are killed: what is tried there is the disk.

Vectors follow from the text alone, and are of unit length as real ones are.
"""

import hashlib
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from factcheck.records import Document


def passages(texts: Sequence[str]) -> np.ndarray:
    """(N, 8) vectors."""
    seeds = [int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) for text in texts]
    vectors = np.array([np.random.default_rng(seed).normal(size=8) for seed in seeds])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def encoders() -> Any:
    """What an index asks of its encoders, without networks."""
    return SimpleNamespace(
        text=SimpleNamespace(name="text", sha256="0" * 64, dimension=8),
        image=SimpleNamespace(name="image", sha256="1" * 64, dimension=4, tokens=1),
        passages=passages,
        texts=passages,
        relation=None,
    )


def documents(start: int, count: int) -> list[Document]:
    """Numbered documents of two passages each."""
    return [
        Document(
            f"d{i}", f"Sentence one of document {i} stands here. {'Filler words go on. ' * 25}"
        )
        for i in range(start, start + count)
    ]
