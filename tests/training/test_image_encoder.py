"""Training the image encoder: a short real run, its parts, and going on where it stopped."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from factcheck.datasets import list_photographs
from factcheck.encoders import ImageEncoder
from factcheck.errors import InvalidInputError, UsageError
from factcheck.training import train
from factcheck.training.image_losses import late_interaction, memory_similarities, nt_xent
from factcheck.training.image_pairs import LookalikeBatches, own_neighbours
from factcheck.training.teacher import nearest_neighbours, teacher_vectors
from factcheck.training_settings import ImageEncoderTraining, SmallStart


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
            "own_neighbours": 2,
            "memory": True,
            "chunk": 3,
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


def test_a_run_does_not_go_on_as_another(
    settings: ImageEncoderTraining, photographs: Path, tmp_path: Path
) -> None:
    train(settings.model_copy(update={"steps": 2}), photographs, tmp_path / "run")
    with pytest.raises(UsageError, match="run: holds a checkpoint of a run with other settings"):
        train(settings.model_copy(update={"seed": 7}), photographs, tmp_path / "run")
    # One photograph is another now, and their number is the same.
    moved = tmp_path / "photographs"
    shutil.copytree(photographs, moved)
    first = min(list_photographs([moved], settings.share), key=lambda one: one.share)
    with Image.open(first.path) as image:
        turned = image.convert("RGB").transpose(Image.Transpose.ROTATE_180)
    for number in range(200):
        turned.putpixel((0, 0), (number, 0, 0))
        turned.save(first.path)
        if len(list_photographs([moved], settings.share)) == len(
            list_photographs([photographs], settings.share)
        ):
            break
    with pytest.raises(UsageError, match="run: holds a checkpoint of a run on other data"):
        train(settings, moved, tmp_path / "run")
    kept = tmp_path / "run" / "teacher.npz"
    fresh = teacher_vectors(list_photographs([moved], settings.share))
    assert np.array_equal(teacher_vectors(list_photographs([moved], settings.share), kept), fresh)
    # What a full disk or a power cut has left of it is made anew.
    whole = kept.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"PK"):
        kept.write_bytes(damaged)
        vectors = teacher_vectors(list_photographs([moved], settings.share), kept)
        assert np.array_equal(vectors, fresh)
        assert kept.read_bytes() == whole


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(
    settings: ImageEncoderTraining, photographs: Path, tmp_path: Path
) -> None:
    # A constant rate: the schedule of half a run is not half of the schedule.
    constant = settings.model_copy(update={"decay_fraction": 1e-9})
    train(constant.model_copy(update={"steps": 2}), photographs, tmp_path / "resumed")
    train(constant, photographs, tmp_path / "resumed")
    train(constant, photographs, tmp_path / "whole")
    resumed, whole = (
        load_file(tmp_path / run / "encoder" / "model.safetensors") for run in ("resumed", "whole")
    )
    for name, tensor in whole.items():
        assert torch.allclose(tensor.float(), resumed[name].float(), atol=1e-3), name


def test_training_goes_on_from_an_encoder_on_smaller_pictures_first(
    settings: ImageEncoderTraining, photographs: Path, tmp_path: Path
) -> None:
    train(settings.model_copy(update={"steps": 1}), photographs, tmp_path / "first")
    larger = settings.architecture.model_copy(update={"side": 96, "windows": (6, 6, 3, 3)})
    small = SmallStart(steps=1, side=64, windows=settings.architecture.windows)
    update = {"architecture": larger, "small_start": small, "steps": 2}
    following = settings.model_copy(update={**update, "initial": tmp_path / "first" / "encoder"})
    train(following, photographs, tmp_path / "second")
    encoder = ImageEncoder.load(str(tmp_path / "second" / "encoder"))
    assert (encoder.transform.side, encoder.tokens) == (96, 9)
    # It started from these weights, and is another run from others.
    train(settings.model_copy(update={"steps": 1, "seed": 7}), photographs, tmp_path / "other")
    name = "model.safetensors"
    (tmp_path / "other" / "encoder" / name).replace(tmp_path / "first" / "encoder" / name)
    with pytest.raises(UsageError, match="second: holds a checkpoint of a run on other data"):
        train(following, photographs, tmp_path / "second")


def test_a_log_has_each_step_once_after_a_kill(
    settings: ImageEncoderTraining, photographs: Path, tmp_path: Path
) -> None:
    """Rows are written at each step, checkpoints at every second: step 3 is done twice."""

    class KilledError(Exception):
        pass

    def report(stage: str, done: int, total: int, figures: dict[str, float]) -> None:
        if done == 4:
            raise KilledError

    with pytest.raises(KilledError):
        train(settings, photographs, tmp_path, report)
    assert (tmp_path / "log.csv").read_text().splitlines()[-1].startswith("3,")
    train(settings, photographs, tmp_path)
    steps = [line.split(",")[0] for line in (tmp_path / "log.csv").read_text().splitlines()]
    assert steps == ["step", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"batch_size": 64},
            r"of share 0 to 0.6 .* photographs, too few for a batch of 64 \(batch_",
        ),
        ({"neighbours": 11}, r"too few for each to have 11 look-alikes \(neighbours\)"),
    ],
)
def test_too_few_photographs_are_refused_with_their_number(
    settings: ImageEncoderTraining,
    photographs: Path,
    tmp_path: Path,
    changes: dict[str, object],
    sentence: str,
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        train(settings.model_copy(update=changes), photographs, tmp_path)


def test_one_photograph_cannot_be_validated_on(
    settings: ImageEncoderTraining, photographs: Path, tmp_path: Path
) -> None:
    one = list_photographs([photographs], settings.validation_share)[0].share
    alone = settings.model_copy(update={"validation_share": (one, one + 1e-9)})
    with pytest.raises(InvalidInputError, match=r"fewer than two .* of validation_share"):
        train(alone, photographs, tmp_path)


def test_a_batch_larger_than_all_there_is_does_not_wait_for_ever() -> None:
    neighbours = np.array([[1], [2], [0]])
    with pytest.raises(InvalidInputError, match="3 photographs are too few for a batch of 4"):
        LookalikeBatches(neighbours, 4, 2, start=0, stop=1, seed=0)
    [batch] = LookalikeBatches(neighbours, 3, 2, start=0, stop=1, seed=0)
    assert {index for index, _ in batch} == {0, 1, 2}


def test_there_are_no_more_neighbours_than_others() -> None:
    near = nearest_neighbours(np.eye(4, 8, dtype=np.float32), 8)
    assert [sorted(row) for row in near.tolist()] == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


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


def test_memory_gives_negatives_that_are_neither_ones_own_nor_unknown() -> None:
    memory = torch.tensor([[1.0, 0], [0, 1], [0, 0]])
    similar = memory_similarities(torch.eye(2).repeat(2, 1), torch.tensor([0, 2]), memory)
    expected = [[-np.inf, 0, -np.inf], [0, 1, -np.inf]] * 2
    assert similar.tolist() == expected
    alone = nt_xent(torch.eye(4), 0.1)
    assert nt_xent(torch.eye(4), 0.1, torch.full((4, 2), -np.inf)) == alone
    assert nt_xent(torch.eye(4), 0.1, torch.zeros(4, 1)) > alone


def test_late_interaction_finds_a_part_wherever_it_lies() -> None:
    grid = torch.eye(8)[None, :4]
    moved = torch.cat([grid.flip(1), torch.eye(8)[None, 4:]])
    scores = late_interaction(torch.cat([grid, moved]))
    assert scores[0, 1].item() == pytest.approx(1)
    assert scores[0, 2].item() == pytest.approx(0)
    assert torch.allclose(scores, scores.T)


def test_own_lookalikes_stand_beside_the_teachers() -> None:
    teacher = np.array([[1, 2], [2, 3], [3, 0], [0, 1]])
    angles = torch.tensor([0.0, 2.0, 0.1, 2.2])
    latest = torch.stack([angles.cos(), angles.sin()], dim=1).numpy()
    assert own_neighbours(latest, teacher, 1).tolist() == [
        [1, 2, 2],
        [2, 3, 3],
        [3, 0, 0],
        [0, 1, 1],
    ]
    assert own_neighbours(latest, teacher, 0) is teacher
    latest[3] = 0
    unseen = own_neighbours(latest, teacher, 1)
    assert unseen[:, :2].tolist() == teacher.tolist()
    assert unseen[:, 2].tolist() == [2, 2, 0, 0]
    # Four have no more than three others.
    assert own_neighbours(np.abs(latest) + 1, teacher, 4) is teacher
    latest[1:] = 0
    assert own_neighbours(latest, teacher, 1) is teacher
