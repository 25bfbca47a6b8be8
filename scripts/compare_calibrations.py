"""Which calibration of the text relation is the most honest, on validation rows.

    python scripts/compare_calibrations.py RUN ... --data build/composed --cache CACHE

Runs are those of a fusion head (`factcheck train configs/fusion-default.yaml`). Ten-fold on the
rows that training calibrates on, and fitted on all of these and scored on the rows that it keeps
back; in the mean over the runs. Scored are the negative log-likelihood of the text relation and
the expected calibration error of the label. All are fitted by maximum likelihood; what ships is
`fusion.calibration`'s own code.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from results import origin, write_results
from scipy.optimize import minimize
from scipy.special import log_softmax

from factcheck.encoders import Encoders, EncodingCache
from factcheck.evaluation.metrics import expected_calibration_error
from factcheck.evaluation.splits import Split, encode_split
from factcheck.evidence import Reading
from factcheck.fusion.calibration import Calibration
from factcheck.fusion.checkpoint import load_checkpoint
from factcheck.fusion.run import RelationProbabilities, relation_logits
from factcheck.records import TEXT_RELATIONS
from factcheck.training.fusion import divide_validation
from factcheck.training_settings import FusionTraining

FOLDS = 10
SHIPS = "temperature by the length of the centred logits"

Scaled = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From parameters and (N, 3) logits to (N, 3) logits."""


