"""Training what tells relevance: which of the passages that a search finds are a claim's evidence.

The evidence of a source of text pairs is indexed, and searched for the claims of that source. What
was found and belongs to the claim is right, the rest is wrong (`evidence_loss`).

The wrong passages are not known to be worthless. Some speak of the claim as well as what its source
chose, and that a source overlooked them cannot be told from the pairs.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from factcheck.encoders import Encoders
from factcheck.encoders.precision import has_bfloat16
from factcheck.encoders.relation import RelationEncoder, folder_of, tokenise
from factcheck.encoders.relevance import RelevanceConfig, RelevanceNetwork, save_relevance
from factcheck.errors import InvalidInputError, UsageError
from factcheck.records import Claim
from factcheck.retrieval import EvidenceIndex, Hit
from factcheck.retrieval.rerank import features
from factcheck.settings import SearchSettings
from factcheck.training.claim_sources import SourceOfClaims, read_sources
from factcheck.training.evidence_loss import evidence_loss
from factcheck.training.inputs import inputs_of
from factcheck.training.loop import (
    OnProgress,
    begin_run,
    counter,
    fit_in_steps,
    in_chunks,
    shuffled_batches,
    start_accelerator,
    write_metrics,
)
from factcheck.training_settings import RelevanceTraining

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ASKED_AT_ONCE = 256
_PAIRS_AT_ONCE = 64

# Of the wrong passages beside a claim, this part is those that the search puts first.
_FIRST = 2 / 3

_SHRINKAGE = 1e-3
"""Of the weights of reranking."""

RECALL_AT = 5
"""How many documents a search is scored by."""


@dataclass(frozen=True)
class Choice:
    """Passages of which some are a claim's evidence.

    Attributes:
        claim: The claim.
        passages: The passages.
        evidence: For each the id of its document, if that is evidence of the claim, or None.
    """

    claim: str
    passages: tuple[str, ...]
    evidence: tuple[str | None, ...]


@dataclass(frozen=True)
class _Source:
    """A source with its evidence as an index."""

    read: SourceOfClaims
    index: EvidenceIndex

    def search(self, claims: Sequence[str], depth: int) -> list[list[Hit]]:
        """What is found for claims, as it is before reranking."""
        how = SearchSettings(rerank=0, distinct=False)
        found: list[list[Hit]] = []
        for start in range(0, len(claims), _ASKED_AT_ONCE):
            some = [Claim(claim) for claim in claims[start : start + _ASKED_AT_ONCE]]
            found += self.index.search_many(some, depth, how)
        return found

    def evidence(self, claim: str, hits: Sequence[Hit]) -> list[str | None]:
        """For each hit the id of its document, if that is evidence of the claim, or None."""
        relevant = self.read.pool.relevant[claim]
        return [hit.document_id if hit.document_id in relevant else None for hit in hits]


def train_relevance(
    settings: RelevanceTraining,
    data: Path,
    out: Path,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Fit what tells relevance and write it beside its text relation encoder.

    Args:
        settings: What to train.
        data: The folder that the settings' files are named relative to.
        out: Run folder: `settings.json`, `indices/`, `checkpoint.pt`, `log.csv`, `metrics.json` and
            `encoder/`, as `RelationEncoder.load` reads it.
        on_progress: Called with a stage, steps done, steps in all (0 if unknown) and figures to
            show.

    Returns:
        The number of claims in the first epoch, the weights of reranking, and the recall of
        the claims' evidence among the first documents found for validation claims, as they are
        fused and reranked, by source and in the mean; each half of these claims is reranked by
        weights that were fitted on the other half.

    Raises:
        UsageError: `out` holds a checkpoint of a run with other settings or on other data, or the
            text relation encoder that the run stands on.
        FactcheckError: The data are missing or unfit.
    """
    report = on_progress or (lambda stage, done, total, values: None)
    stands_on = folder_of(settings.relation_encoder)
    folder = out / "encoder"
    if folder.resolve() == stands_on.resolve():
        raise UsageError(
            f"{folder}: the run stands on this text relation encoder, and would change it"
        )
    accelerator = start_accelerator()
    begin_run(settings, inputs_of(settings, data), out, accelerator)
    torch.manual_seed(settings.seed)
    encoders = Encoders.load(
        relation=settings.relation_encoder, precision="auto" if settings.bfloat16 else "float32"
    )
    relation = encoders.relation
    assert relation is not None
    # One process builds the indices, the others find them.
    with accelerator.main_process_first():
        builds = accelerator.is_main_process
        sources = _sources(settings, data, out / "indices", encoders, builds, report)
    epochs = [_draw(settings, sources, epoch, report) for epoch in range(settings.epochs)]
    if not epochs[0]:
        raise InvalidInputError(
            f"{', '.join(str(data / path) for path in settings.text)}: no claim of the sources "
            "named whose evidence a search finds among other texts"
        )
    weighed = {name: _weighed_claims(settings, source) for name, source in sources.items()}
    if sum(map(len, weighed.values())) < 2:
        raise InvalidInputError(
            f"weighed_on: {settings.weighed_on} has fewer than two claims of the sources named, "
            "too few to fit the weights of reranking"
        )
    network = RelevanceNetwork(relation.network.body, settings.layers, settings.dropout)
    network.to(accelerator.device)
    if accelerator.device.type == "cpu":
        # As in `training.text_relation`.
        network.body.set_attn_implementation("eager")
    bfloat16 = settings.bfloat16 and has_bfloat16(accelerator.device)

    def loss(model: nn.Module, epoch: int, rows: list[int]) -> Tensor:
        chosen = [epochs[epoch][row] for row in rows]
        with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=bfloat16):
            return choice_loss(model, relation.tokenizer, chosen, relation.config.max_tokens)

    reader = InParts(network).train()
    batches = shuffled_batches(map(len, epochs), settings.batch_size, settings.seed)
    fit_in_steps(
        reader, batches, in_chunks(settings.chunk), loss, settings, out, accelerator, report
    )
    if accelerator.is_main_process:
        network.eval()
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("config.json", "model.safetensors"):
            shutil.copyfile(stands_on / name, folder / name)
        config = RelevanceConfig(
            relation_sha256=relation.sha256, layers=settings.layers, weights=(0.0, 0.0, 0.0, 0.0)
        )
        save_relevance(folder, config, network)
        # What is weighed and scored is what was written.
        written = RelationEncoder.load(str(folder), encoders.text)
        metrics = _weighed(weighed, sources, encoders.with_relation(written), report)
        weights = tuple(metrics["weights"])
        save_relevance(folder, config.model_copy(update={"weights": weights}), network)
        metrics = {"claims": len(epochs[0]), **metrics}
        write_metrics(out, metrics)
    accelerator.wait_for_everyone()
    found: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return found


