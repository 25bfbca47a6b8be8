"""Training the image encoder: a short real run, its parts, and going on where it stopped."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from factcheck.encoders import ImageEncoder
from factcheck.settings import ImageEncoderTraining
from factcheck.training import train
from factcheck.training.image_encoder import LookalikeBatches, late_interaction, nt_xent


@pytest.fixture
def settings() -> ImageEncoderTraining:
    return ImageEncoderTraining.model_validate(
        {
            "kind": "image-encoder",
            "photographs": ["."],
            "share": [0.0, 0.6],
            "validation_share": [0.6, 1.0],
            "architecture": {
                "side": 64,
                "dims": [32, 32, 32, 32],
                "heads": [1, 1, 1, 1],
                "depths": [1, 1, 1, 1],
                "windows": [4, 4, 2, 1],
                "sub_windows": [4, 2, 1, 1],
            },
            "steps": 4,
            "batch_size": 4,
            "cluster_size": 2,
            "neighbours": 2,
            "warmup_steps": 1,
            "workers": 0,
            "log_every": 1,
            "evaluate_every": 2,
        }
    )


def test_a_run_writes_an_encoder_and_resumes(
    settings: ImageEncoderTraining, photographs: Path, tmp_path: Path
) -> None:
    half = settings.model_copy(update={"steps": 2})
    train(half, photographs, tmp_path)
    metrics = train(settings, photographs, tmp_path)
    steps = [line.split(",")[0] for line in (tmp_path / "log.csv").read_text().splitlines()]
    assert steps == ["step", "1", "2", "3", "4"]
    assert metrics["step"] == 4
    assert 0 <= metrics["auc_pooled"] <= 1
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    assert ImageEncoder.load(str(tmp_path / "encoder")).dimension == 32


def test_batches_hold_lookalikes_and_go_on_where_they_stopped() -> None:
    neighbours = np.array([[(i // 3) * 3 + (i + j) % 3 for j in (1, 2)] for i in range(30)])
    whole = list(LookalikeBatches(neighbours, 6, 3, start=0, stop=5, seed=1))
    rest = list(LookalikeBatches(neighbours, 6, 3, start=2, stop=5, seed=1))
    assert whole[2:] == rest
    for step, batch in enumerate(whole):
        indices = [index for index, _ in batch]
        assert len(set(indices)) == 6
        assert {nonce for _, nonce in batch} == {step}
        assert len({index // 3 for index in indices[:3]}) == 1


def test_nt_xent_is_least_when_views_agree() -> None:
    agree = torch.eye(4).roll(2, dims=1)
    assert nt_xent(agree, 0.1) < nt_xent(torch.zeros(4, 4), 0.1) < nt_xent(1 - agree, 0.1)
    assert nt_xent(torch.zeros(4, 4), 0.1).item() == pytest.approx(np.log(3))


def test_late_interaction_finds_a_part_wherever_it_lies() -> None:
    grid = torch.eye(8)[None, :4]
    moved = torch.cat([grid.flip(1), torch.eye(8)[None, 4:]])
    scores = late_interaction(torch.cat([grid, moved]))
    assert scores[0, 1].item() == pytest.approx(1)
    assert scores[0, 2].item() == pytest.approx(0)
    assert torch.allclose(scores, scores.T)
