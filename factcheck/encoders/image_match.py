"""Two pictures compared by their token grids: how well each part matches, and whether in place.

A pooled vector blurs what a crop, a caption or a border changed; token grids do not. For every
token the best match on the other side is looked for (late interaction, as ColBERT does for words,
arXiv:2004.12832). Copies differ from look-alikes in how the matches are spread, a few lost ones and
the others near one, and in where they lie: a crop, a border and a mirror all move positions by one
scale and one shift an axis, while what merely looks alike matches here and there.
"""

from math import isqrt
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from factcheck.encoders.weights import read_weights, require_finite
from factcheck.errors import InvalidInputError

READOUT_FILE = "copies.safetensors"
"""Name of a readout in the folder of its image encoder."""

_PLACEMENT = 8
"""Numbers that `_placement` gives for a side."""

_SHARPNESS = 10.0
"""Weighs a token in its placement by the exponential of so many times its best cosine."""

_STEEPEST = 4.0
"""Slopes are cut to this: no edit enlarges more, and a line through few points may be any."""


def token_cosines(left: Tensor, right: Tensor) -> Tensor:
    """(N, T, S) cosines of every token of N grids (N or 1, T, C) with every one of N (N, S, C)."""
    return F.normalize(left, dim=-1) @ F.normalize(right, dim=-1).transpose(1, 2)


def pooled_cosine(left: Tensor, right: Tensor) -> Tensor:
    """(N,) cosines of the mean tokens of two times N grids (N, T, C)."""
    return F.cosine_similarity(left.mean(dim=1), right.mean(dim=1), dim=-1)


def token_match(left: Tensor, right: Tensor) -> Tensor:
    """(N,) late interaction of two times N grids (N, T, C).

    The mean over the tokens of one side of the largest cosine on the other, averaged over both
    sides. It finds a part wherever it lies.
    """
    cosines = token_cosines(left, right)
    return (cosines.amax(dim=2).mean(dim=1) + cosines.amax(dim=1).mean(dim=1)) / 2


def found_in(picture: Tensor, others: Tensor) -> Tensor:
    """How much of a picture is found in each of some others: the order of retrieval.

    The mean over its tokens of the best cosine among the other's (late interaction). One way only:
    that a crop lacks what was cut away does not count against its original.

    Args:
        picture: (T, C) tokens.
        others: (N, S, C) tokens.

    Returns:
        (N,) in [-1, 1].
    """
    cosines = token_cosines(picture[None], others)
    return cosines.amax(dim=2).mean(dim=1)


def match_width(tokens: int) -> int:
    """Number of features that `match_features` gives for grids of T tokens."""
    return 1 + 2 * tokens + 2 * _PLACEMENT


def match_features(left: Tensor, right: Tensor) -> Tensor:
    """What tells copies from other pictures, of two times N grids.

    Args:
        left: (N, T, C) tokens of square grids in row order.
        right: (N, T, C) tokens of the other side.

    Returns:
        (N, 2T + 17): the cosine of the mean tokens; the T best cosines of the left tokens and the T
        of the right ones, each sorted, so that it does not matter where a match was lost; and eight
        numbers a side on how its matches are placed (`_placement`).
    """
    cosines = token_cosines(left, right)
    return torch.cat(
        [
            pooled_cosine(left, right)[:, None],
            cosines.amax(dim=2).sort(dim=1).values,
            cosines.amax(dim=1).sort(dim=1).values,
            _placement(cosines),
            _placement(cosines.transpose(1, 2)),
        ],
        dim=1,
    )


def _placement(cosines: Tensor) -> Tensor:
    """How the best matches of N times T tokens are placed on the other grid.

    Args:
        cosines: (N, T, T) of the tokens of one side, rows, with those of the other.

    Returns:
        (N, 8): for each axis the slope, the residual variance and the correlation of the least
        squares line from the positions of tokens to those of their matches; then the share of
        matches that are mutual, and their mean cosine.
    """
    best, match = cosines.max(dim=2)
    weight = torch.softmax(_SHARPNESS * best, dim=1)[..., None]
    axis = torch.linspace(-1, 1, isqrt(cosines.shape[1]), device=cosines.device)
    places = torch.cartesian_prod(axis, axis)
    own, others = places.expand(len(cosines), -1, -1), places[match]
    own = own - (weight * own).sum(dim=1, keepdim=True)
    others = others - (weight * others).sum(dim=1, keepdim=True)
    covariance = (weight * own * others).sum(dim=1)
    variance = (weight * own**2).sum(dim=1) + 1e-3
    slope = covariance / variance
    residual = (weight * (others - slope[:, None] * own) ** 2).sum(dim=1)
    spread = (weight * others**2).sum(dim=1) + 1e-3
    correlation = covariance / torch.sqrt(variance * spread)
    back = cosines.argmax(dim=1).gather(1, match)
    mutual = (back == torch.arange(cosines.shape[1], device=cosines.device)).float()
    kept = (mutual * best).sum(dim=1) / (mutual.sum(dim=1) + 1e-3)
    return torch.cat(
        [
            slope.clamp(-_STEEPEST, _STEEPEST),
            residual,
            correlation,
            mutual.mean(dim=1, keepdim=True),
            kept[:, None],
        ],
        dim=1,
    )


class CopyReadout(nn.Module):
    """A logistic regression on `match_features`: is one picture a copy of the other?

    Args:
        tokens: Number T of tokens of a picture.
    """

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.linear = nn.Linear(match_width(tokens), 1)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """(N,) logits for two times N grids (N, T, C)."""
        logits: Tensor = self.linear(match_features(left, right))
        return logits.squeeze(-1)

    @classmethod
    def from_folder(cls, folder: Path, tokens: int) -> Self | None:
        """The readout of an image encoder's folder; None where it has none.

        Args:
            folder: The folder.
            tokens: Number T of tokens of a picture.

        Raises:
            InvalidInputError: The file does not hold a readout for grids of T tokens.
        """
        path = folder / READOUT_FILE
        if not path.exists():
            return None
        readout = cls(tokens)
        weights = read_weights(path)
        wanted = {name: tuple(value.shape) for name, value in readout.state_dict().items()}
        found = {name: tuple(value.shape) for name, value in weights.items()}
        if found != wanted:
            raise InvalidInputError(
                f"{path}: expected a readout of grids of {tokens} tokens, {wanted}, found {found}"
            )
        readout.load_state_dict(weights)
        return readout.eval()

    def save(self, folder: Path) -> None:
        """Write it into an image encoder's folder, as `from_folder` reads it.

        Raises:
            InvalidInputError: A weight is no finite number.
        """
        from safetensors.torch import save_file

        require_finite(self.state_dict(), folder / READOUT_FILE)
        save_file(self.state_dict(), folder / READOUT_FILE)
