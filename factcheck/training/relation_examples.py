"""Rows as the text relation encoder reads them in training, with and without a known relation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch

from factcheck.datasets.text_relations import TextRelationRow
from factcheck.datasets.text_splits import normalise
from factcheck.encoders.text import TextEncoder
from factcheck.fusion.inputs import best_first
from factcheck.records import TEXT_RELATIONS, Document
from factcheck.retrieval import split_passages
from factcheck.settings import Precision
from factcheck.training_settings import TextRelationTraining

UNKNOWN = -100
"""The relation of a row that only a teacher judges; PyTorch's cross-entropy leaves it out."""

NEIGHBOURS = 16
"""Texts most like a claim, of which those that it is set beside are drawn."""

_ASKED_AT_ONCE = 512


@dataclass(frozen=True)
class RelationExample:
    """A row as the network reads it.

    Attributes:
        claim: The claim.
        passages: The passages read, most like the claim first.
        relation: Position in `TEXT_RELATIONS`, or `UNKNOWN`.
    """

    claim: str
    passages: tuple[str, ...]
    relation: int


class ExampleReader:
    """Cuts documents into passages and chooses those that are read.

    Args:
        settings: The training run.
        text: The encoder by which passages are compared with the claim.
    """

    def __init__(self, settings: TextRelationTraining, text: TextEncoder) -> None:
        self._settings = settings
        self._text = text
        self._precision: Precision = "auto" if settings.bfloat16 else "float32"

    def read(
        self, rows: Sequence[TextRelationRow], on_progress: Callable[[int], None] | None = None
    ) -> list[RelationExample]:
        """The examples of rows, in order.

        Args:
            rows: The rows.
            on_progress: Called with the number of texts encoded since the last call.
        """
        cut = [self._cut(row.evidence_text) for row in rows]
        read = self._settings.passages_read
        long = [i for i, passages in enumerate(cut) if len(passages) > max(read, 1)]
        # Only where there is a choice must passages be compared with the claim.
        texts = list(dict.fromkeys(text for i in long for text in (rows[i].claim, *cut[i])))
        vectors = self._encode(texts, on_progress)
        place = {text: i for i, text in enumerate(texts)}
        for i in long:
            own = vectors[[place[text] for text in cut[i]]]
            best = best_first(vectors[place[rows[i].claim]], own, read)
            cut[i] = [cut[i][j] for j in best]
        return [
            RelationExample(row.claim, tuple(passages), TEXT_RELATIONS.index(row.relation))
            for row, passages in zip(rows, cut, strict=True)
        ]

    def pair_with_neighbours(
        self,
        rows: Sequence[TextRelationRow],
        count: int,
        seed: str,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[RelationExample]:
        """Claims beside texts like them, of which nobody has said what they say of the claim.

        The texts are the other claims and a passage of each evidence: paraphrases, contradictions
        and mere neighbours of the claim, as a search would find them.

        Args:
            rows: Where claims and evidence are taken from.
            count: How many pairs; fewer if there are not so many.
            seed: Of everything random.
            on_progress: As in `read`.
        """
        if not rows or not count:
            return []
        rng = Random(seed)
        claims = list(dict.fromkeys(row.claim for row in rows))
        documents = dict.fromkeys(row.evidence_text for row in rows)
        passages = [rng.choice(cut) for text in documents if (cut := self._cut(text))]
        texts = list(dict.fromkeys([*claims, *passages]))
        vectors = self._encode(texts, on_progress)
        each = -(-count // len(claims))
        asked = rng.sample(range(len(claims)), min(count, len(claims)))
        found = _nearest(vectors, asked, min(NEIGHBOURS, len(texts)), self._text.model.device)
        examples = []
        for claim, near in zip(asked, found, strict=True):
            own = normalise(texts[claim])
            others = [text for i in near if normalise(text := texts[i]) != own]
            examples += [
                RelationExample(texts[claim], (other,), UNKNOWN)
                for other in rng.sample(others, min(each, len(others)))
            ]
        return rng.sample(examples, min(count, len(examples)))

    def _encode(self, texts: list[str], on_progress: Callable[[int], None] | None) -> np.ndarray:
        if not texts:
            return np.zeros((0, 1), dtype=np.float32)
        return self._text.encode(texts, on_progress=on_progress, precision=self._precision)

    def _cut(self, text: str) -> list[str]:
        if self._settings.passages_read == 0:
            return [text]
        passages = split_passages(
            Document("", text),
            self._settings.passages.max_characters,
            self._settings.passages.overlap_sentences,
        )
        return [passage.text for passage in passages]


def _nearest(vectors: np.ndarray, asked: list[int], count: int, device: torch.device) -> np.ndarray:
    """Places (len(asked), count) of the vectors most like some of them, the most like first."""
    all_vectors = torch.from_numpy(vectors).to(device)
    found = [
        (all_vectors[part] @ all_vectors.T).topk(count).indices.cpu()
        for part in torch.split(torch.tensor(asked, device=device), _ASKED_AT_ONCE)
    ]
    nearest: np.ndarray = torch.cat(found).numpy()
    return nearest