@dataclass(frozen=True)
class Scaling:
    """A way to calibrate logits.

    Attributes:
        start: Parameters that change nothing.
        scaled: What parameters make of logits.
        penalty: Of the squares of what parameters change, in nats a row (ODIR of Dirichlet scaling,
            arXiv:1910.12656, section 3.2).
    """

    start: np.ndarray
    scaled: Scaled
    penalty: float = 0.0

    def fit(self, logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """The parameters under which the truth is the likeliest."""

        def loss(parameters: np.ndarray) -> float:
            shrinkage = self.penalty * float(np.square(parameters - self.start).sum())
            return negative_log_likelihood(self.scaled(parameters, logits), truth) + shrinkage

        found: np.ndarray = minimize(loss, self.start, method="L-BFGS-B").x
        return found


def negative_log_likelihood(logits: np.ndarray, truth: np.ndarray) -> float:
    """In nats a row."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(truth)), truth].mean())


def biased(parameters: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Divided by a temperature, with biases after it."""
    scaled: np.ndarray = logits / np.exp(parameters[0]) + np.array([0.0, *parameters[1:3]])
    return scaled


def by_sureness(of: Callable[[np.ndarray], np.ndarray]) -> Scaled:
    """As `biased`, and the logarithm of the temperature falls with how sure the logits are."""

    def scaled(parameters: np.ndarray, logits: np.ndarray) -> np.ndarray:
        found: np.ndarray = biased(parameters, logits) * np.exp(parameters[3] * of(logits))[:, None]
        return found

    return scaled


def highest(logits: np.ndarray) -> np.ndarray:
    """(N,) the highest probability."""
    probabilities: np.ndarray = np.exp(log_softmax(logits, axis=1)).max(axis=1)
    return probabilities


def margin(logits: np.ndarray) -> np.ndarray:
    """(N,) how far the highest logit is above the next."""
    ordered = np.sort(logits, axis=1)
    return np.asarray(ordered[:, -1] - ordered[:, -2])


def cubic(parameters: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """As `biased`, and a multiple of the third power of what is centred."""
    first = biased(parameters, logits)
    centred = first - first.mean(axis=1, keepdims=True)
    return np.asarray(centred + parameters[3] * centred**3)


def dirichlet(parameters: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """A linear map of the log-probabilities."""
    matrix, bias = parameters[:9].reshape(3, 3), parameters[9:]
    return np.asarray(log_softmax(logits, axis=1) @ matrix.T + bias)


SCALINGS: dict[str, Scaling] = {
    "none": Scaling(np.zeros(0), lambda _, logits: logits),
    "temperature": Scaling(np.zeros(1), lambda p, logits: logits / np.exp(p[0])),
    "temperature and biases": Scaling(np.zeros(3), biased),
    "vector scaling": Scaling(np.repeat([1.0, 0.0], 3), lambda p, logits: logits * p[:3] + p[3:]),
    **{
        f"Dirichlet scaling, {penalty:g}": Scaling(
            np.concatenate([np.eye(3).ravel(), np.zeros(3)]), dirichlet, penalty
        )
        for penalty in (1e-4, 1e-3, 1e-2)
    },
    "temperature by the highest probability": Scaling(np.zeros(4), by_sureness(highest)),
    "temperature by the margin": Scaling(np.zeros(4), by_sureness(margin)),
    "cubic of the centred logits": Scaling(np.zeros(4), cubic),
}


@dataclass(frozen=True)
class Head:
    """What a head says of rows, and what is true.

    Attributes:
        text: (N, 3) logits of the text relation.
        image: (N,) logits of the image relation.
        split: The rows.
    """

    text: np.ndarray
    image: np.ndarray
    split: Split

    def take(self, rows: np.ndarray) -> "Head":
        """Some of the rows."""
        return Head(self.text[rows], self.image[rows], self.split.take(rows))


def probabilities(fitted_on: Head, scored: Head) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(N, 3) of the text relation and (N, 5) of the label, by scaling.

    The image relation is calibrated as it ships whatever the scaling.
    """
    ships = calibration(fitted_on)
    text = {SHIPS: ships.text_probabilities(scored.text)}
    for name, scaling in SCALINGS.items():
        parameters = scaling.fit(fitted_on.text, fitted_on.split.relations)
        text[name] = np.exp(log_softmax(scaling.scaled(parameters, scored.text), axis=1))
    inputs = scored.split.inputs
    both = (inputs.claim_image_rows >= 0) & (inputs.evidence_image_rows >= 0)
    image = np.where(both, ships.image_probabilities(scored.image), np.nan)
    none, given = np.full((len(image), 0), np.nan), np.full(len(image), np.nan)
    return {
        name: (own, RelationProbabilities(own, image, none, none, given).label)
        for name, own in text.items()
    }


def calibration(head: Head) -> Calibration:
    """As training fits it."""
    known = head.split.same_picture >= 0
    same = head.split.same_picture[known] == 1
    return Calibration.fit(head.text, head.split.relations, head.image[known], same)


def score(text: np.ndarray, label: np.ndarray, split: Split) -> tuple[float, float]:
    """Negative log-likelihood of the text relation, and calibration error of the label."""
    right = label.argmax(axis=1) == split.labels
    error = expected_calibration_error(label.max(axis=1), right)
    return negative_log_likelihood(np.log(text), split.relations), error


def folded(head: Head, seed: int) -> dict[str, tuple[float, float]]:
    """Scores of each scaling, every row by parameters that it had no part in."""
    names = (*SCALINGS, SHIPS)
    text = {name: np.zeros((len(head.split), len(TEXT_RELATIONS))) for name in names}
    label = {name: np.zeros((len(head.split), 5)) for name in names}
    order = np.random.default_rng(seed).permutation(len(head.split))
    for rows in np.array_split(order, FOLDS):
        others, own = head.take(np.setdiff1d(order, rows)), head.take(rows)
        for name, said in probabilities(others, own).items():
            text[name][rows], label[name][rows] = said
    return {name: score(text[name], label[name], head.split) for name in names}


def kept_back(calibrated_on: Head, kept: Head) -> dict[str, tuple[float, float]]:
    """Scores of each scaling on rows that training keeps back."""
    return {
        name: score(text, label, kept.split)
        for name, (text, label) in probabilities(calibrated_on, kept).items()
    }


def main() -> None:
    """Compare and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="run folders of fusion heads")
    parser.add_argument("--data", type=Path, required=True, help="folder they were trained on")
    parser.add_argument("--cache", type=Path, required=True, help="file with its encodings")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("data/results/calibrations.json"))
    arguments = parser.parse_args()
    found = []
    for run in arguments.runs:
        settings = FusionTraining.model_validate_json((run / "settings.json").read_text())
        checkpoint = load_checkpoint(run / "checkpoint")
        with EncodingCache(arguments.cache) as cache:
            encoders = Encoders.load(
                settings.text_encoder,
                settings.image_encoder,
                cache,
                settings.relation_encoder,
                settings.precision,
            )
            reading = Reading(encoders, settings.passages, settings.head.passages)
            validation = encode_split(reading, arguments.data, "val")
        _, fitted_on, kept = (
            Head(*relation_logits(checkpoint.head, part.inputs, checkpoint.trees), part)
            for part in divide_validation(validation, settings)
        )
        found.append((folded(fitted_on, arguments.seed), kept_back(fitted_on, kept)))
        rows = {"calibration": len(fitted_on.split), "kept back": len(kept.split)}
        sys.stdout.write(f"{run}\n")
        sys.stdout.flush()
    results = {
        name: {
            place: dict(zip(("negative_log_likelihood", "calibration_error"), means, strict=True))
            for place, number in (("ten-fold", 0), ("kept back", 1))
            for means in [np.mean([one[number][name] for one in found], axis=0).round(4).tolist()]
        }
        for name in (*SCALINGS, SHIPS)
    }
    for name, own in results.items():
        sys.stdout.write(f"{name:50} {own}\n")
    data = {"folder": str(arguments.data), "runs": [str(run) for run in arguments.runs]}
    about = {**origin(data), "seed": arguments.seed, "rows": rows}
    write_results(arguments.out, {**about, "scalings": results})


if __name__ == "__main__":
    main()
