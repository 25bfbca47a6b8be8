"""Training the fusion head: it learns, it can be repeated, and what it writes loads."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from factcheck.encoders import Encoders
from factcheck.errors import InvalidInputError, MissingResourceError, UsageError
from factcheck.evaluation.splits import Split, encode_split
from factcheck.evidence import Reading
from factcheck.fusion.checkpoint import build_head, load_checkpoint, save_checkpoint
from factcheck.fusion.head import Relations
from factcheck.fusion.run import relation_probabilities
from factcheck.pipeline import FactChecker
from factcheck.settings import PassageSettings
from factcheck.training import train
from factcheck.training.distractors import with_distractors
from factcheck.training.fusion import _calibrate, divide_validation, hide, relation_loss
from factcheck.training.fusion_teachers import FusionTeachers, taught_loss
from factcheck.training_settings import FusionTraining


def settings(image_encoder: Path, relation_encoder: Path | None, **changes: Any) -> FusionTraining:
    return FusionTraining.model_validate(
        {
            "kind": "fusion",
            "image_encoder": str(image_encoder),
            "relation_encoder": None if relation_encoder is None else str(relation_encoder),
            "head": {"width": 48, "heads": 4, "layers": 1, "passages": 3},
            "epochs": 10,
            "batch_size": 32,
            "learning_rate": 3e-3,
            "distractors": 0.1,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def run(
    tiny_image_encoder_folder: Path,
    relation_encoder_folder: Path,
    factify2_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    out = tmp_path_factory.mktemp("run") / "fusion"
    train(settings(tiny_image_encoder_folder, relation_encoder_folder), factify2_folder, out)
    return out


def test_it_learns_and_says_how_well(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test"]["weighted_f1"] > 0.5
    assert metrics["test"]["text_relation_accuracy"] > 0.8
    assert metrics["rows"] == {"train": 200, "val": 60}
    assert (run / "log.csv").read_text().count("\n") > 2
    assert json.loads((run / "settings.json").read_text())["epochs"] == 10


def test_the_checkpoint_loads_with_its_card_and_gives_verdicts(
    run: Path, checker: FactChecker
) -> None:
    checkpoint = load_checkpoint(run / "checkpoint")
    card = (run / "checkpoint" / "README.md").read_text()
    assert checkpoint.config.text_encoder.sha256[:12] in card
    assert "| test | 40 |" in card
    assert checkpoint.calibration.text_temperature != 1.0
    assert checkpoint.calibration.passage_temperature != 1.0
    # Of 60 validation rows a third each is for stopping, for calibration, and kept back.
    assert checkpoint.calibration.conformal is not None
    assert len(checkpoint.calibration.conformal.truth) == 20
    trained = FactChecker(checkpoint, checker.encoders)
    assert trained.checkpoint.sha256 != checker.checkpoint.sha256


def test_the_same_seed_gives_the_same_weights(
    run: Path,
    tiny_image_encoder_folder: Path,
    relation_encoder_folder: Path,
    factify2_folder: Path,
    tmp_path: Path,
) -> None:
    again_settings = settings(tiny_image_encoder_folder, relation_encoder_folder)
    train(again_settings, factify2_folder, tmp_path / "again")
    first, again = (
        load_checkpoint(run / "checkpoint"),
        load_checkpoint(tmp_path / "again/checkpoint"),
    )
    assert first.sha256 == again.sha256


def test_trees_are_grown_beside_a_head(
    run: Path,
    tiny_image_encoder_folder: Path,
    relation_encoder_folder: Path,
    factify2_folder: Path,
    encoders: Encoders,
    tmp_path: Path,
) -> None:
    own = settings(tiny_image_encoder_folder, relation_encoder_folder, trees={"trees": 20})
    metrics = train(own, factify2_folder, tmp_path / "run")
    alone = load_checkpoint(run / "checkpoint")
    beside = load_checkpoint(tmp_path / "run" / "checkpoint")
    assert beside.trees is not None
    assert beside.trees.trees.roots.shape == (20, 3)
    card = (tmp_path / "run/checkpoint/README.md").read_text()
    assert "Beside the head 20 boosted trees" in card
    assert "boosted trees" not in (run / "checkpoint/README.md").read_text()
    # The head is the one that it would have been without them.
    for name, weights in alone.head.state_dict().items():
        assert torch.equal(weights, beside.head.state_dict()[name])
    assert metrics["test"]["text_relation_accuracy"] > 0.8
    # What is calibrated is both together.
    calibration = beside.calibration
    assert calibration.conformal is not None
    validation = encode_split(Reading(encoders, PassageSettings(), 3), factify2_folder, "val")
    *_, kept_back = divide_validation(validation, own)
    confidence = relation_probabilities(beside, kept_back.inputs).label.max(axis=1)
    assert sorted(calibration.conformal.confidence) == pytest.approx(sorted(confidence))


def test_rows_of_each_relation_are_needed_for_trees(
    tiny_image_encoder_folder: Path,
    relation_encoder_folder: Path,
    factify2_folder: Path,
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    shutil.copytree(factify2_folder, data)
    table = data / "train.csv"
    table.write_text(table.read_text().replace("Refute", "Support_Text"))
    own = settings(tiny_image_encoder_folder, relation_encoder_folder, trees={})
    with pytest.raises(InvalidInputError, match=r"train\.csv: no row is of the text relation ref"):
        train(own, data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_finished_head_is_not_lost_to_another(
    run: Path,
    tiny_image_encoder_folder: Path,
    relation_encoder_folder: Path,
    factify2_folder: Path,
    tmp_path: Path,
) -> None:
    same = settings(tiny_image_encoder_folder, relation_encoder_folder)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match=r"holds a finished run with other settings, which would"):
        train(same.model_copy(update={"seed": 7}), factify2_folder, run)
    changed = tmp_path / "data"
    shutil.copytree(factify2_folder, changed)
    (changed / "train.csv").write_text((changed / "train.csv").read_text().replace("the", "a"))
    with pytest.raises(UsageError, match="holds a finished run on other data, which would"):
        train(same, changed, run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_head_learns_from_others(
    run: Path,
    tiny_image_encoder_folder: Path,
    relation_encoder_folder: Path,
    factify2_folder: Path,
    encoders: Encoders,
    tmp_path: Path,
) -> None:
    # The teacher takes support for refutation and the reverse, which no truth would teach.
    trained = load_checkpoint(run / "checkpoint")
    with torch.no_grad():
        for readout in (trained.head.text_relation, trained.head.from_document):
            for weights in (readout.weight, readout.bias):
                weights.copy_(weights.flip(0))
    teacher = tmp_path / "teacher"
    save_checkpoint(teacher, trained.head, trained.config, trained.calibration, "")
    said = FusionTeachers([load_checkpoint(teacher).head])
    validation = encode_split(Reading(encoders, PassageSettings(), 3), factify2_folder, "val")
    batch = validation.inputs.batch(np.arange(len(validation)))
    both = batch.has_claim_image & batch.has_evidence_image
    far: dict[str, float] = {}
    for name, teachers in {"alone": [], "taught": [teacher]}.items():
        own = settings(
            tiny_image_encoder_folder,
            relation_encoder_folder,
            epochs=2,
            batch_size=8,
            average_decay=0.0,
            teachers=[str(folder) for folder in teachers],
        )
        train(own, factify2_folder, tmp_path / name)
        pupil = load_checkpoint(tmp_path / name / "checkpoint").head
        with torch.no_grad():
            far[name] = float(taught_loss(pupil(batch), *said(batch), both, image_weight=0.5))
    assert far["taught"] < far["alone"] - 0.2
    assert "mean of 1 such heads" in (tmp_path / "taught/checkpoint/README.md").read_text()
    assert "such heads" not in (tmp_path / "alone/checkpoint/README.md").read_text()


def test_teachers_are_heard_together(run: Path, split: Split) -> None:
    head = load_checkpoint(run / "checkpoint").head
    other = build_head(load_checkpoint(run / "checkpoint").config).eval()
    # The checkpoint reads three passages, the split has four.
    batch = replace(
        split.inputs.batch(np.arange(5)),
        **{
            name: getattr(split.inputs.batch(np.arange(5)), name)[:, :3]
            for name in ("passages", "has_passage", "signals", "relations")
        },
    )
    text, image = FusionTeachers([head, other])(batch)
    with torch.no_grad():
        first, second = head(batch), other(batch)
    assert torch.allclose(text, (first.text + second.text) / 2)
    assert torch.allclose(image, (first.image + second.image) / 2)
    # What a head says is nearest to itself, and where a picture is missing only the text counts.
    none = torch.zeros(5).bool()
    itself = taught_loss(first, first.text, first.image, none, image_weight=0.5)
    assert itself < taught_loss(second, first.text, first.image, none, image_weight=0.5)
    wrong = taught_loss(first, first.text, -first.image, none, image_weight=0.5)
    assert torch.equal(itself, wrong)


def test_a_teacher_that_reads_something_else_is_refused(
    run: Path,
    tiny_image_encoder_folder: Path,
    relation_encoder_folder: Path,
    factify2_folder: Path,
    tmp_path: Path,
) -> None:
    teachers = [str(run / "checkpoint")]
    other = settings(
        tiny_image_encoder_folder,
        relation_encoder_folder,
        passages={"max_characters": 200},
        teachers=teachers,
    )
    with pytest.raises(InvalidInputError, match="checkpoint: cannot be a teacher"):
        train(other, factify2_folder, tmp_path / "out")
    with pytest.raises(InvalidInputError, match="checkpoint: cannot be a teacher"):
        train(
            settings(tiny_image_encoder_folder, None, teachers=teachers),
            factify2_folder,
            tmp_path / "none",
        )


def test_rows_without_labels_are_refused_by_number(
    tiny_image_encoder_folder: Path, factify2_folder: Path, encoders: Encoders, tmp_path: Path
) -> None:
    lines = [line.split("\t") for line in (factify2_folder / "train.csv").read_text().splitlines()]
    unlabelled = ("\t".join(cells[:5] + cells[6:]) for cells in lines)
    (tmp_path / "train.csv").write_text("\n".join(unlabelled) + "\n")
    with pytest.raises(InvalidInputError, match=r"train\.csv: row 0 has no Category"):
        encode_split(Reading(encoders, PassageSettings(), 3), tmp_path, "train")


@pytest.fixture(scope="module")
def split(encoders: Encoders, factify2_folder: Path) -> Split:
    return encode_split(Reading(encoders, PassageSettings(), 4), factify2_folder, "val")


def test_a_split_knows_the_truth(split: Split) -> None:
    assert len(split) == 60
    for row, same in zip(split.rows, split.same_picture, strict=True):
        assert same == int(bool(row.same_picture))
    both = split.inputs.claim_image_rows == split.inputs.evidence_image_rows
    assert both.tolist() == (split.same_picture == 1).tolist()


def test_distractors_fill_up_in_order_of_similarity(split: Split, encoders: Encoders) -> None:
    mixed = with_distractors(split, encoders, seed=0)
    assert mixed.has_passage.sum() > split.inputs.has_passage.sum()
    cosines = np.einsum("nd,nkd->nk", mixed.claim_text, mixed.passages)
    for row in range(len(split)):
        present = cosines[row][mixed.has_passage[row]]
        assert np.all(np.diff(present) <= 1e-5)
        own = {vector.tobytes() for vector in split.inputs.passages[row]}
        assert any(vector.tobytes() in own for vector in mixed.passages[row])
        assert mixed.relations[row][mixed.has_passage[row]].any(axis=1).all()
        assert not mixed.relations[row][~mixed.has_passage[row]].any()


def test_only_a_share_of_the_examples_is_mixed(split: Split, encoders: Encoders) -> None:
    mixed = with_distractors(split, encoders, seed=0, share=0.25)
    changed = (mixed.passages != split.inputs.passages).any(axis=(1, 2))
    assert 5 < changed.sum() <= 15
    for name in ("has_passage", "signals", "relations"):
        same = getattr(mixed, name)[~changed] == getattr(split.inputs, name)[~changed]
        assert same.all()


def test_a_head_can_be_trained_without_text_relations(
    tiny_image_encoder_folder: Path, factify2_folder: Path, tmp_path: Path
) -> None:
    plain = settings(tiny_image_encoder_folder, None, epochs=1, conformal_share=0)
    train(plain, factify2_folder, tmp_path / "run")
    checkpoint = load_checkpoint(tmp_path / "run" / "checkpoint")
    assert checkpoint.config.relation_encoder is None
    assert not checkpoint.head.reads_relations
    assert checkpoint.calibration.conformal is None


def test_a_run_of_ten_steps_comes_to_its_end(
    tiny_image_encoder_folder: Path, factify2_folder: Path, tmp_path: Path
) -> None:
    ten = settings(tiny_image_encoder_folder, None, epochs=10, batch_size=256, patience=10)
    assert train(ten, factify2_folder, tmp_path / "run")["rows"]["train"] == 200


def test_a_head_without_pictures_is_not_told_of_them_by_their_points(
    run: Path, split: Split
) -> None:
    places = np.where(split.same_picture == 1, 200.0, 3.0).astype(np.float32)
    compared = replace(split, inputs=replace(split.inputs, matched_places=places))
    config = load_checkpoint(run / "checkpoint").config
    for without, asked in (((), True), (("ocr",), True), (("images",), False)):
        wanted = config.head.model_copy(update={"without": without, "passages": 4})
        head = build_head(config.model_copy(update={"head": wanted}))
        calibration = _calibrate(head.eval(), None, compared, compared.take(np.arange(20)))
        assert (calibration.matched is not None) == asked


def test_validation_rows_must_be_left_to_stop_by(
    tiny_image_encoder_folder: Path, relation_encoder_folder: Path
) -> None:
    with pytest.raises(ValueError, match="leave no validation rows"):
        settings(tiny_image_encoder_folder, relation_encoder_folder, conformal_share=0.7)


def test_too_few_validation_rows_are_refused_before_anything_is_encoded(
    tiny_image_encoder_folder: Path, factify2_folder: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(factify2_folder, data)
    head, *rows = (factify2_folder / "val.csv").read_text().splitlines(keepends=True)
    own = settings(tiny_image_encoder_folder, None, epochs=1)
    stages: list[str] = []
    (data / "val.csv").write_text("".join([head, *rows[:2]]))
    with pytest.raises(InvalidInputError, match=r"val.csv: of 2 rows, .* none for early stopping"):
        train(own, data, tmp_path / "run", lambda stage, *_: stages.append(stage))
    assert stages == []
    assert not (tmp_path / "run").exists()
    (data / "val.csv").write_text("".join([head, *rows[:3]]))
    assert train(own, data, tmp_path / "run")["rows"]["val"] == 3


def _without_labels(data: Path, split: str, kept: int = 0) -> None:
    """Take the labels from the rows of a split but for the first ones."""
    path = data / f"{split}.csv"
    head, *rows = (line.split("\t") for line in path.read_text().splitlines())
    blank = [*rows[:kept], *([*cells[:5], "", *cells[6:]] for cells in rows[kept:])]
    path.write_text("\n".join("\t".join(cells) for cells in (head, *blank)) + "\n")


def test_a_test_split_without_labels_is_not_measured(
    tiny_image_encoder_folder: Path, factify2_folder: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(factify2_folder, data)
    _without_labels(data, "test")
    own = settings(tiny_image_encoder_folder, None, epochs=1)
    metrics = train(own, data, tmp_path / "run")
    assert "test" not in metrics
    assert metrics["val (calibration rows)"]["weighted_f1"] >= 0
    assert "| test |" not in (tmp_path / "run" / "checkpoint" / "README.md").read_text()


@pytest.mark.parametrize(
    ("split", "kept", "problem"),
    [
        ("train", 0, r"train\.csv: row 0 has no Category"),
        ("val", 0, r"val\.csv: row 0 has no Category"),
        ("test", 7, r"test\.csv, row 7: the Category '' is not one of"),
    ],
)
def test_rows_without_labels_are_named_before_anything_is_encoded(
    split: str,
    kept: int,
    problem: str,
    tiny_image_encoder_folder: Path,
    factify2_folder: Path,
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    shutil.copytree(factify2_folder, data)
    _without_labels(data, split, kept)
    with pytest.raises(InvalidInputError, match=problem):
        train(settings(tiny_image_encoder_folder, None, epochs=1), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_loss_ignores_an_unknown_picture() -> None:
    options = FusionTraining(kind="fusion", label_smoothing=0)
    text = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    truth = torch.tensor([0, 2])
    relations = [Relations(text, torch.tensor([5.0, x]), torch.zeros(2, 5)) for x in (-9.0, 9.0)]
    unknown = torch.tensor([1, -1])
    assert relation_loss(relations[0], truth, unknown, options) == relation_loss(
        relations[1], truth, unknown, options
    )
    known = torch.tensor([1, 1])
    assert relation_loss(relations[0], truth, known, options) > relation_loss(
        relations[1], truth, known, options
    )


def test_hiding_only_takes_away(split: Split) -> None:
    batch = split.inputs.batch(np.arange(60))
    hidden = hide(batch, 0.5)
    for name in ("has_claim_image", "has_evidence_image", "has_claim_ocr"):
        before, after = getattr(batch, name), getattr(hidden, name)
        assert not (after & ~before).any()
        assert 0 < after.sum() < before.sum()
    assert torch.equal(hide(batch, 0.0).has_claim_image, batch.has_claim_image)


def test_a_split_that_is_missing_is_named_and_no_run_is_begun(tmp_path: Path) -> None:
    with pytest.raises(MissingResourceError, match=r"train\.csv: training needs this split"):
        train(FusionTraining(kind="fusion"), tmp_path, tmp_path / "run")
    assert not (tmp_path / "run").exists()
