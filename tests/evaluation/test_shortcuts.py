"""Shortcuts: each finds what it reads and is blind to the rest."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from factcheck.datasets import Factify2Row
from factcheck.evaluation.shortcuts import (
    SHORTCUTS,
    host_only,
    image_features,
    images_only,
    length_features,
    lengths_only,
    ocr_only,
)
from factcheck.evaluation.splits import Split
from tests.evaluation.conftest import at_random, plant_hosts

WORDS = ("amber", "azure", "black", "brown", "green")
"""A word for each label, all of the same length."""


def each_row(split: Split, change: Callable[[Factify2Row, int], Factify2Row]) -> Split:
    rows = [change(row, int(label)) for row, label in zip(split.rows, split.labels, strict=True)]
    return replace(split, rows=rows)


def in_claim_words(split: Split) -> Split:
    return each_row(
        split,
        lambda row, label: replace(
            row, claim=replace(row.claim, text=f"{row.claim.text} {WORDS[label]}")
        ),
    )


def in_document_words(split: Split) -> Split:
    return each_row(
        split,
        lambda row, label: replace(
            row, document=replace(row.document, text=f"{WORDS[label]} {row.document.text}")
        ),
    )


def in_ocr_words(split: Split) -> Split:
    return each_row(
        split, lambda row, label: replace(row, document=replace(row.document, ocr=WORDS[label]))
    )


def in_claim_lengths(split: Split) -> Split:
    """Claims of six words that no other claim has, longer or shorter by their label."""
    rng = Random(len(split))

    def change(row: Factify2Row, label: int) -> Factify2Row:
        words = ["".join(rng.choices("abcdefghij", k=9 + 2 * label)) for _ in range(6)]
        return replace(row, claim=replace(row.claim, text=" ".join(words)))

    return each_row(split, change)


def in_pictures(split: Split) -> Split:
    """The first picture beside another one for each label."""
    # Both splits have all of the twelve pictures, each in an order of its own.
    rows = np.argsort(split.inputs.grids[:, 0, 0])
    inputs = replace(
        split.inputs,
        claim_image_rows=np.full(len(split), rows[0]),
        evidence_image_rows=rows[split.labels + 1],
    )
    return replace(split, inputs=inputs)


@pytest.mark.parametrize(
    ("plant", "finders"),
    [
        (in_claim_words, {"claim only", "text only"}),
        (in_document_words, {"document only", "text only"}),
        (in_ocr_words, {"OCR only"}),
        (in_claim_lengths, {"lengths only"}),
        (in_pictures, {"images only"}),
        (plant_hosts, {"URL host only"}),
    ],
)
def test_a_label_is_found_by_those_who_read_it(
    splits: tuple[Split, Split], plant: Callable[[Split], Split], finders: set[str]
) -> None:
    train, val = (plant(at_random(split, seed)) for seed, split in enumerate(splits))
    right = {}
    for name, shortcut in SHORTCUTS.items():
        probabilities = shortcut.predict(train, val, 0)
        if probabilities is not None:
            assert probabilities.shape == (60, 5)
            assert probabilities.sum(axis=1) == pytest.approx(1)
            right[name] = float((probabilities.argmax(axis=1) == val.labels).mean())
    assert {name for name, share in right.items() if share > 0.7} == finders
    assert {name for name, share in right.items() if share > 0.45} == finders
    # The fixture has no addresses, so nothing can be learnt from them unless they are planted.
    assert ("URL host only" in right) is (plant is plant_hosts)


def test_nothing_to_read(splits: tuple[Split, Split]) -> None:
    train, val = splits
    assert host_only(train, val, 0) is None
    assert host_only(train, plant_hosts(val), 0) is None

    silent = each_row(
        train,
        lambda row, _: replace(
            row, claim=replace(row.claim, ocr="..."), document=replace(row.document, ocr=None)
        ),
    )
    assert ocr_only(silent, val, 0) is None
    assert ocr_only(train, silent, 0) is not None

    none = np.full(len(train), -1)
    blind = replace(train.inputs, claim_image_rows=none, evidence_image_rows=none)
    assert images_only(replace(train, inputs=blind), val, 0) is None


def test_a_split_without_addresses_gets_the_same_answer_everywhere(
    splits: tuple[Split, Split],
) -> None:
    train, val = splits
    probabilities = host_only(plant_hosts(train), val, 0)
    assert probabilities is not None
    assert (probabilities == probabilities[0]).all()


def test_addresses_that_are_none(splits: tuple[Split, Split]) -> None:
    train, val = (
        each_row(
            at_random(split, 0),
            lambda row, label: replace(
                row,
                claim_image_url="https://[bad" if label else "https://Good.example/x",
                document_image_url=None,
            ),
        )
        for split in splits
    )
    probabilities = host_only(train, val, 0)
    assert probabilities is not None
    assert ((probabilities.argmax(axis=1) == 0) == (val.labels == 0)).all()


def test_what_is_measured_of_lengths(splits: tuple[Split, Split]) -> None:
    split = splits[1].take(np.array([0, 1]))
    row = split.rows[0]
    row = replace(
        row,
        claim=replace(row.claim, text="Two words", ocr=None),
        document=replace(row.document, text="Three more words", ocr="NO"),
    )
    rows = replace(split.inputs, claim_image_rows=np.array([-1, 0]))
    [found, _] = length_features(replace(split, rows=[row, split.rows[1]], inputs=rows))
    assert found.tolist() == [9, 2, 1, 16, 3, 1, 0, 0, 0, 2, 1, 1, 0, 1, 0]


def test_what_is_measured_of_pictures(splits: tuple[Split, Split]) -> None:
    split = splits[1].take(np.array([0, 1, 2]))
    inputs = replace(
        split.inputs,
        claim_image_rows=np.array([0, 0, 0]),
        evidence_image_rows=np.array([0, 1, -1]),
    )
    found = image_features(replace(split, inputs=inputs))
    width = inputs.grids.shape[-1]
    assert found.shape == (3, 4 * width + 3)
    claim, document, product, difference = (found[:, i * width : (i + 1) * width] for i in range(4))
    assert product.sum(axis=1)[0] == pytest.approx(1, abs=1e-5)
    assert (difference[0] == 0).all()
    assert np.abs(claim[1] - document[1]) == pytest.approx(difference[1])
    assert not document[2].any()
    assert not product[2].any()
    assert not difference[2].any()
    assert found[:, -3:].tolist() == [[1, 1, 1], [1, 1, 1], [1, 0, 0]]


def test_a_seed_gives_one_answer(splits: tuple[Split, Split]) -> None:
    train, val = splits
    first, again, other = (lengths_only(train, val, seed) for seed in (3, 3, 4))
    assert first is not None
    assert again is not None
    assert (first == again).all()
    assert (first != other).any()
