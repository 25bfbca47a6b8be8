import io
from random import Random

import numpy as np
import pytest
from conftest import save_photograph
from PIL import Image

from factcheck.datasets import near_duplicates
from factcheck.datasets.near_duplicates import (
    group_pictures,
    group_texts,
    jaccard,
    repeated,
    shared,
)
from factcheck.datasets.picture_survey import PictureFacts, survey_pictures

LONG = (
    "The mayor opened the new market hall on Monday after three years of work and praised "
    "everybody who had taken part in it."
)


def test_texts_of_the_same_words_are_equal():
    groups = group_texts([LONG, LONG.upper().replace(",", " -"), "Something else.", None, " "])
    assert groups.exact[0] == groups.exact[1] != groups.exact[2]
    assert groups.exact[3] == groups.exact[4] == groups.near[3] == -1
    assert groups.near[0] == groups.near[1] != groups.near[2]
    assert (repeated(groups.exact), repeated(groups.near)) == (1, 1)


def test_a_changed_word_makes_near_duplicates_and_not_equals():
    groups = group_texts([LONG, LONG.replace("Monday", "Friday"), LONG.replace("Monday", "May 2")])
    assert len(set(groups.exact)) == 3
    assert len(set(groups.near)) == 1


def test_texts_that_share_half_of_their_words_are_not_duplicates():
    words = LONG.split()
    other = " ".join(words[: len(words) // 2]) + " and went home without a word to the press."
    groups = group_texts([LONG, other])
    assert groups.near[0] != groups.near[1]


def test_every_near_duplicate_among_many_is_found():
    rng = Random(0)
    vocabulary = [f"word{i}" for i in range(3000)]
    texts = [" ".join(rng.choices(vocabulary, k=60)) for _ in range(500)]
    changed = [text.replace(text.split()[30], "other") for text in texts]
    groups = group_texts(texts + changed)
    # One word of 60 changes two of 59 pairs: a similarity of 57 / 61, which no sketch misses.
    assert repeated(groups.near) == 500
    assert (groups.near[:500] == groups.near[500:]).all()
    assert len(set(groups.near)) == 500


def test_a_page_of_a_template_is_compared_with_few_of_the_others(monkeypatch):
    compared = []

    def count(one, other):
        compared.append(1)
        return jaccard(one, other)

    monkeypatch.setattr(near_duplicates, "jaccard", count)
    template = " ".join(f"word{i}" for i in range(60))
    other = " ".join(f"other{i}" for i in range(60))
    texts = [f"{template if i % 2 else other} page {i} of {7 * i}" for i in range(1200)]
    groups = group_texts(texts)
    assert len(set(groups.near)) == 2
    assert (groups.near[::2] == groups.near[0]).all()
    # All pairs would be 360,000.
    assert len(compared) < 10 * len(texts)


def test_short_texts_have_equals_only():
    groups = group_texts(["Yes", "yes!", "No", "No way"])
    assert (repeated(groups.exact), repeated(groups.near)) == (1, 1)


def test_recompressed_pictures_are_near_duplicates(tmp_path):
    paths = [save_photograph(tmp_path / f"{i}.png", seed=i) for i in range(8)]
    for i, quality in ((0, 60), (1, 30)):
        buffer = io.BytesIO()
        Image.open(paths[i]).resize((120, 90)).save(buffer, "JPEG", quality=quality)
        copy = tmp_path / f"{i}-copy.jpg"
        copy.write_bytes(buffer.getvalue())
        paths.append(copy)
    facts = survey_pictures(paths, tmp_path / "survey.sqlite")
    groups = group_pictures([facts[path] for path in paths])
    assert repeated(groups.exact) == 0
    assert (groups.near[8], groups.near[9]) == (groups.near[0], groups.near[1])
    assert repeated(groups.near) == 2


def test_bits_decide_on_looks_and_plain_pictures_only_on_bytes():
    def facts(sha256, fingerprint):
        return PictureFacts(sha256, fingerprint, None)

    groups = group_pictures(
        [
            facts("a", 0),
            facts("b", 0b1111),
            facts("c", 0b111110000),
            facts("d", None),
            facts("e", None),
            facts("d", None),
            None,
            PictureFacts(None, None, "broken"),
        ]
    )
    a, b, c, d, e, d2, absent, broken = groups.near
    assert a == b != c
    assert d == d2 != e
    assert len({a, c, d, e}) == 4
    assert absent == broken == -1


@pytest.mark.parametrize("items", [[], [None, None]])
def test_nothing_is_no_duplicate(items):
    for groups in (group_texts(items), group_pictures(items)):
        assert groups.exact.tolist() == groups.near.tolist() == [-1] * len(items)


def test_what_two_splits_share_is_counted():
    assert shared(np.array([1, 2, 2, -1]), np.array([2, 3, -1])) == 2
