"""Running a checkpoint over inputs: from encodings to calibrated probabilities."""

from dataclasses import dataclass

import numpy as np
import torch

from factcheck.fusion.calibration import Calibration
from factcheck.fusion.checkpoint import Checkpoint
from factcheck.fusion.head import FusionHead
from factcheck.fusion.inputs import FusionInputs
from factcheck.records import LABELS, TEXT_RELATIONS, TextRelation, label_probabilities


@dataclass(frozen=True)
class RelationProbabilities:
    """Calibrated probabilities of N examples.

    Attributes:
        text: (N, 3) of support, insufficient, refute.
        image: (N,) of the same picture; NaN where there are not two pictures.
    """

    text: np.ndarray
    image: np.ndarray

    @property
    def label(self) -> np.ndarray:
        """(N, 5) of the labels, in the order of `records.LABELS`."""
        return np.array(
            [
                list(label_probabilities(*self.factors(row)).values())
                for row in range(len(self.text))
            ]
        ).reshape(-1, len(LABELS))

    def factors(self, row: int) -> tuple[dict[TextRelation, float], float | None]:
        """One example's text relation and image relation, as a verdict holds them."""
        text = dict(zip(TEXT_RELATIONS, map(float, self.text[row]), strict=True))
        return text, None if np.isnan(self.image[row]) else float(self.image[row])


def relation_logits(
    head: FusionHead, inputs: FusionInputs, batch_size: int = 256
) -> tuple[np.ndarray, np.ndarray]:
    """The head's logits: (N, 3) of the text relation and (N,) of the same picture."""
    device = next(head.parameters()).device
    training = head.training
    head.eval()
    text = np.zeros((len(inputs), 3), dtype=np.float32)
    image = np.zeros(len(inputs), dtype=np.float32)
    for start in range(0, len(inputs), batch_size):
        rows = np.arange(start, min(start + batch_size, len(inputs)))
        with torch.inference_mode():
            relations = head(inputs.batch(rows).to(device))
        text[rows] = relations.text.float().cpu().numpy()
        image[rows] = relations.image.float().cpu().numpy()
    head.train(training)
    return text, image


def relation_probabilities(checkpoint: Checkpoint, inputs: FusionInputs) -> RelationProbabilities:
    """Run the head and calibrate both factors."""
    text, image = relation_logits(checkpoint.head, inputs)
    return calibrated(checkpoint.calibration, text, image, inputs)


def calibrated(
    calibration: Calibration, text: np.ndarray, image: np.ndarray, inputs: FusionInputs
) -> RelationProbabilities:
    """Probabilities of (N, 3) and (N,) logits.

    Args:
        calibration: Temperatures and biases.
        text: (N, 3) logits of the text relation.
        image: (N,) logits of the same picture.
        inputs: Says where there are two pictures.
    """
    both = (inputs.claim_image_rows >= 0) & (inputs.evidence_image_rows >= 0)
    return RelationProbabilities(
        calibration.text_probabilities(text),
        np.where(both, calibration.image_probabilities(image), np.nan),
    )
