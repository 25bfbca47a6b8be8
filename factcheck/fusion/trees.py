"""Boosted trees beside the fusion head: thresholds on what can be counted of a claim's evidence.

On features that are few and unlike one another, trees are still ahead of networks, which learn
smooth functions (arXiv:2207.08815, section 5). So what the head reads in hundreds of numbers is
also put to gradient boosted trees (Friedman, Greedy Function Approximation, 2001) in some ninety:
similarities, lexical signals and what the text relation encoder says of each passage. Both are
asked for the text relation, and their log-probabilities averaged.

The trees are grown by scikit-learn (`training.trees`) and kept as arrays: its own files are
pickles, which may hold anything.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import torch

from factcheck.encoders.relation import RELATIONS, unpack
from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.fusion.inputs import FusionInputs, document_relation_logits
from factcheck.fusion.signals import SIGNALS

FILE = "trees.safetensors"
"""What a checkpoint keeps them in."""

LEAF = -1
"""The feature of a node that is a leaf."""

# Bounds of what a stranger's file may ask for.
_MAX_BYTES = 64 * 2**20
_DEEPEST = 64

# Rows that are sent down all trees at once: more would take hundreds of megabytes.
_AT_ONCE = 256

_KINDS = {
    "features": torch.int32,
    "thresholds": torch.float64,
    "left": torch.int32,
    "right": torch.int32,
    "values": torch.float64,
    "roots": torch.int32,
    "prior": torch.float64,
}


def counted(inputs: FusionInputs) -> np.ndarray:
    """What the trees read of N examples of K passages each.

    Zeros stand for passages that are absent.

    Args:
        inputs: The examples, with text relation encodings.

    Returns:
        (N, `counted_width(K)`) float32: of each passage the cosine with the claim, the lexical
        signals, the text relation logits and their salience; of all of them together the logits of
        the document (`document_relation_logits`), plain and as log-probabilities, the number of
        passages, the highest and lowest log-probability of each relation, the cosine of their mean
        with the claim, and the largest share of the claim's words that one has.
    """
    read, document = unpack(inputs.relations), document_relation_logits(inputs)
    assert document is not None
    count, present = len(inputs), inputs.has_passage
    alone = log_softmax(read.logits)
    passages = present.sum(axis=1, keepdims=True)
    mean = inputs.passages.sum(axis=1) / np.maximum(1, passages)
    coverage = inputs.signals[..., SIGNALS.index("claim_coverage")] * present
    here = present[..., None]
    columns = [
        np.einsum("nd,nkd->nk", inputs.claim_text, inputs.passages),
        inputs.signals.reshape(count, -1),
        np.where(here, read.logits, 0).reshape(count, -1),
        np.where(present, read.salience, 0),
        document,
        log_softmax(document),
        passages,
        np.where(here, alone, -np.inf).max(axis=1, initial=_LEAST),
        np.where(here, alone, np.inf).min(axis=1, initial=0),
        np.einsum("nd,nd->n", inputs.claim_text, mean)[:, None],
        coverage.max(axis=1, keepdims=True),
    ]
    return np.concatenate(columns, axis=1).astype(np.float32)


# A log-probability that no passage has, for where there is no passage.
_LEAST = -30.0


def counted_width(passages: int) -> int:
    """How many numbers `counted` gives for K passages."""
    return passages * (2 + len(SIGNALS) + RELATIONS) + 4 * RELATIONS + 3


@dataclass(frozen=True)
class Trees:
    """Trees whose leaves add up to logits of the text relation.

    Attributes:
        features: (M,) int32 of M nodes, which of `counted` a node looks at; `LEAF` at a leaf.
        thresholds: (M,) float64, up to which it goes left.
        left: (M,) int32, the node there; behind the node itself.
        right: (M,) int32, the node above it, likewise.
        values: (M,) float64, what a leaf adds.
        roots: (T, 3) int32, the first nodes of T trees for each relation.
        prior: (3,) float64, logits before any tree.
    """

    features: np.ndarray
    thresholds: np.ndarray
    left: np.ndarray
    right: np.ndarray
    values: np.ndarray
    roots: np.ndarray
    prior: np.ndarray

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """(N, 3) float64 logits of (N, F) rows of `counted`."""
        parts = [self._logits(rows[i : i + _AT_ONCE]) for i in range(0, len(rows), _AT_ONCE)]
        return np.concatenate([np.zeros((0, RELATIONS)), *parts])

    def _logits(self, rows: np.ndarray) -> np.ndarray:
        node = np.broadcast_to(self.roots.reshape(-1), (len(rows), self.roots.size))
        row = np.arange(len(rows))[:, None]
        while ((feature := self.features[node]) != LEAF).any():
            down = np.where(
                rows[row, feature] <= self.thresholds[node], self.left[node], self.right[node]
            )
            node = np.where(feature == LEAF, node, down)
        added = self.values[node].reshape(len(rows), *self.roots.shape)
        logits: np.ndarray = added.sum(axis=1) + self.prior
        return logits

    def save(self, path: Path) -> None:
        """Write them.

        Raises:
            OSError: They cannot be written.
        """
        from safetensors.torch import save_file

        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        save_file(
            {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}, path
        )

    @classmethod
    def load(cls, path: Path, width: int) -> Self:
        """Read and check them.

        Args:
            path: The file.
            width: How many numbers they may look at.

        Raises:
            MissingResourceError: It cannot be read.
            InvalidInputError: It holds no trees, or some that look at something else.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            if path.stat().st_size > _MAX_BYTES:
                raise InvalidInputError(f"{path}: larger than the {_MAX_BYTES:,} bytes allowed")
            found = load_file(path)
        except OSError as error:
            raise MissingResourceError(f"{path}: cannot be read ({error.strerror})") from error
        except SafetensorError as error:
            raise InvalidInputError(f"{path}: not a safetensors file ({error})") from error
        kinds = {name: tensor.dtype for name, tensor in found.items()}
        if kinds != _KINDS:
            raise InvalidInputError(f"{path}: holds no trees")
        trees = cls(**{name: tensor.numpy() for name, tensor in found.items()})
        if (problem := trees._problem(width)) is not None:
            raise InvalidInputError(f"{path}: damaged: {problem}")
        return trees

    def _problem(self, width: int) -> str | None:
        """What is wrong with them; None if they can be gone down to leaves."""
        nodes = len(self.features) if self.features.ndim == 1 else 0
        one_each = (self.thresholds, self.left, self.right, self.values)
        if (
            not nodes
            or any(array.shape != (nodes,) for array in one_each)
            or self.roots.shape[1:] != (RELATIONS,)
            or self.prior.shape != (RELATIONS,)
        ):
            return "the shapes do not fit"
        if not all(np.isfinite(a).all() for a in (self.thresholds, self.values, self.prior)):
            return "a number is not finite"
        if self.features.min() < LEAF or self.features.max() >= width:
            return f"a node looks at what is not there ({width} numbers are)"
        inner = np.flatnonzero(self.features != LEAF)
        # A node that leads to one behind it cannot be come to again.
        for child in (self.left[inner], self.right[inner]):
            if (child <= inner).any() or (child >= nodes).any():
                return "a node leads nowhere"
        if self.roots.size and (self.roots.min() < 0 or self.roots.max() >= nodes):
            return "a root is no node"
        depth = np.zeros(nodes, dtype=np.int64)
        for node in inner:
            for child in (self.left[node], self.right[node]):
                depth[child] = max(depth[child], depth[node] + 1)
        if depth.max() > _DEEPEST:
            return f"deeper than the {_DEEPEST} levels allowed"
        return None


@dataclass(frozen=True)
class TreesBeside:
    """Trees with what they count for beside a head.

    Attributes:
        trees: The trees.
        share: Their share in the text relation's log-probabilities, in [0, 1].
    """

    trees: Trees
    share: float

    def mixed(self, head: np.ndarray, trees: np.ndarray) -> np.ndarray:
        """(N, 3) float32 logits from (N, 3) of the head and of the trees."""
        mean = (1 - self.share) * log_softmax(head) + self.share * log_softmax(trees)
        logits: np.ndarray = mean.astype(np.float32)
        return logits


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities of (..., C) logits."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    normalised: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return normalised
