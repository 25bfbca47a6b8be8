"""Stress tests: each changes what it says and nothing else."""

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest

from factcheck.encoders import Encoders
from factcheck.evaluation.splits import Split
from factcheck.evaluation.stress import (
    Stress,
    drop_document_image,
    drop_images,
    drop_ocr,
    mask_debunking_words,
    near_duplicates_of,
    shuffle_documents,
    swap_images,
    without_debunking_words,
)
from factcheck.fusion.inputs import FusionInputs
from factcheck.fusion.signals import lexical_signals

PASSAGES = {"passages", "has_passage", "signals", "relations"}


@pytest.fixture
def val(splits: tuple[Split, Split]) -> Split:
    """A split where some claims and some documents have no picture."""
    inputs = splits[1].inputs
    claims, documents = inputs.claim_image_rows.copy(), inputs.evidence_image_rows.copy()
    claims[:5] = -1
    documents[3:9] = -1
    places = np.arange(len(inputs), dtype=np.float32)
    rows = replace(
        inputs, claim_image_rows=claims, evidence_image_rows=documents, matched_places=places
    )
    return replace(splits[1], inputs=rows)


def same_array(one: np.ndarray, other: np.ndarray) -> bool:
    """Numbers that are not there are the same, too."""
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def changed_arrays(stress: Stress, inputs: FusionInputs) -> set[str]:
    return {
        field.name
        for field in fields(inputs)
        if not same_array(getattr(stress.inputs, field.name), getattr(inputs, field.name))
    }


@pytest.mark.parametrize(
    ("change", "arrays"),
    [
        (lambda split, by: shuffle_documents(split, by, 0), PASSAGES - {"has_passage"}),
        (lambda split, _: swap_images(split, 0), {"claim_image_rows", "matched_places"}),
        (lambda split, _: drop_document_image(split), {"evidence_image_rows"}),
        (lambda split, _: drop_images(split), {"claim_image_rows", "evidence_image_rows"}),
        (lambda split, _: drop_ocr(split), {"claim_ocr", "has_claim_ocr"}),
    ],
)
def test_only_what_it_says(
    val: Split,
    encoders: Encoders,
    change: Callable[[Split, Encoders], Stress],
    arrays: set[str],
) -> None:
    before = {field.name: getattr(val.inputs, field.name).copy() for field in fields(val.inputs)}
    stress = change(val, encoders)
    assert changed_arrays(stress, val.inputs) == arrays
    assert all(same_array(getattr(val.inputs, name), array) for name, array in before.items())
    for name in arrays:
        one, other = getattr(stress.inputs, name), getattr(val.inputs, name)
        same = (one == other) | ((one != one) & (other != other))
        differs = ~same.reshape(len(val), -1).all(axis=1)
        assert not (differs & ~stress.changed).any()
    assert stress.inputs.grids is val.inputs.grids


def passages_of(split: Split, row: int) -> set[str]:
    return {cited.passage.text for cited in split.evidence[row].passages}


def test_shuffled_documents(val: Split, encoders: Encoders) -> None:
    stress = shuffle_documents(val, encoders, 0)
    assert stress.changed.sum() > 50
    vectors = {
        cited.passage.text: val.inputs.passages[row, place]
        for row in range(len(val))
        for place, cited in enumerate(val.evidence[row].passages)
    }
    used = []
    for row in range(len(val)):
        count = int(stress.inputs.has_passage[row].sum())
        shown = [
            next(text for text, own in vectors.items() if np.array_equal(own, vector))
            for vector in stress.inputs.passages[row, :count]
        ]
        if stress.changed[row]:
            assert set(shown) != passages_of(val, row)
        used.append(frozenset(shown))
        for place, text in enumerate(shown):
            expected = lexical_signals(val.rows[row].claim.text, text)
            assert (stress.inputs.signals[row, place] == expected).all()
            [read] = encoders.relations([(val.rows[row].claim.text, text)])
            assert stress.inputs.relations[row, place] == pytest.approx(read, abs=1e-4)
        assert not stress.inputs.relations[row, count:].any()
        assert not stress.inputs.signals[row, count:].any()
        similar = stress.inputs.passages[row, :count] @ val.inputs.claim_text[row]
        assert (np.diff(similar) <= 1e-6).all()
    # Each document is still there as often as it was.
    assert sorted(map(sorted, used)) == sorted(
        sorted(passages_of(val, row)) for row in range(len(val))
    )