class InParts(nn.Module):
    """A network that reads some batches after another, in one pass for whoever wraps it.

    Args:
        network: From tokenised pairs to (B,) logits.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, parts: Sequence[Mapping[str, Tensor]]) -> Tensor:
        """The logits of all parts, one after another."""
        return torch.cat([self.network(tokens) for tokens in parts])


def choice_loss(
    network: nn.Module,
    tokenizer: "PreTrainedTokenizerBase",
    choices: Sequence[Choice],
    max_tokens: int,
) -> Tensor:
    """Minus the log-probability of the right documents, summed over claims; a scalar.

    Args:
        network: As `InParts`.
        tokenizer: Of the text encoder.
        choices: Claims with at least one right passage each.
        max_tokens: Longest sequence of claim and passage.
    """
    pairs = [(choice.claim, passage) for choice in choices for passage in choice.passages]
    device = next(network.parameters()).device
    # Parts of like lengths need little padding.
    order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
    parts = [
        tokenise(tokenizer, [pairs[i] for i in order[start : start + _PAIRS_AT_ONCE]], max_tokens)
        for start in range(0, len(order), _PAIRS_AT_ONCE)
    ]
    read = network([{name: one.to(device) for name, one in tokens.items()} for tokens in parts])
    logits = read.float()[np.argsort(order)]
    counts = [len(choice.passages) for choice in choices]
    losses = [
        evidence_loss(own, _places(choice.evidence))
        for choice, own in zip(choices, logits.split(counts), strict=True)
    ]
    return torch.stack(losses).sum()


def _places(evidence: Sequence[str | None]) -> list[list[int]]:
    """For each right document the places of its passages."""
    return [
        [place for place, other in enumerate(evidence) if other == document]
        for document in dict.fromkeys(document for document in evidence if document is not None)
    ]


def _sources(
    settings: RelevanceTraining,
    data: Path,
    folder: Path,
    encoders: Encoders,
    builds: bool,
    report: OnProgress,
) -> dict[str, _Source]:
    """The sources by name; their indices are built anew, or those that are there are opened."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, read in read_sources(settings, data).items():
        if builds:
            index = EvidenceIndex.build(
                read.pool.documents,
                folder / name,
                encoders,
                overwrite=True,
                on_progress=lambda stage, done, total: report(stage, done, total or 0, {}),
            )
        else:
            index = EvidenceIndex.open(folder / name, encoders)
        found[name] = _Source(read, index)
    return found


