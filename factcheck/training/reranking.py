"""Fitting what a search does with relevance: the order of hits, and whether they bear on a claim.

Both are a few weights on top of a network that is trained (`training.relevance`), fitted on claims
that it has not learnt from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from factcheck.datasets.evidence_pools import EvidencePool
from factcheck.encoders import Encoders
from factcheck.encoders.bearing import Bearing
from factcheck.retrieval import Hit
from factcheck.retrieval.rerank import COSINE, RELEVANCE, features
from factcheck.settings import FusionHeadSettings, SearchSettings
from factcheck.training.claim_sources import IndexedSource
from factcheck.training.evidence_loss import evidence_loss, places_of
from factcheck.training.loop import OnProgress, counter
from factcheck.training_settings import RelevanceTraining

_SHRINKAGE = 1e-3
"""Of the weights of reranking."""

RECALL_AT = 5
"""How many documents a search is scored by."""

_READ = FusionHeadSettings().passages
"""Passages that a verdict rests on, as many as fusion heads read by default."""


@dataclass(frozen=True)
class Weighed:
    """What a search finds for a validation claim, read by what tells relevance.

    Attributes:
        source: The claim's source.
        claim: The claim.
        hits: What was found, in the fused order.
        features: (n, F) of the first of them, which are read.
        right: For each document that is evidence the places of its hits among these.
        elsewhere: (m, F) of the first hits in the index of another source, which is taken to have
            no evidence of it; m is 0 where there is only one source.
    """

    source: str
    claim: str
    hits: Sequence[Hit]
    features: np.ndarray
    right: list[list[int]]
    elsewhere: np.ndarray


def validation_claims(
    settings: RelevanceTraining, sources: Mapping[str, IndexedSource]
) -> dict[str, list[str]]:
    """The claims of each source that the weights are fitted on."""
    count, seed = settings.weighed_claims, settings.seed
    return {
        name: source.read.draw([settings.weighed_on], count, seed)
        for name, source in sources.items()
    }


def read_validation_claims(
    asked: Mapping[str, Sequence[str]],
    sources: Mapping[str, IndexedSource],
    encoders: Encoders,
    report: OnProgress,
) -> list[Weighed]:
    """What is found for claims, and what is found for them where there is no evidence of theirs.

    Args:
        asked: Claims of each source.
        sources: The sources; claims of each are also looked for in the index of the next.
        encoders: What tells relevance.
        report: Told how many claims are done.
    """
    count = counter(report, "weigh")
    depth = SearchSettings().rerank
    names = list(sources)

    def features_of(claim: str, hits: Sequence[Hit]) -> np.ndarray:
        pairs = [(claim, hit.passage.text) for hit in hits]
        return features(hits, encoders.relevances(pairs))

    found = []
    for name, source in sources.items():
        claims = asked[name]
        another = names[(names.index(name) + 1) % len(names)]
        elsewhere: list[list[Hit]] = [[] for _ in claims]
        if another != name:
            elsewhere = sources[another].search(claims, depth)
        for claim, hits, others in zip(
            claims, source.search(claims, 2 * depth), elsewhere, strict=True
        ):
            first = hits[:depth]
            own = features_of(claim, first)
            right = places_of(source.evidence(claim, first))
            found.append(Weighed(name, claim, hits, own, right, features_of(claim, others)))
            count(1)
    return found


def fit_reranking(
    read: Sequence[Weighed],
    pools: Mapping[str, EvidencePool],
    held: float,
    search_sha256: str,
) -> tuple[tuple[float, ...], Bearing | None, dict[str, Any]]:
    """What is fitted on all validation claims, and how well each half does by the other's.

    Args:
        read: Validation claims with what is found for them.
        pools: The evidence of each of their sources.
        held: As for `fit_bearing`, like the last.
        search_sha256: See there.

    Returns:
        (F,) weights of reranking, what tells whether hits bear on a claim, and the metrics of a
        training run.
    """
    fused, reranked = _Recalls(pools), _Recalls(pools)
    told: dict[bool, list[float]] = {True: [], False: []}
    for fitted, scored in ((read[0::2], read[1::2]), (read[1::2], read[0::2])):
        weights = fit_weights([(one.features, one.right) for one in fitted])
        bearing = fit_bearing(fitted, weights, held, search_sha256)
        for one in scored:
            order = _order(one.features, weights)
            fused.add(one.source, one.claim, one.hits)
            first = [one.hits[i] for i in order]
            reranked.add(one.source, one.claim, [*first, *one.hits[len(order) :]])
        if bearing is not None:
            for passages, found in _here_and_elsewhere(scored, weights):
                told[found].append(float(bearing.probabilities(*_columns(passages)).max()))
    weights = fit_weights([(one.features, one.right) for one in read])
    shown = tuple(round(float(weight), 3) for weight in weights)
    bearing = fit_bearing(read, np.array(shown), held, search_sha256)
    metrics = {
        "weights": list(shown),
        "bearing": None if bearing is None else bearing.model_dump(),
        "validation_claims": len(read),
        f"recall@{RECALL_AT}": {"fused": fused.means(), "reranked": reranked.means()},
        "mean_bearing": {
            name: float(np.mean(told[found])) if told[found] else None
            for name, found in (("evidence_found", True), ("none_found", False))
        },
    }
    return shown, bearing, metrics


def fit_bearing(
    read: Sequence[Weighed], weights: np.ndarray, held: float, search_sha256: str
) -> Bearing | None:
    """What tells whether anything that is found bears on a claim.

    It does where evidence that the source names is found. Sources do not name all evidence there
    is, so some of what is found in the claim's own index instead bears on it as well; that it
    counts as if it did not makes for caution.

    Args:
        read: Claims with what is found for them.
        weights: Of reranking.
        held: How much claims count that are looked for where their evidence is, beside the same
            claims looked for where it is not.
        search_sha256: Of what they were looked for with (`Encoders.search_sha256`).

    Returns:
        None where evidence is found for no claim, or none was looked for elsewhere.
    """
    chosen = _here_and_elsewhere(read, weights)
    found = np.array([whether for _, whether in chosen], dtype=bool)
    others = len(chosen) - len(read)
    if not found.any() or not others:
        return None
    relevances, cosines = zip(*(_columns(passages) for passages, _ in chosen), strict=True)
    here = np.arange(len(chosen)) < len(read)
    shares = np.where(here, held / len(read), (1 - held) / others)
    return Bearing.fit(relevances, cosines, found, shares, search_sha256)


def _here_and_elsewhere(
    read: Sequence[Weighed], weights: np.ndarray
) -> list[tuple[np.ndarray, bool]]:
    """The passages that verdicts would rest on, and whether evidence is among them.

    Returns:
        For each claim (n, F) features of the first passages found and whether any is of its
        evidence; then the same of those found in another source's index, where it was looked for
        there.
    """
    here, elsewhere = [], []
    for one in read:
        order = _order(one.features, weights)[:_READ]
        here.append((one.features[order], any(i in order for own in one.right for i in own)))
        if len(one.elsewhere):
            elsewhere.append((one.elsewhere[_order(one.elsewhere, weights)[:_READ]], False))
    return [*here, *elsewhere]


def _order(passages: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n,) places of (n, F) passages in the order that reranking puts them in."""
    order: np.ndarray = np.argsort(-(passages @ weights), kind="stable")
    return order


