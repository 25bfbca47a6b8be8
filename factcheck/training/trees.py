"""Growing the boosted trees that stand beside the fusion head (`fusion.trees`)."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from factcheck.fusion.inputs import FusionInputs
from factcheck.fusion.trees import LEAF, Trees, counted, log_softmax
from factcheck.training_settings import TreesTraining

SHARES = tuple(step / 10 for step in range(8))
"""Shares of the trees in the text relation that are tried."""


def grow_trees(
    settings: TreesTraining, shown: Sequence[FusionInputs], relations: np.ndarray, seed: int
) -> Trees:
    """Fit trees to examples, each of them in one form or several.

    Args:
        settings: How many trees, and how large.
        shown: The examples in each form, N rows each. A form of an example that is the same as in
            the one before is left out.
        relations: (N,) their true text relations, some of each.
        seed: Of what is drawn.
    """
    from sklearn.ensemble import GradientBoostingClassifier

    forms = [counted(inputs) for inputs in shown]
    rows, truth = [forms[0]], [relations]
    for before, form in pairwise(forms):
        changed = (before != form).any(axis=1)
        rows.append(form[changed])
        truth.append(relations[changed])
    model = GradientBoostingClassifier(
        n_estimators=settings.trees,
        learning_rate=settings.learning_rate,
        max_depth=None,
        max_leaf_nodes=settings.leaves,
        min_samples_leaf=settings.least_examples,
        subsample=settings.examples,
        max_features=settings.features,
        random_state=seed,
    )
    x, y = np.concatenate(rows), np.concatenate(truth)
    model.fit(x, y)
    grown = [[one.tree_ for one in stage] for stage in model.estimators_]
    nodes = [tree for stage in grown for tree in stage]
    starts = np.cumsum([0, *(tree.node_count for tree in nodes)])
    inner = [tree.children_left >= 0 for tree in nodes]

    def children(name: str) -> np.ndarray:
        moved = [
            np.where(own, getattr(tree, name) + start, 0)
            for tree, own, start in zip(nodes, inner, starts, strict=False)
        ]
        return np.concatenate(moved).astype(np.int32)

    return Trees(
        features=np.concatenate(
            [np.where(own, tree.feature, LEAF) for tree, own in zip(nodes, inner, strict=True)]
        ).astype(np.int32),
        thresholds=np.concatenate(
            [np.where(own, tree.threshold, 0.0) for tree, own in zip(nodes, inner, strict=True)]
        ),
        left=children("children_left"),
        right=children("children_right"),
        values=settings.learning_rate * np.concatenate([tree.value[:, 0, 0] for tree in nodes]),
        roots=starts[:-1].reshape(len(grown), -1).astype(np.int32),
        prior=log_softmax(np.log(model.init_.class_prior_)),
    )


def best_share(head: np.ndarray, trees: np.ndarray, relations: np.ndarray) -> float:
    """The trees' share by which the text relation is likeliest.

    Args:
        head: (N, 3) logits of the head.
        trees: (N, 3) logits of the trees.
        relations: (N,) true text relations.
    """
    ours, theirs = log_softmax(head), log_softmax(trees)
    truth = np.arange(len(relations)), relations

    def likelihood(share: float) -> float:
        return float(log_softmax((1 - share) * ours + share * theirs)[truth].mean())

    return max(SHARES, key=likelihood)
