"""Points of pictures: copies match in many places, other pictures in hardly any."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image, ImageOps

from factcheck.datasets.photo_edits import heavy_copy, light_copy
from factcheck.encoders.local_features import SIDE, LocalFeatures, matched_places

DEMO = Path(__file__).parents[2] / "data" / "demo"


def demo(name: str) -> Image.Image:
    with Image.open(DEMO / name) as image:
        return image.convert("RGB")


def points(name: str) -> LocalFeatures:
    return LocalFeatures.of(demo(name))


@pytest.mark.parametrize(
    ("copy", "original"),
    [
        ("astronaut-cropped.jpg", "astronaut.jpg"),
        ("cat-mirrored.jpg", "cat.jpg"),
        ("hubble-warm.jpg", "hubble-deep-field.jpg"),
        ("moon-phases-bright.jpg", "moon-phases.png"),
        ("smallpox-caption.jpg", "smallpox.png"),
        ("australia-small.jpg", "australia.png"),
    ],
)
def test_copies_match_in_many_places_and_others_in_few(copy: str, original: str) -> None:
    found = points(f"claim-images/{copy}")
    others = ["chess.png", "coffee.jpg", "morse.png", "mountains.png", "world-cup.png"]
    assert matched_places(found, points(f"images/{original}")) >= 25
    assert max(matched_places(found, points(f"images/{name}")) for name in others) <= 8


def test_edited_copies_of_photographs_match() -> None:
    for name in ("astronaut.jpg", "coffee.jpg", "rocket.jpg"):
        picture = demo(f"images/{name}")
        for edit in (light_copy, heavy_copy):
            for seed in range(3):
                copy = LocalFeatures.of(edit(picture, Random(seed)))
                assert matched_places(copy, LocalFeatures.of(picture)) >= 12, (name, seed)


def test_a_mirror_image_has_the_points_of_its_picture_mirrored() -> None:
    picture = demo("images/cat.jpg")
    found, mirror = LocalFeatures.of(picture), LocalFeatures.of(ImageOps.mirror(picture))
    wanted = {tuple(place) for place in np.round(found.mirrored().places / 4)}
    scaled = picture.copy()
    scaled.thumbnail((SIDE, SIDE))
    shifted = mirror.places - np.array([scaled.width - 1, 0])
    same = [tuple(place) in wanted for place in np.round(shifted / 4)]
    assert np.mean(same) > 0.7
    again = found.mirrored().mirrored()
    assert np.array_equal(again.places, found.places)
    assert np.array_equal(again.descriptors, found.descriptors)


def test_what_shows_nothing_matches_nothing() -> None:
    rocket = points("images/rocket.jpg")
    for size in ((300, 200), (3000, 5), (1, 1)):
        empty = LocalFeatures.of(Image.new("RGB", size, (90, 90, 90)))
        assert len(empty) == 0
        assert matched_places(empty, rocket) == matched_places(rocket, empty) == 0
        assert matched_places(empty, empty) == 0


def test_the_same_pictures_give_the_same_number() -> None:
    pair = points("claim-images/rocket-caption.jpg"), points("images/rocket.jpg")
    assert len({matched_places(*pair) for _ in range(3)}) == 1
    assert np.linalg.norm(pair[0].descriptors, axis=1) == pytest.approx(1, abs=1e-4)
