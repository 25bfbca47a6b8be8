"""Training what a search asks with: a claim's vector is to lie near the evidence for it.

The evidence of a source of text pairs is cut into passages and encoded once, by the text encoder as
it is. Then the claims of that source are brought near their own evidence and away from all other
passages of the source, by a softmax over every one of them (`evidence_loss`): with vectors that do
not move, no batch need stand for a corpus.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from factcheck.characters import legible
from factcheck.encoders.query import QueryConfig, QueryNetwork, halfway, save_query
from factcheck.encoders.text import TextEncoder
from factcheck.errors import InvalidInputError
from factcheck.retrieval import split_passages
from factcheck.settings import PassageSettings
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
from factcheck.training_settings import QueryTraining

RECALL_AT = (5, 50)
"""How many documents a search is scored by: those that are shown, those that may be reread."""

# Of a document several passages may come first.
_PASSAGES_LOOKED_AT = 4 * max(RECALL_AT)
_ENCODED_AT_ONCE = 1024


@dataclass(frozen=True)
class _Source:
    """A source with its evidence as P passages."""

    read: SourceOfClaims
    documents: Sequence[str]
    """P, the id of each passage's document."""
    vectors: Tensor
    """(P, D) of unit length."""

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        """The passages of each document."""
        places: dict[str, list[int]] = defaultdict(list)
        for place, document in enumerate(self.documents):
            places[document].append(place)
        return places

    def right(self, claim: str) -> list[list[int]]:
        """For each document of a claim's evidence the places of its passages."""
        return [self._places[document] for document in sorted(self.read.pool.relevant[claim])]

    def recalls(self, claims: Sequence[str], vectors: np.ndarray) -> list[float]:
        """Mean recall of the evidence of claims among the documents nearest to their vectors."""
        count = min(_PASSAGES_LOOKED_AT, len(self.vectors))
        nearest = (torch.from_numpy(vectors) @ self.vectors.cpu().T).topk(count).indices.numpy()
        found = [[self.documents[place] for place in places] for places in nearest]
        return [
            float(
                np.mean(
                    [self.read.pool.recall(c, own, k) for c, own in zip(claims, found, strict=True)]
                )
            )
            for k in RECALL_AT
        ]


