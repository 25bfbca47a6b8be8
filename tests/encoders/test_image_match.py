"""Token grids compared: what matches, where it lies, and the readout that a folder may hold."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from factcheck.encoders.image_match import (
    READOUT_FILE,
    CopyReadout,
    found_in,
    match_features,
    match_width,
)
from factcheck.errors import InvalidInputError

SIDE = 4
TOKENS = SIDE**2
SLOPES, RESIDUALS, CORRELATIONS = (slice(1 + 2 * TOKENS + n, 3 + 2 * TOKENS + n) for n in (0, 2, 4))
MUTUAL, KEPT = 7 + 2 * TOKENS, 8 + 2 * TOKENS


def grid(seed: int = 0) -> Tensor:
    """(SIDE, SIDE, C) tokens, each unlike all others."""
    return torch.nn.functional.one_hot(torch.arange(TOKENS) + TOKENS * seed, 4 * TOKENS).reshape(
        SIDE, SIDE, -1
    ) * (1.0 + torch.rand(SIDE, SIDE, 1, generator=torch.Generator().manual_seed(seed)))


def features(left: Tensor, right: Tensor) -> Tensor:
    one = match_features(left.flatten(0, 1)[None], right.flatten(0, 1)[None])
    assert one.shape == (1, match_width(TOKENS))
    return one[0]


def test_a_picture_matches_itself_in_place() -> None:
    found = features(grid(), grid())
    assert torch.allclose(found[: 1 + 2 * TOKENS], torch.ones(1 + 2 * TOKENS))
    assert torch.allclose(found[SLOPES], torch.ones(2), atol=0.01)
    assert torch.allclose(found[RESIDUALS], torch.zeros(2), atol=0.01)
    assert found[MUTUAL] == 1
    assert found[KEPT] == pytest.approx(1, abs=0.01)


def test_a_part_is_found_whole_but_not_the_whole_in_a_part() -> None:
    whole, other = grid().flatten(0, 1), grid(seed=1).flatten(0, 1)
    part = whole[: TOKENS // 4]
    assert found_in(part, torch.stack([whole, other])).tolist() == pytest.approx([1, 0])
    assert found_in(whole, part[None]).tolist() == pytest.approx([0.25])


def test_a_mirrored_picture_matches_mirrored() -> None:
    found = features(grid(), grid().flip(1))
    rows, columns = found[SLOPES]
    assert rows == pytest.approx(1, abs=0.01)
    assert columns == pytest.approx(-1, abs=0.01)
    assert torch.allclose(found[RESIDUALS], torch.zeros(2), atol=0.01)


def test_parts_in_disorder_match_as_well_but_out_of_place() -> None:
    order = torch.randperm(TOKENS, generator=torch.Generator().manual_seed(1))
    disordered = grid().flatten(0, 1)[order].reshape(SIDE, SIDE, -1)
    found, kept = features(grid(), disordered), features(grid(), grid())
    assert torch.allclose(found[1 : 1 + 2 * TOKENS], kept[1 : 1 + 2 * TOKENS])
    assert (found[RESIDUALS] > 0.2).all()
    assert (found[CORRELATIONS].abs() < 0.6).all()


def test_other_pictures_do_not_match() -> None:
    found = features(grid(), grid(1))
    assert torch.allclose(found[: 1 + 2 * TOKENS], torch.zeros(1 + 2 * TOKENS), atol=1e-6)


def test_grids_without_content_have_finite_features() -> None:
    nothing = torch.zeros(2, TOKENS, 8)
    assert torch.isfinite(match_features(nothing, nothing)).all()
    one = torch.rand(2, 1, 8)
    assert torch.isfinite(match_features(one, one)).all()


def test_a_readout_comes_back_from_its_folder(tmp_path: Path) -> None:
    assert CopyReadout.from_folder(tmp_path, TOKENS) is None
    readout = CopyReadout(TOKENS)
    readout.save(tmp_path)
    loaded = CopyReadout.from_folder(tmp_path, TOKENS)
    assert loaded is not None
    pair = torch.rand(2, 3, TOKENS, 8)
    assert torch.equal(readout(*pair), loaded(*pair))


def test_a_readout_of_another_grid_is_refused(tmp_path: Path) -> None:
    CopyReadout(9).save(tmp_path)
    with pytest.raises(
        InvalidInputError, match=r"copies\.safetensors: expected a readout of grids"
    ):
        CopyReadout.from_folder(tmp_path, TOKENS)
    save_file({"other": torch.zeros(3)}, tmp_path / READOUT_FILE)
    with pytest.raises(InvalidInputError, match=r"found \{'other': \(3,\)\}"):
        CopyReadout.from_folder(tmp_path, TOKENS)
    (tmp_path / READOUT_FILE).write_bytes(b"no tensors")
    with pytest.raises(InvalidInputError, match="expected a checkpoint of tensors"):
        CopyReadout.from_folder(tmp_path, TOKENS)
