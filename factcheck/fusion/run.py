"""Running a checkpoint over inputs: from encodings to calibrated probabilities.

The head says what evidence says of a claim. Whether what a search found is evidence is another
question (`encoders.bearing`), and a mixture puts both answers together: as far as nothing that was
found bears on the claim, what was found is insufficient. By the law of total probability that would
be exact if the head took for granted that it does; a head that has seen unrelated evidence leaves
such claims open by itself, so the mixture errs on the side of "insufficient".
"""

from dataclasses import dataclass

import numpy as np
import torch

from factcheck.encoders.relation import passage_weights, unpack
from factcheck.errors import RunError
from factcheck.fusion.calibration import Calibration
from factcheck.fusion.checkpoint import Checkpoint
from factcheck.fusion.head import FusionHead
from factcheck.fusion.inputs import FusionInputs
from factcheck.fusion.trees import TreesBeside, counted
from factcheck.records import LABELS, TEXT_RELATIONS, TextRelation, label_probabilities


@dataclass(frozen=True)
class RelationProbabilities:
    """Calibrated probabilities of N examples.

    Attributes:
        text: (N, 3) of support, insufficient, refute; with what may not bear on the claim in it.
        image: (N,) of the same picture; NaN where there are not two pictures.
        passages: (N, K, 3) of the text relation of each passage by itself; NaN where there is none,
            or no text relation encoder.
        weights: (N, K) shares of the passages in the text relation encoder's reading; NaN likewise.
        bearing: (N,) that anything bears on the claim; NaN where the evidence was given or nothing
            tells it.
    """

    text: np.ndarray
    image: np.ndarray
    passages: np.ndarray
    weights: np.ndarray
    bearing: np.ndarray

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

    def passage(self, row: int, place: int) -> tuple[dict[TextRelation, float], float] | None:
        """What one passage says of the claim, and its share; None where nothing has read it."""
        if np.isnan(self.weights[row, place]):
            return None
        values = map(float, self.passages[row, place])
        return dict(zip(TEXT_RELATIONS, values, strict=True)), float(self.weights[row, place])


def relation_logits(
    head: FusionHead, inputs: FusionInputs, beside: TreesBeside | None = None, batch_size: int = 256
) -> tuple[np.ndarray, np.ndarray]:
    """Logits: (N, 3) of the text relation and (N,) of the same picture.

    Args:
        head: The head.
        inputs: N examples.
        beside: Trees that are asked for the text relation, too.
        batch_size: Examples that the head sees at once.

    Raises:
        RunError: They are not finite: training went astray, or weights that are finite overflow.
    """
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
    if not (np.isfinite(text).all() and np.isfinite(image).all()):
        raise RunError("the fusion head gave numbers that are not finite, which are no verdict")
    if beside is not None and beside.share > 0:
        text = beside.mixed(text, beside.trees.logits(counted(inputs)))
    return text, image


def relation_probabilities(checkpoint: Checkpoint, inputs: FusionInputs) -> RelationProbabilities:
    """Run the head and calibrate both factors."""
    text, image = relation_logits(checkpoint.head, inputs, checkpoint.trees)
    return calibrated(checkpoint.calibration, text, image, inputs)


def calibrated(
    calibration: Calibration, text: np.ndarray, image: np.ndarray, inputs: FusionInputs
) -> RelationProbabilities:
    """Probabilities of (N, 3) and (N,) logits.

    Args:
        calibration: Temperatures, biases and a power.
        text: (N, 3) logits of the text relation.
        image: (N,) logits of the same picture.
        inputs: Says where there are two pictures, in how many places they match, and whether what
            was found bears on the claims.
    """
    bearing = _any_bears(inputs)
    both = (inputs.claim_image_rows >= 0) & (inputs.evidence_image_rows >= 0)
    return RelationProbabilities(
        _unless_nothing_bears(calibration.text_probabilities(text), bearing),
        np.where(both, calibration.image_probabilities(image, inputs.matched_places), np.nan),
        *_passages(calibration, inputs),
        bearing,
    )


def _any_bears(inputs: FusionInputs) -> np.ndarray:
    """(N,) probability that any passage bears on the claim: that of the likeliest."""
    told = ~np.isnan(inputs.bearing)
    highest = np.where(told, inputs.bearing, 0).max(axis=1, initial=0).astype(np.float64)
    return np.where(told.any(axis=1), highest, np.nan)


def _unless_nothing_bears(text: np.ndarray, bearing: np.ndarray) -> np.ndarray:
    """(N, 3) probabilities, what was found being insufficient where it does not bear on the claim.

    Args:
        text: (N, 3) of the text relation, where it does.
        bearing: (N,) that it does; NaN where that is no question.
    """
    does = np.where(np.isnan(bearing), 1.0, bearing)[:, None]
    open_ = np.array([relation is TextRelation.INSUFFICIENT for relation in TEXT_RELATIONS])
    mixed: np.ndarray = does * text + (1 - does) * open_
    return mixed


def _passages(calibration: Calibration, inputs: FusionInputs) -> tuple[np.ndarray, np.ndarray]:
    """(N, K, 3) probabilities and (N, K) weights of the passages, NaN where none was read."""
    present = inputs.has_passage
    if not inputs.relations.shape[-1]:
        none = np.full(present.shape, np.nan)
        return np.repeat(none[..., None], len(TEXT_RELATIONS), axis=-1), none
    read = unpack(inputs.relations)
    weights = passage_weights(torch.from_numpy(read.salience), torch.from_numpy(present)).numpy()
    probabilities = calibration.passage_probabilities(read.logits)
    return (
        np.where(present[..., None], probabilities, np.nan),
        np.where(present, weights, np.nan),
    )
