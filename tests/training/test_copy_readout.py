"""Fitting what tells copies by token grids: on real edits, and on features whose truth is known."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from factcheck.datasets import list_photographs
from factcheck.encoders import ImageEncoder
from factcheck.encoders.image_match import match_width
from factcheck.errors import InvalidInputError, UsageError
from factcheck.training import train
from factcheck.training.copy_readout import fit_readout
from factcheck.training_settings import CopyReadoutTraining


@pytest.fixture
def settings(tiny_image_encoder_folder: Path) -> CopyReadoutTraining:
    return CopyReadoutTraining(
        kind="copy-readout",
        image_encoder=str(tiny_image_encoder_folder),
        photographs=[Path()],
        share=(0.0, 0.6),
        validation_share=(0.6, 1.0),
        rounds=2,
    )


def test_a_readout_is_written_beside_its_encoder(
    settings: CopyReadoutTraining,
    tiny_image_encoder_folder: Path,
    photographs: Path,
    tmp_path: Path,
) -> None:
    metrics = train(settings, photographs, tmp_path / "one")
    assert json.loads((tmp_path / "one" / "metrics.json").read_text()) == metrics
    assert 0 <= metrics["auc_readout"] <= 1
    encoder = ImageEncoder.load(str(tmp_path / "one" / "encoder"))
    assert encoder.sha256 == ImageEncoder.load(str(tiny_image_encoder_folder)).sha256
    assert encoder.copies is not None
    grids = torch.rand(2, 5, encoder.tokens, encoder.dimension)
    assert encoder.copies(*grids).shape == (5,)

    with pytest.raises(UsageError, match="holds a finished run with other settings"):
        train(settings.model_copy(update={"rounds": 1}), photographs, tmp_path / "one")
    assert json.loads((tmp_path / "one" / "metrics.json").read_text()) == metrics

    train(settings, photographs, tmp_path / "two")
    again = ImageEncoder.load(str(tmp_path / "two" / "encoder"))
    assert again.copies is not None
    assert torch.equal(encoder.copies(*grids), again.copies(*grids))


def test_the_fit_finds_what_tells_copies() -> None:
    rng = np.random.default_rng(0)
    copies = rng.integers(0, 2, 400)
    features = rng.normal(size=(400, match_width(4))) * 3 + 7
    features[:, 2] += 6 * copies
    readout = fit_readout(4, features, copies, 1.0)
    with torch.inference_mode():
        found = readout.linear(torch.from_numpy(features).float()).squeeze(-1).numpy() > 0
    assert (found == copies).mean() > 0.8
    weights = readout.linear.weight[0].abs()
    assert weights.argmax() == 2


def test_too_few_photographs_are_refused(
    settings: CopyReadoutTraining, photographs: Path, tmp_path: Path
) -> None:
    only = list_photographs([photographs])[0].share
    one = settings.model_copy(update={"share": (only, only + 1e-9)})
    with pytest.raises(InvalidInputError, match="two photographs or more are needed of share"):
        train(one, photographs, tmp_path)
