"""How copies are parted from other pictures: similarities, thresholds and negatives."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from factcheck.encoders.image_match import pooled_cosine, token_match
from factcheck.evaluation.copies import (
    others_of,
    pair_similarities,
    separation,
)


def test_token_match_finds_a_part_wherever_it_lies() -> None:
    grid = torch.eye(8)[None, :4]
    moved = grid.flip(1)
    assert token_match(grid, moved).item() == pytest.approx(1)
    assert token_match(grid, torch.eye(8)[None, 4:]).item() == pytest.approx(0)
    assert pooled_cosine(grid, moved).item() == pytest.approx(1)


def test_nothing_is_its_own_other() -> None:
    lookalikes = np.array([3, 0, 1, 2, 5, 4])
    for seed in range(20):
        others = others_of(lookalikes, seed)
        assert (others != np.arange(6)).all()
        assert (others[::2] == lookalikes[::2]).all()


def test_pairs_compare_copies_and_others() -> None:
    light = torch.eye(4)[:, None]
    same, different = pair_similarities(light, light, np.array([1, 2, 3, 0]), pooled_cosine)
    assert same.tolist() == [1] * 4
    assert different.tolist() == [0] * 4


def test_a_given_threshold_is_kept_and_the_best_is_found() -> None:
    same, different = np.array([0.9, 0.8, 0.7, 0.3]), np.array([0.1, 0.2, 0.25, 0.75])
    best = separation(same, different)
    assert best.accuracy == pytest.approx(7 / 8)
    assert 0.25 < best.threshold <= 0.3
    given = separation(same, different, 0.72)
    assert given.threshold == 0.72
    assert given.accuracy == pytest.approx((2 / 4 + 3 / 4) / 2)
    assert given.auc == best.auc == pytest.approx(14 / 16)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_threshold_is_a_number_where_nothing_separates(kind: type) -> None:
    same, different = np.array([0.1, 0.2], dtype=kind), np.array([0.5, 0.6], dtype=kind)
    found = separation(same, different)
    assert json.loads(json.dumps(found.threshold, allow_nan=False)) == found.threshold
    # Above all of them, so that no pair counts as a copy.
    assert found.threshold > 0.6
    assert not (different >= found.threshold).any()
    assert found.accuracy == 0.5


def test_false_alarms_of_lookalikes_are_those_of_every_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In rounds of three the look-alikes are the first and third of each, not every second of all.

    Joined, these are the places 0, 2, 3 and 5.
    """
    folder = Path(__file__).parents[2] / "scripts"
    monkeypatch.syspath_prepend(str(folder))
    spec = importlib.util.spec_from_file_location("script", folder / "evaluate_image_encoder.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "script", script)
    spec.loader.exec_module(script)
    alike, other = 0.9, 0.1
    found = script._separation(
        {
            "validation/same": [np.array([0.8, 0.7])],
            "validation/different": [np.array([0.2, 0.3])],
            "test/same": [np.full(3, 0.95)] * 2,
            "test/different": [np.array([alike, other, alike])] * 2,
        }
    )
    assert found["false_alarms_lookalikes"] == 1
    assert found["false_alarms"] == pytest.approx(4 / 6, abs=1e-4)
