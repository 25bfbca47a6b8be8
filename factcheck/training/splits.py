"""A labelled split as the fusion head trains on it: encodings, evidence and truth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from factcheck.datasets import Factify2Row, read_factify2
from factcheck.errors import InvalidInputError
from factcheck.evidence import Reading, given_evidence
from factcheck.fusion.inputs import FusionInputs
from factcheck.fusion.signals import lexical_signals
from factcheck.records import LABELS, TEXT_RELATIONS, Evidence, text_relation_of


@dataclass(frozen=True)
class Split:
    """Encoded rows with their truth.

    Attributes:
        rows: N rows as read.
        inputs: Their encodings.
        evidence: The passages and pictures behind them.
        relations: (N,) positions in `TEXT_RELATIONS`.
        labels: (N,) positions in `LABELS`.
        same_picture: (N,) 1, 0, or -1 where it is unknown or there are not two pictures.
    """

    rows: Sequence[Factify2Row]
    inputs: FusionInputs
    evidence: Sequence[Evidence]
    relations: np.ndarray
    labels: np.ndarray
    same_picture: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, positions: np.ndarray) -> "Split":
        """Some of the rows."""
        return Split(
            [self.rows[i] for i in positions],
            self.inputs.take(positions),
            [self.evidence[i] for i in positions],
            self.relations[positions],
            self.labels[positions],
            self.same_picture[positions],
        )


def encode_split(
    reading: Reading, folder: Path, split: str, on_progress: Callable[[int], None] | None = None
) -> Split:
    """Read and encode a split whose labels are known.

    Args:
        reading: How to read it.
        folder: A folder in Factify 2's format.
        split: Name of the split.
        on_progress: Called with the number of texts and pictures encoded since the last call.

    Raises:
        InvalidInputError: A row has no label.
    """
    rows = read_factify2(folder, split)
    labels = []
    for row in rows:
        if row.label is None:
            raise InvalidInputError(
                f"{folder / f'{split}.csv'}: row {row.index} has no Category, which is needed here"
            )
        labels.append(row.label)
    encoded = given_evidence(reading, [(row.claim, row.document) for row in rows], on_progress)
    inputs = encoded.inputs
    both = (inputs.claim_image_rows >= 0) & (inputs.evidence_image_rows >= 0)
    same = [-1 if row.same_picture is None else int(row.same_picture) for row in rows]
    return Split(
        rows,
        inputs,
        encoded.evidence,
        np.array([TEXT_RELATIONS.index(text_relation_of(label)) for label in labels]),
        np.array([LABELS.index(label) for label in labels]),
        np.where(both, same, -1),
    )


def with_distractors(split: Split, seed: int) -> FusionInputs:
    """The same examples as retrieval would show them: passages of other documents among their own.

    A claim keeps a random number of its own passages, its best ones; the other places go to the
    passages of other documents that are most like it, leaving out documents that stand beside the
    same claim anywhere in the split, since these may well decide it.

    Args:
        split: The examples.
        seed: Chooses how many of its own passages each keeps.
    """
    import faiss

    inputs = split.inputs
    rng = np.random.default_rng(seed)
    _, places, dimension = inputs.passages.shape
    owners, slots = np.nonzero(inputs.has_passage)
    pool = faiss.IndexFlatIP(dimension)
    pool.add(np.ascontiguousarray(inputs.passages[owners, slots]))
    _, found = pool.search(np.ascontiguousarray(inputs.claim_text), places * 6)
    documents_of: dict[str, set[str]] = {}
    for row in split.rows:
        documents_of.setdefault(row.claim.text, set()).add(row.document.text)
    passages = np.zeros_like(inputs.passages)
    present = np.zeros_like(inputs.has_passage)
    signals = np.zeros_like(inputs.signals)
    for example, row in enumerate(split.rows):
        own = int(inputs.has_passage[example].sum())
        kept = int(rng.integers(1, max(1, min(own, places - 1)) + 1))
        entries = [(example, slot) for slot in range(kept)]
        for hit in found[example]:
            if len(entries) == places:
                break
            owner = int(owners[hit])
            if split.rows[owner].document.text not in documents_of[row.claim.text]:
                entries.append((owner, int(slots[hit])))
        vectors = np.stack([inputs.passages[entry] for entry in entries])
        order = np.argsort(-(vectors @ inputs.claim_text[example]), kind="stable")
        for place, (owner, slot) in enumerate(entries[i] for i in order):
            text = split.evidence[owner].passages[slot].passage.text
            passages[example, place] = inputs.passages[owner, slot]
            signals[example, place] = lexical_signals(row.claim.text, text)
            present[example, place] = True
    return replace(inputs, passages=passages, has_passage=present, signals=signals)
