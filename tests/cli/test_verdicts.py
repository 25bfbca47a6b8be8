"""A verdict as a person reads it."""

from dataclasses import replace

from rich.console import Console

from factcheck import Claim, Verdict
from factcheck.cli.verdicts import write_verdict
from factcheck.records import (
    CitedImage,
    CitedPassage,
    Decision,
    Evidence,
    Explanation,
    KeySentence,
    Label,
    Passage,
    Removal,
    Search,
    TextRelation,
)


def words(verdict: Verdict) -> str:
    console = Console(width=100, highlight=False)
    with console.capture() as captured:
        write_verdict(console, Claim("The bridge was closed."), verdict, 0.1)
    return " ".join(captured.get().split())


def test_what_is_most_likely_is_no_verdict_where_none_may_be_given() -> None:
    relation = {
        TextRelation.SUPPORT: 0.65,
        TextRelation.INSUFFICIENT: 0.3,
        TextRelation.REFUTE: 0.05,
    }
    plain = replace(
        Verdict.from_factors(relation, None, Evidence(), "0" * 64),
        explanation=Explanation(
            KeySentence("d", 0, 3, "It.", Removal("the sentence", 0.2, Label.INSUFFICIENT_TEXT)),
            (Removal("passage 1", 0.1, Label.REFUTE),),
            (),
            (),
        ),
    )
    said = words(plain)
    assert "falls from 65.0% to 20.0%, and the verdict is Insufficient_Text." in said
    assert "falls from 65.0% to 10.0%, and the verdict is Refute." in said
    for answered in (False, True):
        asked = replace(plain, decision=Decision(0.05, answered, 0.777, (Label.SUPPORT_TEXT,)))
        said = words(asked)
        assert "and the verdict is" not in said
        assert "to 20.0%, and the most likely label is Insufficient_Text." in said
        assert "to 10.0%, and the most likely label is Refute." in said


def test_more_pictures_than_are_listed_are_counted() -> None:
    relation = dict.fromkeys(TextRelation, 1 / 3)
    seen = CitedImage("d", "d.jpg", 0.9, 0.99, matched_places=57)
    evidence = Evidence(elsewhere=(seen,), more_elsewhere=1234)
    said = words(Verdict.from_factors(relation, None, evidence, "0" * 64))
    # The console of this test takes [d] for mark-up.
    assert "oldest first - , d.jpg, P(same picture) 99.0%, 57 places match, score" in said
    assert "score 0.900 - and 1,234 more" in said
    few = Verdict.from_factors(relation, None, replace(evidence, more_elsewhere=0), "0" * 64)
    assert " more" not in words(few)


def test_what_sources_were_kept_out_is_told() -> None:
    plain = Verdict.from_factors(dict.fromkeys(TextRelation, 1 / 3), None, Evidence(), "0" * 64)
    for search, said in (
        (
            Search(("dense",), 0, "2024-01-02"),
            "Sources published on 2024-01-02 at the latest, what has no date not looked at Support",
        ),
        (
            Search(("dense",), 0, None, "keep", "mine.txt"),
            "Sources without the domains of mine.txt Support",
        ),
    ):
        told = words(replace(plain, search=search)).replace("> ", "")
        assert said in told
    assert "Sources" not in words(replace(plain, search=Search(("dense",), 0)))


def test_a_label_that_two_others_share_the_way_to_is_told_as_what_it_is() -> None:
    relation = {
        TextRelation.SUPPORT: 0.5,
        TextRelation.INSUFFICIENT: 0.08,
        TextRelation.REFUTE: 0.42,
    }
    divided = Verdict.from_factors(relation, 0.5, Evidence(), "0" * 64)
    assert divided.label is Label.REFUTE
    said = words(divided)
    assert "contradicts the claim" not in said
    assert "The evidence is likelier to support the claim, but it is open whether" in said
    plain = words(Verdict.from_factors(relation, 0.01, Evidence(), "0" * 64))
    assert "The evidence supports the claim in words, and shows another picture." in plain


def test_what_does_not_bear_on_a_claim_is_said_not_to() -> None:
    passage = CitedPassage(
        Passage("d", 0, 1, "x"),
        0.5,
        relation={
            TextRelation.SUPPORT: 0.1,
            TextRelation.INSUFFICIENT: 0.1,
            TextRelation.REFUTE: 0.8,
        },
        weight=1.0,
        bearing=0.125,
    )
    relation = {
        TextRelation.SUPPORT: 0.05,
        TextRelation.INSUFFICIENT: 0.9,
        TextRelation.REFUTE: 0.05,
    }
    evidence = Evidence((passage,), bearing=0.125)
    said = words(Verdict.from_factors(relation, None, evidence, "0" * 64))
    assert "What was found is not likely to bear on the claim." in said
    assert "Found bears on the claim 12.5%" in said
    assert "Contradicts the claim (80.0%), weight 100%, bears on it 12.5%" in said
    said = words(Verdict.from_factors(relation, 0.9, evidence, "0" * 64))
    assert "not likely to bear on the claim, although it shows the same picture." in said
    said = words(Verdict.from_factors(relation, 0.1, evidence, "0" * 64))
    assert "not likely to bear on the claim, and shows another picture." in said
    surer = replace(evidence, bearing=0.5)
    said = words(Verdict.from_factors(relation, None, surer, "0" * 64))
    assert "The evidence cannot tell whether the claim is true." in said
    given = Evidence((replace(passage, bearing=None),))
    said = words(Verdict.from_factors(relation, None, given, "0" * 64))
    assert "bears on" not in said
    assert "The evidence cannot tell whether the claim is true." in said


def test_copies_of_a_passage_are_named() -> None:
    passage = Passage("wire", 0, 3, "It.")
    cited = CitedPassage(passage, 0.9, copies=("paper", "site"))
    relation = dict.fromkeys(TextRelation, 1 / 3)
    evidence = Evidence((cited, replace(cited, copies=())))
    said = words(Verdict.from_factors(relation, None, evidence, "0" * 64))
    assert said.count("also in") == 1
    assert "also in paper, site" in said


def test_an_address_is_shown_to_its_end() -> None:
    url = "https://news.example/" + "a-very-long-name-of-an-article-" * 5 + "end"
    image = CitedImage("d", "/pictures/1.jpg", 0.9, url=url)
    relation = {TextRelation.SUPPORT: 1.0, TextRelation.INSUFFICIENT: 0.0, TextRelation.REFUTE: 0.0}
    verdict = Verdict.from_factors(relation, 0.9, Evidence((), image), "0" * 64)
    shown = words(verdict)
    assert "\u2026" not in shown
    assert url in shown.replace(" ", "")


def test_a_sentence_without_which_nothing_changes_does_not_matter_most() -> None:
    relation = {TextRelation.SUPPORT: 1.0, TextRelation.INSUFFICIENT: 0.0, TextRelation.REFUTE: 0.0}
    plain = Verdict.from_factors(relation, None, Evidence(), "0" * 64)

    def said(left: float) -> str:
        removal = Removal("the sentence", left, Label.SUPPORT_TEXT)
        explained = Explanation(KeySentence("d", 0, 3, "It.", removal), (), (), ())
        return words(replace(plain, explanation=explained))

    assert "Matters most: It. Without it Support_Text falls from 100.0% to 99.9%." in said(0.999)
    for left in (0.9999, 1.0):
        assert "Matters most" not in said(left)
        assert "No single sentence matters much" in said(left)