def train_query(
    settings: QueryTraining,
    data: Path,
    out: Path,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Fit what a search asks with.

    Args:
        settings: What to train.
        data: The folder that the settings' files are named relative to.
        out: Run folder: `settings.json`, `checkpoint.pt`, `log.csv`, `metrics.json` and `encoder/`,
            whose files are read from the folder of the text encoder (`encoders.query`).
        on_progress: Called with a stage, steps done, steps in all (0 if unknown) and figures to
            show.

    Returns:
        The number of claims in the first epoch, and recall among the nearest 5 and 50 documents by
        source and in the mean, of claims that were not trained on, as the text encoder has them and
        as they were written.

    Raises:
        UsageError: `out` holds a checkpoint of a run with other settings or on other data.
        FactcheckError: The data are missing or unfit, or the text encoder cannot be had.
    """
    report = on_progress or (lambda stage, done, total, values: None)
    accelerator = start_accelerator()
    text = TextEncoder.load(settings.text_encoder)
    # A checkpoint has the lower layers in it, which must not take the place of others.
    inputs = {**inputs_of(settings, data), "text encoder": text.sha256}
    begin_run(settings, inputs, out, accelerator)
    torch.manual_seed(settings.seed)
    network = QueryNetwork(text, settings.layers, settings.dropout)
    network.to(accelerator.device)
    sources = _sources(settings, data, text, report)
    epochs = [_draw(settings, sources, epoch) for epoch in range(settings.epochs)]
    if not epochs[0]:
        raise InvalidInputError(
            f"{', '.join(str(data / path) for path in settings.text)}: no claim of the sources "
            "named is in the splits that are trained on"
        )

    def loss(model: nn.Module, epoch: int, rows: list[int]) -> Tensor:
        chosen = [epochs[epoch][row] for row in rows]
        vectors = model([legible(claim) for _, claim in chosen])
        losses = []
        for (name, claim), vector in zip(chosen, vectors, strict=True):
            source = sources[name]
            passages = source.vectors.to(vector.device)
            losses.append(evidence_loss(settings.scale * (passages @ vector), source.right(claim)))
        return torch.stack(losses).sum()

    batches = shuffled_batches(map(len, epochs), settings.batch_size, settings.seed)
    fit_in_steps(
        network.train(),
        batches,
        in_chunks(settings.chunk),
        loss,
        settings,
        out,
        accelerator,
        report,
    )
    if accelerator.is_main_process:
        network.eval()
        folder = out / "encoder"
        folder.mkdir(parents=True, exist_ok=True)
        save_query(folder, QueryConfig(text_sha256=text.sha256, layers=settings.layers), network)
        # What is scored is what was written, in half precision.
        network.put({key: value.half().float() for key, value in network.own.items()})
        asking = TextEncoder("queries", network.model)
        metrics = {"claims": len(epochs[0]), **_scores(settings, sources, text, asking)}
        write_metrics(out, metrics)
    accelerator.wait_for_everyone()
    found: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return found


def _sources(
    settings: QueryTraining, data: Path, text: TextEncoder, report: OnProgress
) -> dict[str, _Source]:
    """The sources by name, their passages encoded."""
    cut = PassageSettings()
    count = counter(report, "passages")
    found = {}
    for name, read in read_sources(settings, data).items():
        passages = [
            passage
            for document in read.pool.documents
            for passage in split_passages(document, cut.max_characters, cut.overlap_sentences)
        ]
        parts = []
        for start in range(0, len(passages), _ENCODED_AT_ONCE):
            some = [legible(one.text) for one in passages[start : start + _ENCODED_AT_ONCE]]
            parts.append(text.encode(some, precision="auto"))
            count(len(some))
        found[name] = _Source(
            read,
            [passage.document_id for passage in passages],
            torch.from_numpy(np.concatenate(parts)),
        )
    return found


def _draw(
    settings: QueryTraining, sources: Mapping[str, _Source], epoch: int
) -> list[tuple[str, str]]:
    """The claims of an epoch, each after its source."""
    drawn = []
    for name, source in sources.items():
        wanted = settings.sources[name].claims
        seed = f"{settings.seed}/{name}/{epoch}"
        drawn += [(name, claim) for claim in source.read.draw(settings.trained_on, wanted, seed)]
    return drawn


def _scores(
    settings: QueryTraining,
    sources: Mapping[str, _Source],
    text: TextEncoder,
    asking: TextEncoder,
) -> dict[str, Any]:
    """Recall by the text encoder's vectors, by what was trained, and by what is asked with."""
    recalls: dict[str, dict[str, list[float]]] = {}
    claims = 0
    for name, source in sources.items():
        scored = source.read.claims[settings.scored_on]
        some = source.read.draw([settings.scored_on], len(scored), settings.seed)
        if not some:
            continue
        claims += len(some)
        written = list(map(legible, some))
        plain, own = text.encode(written), asking.encode(written)
        for way, vectors in (
            ("text encoder", plain),
            ("trained alone", own),
            ("queries", halfway(plain, own)),
        ):
            recalls.setdefault(way, {})[name] = source.recalls(some, vectors)
    return {
        "scored_claims": claims,
        **{
            f"recall@{k}": {
                way: _with_mean({name: round(own[place], 4) for name, own in by_source.items()})
                for way, by_source in recalls.items()
            }
            for place, k in enumerate(RECALL_AT)
        },
    }


def _with_mean(scores: dict[str, float]) -> dict[str, float | None]:
    mean = round(float(np.mean(list(scores.values()))), 4) if scores else None
    return {**scores, "mean": mean}
