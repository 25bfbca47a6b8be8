"""Which pairs of pictures are compared point by point, and what is said where that cannot be."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from factcheck.encoders import Encoders, EncodingCache, ImageEncoder
from factcheck.encoders.picture_pairs import (
    DOUBTFUL,
    POSSIBLE,
    PictureFile,
    compare_pictures,
    doubtful_pairs,
)

DEMO = Path(__file__).parents[2] / "data" / "demo"
COPY, ORIGINAL = DEMO / "claim-images" / "rocket-caption.jpg", DEMO / "images" / "rocket.jpg"


def picture(path: Path) -> PictureFile:
    return PictureFile(path, hashlib.sha256(path.read_bytes()).hexdigest())


def test_each_pair_has_its_own_number(encoders: Encoders) -> None:
    copy, original = picture(COPY), picture(ORIGINAL)
    chart = picture(DEMO / "images" / "morse.png")
    pairs = [(copy, original), (copy, chart), (copy, original), (original, original)]
    found = compare_pictures(encoders, pairs)
    assert found.dtype == np.float32
    assert found[0] == found[2] > 100
    assert found[1] < 10
    assert found[3] > found[0]
    assert compare_pictures(encoders, []).shape == (0,)


def test_what_cannot_be_compared_has_none(encoders: Encoders, tmp_path: Path) -> None:
    original = picture(ORIGINAL)
    gone = PictureFile(tmp_path / "gone.jpg", original.sha256)
    another = PictureFile(COPY, original.sha256)
    unknown = PictureFile(ORIGINAL, "")
    # Two disks and a cross have no forty points.
    flag = picture(DEMO / "images" / "flag-of-japan.png")
    text = tmp_path / "text.jpg"
    text.write_text("no picture")
    # A stranger's index may name what no file can be called.
    nowhere = PictureFile("a\0b", original.sha256)
    for other in (gone, another, unknown, flag, picture(text), nowhere):
        pairs = [(original, other), (other, original), (original, picture(COPY))]
        assert np.isnan(compare_pictures(encoders, pairs)).tolist() == [True, True, False]


def test_a_number_is_kept_and_what_was_not_there_is_not(encoders: Encoders, tmp_path: Path) -> None:
    path = tmp_path / "copy.jpg"
    pair = [(PictureFile(path, picture(COPY).sha256), picture(ORIGINAL))]
    with EncodingCache(tmp_path / "cache.sqlite") as cache:
        cached = Encoders(encoders.text, encoders.image, cache)
        assert np.isnan(compare_pictures(cached, pair)).all()
        shutil.copyfile(COPY, path)
        [found] = compare_pictures(cached, pair)
        assert found > 100
        path.unlink()
        assert compare_pictures(cached, pair).tolist() == [found]


def test_pairs_that_the_grids_leave_in_doubt() -> None:
    image = ImageEncoder.load("embedded")
    names = ["claim-images/rocket-caption.jpg", "images/rocket.jpg", "images/cat.jpg"]
    names += ["claim-images/olympic-hosts-cropped.jpg", "images/sprint-record.png"]
    pixels = [image.prepare((DEMO / name).read_bytes(), name) for name in names]
    copy, original, cat, chart, other = image.encode_pixels(pixels).tokens
    encoders = Encoders.load()
    left, right = np.stack([copy, copy, chart]), np.stack([original, cat, other])
    # The grids take two charts for one picture, as surely as they never do with photographs.
    assert doubtful_pairs(encoders, left, right, POSSIBLE).tolist() == [False, False, True]
    assert not doubtful_pairs(encoders, left, right, DOUBTFUL).any()
    assert doubtful_pairs(encoders, left[:0], right[:0], DOUBTFUL).shape == (0,)


def test_without_a_readout_all_pairs_are_in_doubt(encoders: Encoders) -> None:
    assert encoders.image.copies is None
    grids = np.zeros((3, encoders.image.tokens, encoders.image.dimension), dtype=np.float32)
    assert doubtful_pairs(encoders, grids, grids, DOUBTFUL).tolist() == [True] * 3


@pytest.mark.parametrize("between", [DOUBTFUL, POSSIBLE])
def test_the_middle_is_always_in_doubt(between: tuple[float, float]) -> None:
    assert between[0] < 0 < between[1]