def _draw(
    settings: RelevanceTraining,
    sources: Mapping[str, _Source],
    epoch: int,
    report: OnProgress,
) -> list[Choice]:
    """The choices of an epoch."""
    count = counter(report, "search")
    choices = []
    for name, source in sources.items():
        wanted = settings.sources[name]
        seed = f"{settings.seed}/{name}/{epoch}"
        claims = source.read.draw(settings.trained_on, wanted.claims, seed)
        rng = Random(seed)
        for claim, hits in zip(claims, source.search(claims, settings.depth), strict=True):
            texts = [hit.passage.text for hit in hits]
            choice = choose(claim, texts, source.evidence(claim, hits), wanted.passages, rng)
            if choice is not None:
                choices.append(choice)
        count(len(claims))
    return choices


def choose(
    claim: str, passages: Sequence[str], evidence: Sequence[str | None], count: int, rng: Random
) -> Choice | None:
    """Some of the passages found for a claim, right and wrong ones; None if either are missing.

    Args:
        claim: The claim.
        passages: What was found, best first.
        evidence: For each as in `Choice`.
        count: How many are wanted; at most half of them are right.
        rng: Draws those of the wrong ones that are not the first.
    """
    found = list(zip(passages, evidence, strict=True))
    good = [one for one in found if one[1] is not None]
    bad = [one for one in found if one[1] is None]
    if not good or not bad:
        return None
    good = good[: max(1, count // 2)]
    room = max(1, count - len(good))
    first = bad[: round(room * _FIRST)]
    rest = bad[len(first) :]
    chosen = [*good, *first, *rng.sample(rest, min(len(rest), room - len(first)))]
    return Choice(claim, tuple(text for text, _ in chosen), tuple(own for _, own in chosen))


def _weighed_claims(settings: RelevanceTraining, source: _Source) -> list[str]:
    """The claims of a source that the weights of reranking are fitted on."""
    return source.read.draw([settings.weighed_on], settings.weighed_claims, settings.seed)


def _weighed(
    weighed: Mapping[str, Sequence[str]],
    sources: Mapping[str, _Source],
    encoders: Encoders,
    report: OnProgress,
) -> dict[str, Any]:
    """Weights fitted on the validation claims, and how well each half does by the other's."""
    count = counter(report, "weigh")
    depth = SearchSettings().rerank
    known: list[tuple[str, str, list[Hit], np.ndarray, list[list[int]]]] = []
    for name, source in sources.items():
        claims = weighed[name]
        for claim, hits in zip(claims, source.search(claims, 2 * depth), strict=True):
            first = hits[:depth]
            relevances = encoders.relevances([(claim, hit.passage.text) for hit in first])
            right = _places(source.evidence(claim, first))
            known.append((name, claim, hits, features(first, relevances), right))
            count(1)
    halves = [known[0::2], known[1::2]]
    fused, reranked = _Recalls(sources), _Recalls(sources)
    for fitted, scored in (halves, halves[::-1]):
        weights = fit_weights([(own, right) for *_, own, right in fitted])
        for name, claim, hits, own, _ in scored:
            order = np.argsort(-(own @ weights), kind="stable")
            fused.add(name, claim, hits)
            reranked.add(name, claim, [*(hits[i] for i in order), *hits[len(order) :]])
    weights = fit_weights([(own, right) for *_, own, right in known])
    return {
        "weights": [round(float(weight), 3) for weight in weights],
        "validation_claims": len(known),
        f"recall@{RECALL_AT}": {"fused": fused.means(), "reranked": reranked.means()},
    }


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

    def __init__(self, sources: Mapping[str, _Source]) -> None:
        self._sources = sources
        self._of: dict[str, list[float]] = {name: [] for name in sources}

    def add(self, name: str, claim: str, hits: Sequence[Hit]) -> None:
        """What was found for a claim of a source."""
        found = [hit.document_id for hit in hits]
        self._of[name].append(self._sources[name].read.pool.recall(claim, found, RECALL_AT))

    def means(self) -> dict[str, float]:
        """Of each source that has claims, and of these sources."""
        means = {name: float(np.mean(own)) for name, own in self._of.items() if own}
        return {**means, "mean": float(np.mean(list(means.values()))) if means else float("nan")}
