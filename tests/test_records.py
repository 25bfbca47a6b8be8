"""The nouns: labels and their factors, verdicts and their JSON."""

import json
from dataclasses import replace

import pytest

from factcheck.records import (
    LABELS,
    CitedImage,
    CitedPassage,
    Evidence,
    Label,
    Passage,
    Search,
    TextRelation,
    Verdict,
    label_of,
    label_probabilities,
    same_picture_of,
    text_relation_of,
)


@pytest.mark.parametrize("label", LABELS)
def test_a_label_is_rebuilt_from_its_factors(label: Label) -> None:
    for same in (True, False) if label is Label.REFUTE else (same_picture_of(label),):
        assert same is not None
        assert label_of(text_relation_of(label), same) is label


def test_refuted_text_overrides_the_picture() -> None:
    assert label_of(TextRelation.REFUTE, True) is label_of(TextRelation.REFUTE, False)
    assert same_picture_of(Label.REFUTE) is None


def relation(support: float, insufficient: float, refute: float) -> dict[TextRelation, float]:
    return dict(zip(TextRelation, (support, insufficient, refute), strict=True))


def test_label_probabilities_are_the_product_of_the_factors() -> None:
    probabilities = label_probabilities(relation(0.5, 0.3, 0.2), 0.9)
    assert sum(probabilities.values()) == pytest.approx(1)
    assert probabilities[Label.SUPPORT_MULTIMODAL] == pytest.approx(0.45)
    assert probabilities[Label.INSUFFICIENT_TEXT] == pytest.approx(0.03)
    assert probabilities[Label.REFUTE] == pytest.approx(0.2)


def test_without_two_pictures_no_label_is_multimodal() -> None:
    probabilities = label_probabilities(relation(0.5, 0.3, 0.2), None)
    assert probabilities[Label.SUPPORT_MULTIMODAL] == 0
    assert probabilities[Label.INSUFFICIENT_MULTIMODAL] == 0
    assert sum(probabilities.values()) == pytest.approx(1)


def verdict() -> Verdict:
    evidence = Evidence(
        (CitedPassage(Passage("a", 3, 9, "a word"), 0.7, "Title", "https://a.example", None),),
        CitedImage("a", "a.jpg", 0.9, 0.99),
        (CitedImage("b", "b.jpg", 0.8, 0.7),),
        ("something was missing",),
    )
    return Verdict.from_factors(relation(0.2, 0.7, 0.1), 0.4, evidence, "model", "index")


def test_a_verdict_survives_json() -> None:
    assert Verdict.from_dict(json.loads(json.dumps(verdict().to_dict()))) == verdict()
    given = verdict()
    cited = replace(given.evidence.passages[0], bearing=0.25)
    found = replace(
        given,
        evidence=replace(given.evidence, passages=(cited,), bearing=0.25),
        search=Search(("dense",), 0, bearing_sha256="a hash"),
    )
    assert Verdict.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_a_verdict_from_before_says_nothing_of_what_bears_on_the_claim() -> None:
    plain = replace(verdict(), search=Search(("dense",), 40)).to_dict()
    del plain["evidence"]["bearing"], plain["evidence"]["passages"][0]["bearing"]
    del plain["search"]["bearing_sha256"]
    assert Verdict.from_dict(plain) == replace(verdict(), search=Search(("dense",), 40))


def test_the_label_is_the_most_probable_one() -> None:
    assert verdict().label is Label.INSUFFICIENT_TEXT
    assert verdict().confidence == max(verdict().probabilities.values())
