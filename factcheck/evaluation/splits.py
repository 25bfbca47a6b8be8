"""A labelled split as systems are trained and scored on it: encodings, evidence and truth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from factcheck.datasets import Factify2Row, read_factify2
from factcheck.errors import InvalidInputError
from factcheck.evaluation.baselines import LabelledInputs
from factcheck.evaluation.shared_texts import text_groups
from factcheck.evidence import Reading, given_evidence
from factcheck.fusion.inputs import FusionInputs
from factcheck.records import LABELS, TEXT_RELATIONS, Evidence, Label, text_relation_of


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

    @property
    def text_groups(self) -> np.ndarray:
        """(N,) the group of each row by its texts (`shared_texts`)."""
        return text_groups(self.rows)

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

    def labelled(self) -> LabelledInputs:
        """The split as the baselines see it."""
        return LabelledInputs(
            self.inputs,
            np.array([len(row.claim.text) for row in self.rows]),
            np.array([len(row.document.text) for row in self.rows]),
            self.labels,
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
    labels = require_labels(folder, split, rows)
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


def require_labels(folder: Path, split: str, rows: Sequence[Factify2Row]) -> list[Label]:
    """The labels of a split's rows.

    Args:
        folder: The folder that they were read from.
        split: Name of the split.
        rows: The rows.

    Raises:
        InvalidInputError: A row has none.
    """
    labels = []
    for row in rows:
        if row.label is None:
            raise InvalidInputError(
                f"{folder / f'{split}.csv'}: row {row.index} has no Category, which is needed here"
            )
        labels.append(row.label)
    return labels