def _columns(passages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) relevance logits and (n,) cosines of (n, F) features (`retrieval.rerank.features`)."""
    return passages[:, RELEVANCE], passages[:, COSINE]


def fit_weights(lists: Sequence[tuple[np.ndarray, Sequence[Sequence[int]]]]) -> np.ndarray:
    """Weights by which, of a claim's hits, its evidence is the likeliest (`evidence_loss`).

    A conditional logit, every claim counting as any other, with a little shrinkage.

    Args:
        lists: For each claim (n, F) features of its hits, and for each right document the places of
            its hits. Claims whose hits are all right or all wrong say nothing and are passed over.

    Returns:
        (F,) weights.
    """
    chosen = [
        (torch.from_numpy(own).double(), right)
        for own, right in lists
        if 0 < sum(map(len, right)) < len(own)
    ]
    weights = torch.zeros(lists[0][0].shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        total: Tensor = _SHRINKAGE * weights.square().sum()
        if chosen:
            losses = [evidence_loss(own @ weights, right) for own, right in chosen]
            total = total + torch.stack(losses).mean()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach().numpy()


class _Recalls:
    """Recall of claims' evidence among the first documents, by source."""

    def __init__(self, pools: Mapping[str, EvidencePool]) -> None:
        self._pools = pools
        self._of: dict[str, list[float]] = {name: [] for name in pools}

    def add(self, name: str, claim: str, hits: Sequence[Hit]) -> None:
        """What was found for a claim of a source."""
        found = [hit.document_id for hit in hits]
        self._of[name].append(self._pools[name].recall(claim, found, RECALL_AT))

    def means(self) -> dict[str, float]:
        """Of each source that has claims, and of these sources."""
        means = {name: float(np.mean(own)) for name, own in self._of.items() if own}
        return {**means, "mean": float(np.mean(list(means.values()))) if means else float("nan")}
