"""What the fusion head must beat, on the same encodings and the same rows.

- majority: the most frequent label.
- similarity + random forest: INO at Factify 2 (arXiv:2303.01510): similarities of texts and
  pictures, lengths and word overlap, in a random forest.
- all signals + random forest: the same with every lexical signal that the fusion head reads.
- all signals and text relation + random forest: the same with what the text relation encoder says
  of the document; only where there is one.
- concatenation MLP: the task's official baseline (arXiv:2304.03897): the vectors of both texts and
  both pictures, side by side, in a multi-layer perceptron.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from factcheck.encoders.image import pool
from factcheck.errors import InvalidInputError
from factcheck.fusion.inputs import FusionInputs, document_relation_logits
from factcheck.fusion.signals import SIGNALS
from factcheck.records import LABELS


@dataclass(frozen=True)
class LabelledInputs:
    """Encodings with what a baseline may see besides, and the truth.

    Attributes:
        inputs: N encoded rows.
        claim_lengths: (N,) characters of the claim.
        document_lengths: (N,) characters of the document.
        labels: (N,) positions in `records.LABELS`.
    """

    inputs: FusionInputs
    claim_lengths: np.ndarray
    document_lengths: np.ndarray
    labels: np.ndarray


def majority(train: LabelledInputs, test: LabelledInputs, seed: int) -> np.ndarray:
    """(N, 5) probabilities: the label frequencies of the training rows."""
    frequencies = np.bincount(train.labels, minlength=len(LABELS)) / len(train.labels)
    return np.tile(frequencies, (len(test.labels), 1))


def similarity_forest(train: LabelledInputs, test: LabelledInputs, seed: int) -> np.ndarray:
    """(N, 5) probabilities of a random forest on similarities, lengths and word overlap."""
    return forest_probabilities(
        similarity_features(train), train.labels, similarity_features(test), seed
    )


def signals_forest(train: LabelledInputs, test: LabelledInputs, seed: int) -> np.ndarray:
    """(N, 5) probabilities of a random forest on these and all lexical signals."""

    def features(rows: LabelledInputs) -> np.ndarray:
        return np.concatenate([similarity_features(rows), rows.inputs.signals[:, 0]], axis=1)

    return forest_probabilities(features(train), train.labels, features(test), seed)


def relation_forest(train: LabelledInputs, test: LabelledInputs, seed: int) -> np.ndarray:
    """(N, 5) probabilities of a random forest on all that and the text relation encoder's logits.

    Raises:
        InvalidInputError: There is no text relation encoder.
    """

    def features(rows: LabelledInputs) -> np.ndarray:
        document = document_relation_logits(rows.inputs)
        if document is None:
            raise InvalidInputError(
                "the baseline 'all signals and text relation + random forest' needs a checkpoint "
                "with a text relation encoder"
            )
        counted = [similarity_features(rows), rows.inputs.signals[:, 0], document]
        return np.concatenate(counted, axis=1)

    return forest_probabilities(features(train), train.labels, features(test), seed)


def forest_probabilities(
    features: np.ndarray, labels: np.ndarray, of: np.ndarray, seed: int
) -> np.ndarray:
    """(M, 5) probabilities of a random forest.

    Args:
        features: (N, F) of the training rows.
        labels: (N,) their labels, positions in `records.LABELS`.
        of: (M, F) of the rows to predict.
        seed: Of the forest.
    """
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(500, min_samples_leaf=3, n_jobs=-1, random_state=seed)
    forest.fit(features, labels)
    # Several jobs add up the trees in any order, and a last digit may then decide a tie.
    probabilities = forest.set_params(n_jobs=1).predict_proba(of)
    return all_labels(probabilities, forest.classes_)


def concatenation_mlp(train: LabelledInputs, test: LabelledInputs, seed: int) -> np.ndarray:
    """(N, 5) probabilities of a perceptron on the four vectors side by side."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    network = make_pipeline(
        StandardScaler(),
        MLPClassifier((512, 128), early_stopping=True, n_iter_no_change=5, random_state=seed),
    )
    network.fit(concatenation_features(train.inputs), train.labels)
    probabilities = network.predict_proba(concatenation_features(test.inputs))
    return all_labels(probabilities, network.classes_)


BASELINES: dict[str, Callable[[LabelledInputs, LabelledInputs, int], np.ndarray]] = {
    "majority": majority,
    "similarity + random forest": similarity_forest,
    "all signals + random forest": signals_forest,
    "all signals and text relation + random forest": relation_forest,
    "concatenation MLP": concatenation_mlp,
}
"""The baselines by name: trained on the first, probabilities for the second."""


def similarity_features(rows: LabelledInputs) -> np.ndarray:
    """(N, F) similarities, word overlap and lengths.

    Cosines of the claim with the best passage, with the mean passage, of the pooled pictures and of
    the OCR texts (each with whether it exists); the shares of the claim's words in the best passage
    and the reverse, and the largest share in any; lengths of claim and document and their ratio.
    """
    inputs = rows.inputs
    claim, image = pooled_pictures(inputs, inputs.claim_image_rows)
    evidence, other = pooled_pictures(inputs, inputs.evidence_image_rows)
    mean = inputs.passages.sum(axis=1) / np.maximum(1, inputs.has_passage.sum(axis=1))[:, None]
    coverage = inputs.signals[..., SIGNALS.index("claim_coverage")] * inputs.has_passage
    reverse = inputs.signals[:, 0, SIGNALS.index("passage_coverage")]
    columns = [
        _dot(inputs.claim_text, inputs.passages[:, 0]),
        _dot(inputs.claim_text, mean),
        _dot(claim, evidence),
        image & other,
        _dot(inputs.claim_ocr, inputs.evidence_ocr),
        _dot(inputs.claim_ocr, inputs.claim_text),
        _dot(inputs.evidence_ocr, inputs.claim_text),
        inputs.has_claim_ocr,
        inputs.has_evidence_ocr,
        coverage.max(axis=1),
        coverage[:, 0],
        reverse,
        np.log1p(rows.claim_lengths),
        np.log1p(rows.document_lengths),
        rows.claim_lengths / np.maximum(1, rows.document_lengths),
    ]
    return np.stack([np.asarray(column, dtype=np.float32) for column in columns], axis=1)


def concatenation_features(inputs: FusionInputs) -> np.ndarray:
    """(N, 2 D + 2 C): claim text, mean passage, both pictures; zeros where missing."""
    mean = inputs.passages.sum(axis=1) / np.maximum(1, inputs.has_passage.sum(axis=1))[:, None]
    claim, _ = pooled_pictures(inputs, inputs.claim_image_rows)
    evidence, _ = pooled_pictures(inputs, inputs.evidence_image_rows)
    return np.concatenate([inputs.claim_text, mean, claim, evidence], axis=1)


def pooled_pictures(inputs: FusionInputs, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, C) pooled pictures, zero where absent, and (N,) where they are present."""
    present = rows >= 0
    pooled = np.zeros((len(rows), inputs.grids.shape[-1]), dtype=np.float32)
    pooled[present] = pool(inputs.grids)[rows[present]]
    return pooled, present


def _dot(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    product: np.ndarray = np.einsum("nd,nd->n", left, right)
    return product


def all_labels(probabilities: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Columns for all labels, where the training rows had only some."""
    complete = np.zeros((len(probabilities), len(LABELS)))
    complete[:, classes] = probabilities
    return complete
