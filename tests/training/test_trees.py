"""Boosted trees beside the head: those of scikit-learn, kept as arrays."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.ensemble import GradientBoostingClassifier

from factcheck.encoders import Encoders
from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.evaluation.splits import Split, encode_split
from factcheck.evidence import Reading
from factcheck.fusion.checkpoint import load_checkpoint, save_checkpoint
from factcheck.fusion.run import relation_logits, relation_probabilities
from factcheck.fusion.trees import FILE, Trees, counted, counted_width, log_softmax
from factcheck.settings import PassageSettings
from factcheck.training.distractors import with_distractors
from factcheck.training.trees import SHARES, best_share, grow_trees
from factcheck.training_settings import FusionTraining, TreesTraining

SETTINGS = TreesTraining(trees=12, learning_rate=0.1, leaves=5, least_examples=5)


@pytest.fixture(scope="module")
def split(encoders: Encoders, factify2_folder: Path) -> Split:
    return encode_split(Reading(encoders, PassageSettings(), 3), factify2_folder, "train")


@pytest.fixture(scope="module")
def trees(split: Split) -> Trees:
    return grow_trees(SETTINGS, [split.inputs], split.relations, seed=0)


@pytest.fixture
def file(trees: Trees, tmp_path: Path) -> Path:
    trees.save(tmp_path / FILE)
    return tmp_path / FILE


def test_they_say_what_scikit_learn_s_say(split: Split, trees: Trees, encoders: Encoders) -> None:
    rows = counted(split.inputs)
    assert rows.shape == (len(split), counted_width(3))
    assert np.isfinite(rows).all()
    model = GradientBoostingClassifier(
        n_estimators=12,
        learning_rate=0.1,
        max_depth=None,
        max_leaf_nodes=5,
        min_samples_leaf=5,
        subsample=0.5,
        max_features=0.15,
        random_state=0,
    ).fit(rows, split.relations)
    # Rows that they have not seen, too.
    for some in (rows, counted(with_distractors(split, encoders, seed=1))):
        said = np.exp(log_softmax(trees.logits(some)))
        assert said == pytest.approx(model.predict_proba(some), abs=1e-9)
        assert len(np.unique(said.argmax(axis=1))) > 1


def test_rows_can_be_asked_about_alone_or_together(split: Split, trees: Trees) -> None:
    rows = np.tile(counted(split.inputs), (3, 1))
    together = trees.logits(rows)
    assert together[201] == pytest.approx(trees.logits(rows[201:202])[0], abs=1e-12)
    assert trees.logits(rows[:0]).shape == (0, 3)


def test_what_is_absent_is_not_counted(split: Split) -> None:
    inputs = split.inputs
    gone = replace(
        inputs,
        has_passage=np.zeros_like(inputs.has_passage),
        passages=np.zeros_like(inputs.passages),
        signals=np.zeros_like(inputs.signals),
    )
    assert np.isfinite(counted(gone)).all()
    # What a text relation encoder would have said of it, had it been there, makes no difference.
    other = replace(gone, relations=np.ones_like(inputs.relations))
    first, second = counted(gone), counted(other)
    document = slice(-3 - 4 * 3, -3 - 2 * 3)
    mask = np.ones(first.shape[1], dtype=bool)
    mask[document] = False
    assert np.array_equal(first[:, mask], second[:, mask])


def test_other_forms_of_an_example_are_learnt_from(split: Split, encoders: Encoders) -> None:
    alone = grow_trees(SETTINGS, [split.inputs], split.relations, seed=0)
    same = grow_trees(SETTINGS, [split.inputs, split.inputs], split.relations, seed=0)
    assert np.array_equal(alone.values, same.values)
    mixed = with_distractors(split, encoders, seed=0, share=0.5)
    both = grow_trees(SETTINGS, [split.inputs, mixed], split.relations, seed=0)
    assert not np.array_equal(alone.prior, both.prior) or len(both.values) != len(alone.values)


def test_their_share_is_the_likeliest() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=500)
    right = 2.0 * np.eye(3)[truth]
    noise = rng.normal(size=(500, 3))
    assert best_share(right, noise, truth) == 0
    assert best_share(noise, right, truth) == max(SHARES)
    # Two that err independently are better together.
    one, other = right + 2 * noise, right + 2 * rng.normal(size=(500, 3))
    assert 0.2 < best_share(one, other, truth) < 0.7


def test_they_are_read_as_they_were_written(trees: Trees, file: Path) -> None:
    again = Trees.load(file, counted_width(3))
    for name in ("features", "thresholds", "left", "right", "values", "roots", "prior"):
        assert np.array_equal(getattr(again, name), getattr(trees, name))


def _set(name: str, place: int, value: float) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(arrays: dict[str, torch.Tensor]) -> None:
        arrays[name][place] = value

    return change


def _chain(arrays: dict[str, torch.Tensor]) -> None:
    nodes = len(arrays["features"])
    arrays["features"][:-1] = 0
    arrays["features"][-1] = -1
    for side in ("left", "right"):
        arrays[side] = torch.minimum(torch.arange(1, nodes + 1), torch.tensor(nodes - 1)).int()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("features", 0, 999), "looks at what is not there"),
        (_set("features", 0, -2), "looks at what is not there"),
        (_set("left", 0, 0), "a node leads nowhere"),
        (_set("right", 0, 10**6), "a node leads nowhere"),
        (_set("thresholds", 0, float("nan")), "a number is not finite"),
        (_set("values", 3, float("inf")), "a number is not finite"),
        (lambda arrays: arrays["roots"].fill_(10**6), "a root is no node"),
        (lambda arrays: arrays.update(roots=arrays["roots"][:, :2].contiguous()), "the shapes do"),
        (lambda arrays: arrays.update(values=arrays["values"][1:].clone()), "the shapes do not"),
        (lambda arrays: arrays.update(values=arrays["values"].float()), "holds no trees"),
        (lambda arrays: arrays.pop("prior"), "holds no trees"),
        (_chain, "deeper than the 64 levels"),
    ],
)
def test_a_strangers_trees_are_refused(
    file: Path, change: Callable[[dict[str, torch.Tensor]], object], message: str
) -> None:
    arrays = load_file(file)
    change(arrays)
    save_file(arrays, file)
    with pytest.raises(InvalidInputError, match=message):
        Trees.load(file, counted_width(3))


def test_a_checkpoint_has_them_beside_its_head(
    checkpoint_folder: Path, trees: Trees, split: Split, tmp_path: Path
) -> None:
    plain = load_checkpoint(checkpoint_folder)
    hashes = {plain.sha256}
    text, image = relation_logits(plain.head, split.inputs)
    for share in (0.0, 0.5, 1.0):
        config = plain.config.model_copy(update={"trees_share": share})
        folder = tmp_path / str(share)
        saved = save_checkpoint(folder, plain.head, config, plain.calibration, "", trees)
        hashes.add(saved.sha256)
        assert saved.trees is not None
        mixed, same = relation_logits(saved.head, split.inputs, saved.trees)
        assert np.array_equal(image, same)
        expected = (1 - share) * log_softmax(text)
        expected += share * log_softmax(trees.logits(counted(split.inputs)))
        assert log_softmax(mixed) == pytest.approx(log_softmax(expected), abs=1e-5)
        probabilities = relation_probabilities(saved, split.inputs).text
        wanted = plain.calibration.text_probabilities(mixed)
        assert probabilities == pytest.approx(wanted, abs=1e-6)
    # Another tree is another model.
    moved = replace(trees, prior=trees.prior + np.array([0.0, 0.0, 1.0]))
    hashes.add(save_checkpoint(folder, plain.head, config, plain.calibration, "", moved).sha256)
    assert len(hashes) == 5
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / FILE).unlink()
    with pytest.raises(MissingResourceError, match=r"trees\.safetensors: cannot be read"):
        load_checkpoint(tmp_path / "copy")
    (tmp_path / "copy" / FILE).write_bytes(b"x")
    with pytest.raises(InvalidInputError, match=r"trees\.safetensors: not a safetensors file"):
        load_checkpoint(tmp_path / "copy")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"relation_encoder": None}, "there is none"),
        ({"head": {"without": ["comparisons"]}}, "comparisons that the head is to do without"),
    ],
)
def test_trees_need_what_they_read(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FusionTraining.model_validate({"kind": "fusion", "trees": {}, **changes})
    FusionTraining.model_validate({"kind": "fusion", **changes})