def test_shuffled_documents_of_several_passages(
    splits: tuple[Split, Split], encoders: Encoders
) -> None:
    """Passages that were in order for one claim are put in order for another."""
    split = splits[1].take(np.array([0, 1]))
    passages, present = split.inputs.passages.copy(), np.zeros_like(split.inputs.has_passage)
    cited = [split.evidence[row].passages[0] for row in (0, 1)]
    own = split.inputs.passages[:, 0]
    # Row 0 reads its document first and the other one after, as its claim has it; row 1 likewise.
    for row in (0, 1):
        passages[row, :2] = own[row], own[1 - row]
        present[row, :2] = True
    evidence = [
        replace(split.evidence[row], passages=(cited[row], cited[1 - row])) for row in (0, 1)
    ]
    both = replace(
        split,
        inputs=replace(split.inputs, passages=passages, has_passage=present),
        evidence=evidence,
    )
    stress = shuffle_documents(both, encoders, 0)
    for row in (0, 1):
        similar = passages[row, :2] @ split.inputs.claim_text[row]
        best = passages[row, int(similar.argmax())]
        assert (stress.inputs.passages[row, 0] == best).all()
        text = cited[row if similar.argmax() == 0 else 1 - row].passage.text
        expected = lexical_signals(split.rows[row].claim.text, text)
        assert (stress.inputs.signals[row, 0] == expected).all()


def test_swapped_images(val: Split) -> None:
    stress = swap_images(val, 0)
    rows, swapped = val.inputs.claim_image_rows, stress.inputs.claim_image_rows
    assert (swapped[:5] == -1).all()
    assert sorted(swapped) == sorted(rows)
    assert (stress.changed == (swapped != rows)).all()
    # There are twelve pictures, so that some claims meet the one they had.
    assert stress.changed[5:].mean() > 0.7


def test_what_is_dropped(val: Split) -> None:
    images = drop_images(val)
    assert images.changed.sum() == 60 - 2
    assert (images.inputs.claim_image_rows == -1).all()
    assert drop_document_image(val).changed.sum() == 60 - 6
    ocr = drop_ocr(val)
    assert ocr.changed.sum() == 20
    assert not ocr.inputs.claim_ocr.any()
    assert not ocr.inputs.has_claim_ocr.any()


def test_a_seed_gives_one_shuffle(val: Split, encoders: Encoders) -> None:
    def shuffled(split: Split, seed: int) -> Stress:
        return shuffle_documents(split, encoders, seed)

    for change in (shuffled, swap_images):
        first, again, other = (change(val, seed).inputs for seed in (1, 1, 2))
        assert changed_arrays(Stress(first, np.zeros(0)), again) == set()
        assert changed_arrays(Stress(first, np.zeros(0)), other)


@pytest.mark.parametrize(
    ("claim", "masked"),
    [
        ("FAKE: the bridge fell", ": the bridge fell"),
        ("Fact-check: no, the mayor falsely said so.", ": no, the mayor said so."),
        ("A hoax about hoaxes, debunked", "A about ,"),
        ("No  evidence of rain", "of rain"),
        ("He falsified a snowflake fakery", "He falsified a snowflake fakery"),
        ("Spaces  stay  as they are", "Spaces  stay  as they are"),
        ("Fake!", "Fake!"),
    ],
)
def test_debunking_words(claim: str, masked: str) -> None:
    assert without_debunking_words(claim) == masked


def test_masked_claims(val: Split, encoders: Encoders) -> None:
    assert not mask_debunking_words(val, encoders).changed.any()
    rows = list(val.rows)
    for place in (2, 7):
        claim = replace(rows[place].claim, text=f"Fake news: {rows[place].claim.text}")
        rows[place] = replace(rows[place], claim=claim)
    inputs = replace(val.inputs, claim_text=encoders.texts([row.claim.text for row in rows]))
    stress = mask_debunking_words(replace(val, rows=rows, inputs=inputs), encoders)
    assert np.flatnonzero(stress.changed).tolist() == [2, 7]
    assert changed_arrays(stress, inputs) <= {"claim_text", "passages", "signals", "relations"}
    for place in range(len(val)):
        text = f"news: {val.rows[place].claim.text}" if place in (2, 7) else rows[place].claim.text
        assert stress.inputs.claim_text[place] == pytest.approx(encoders.texts([text])[0], abs=1e-5)
        passage = val.evidence[place].passages[0].passage.text
        if len(val.evidence[place].passages) == 1:
            assert (stress.inputs.signals[place, 0] == lexical_signals(text, passage)).all()


def test_near_duplicates(splits: tuple[Split, Split]) -> None:
    train, val = splits
    texts = [
        "The council of the small town on the coast voted to repair its old harbour wall in May",
        "A long drought has left the fields of the northern valley without any water for weeks",
    ]
    rows = [
        replace(
            row,
            claim=replace(row.claim, text=f"Claim {row.index} of its own {row.index * 7} kind"),
            document=replace(row.document, text=f"Document {row.index * 3} tells {row.index} it"),
        )
        for row in val.rows
    ]
    rows[4] = replace(rows[4], claim=replace(rows[4].claim, text=f"{texts[0]}."))
    rows[9] = replace(rows[9], document=replace(rows[9].document, text=f"{texts[1]} now"))
    known = list(train.rows[:10])
    known[3] = replace(known[3], claim=replace(known[3].claim, text=texts[0]))
    known[5] = replace(known[5], document=replace(known[5].document, text=texts[1]))
    few = replace(train.take(np.arange(10)), rows=known)
    found = near_duplicates_of(few, replace(val, rows=rows))
    assert np.flatnonzero(found).tolist() == [4, 9]
