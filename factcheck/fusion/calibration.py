"""Calibration: probabilities that mean what they say.

Bias-corrected temperature scaling (arXiv:1901.06852, section 3.1; temperature scaling is
arXiv:1706.04599, section 4.2) of each factor, fitted by maximum likelihood on rows that no
weight was trained on. The label's probabilities follow from the calibrated factors.

One temperature for all rows leaves the text relation too sure in the middle and not sure enough
where it hardly ever errs. So its temperature depends on the logits (parameterized temperature
scaling, arXiv:2102.12182), by a single parameter: the vector of centred logits keeps
its direction, and its length is raised to a power.

Where two pictures were compared point by point, too (`encoders.local_features`), the image relation
is a logistic regression on what the head says and on the number of places that match. On most data
the number decides nearly alone, and where copies are not what counts as the same picture, the fit
says so.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from pydantic import Field

from factcheck.fusion.abstention import Conformal
from factcheck.settings import Settings

# Beyond what `fit` may choose: a stranger's temperature of nearly nothing, or power of hundreds,
# would make numbers that are none.
_Temperature = Annotated[float, Field(ge=0.01, le=100)]
_Bias = Annotated[float, Field(ge=-100, le=100)]
_Power = Annotated[float, Field(ge=0.2, le=5)]
_Weight = Annotated[float, Field(ge=0, le=20)]


class MatchCalibration(Settings):
    """Logistic regression for pairs of pictures that were compared point by point.

    Attributes:
        logit: Weighs the image relation's calibrated logit.
        places: Weighs the logarithm of one more than the number of places that match.
        bias: Added to both.
    """

    logit: _Weight
    places: _Weight
    bias: _Bias

    @classmethod
    def fit(cls, logits: np.ndarray, places: np.ndarray, same_picture: np.ndarray) -> Self | None:
        """Fit on held-out pairs by maximum likelihood.

        That nearly all pairs are told apart would ask for weights without bound. So the truth is as
        sure as the number of pairs allows (Platt, "Probabilistic outputs for support vector
        machines", 1999, section 2.2).

        Args:
            logits: (M,) calibrated logits.
            places: (M,) places that match.
            same_picture: (M,) bool, the truth.

        Returns:
            None where there are only pairs of one kind.
        """
        from scipy.optimize import minimize

        same, others = int(same_picture.sum()), int((~same_picture).sum())
        if not same or not others:
            return None
        truth = np.where(same_picture, (same + 1) / (same + 2), 1 / (others + 2))

        def loss(parameters: np.ndarray) -> float:
            scaled = _matched(logits, places, *parameters)
            return float((np.logaddexp(0, scaled) - truth * scaled).mean())

        bounds = [(0.0, 2.0), (0.0, 20.0), (-50.0, 50.0)]
        found = minimize(loss, np.array([1.0, 0.0, 0.0]), method="L-BFGS-B", bounds=bounds).x
        return cls(logit=float(found[0]), places=float(found[1]), bias=float(found[2]))


class Calibration(Settings):
    """Temperatures and biases of both factors, and a power; the default changes nothing.

    Attributes:
        text_temperature: Divides the text relation's logits.
        text_bias: Added to the divided logits of support, insufficient, refute.
        text_power: What the length of the centred logits is raised to after that.
        image_temperature: Divides the image relation's logit.
        image_bias: Added to the divided logit.
        matched: For pairs of pictures that were compared point by point; None where it is not
            known what that tells.
        passage_temperature: Divides the text relation encoder's own logits, of a passage or of all
            of a document's together.
        conformal: Rows kept back for `--max-error`; None where there are none.
    """

    text_temperature: _Temperature = 1.0
    text_bias: tuple[_Bias, _Bias, _Bias] = (0.0, 0.0, 0.0)
    text_power: _Power = 1.0
    image_temperature: _Temperature = 1.0
    image_bias: _Bias = 0.0
    matched: MatchCalibration | None = None
    passage_temperature: _Temperature = 1.0
    conformal: Conformal | None = None

    @classmethod
    def fit(
        cls,
        text_logits: np.ndarray,
        relations: np.ndarray,
        image_logits: np.ndarray,
        same_picture: np.ndarray,
        document_logits: np.ndarray | None = None,
        matched_places: np.ndarray | None = None,
    ) -> Self:
        """Fit on held-out rows by maximum likelihood.

        Args:
            text_logits: (N, 3) logits of the text relation.
            relations: (N,) true relations as positions in `records.TEXT_RELATIONS`.
            image_logits: (M,) logits of those rows that have two pictures and a known image
                relation.
            same_picture: (M,) bool, the truth of these.
            document_logits: (N, 3) logits of the text relation encoder alone, where there is one.
            matched_places: (M,) in how many places the pictures of those rows match; NaN where they
                were not compared so.
        """
        from scipy.optimize import minimize

        def text_loss(parameters: np.ndarray) -> float:
            temperature, power = np.exp(parameters[0]), np.exp(parameters[3])
            biases = np.array([0.0, *parameters[1:3]])
            scaled = _lengthened(text_logits / temperature + biases, power)
            return float(-_log_softmax(scaled)[np.arange(len(relations)), relations].mean())

        def document_loss(parameters: np.ndarray) -> float:
            scaled = document_logits / np.exp(parameters[0])
            return float(-_log_softmax(scaled)[np.arange(len(relations)), relations].mean())

        def image_loss(parameters: np.ndarray) -> float:
            scaled = image_logits / np.exp(parameters[0]) + parameters[1]
            return float(np.logaddexp(0, np.where(same_picture, -scaled, scaled)).mean())

        # A factor that the held-out rows separate perfectly has no finite optimum; a temperature or
        # bias outside these bounds says more about their number than about the model. The bounds
        # hold while fitting: cut off afterwards, one parameter no longer goes with the others.
        temperature, bias = (np.log(0.05), np.log(20.0)), (-10.0, 10.0)
        power = (np.log(0.25), np.log(4.0))

        def fitted(
            loss: Callable[[np.ndarray], float], bounds: Sequence[tuple[float, float]]
        ) -> np.ndarray:
            found: np.ndarray = minimize(
                loss, np.zeros(len(bounds)), method="L-BFGS-B", bounds=bounds
            ).x
            return found

        text, image, passages = np.zeros(4), np.zeros(2), np.zeros(1)
        if len(relations):
            text = fitted(text_loss, [temperature, bias, bias, power])
            if document_logits is not None:
                passages = fitted(document_loss, [temperature])
        if len(same_picture):
            image = fitted(image_loss, [temperature, bias])
        found = cls(
            passage_temperature=float(np.exp(passages[0])),
            text_temperature=float(np.exp(text[0])),
            text_bias=(0.0, float(text[1]), float(text[2])),
            text_power=float(np.exp(text[3])),
            image_temperature=float(np.exp(image[0])),
            image_bias=float(image[1]),
        )
        if matched_places is None:
            return found
        compared = ~np.isnan(matched_places)
        matched = MatchCalibration.fit(
            found._image_logits(image_logits[compared]),
            matched_places[compared],
            same_picture[compared],
        )
        return found.model_copy(update={"matched": matched})

    def text_probabilities(self, logits: np.ndarray) -> np.ndarray:
        """(N, 3) probabilities of (N, 3) logits."""
        scaled = logits.astype(np.float64) / self.text_temperature + np.array(self.text_bias)
        probabilities: np.ndarray = np.exp(_log_softmax(_lengthened(scaled, self.text_power)))
        return probabilities

    def passage_probabilities(self, logits: np.ndarray) -> np.ndarray:
        """(..., 3) probabilities of (..., 3) logits of the text relation encoder."""
        probabilities: np.ndarray = np.exp(
            _log_softmax(logits.astype(np.float64) / self.passage_temperature)
        )
        return probabilities

    def image_probabilities(
        self, logits: np.ndarray, matched_places: np.ndarray | None = None
    ) -> np.ndarray:
        """(N,) probabilities of the same picture.

        Args:
            logits: (N,) of the head.
            matched_places: (N,) in how many places the pictures match; NaN where they were not
                compared so.
        """
        from scipy.special import expit

        scaled = self._image_logits(logits)
        if self.matched is not None and matched_places is not None:
            own = self.matched
            # What was not compared has no number of places, and no warning is to come of that.
            places = np.nan_to_num(matched_places)
            matched = _matched(scaled, places, own.logit, own.places, own.bias)
            scaled = np.where(np.isnan(matched_places), scaled, matched)
        probabilities: np.ndarray = expit(scaled)
        return probabilities

    def _image_logits(self, logits: np.ndarray) -> np.ndarray:
        """(N,) calibrated logits of the same picture by what the head says."""
        scaled: np.ndarray = logits.astype(np.float64) / self.image_temperature + self.image_bias
        return scaled

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(self.model_dump_json(indent=2) + "\n")


def _matched(
    logits: np.ndarray, places: np.ndarray, logit: float, weight: float, bias: float
) -> np.ndarray:
    """(M,) logits by what the head says and by the places that match."""
    scaled: np.ndarray = logit * logits + weight * np.log1p(places.astype(np.float64)) + bias
    return scaled


def _lengthened(logits: np.ndarray, power: float) -> np.ndarray:
    """(N, 3) logits, centred, the length of each row raised to a power; the order stays."""
    centred = logits - logits.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(centred, axis=-1, keepdims=True)
    # A row without a direction stays as it is.
    raised: np.ndarray = centred * np.where(length > 0, length, 1.0) ** (power - 1)
    return raised


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    from scipy.special import log_softmax

    result: np.ndarray = log_softmax(logits, axis=-1)
    return result
