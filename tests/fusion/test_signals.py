"""Lexical signals: what a false claim changes is seen."""

import numpy as np

from factcheck.fusion.signals import SIGNALS, lexical_signals

PASSAGE = "In July 2012 Marie Curie University admitted 1,200 students, the rector said."


def signal(name: str, claim: str, passage: str = PASSAGE) -> float:
    return float(lexical_signals(claim, passage)[SIGNALS.index(name)])


def test_all_signals_lie_between_zero_and_one() -> None:
    for claim in ("", "?!", "1 2 3", "Not a word in common", PASSAGE * 50):
        values = lexical_signals(claim, PASSAGE)
        assert values.shape == (len(SIGNALS),)
        assert np.all((values >= 0) & (values <= 1))


def test_a_copy_is_covered() -> None:
    assert signal("claim_coverage", PASSAGE) == 1
    assert signal("claim_coverage", "Penguins swim.") == 0


def test_inflection_does_not_hide_a_word() -> None:
    assert signal("claim_coverage", "the rectors admitted a student") == 1


def test_a_changed_number_is_seen() -> None:
    assert signal("number_coverage", "It admitted 1200 students in 2012") == 1
    assert signal("number_coverage", "It admitted 1300 students in 2012") == 0.5
    assert signal("claim_has_number", "It admitted students") == 0


def test_a_changed_name_is_seen() -> None:
    assert signal("name_coverage", "The rector of Marie Curie University") == 1
    assert signal("name_coverage", "The rector of Isaac Newton University") < 0.5


def test_negation_is_seen_on_either_side() -> None:
    assert signal("negation_differs", "The university did not admit students") == 1
    assert signal("negation_differs", "The university didn't admit", "It hasn't admitted any") == 0
