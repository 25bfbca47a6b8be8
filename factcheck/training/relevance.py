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
from factcheck.training.claim_sources import IndexedSource, index_sources
from factcheck.training.evidence_loss import evidence_loss, places_of
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
from factcheck.training.reranking import (
    fit_reranking,
    read_validation_claims,
    validation_claims,
)
from factcheck.training_settings import RelevanceTraining

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PAIRS_AT_ONCE = 64

# Of the wrong passages beside a claim, this part is those that the search puts first.
_FIRST = 2 / 3


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
        The number of claims in the first epoch, the weights of reranking and of bearing, and the
        recall of the claims' evidence among the first documents found for validation claims, as
        they are fused and reranked, by source and in the mean, and how well found evidence is told
        from other passages; each half of these claims by weights that were fitted on the other.

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
    encoders = Encoders.load(
        settings.text_encoder,
        relation=settings.relation_encoder,
        precision="auto" if settings.bfloat16 else "float32",
    )
    # What is found decides what is learnt, and cosines what is fitted.
    inputs = {**inputs_of(settings, data), "search": encoders.search_sha256}
    begin_run(settings, inputs, out, accelerator)
    torch.manual_seed(settings.seed)
    relation = encoders.relation
    assert relation is not None
    # One process builds the indices, the others find them.
    with accelerator.main_process_first():
        builds = accelerator.is_main_process
        sources = index_sources(settings, data, out / "indices", encoders, builds, report)
    epochs = [_draw(settings, sources, epoch, report) for epoch in range(settings.epochs)]
    if not epochs[0]:
        raise InvalidInputError(
            f"{', '.join(str(data / path) for path in settings.text)}: no claim of the sources "
            "named whose evidence a search finds among other texts"
        )
    asked = validation_claims(settings, sources)
    if sum(map(len, asked.values())) < 2:
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
        read = read_validation_claims(asked, sources, encoders.with_relation(written), report)
        pools = {name: source.read.pool for name, source in sources.items()}
        weights, bearing, metrics = fit_reranking(
            read, pools, settings.held, encoders.search_sha256
        )
        fitted = {"weights": weights, "bearing": bearing}
        save_relevance(folder, config.model_copy(update=fitted), network)
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
        evidence_loss(own, places_of(choice.evidence))
        for choice, own in zip(choices, logits.split(counts), strict=True)
    ]
    return torch.stack(losses).sum()


def _draw(
    settings: RelevanceTraining,
    sources: Mapping[str, IndexedSource],
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
