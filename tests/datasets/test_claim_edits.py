"""Claims made false: what is changed, and what never is."""

from random import Random

import pytest

from factcheck.datasets.claim_edits import change_name, change_number, make_false, negate


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        ("The bridge cost 1,200 pounds.", "It cost 1,200 pounds and took years."),
        ("She was born in 1906.", "Born in 1906 in New York."),
        ("He has 3 sisters.", "His 3 sisters live abroad."),
        ("It rose by 2.5 percent.", "A rise of 2.5 percent was seen."),
    ],
)
def test_a_number_of_both_is_changed(claim: str, evidence: str) -> None:
    for seed in range(30):
        changed = change_number(claim, evidence, Random(seed))
        assert changed is not None
        assert changed != claim
        old = [word.strip(".") for word in claim.split() if any(c.isdigit() for c in word)]
        new = [word.strip(".") for word in changed.split() if any(c.isdigit() for c in word)]
        assert len(old) == len(new) == 1
        assert new[0] not in evidence
        # All else is as it was.
        assert changed.replace(new[0], old[0]) == claim


@pytest.mark.parametrize(
    "claim", ["She was born in 1907.", "No number here.", "Room B-12 and A12.", ""]
)
def test_a_number_that_the_evidence_lacks_stays(claim: str) -> None:
    assert change_number(claim, "Born in 1906. Flight 12 left B.", Random(0)) is None


def test_a_number_is_never_changed_to_one_of_the_evidence() -> None:
    evidence = "Of 2 and " + " and ".join(str(n) for n in range(1, 12) if n != 7) + " all."
    changed = {change_number("There are 2 of them.", evidence, Random(s)) for s in range(50)}
    assert changed <= {None, "There are 7 of them.", "There are 12 of them."}
    assert len(changed) > 1


def test_a_shared_name_gives_way_to_another_of_the_evidence() -> None:
    evidence = "In Paris the mayor met Angela Merkel and later Emmanuel Macron in Berlin."
    claim = "The mayor met Angela Merkel."
    assert change_name(claim, evidence, Random(0)) == "The mayor met Emmanuel Macron."
    assert change_name("The mayor met Boris Johnson.", evidence, Random(0)) is None
    # Berlin is the one other name of a single word.
    assert change_name("It was in Paris.", evidence, Random(0)) == "It was in Berlin."


def test_a_name_at_the_start_of_a_sentence_is_left_alone() -> None:
    evidence = "Paris and Berlin are cities, and so is Rome, where Paris was."
    assert change_name("Paris is a city.", evidence, Random(0)) is None


@pytest.mark.parametrize(
    ("claim", "negated"),
    [
        ("The bridge is open.", {"The bridge is not open.", "The bridge is never open."}),
        ("It has been sold.", {"It has not been sold.", "It has never been sold."}),
        ("Masks can help.", {"Masks can not help.", "Masks can never help."}),
    ],
)
def test_a_verb_is_negated(claim: str, negated: set[str]) -> None:
    assert {negate(claim, "", Random(seed)) for seed in range(20)} == negated


@pytest.mark.parametrize(
    "claim", ["It is not open.", "Nobody was there.", "It wasn't and is so.", "Dogs bark."]
)
def test_a_negated_claim_or_one_without_an_auxiliary_is_left_alone(claim: str) -> None:
    assert negate(claim, "", Random(0)) is None


def test_each_edit_is_seen_and_some_claims_cannot_be_changed() -> None:
    evidence = "In 1999 the city of Paris was rich, unlike Berlin."
    claim = "Rich in 1999 was Paris."
    made = {make_false(claim, evidence, Random(seed)) for seed in range(200)}
    assert any(text is not None and "Berlin" in text for text in made)
    assert any(text is not None and "1999" not in text for text in made)
    assert any(text is not None and ("not" in text or "never" in text) for text in made)
    assert make_false("Dogs bark.", "Dogs bark.", Random(0)) is None
    assert make_false(claim, evidence, Random(5)) == make_false(claim, evidence, Random(5))
