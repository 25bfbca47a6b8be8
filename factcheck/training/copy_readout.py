"""Fitting what tells copies from other pictures by their token grids (`encoders.image_match`).

The photographs must be ones that the image encoder was not trained on: of those that it was, it
knows the tokens too well.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from factcheck.datasets.compose_pictures import open_photograph
from factcheck.datasets.lookalikes import Lookalikes
from factcheck.datasets.photo_edits import heavy_copy, light_copy
from factcheck.datasets.photographs import Photograph, list_photographs
from factcheck.encoders.image import ImageEncoder, architecture_of, save_image_encoder
from factcheck.encoders.image_match import CopyReadout, match_features, token_match
from factcheck.errors import InvalidInputError
from factcheck.evaluation.copies import Similarity, others_of, separation
from factcheck.training.inputs import started_from
from factcheck.training.loop import OnProgress, require_no_other, write_metrics, write_run
from factcheck.training_settings import CopyReadoutTraining

_CHUNK = 256


def train_copy_readout(
    settings: CopyReadoutTraining,
    data: Path,
    out: Path,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Fit a readout and write it beside its image encoder.

    Args:
        settings: What to fit.
        data: The folder that the settings' photograph folders are named relative to.
        out: Run folder: `settings.json`, `metrics.json`, and `encoder/`, as `ImageEncoder.load`
            reads it.
        on_progress: Called with a stage, rounds done, rounds in all and no figures.

    Returns:
        ROC AUC and best accuracy on the validation photographs, of the readout and of the plain
        mean of the best matches.

    Raises:
        UsageError: `out` holds a finished run with other settings or on another encoder.
        InvalidInputError: There are fewer than two photographs to fit on or to measure on.
    """
    report = on_progress or (lambda stage, done, total, values: None)
    out.mkdir(parents=True, exist_ok=True)
    inputs = started_from(settings)
    require_no_other(settings, inputs, out)
    write_run(settings, inputs, out)
    folders = [data / folder for folder in settings.photographs]
    encoder = ImageEncoder.load(settings.image_encoder)
    features, copies = [], []
    fitted = _photographs(folders, settings.share)
    for number in range(settings.rounds):
        same, different = edited_pairs(encoder, fitted, f"{settings.seed}/{number}")
        for pairs, truth in ((same, 1), (different, 0)):
            features.append(match_features(*pairs).numpy())
            copies.append(np.full(len(pairs[0]), truth))
        report("edit and encode", number + 1, settings.rounds, {})
    readout = fit_readout(
        encoder.tokens,
        np.concatenate(features),
        np.concatenate(copies),
        settings.inverse_regularisation,
    )
    held = _photographs(folders, settings.validation_share)
    same, different = edited_pairs(encoder, held, f"{settings.seed}/validation")
    ways: dict[str, Similarity] = {"readout": readout, "tokens": token_match}
    metrics: dict[str, Any] = {"pairs": sum(len(c) for c in copies)}
    with torch.inference_mode():
        for name, way in ways.items():
            found = separation(way(*same).numpy(), way(*different).numpy())
            metrics |= {f"auc_{name}": found.auc, f"accuracy_{name}": found.accuracy}
    architecture = architecture_of(encoder.network, encoder.transform.side)
    save_image_encoder(encoder.network, architecture, encoder.transform, out / "encoder")
    readout.save(out / "encoder")
    write_metrics(out, metrics)
    return metrics


def _photographs(folders: list[Path], share: tuple[float, float]) -> list[Photograph]:
    found = list_photographs(folders, share)
    if len(found) < 2:
        raise InvalidInputError(
            f"{folders[0]}: two photographs or more are needed of share {share[0]} to {share[1]}"
        )
    return found


def edited_copies(
    photographs: Sequence[Photograph], seed: str
) -> Iterator[tuple[Image.Image, Image.Image]]:
    """A light and a heavy copy of each photograph, which the seed chooses."""
    for place, photograph in enumerate(photographs):
        rng = Random(f"{seed}/{place}/{photograph.sha256}")
        image = open_photograph(photograph)
        yield light_copy(image, rng), heavy_copy(image, rng)


def edited_pairs(
    encoder: ImageEncoder, photographs: Sequence[Photograph], seed: str
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Token grids of pairs of copies and of pairs of different pictures, N of each.

    Args:
        encoder: The image encoder.
        photographs: N photographs.
        seed: Chooses the edits, and which different pictures are paired.

    Returns:
        Two times two (N, T, C): a lightly edited photograph beside itself heavily edited, and
        beside another heavily edited, every second time one that looks alike.
    """
    near = Lookalikes(photographs, open_photograph)
    places = {photograph.sha256: place for place, photograph in enumerate(photographs)}
    rng = Random(seed)
    lookalikes = np.array([places[near.near(p, rng).sha256] for p in photographs])
    others = others_of(lookalikes, rng.randrange(2**32))
    sides: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    copies = edited_copies(photographs, seed)
    while chunk := list(islice(copies, _CHUNK)):
        for side, views in zip(sides, zip(*chunk, strict=True), strict=True):
            side.append(encoder.encode(views).tokens)
    light, heavy = (torch.from_numpy(np.concatenate(side)) for side in sides)
    return (light, heavy), (light, heavy[torch.from_numpy(others)])


def fit_readout(
    tokens: int, features: np.ndarray, copies: np.ndarray, inverse_regularisation: float
) -> CopyReadout:
    """A readout from (N, 2T + 17) features and (N,) 1 for copies, 0 for other pictures."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features)
    model = LogisticRegression(C=inverse_regularisation, max_iter=5000)
    model.fit(scaler.transform(features), copies)
    # The scaling becomes part of the weights.
    weights = model.coef_ / scaler.scale_
    readout = CopyReadout(tokens)
    with torch.no_grad():
        readout.linear.weight.copy_(torch.from_numpy(weights))
        readout.linear.bias.copy_(torch.from_numpy(model.intercept_ - weights @ scaler.mean_))
    return readout.eval()
