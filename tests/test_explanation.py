"""Explanations: what is taken away is really gone, and nothing else."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from factcheck import Claim, Document, EvidenceIndex, FactChecker, Verdict
from factcheck.encoders import Encoders
from factcheck.explanation import _disagreements, _sentences
from factcheck.records import CitedPassage, Evidence, Passage, TextRelation

SENTENCES = (
    "The harbour of Port Bell was closed on Monday.",
    "Two ferries were damaged by the storm.",
    "Repairs will take three weeks.",
)
SHORT = Document("short", " ".join(SENTENCES))
"""A document of one passage: the tests' passages hold 200 characters."""

LONG = Document(
    "long",
    "The harbour of Port Bell was closed on Monday after a heavy storm had passed over the whole "
    "coast in the night. The mayor of the town said that the repairs of both piers would take at "
    "least three weeks. Fishing boats were moved to the northern pier, where the water is calmer "
    "in spring.",
)
CLAIM = Claim("A storm closed the harbour of Port Bell.")


def test_a_sentence_taken_away_is_a_document_without_it(checker: FactChecker) -> None:
    verdict = checker.compare(CLAIM, SHORT, explain=True)
    assert verdict.explanation is not None
    key = verdict.explanation.sentence
    assert key is not None
    left = {}
    for gone in range(len(SENTENCES)):
        text = " ".join(s for place, s in enumerate(SENTENCES) if place != gone)
        left[SENTENCES[gone]] = checker.compare(CLAIM, Document("d", text))
    assert key.text == min(left, key=lambda text: left[text].probabilities[verdict.label])
    assert key.removal.probability == pytest.approx(
        left[key.text].probabilities[verdict.label], abs=1e-4
    )
    assert key.removal.label is left[key.text].label
    assert SHORT.text[key.start : key.end] == key.text
    assert key.document_id == "short"
    # One passage is all there is: without it there would be nothing to ask about.
    assert verdict.explanation.removals == ()


def test_a_passage_taken_away_is_a_document_without_it(checker: FactChecker) -> None:
    verdict = checker.compare(CLAIM, LONG, explain=True)
    passages = verdict.evidence.passages
    assert len(passages) == 2
    assert verdict.explanation is not None
    assert [r.removed for r in verdict.explanation.removals] == ["passage 1", "passage 2"]
    for removal, kept in zip(verdict.explanation.removals, passages[::-1], strict=True):
        alone = checker.compare(CLAIM, Document("d", kept.passage.text))
        assert removal.probability == pytest.approx(alone.probabilities[verdict.label], abs=1e-4)
        assert removal.label is alone.label


def test_a_sentence_of_two_passages_is_one_and_goes_from_both() -> None:
    one = "First it rained. Then the sun came out."
    other = "Then the sun came out. At last it snowed."
    text = "First it rained. Then the sun came out. At last it snowed."
    passages = tuple(
        CitedPassage(Passage("d", text.index(part), text.index(part) + len(part), part), 0.5)
        for part in (one, other)
    )
    found = _sentences(Evidence(passages))
    assert [s.text for s in found] == [
        "First it rained.",
        "Then the sun came out.",
        "At last it snowed.",
    ]
    assert dict(found[1].passages) == {0: "First it rained.", 1: "At last it snowed."}
    assert dict(found[0].passages) == {0: "Then the sun came out."}
    assert [text[s.start : s.end] for s in found] == [s.text for s in found]


def test_pictures_and_their_texts_taken_away(checker: FactChecker, photographs: Path) -> None:
    claim = replace(CLAIM, image=photographs / "00.jpg", ocr="PORT BELL")
    document = replace(SHORT, image=photographs / "01.png")
    verdict = checker.compare(claim, document, explain=True)
    assert verdict.explanation is not None
    pictures, words = verdict.explanation.removals
    assert (pictures.removed, words.removed) == ("the pictures", "the text in the pictures")
    blind = checker.compare(replace(claim, image=None), SHORT)
    assert pictures.probability == pytest.approx(blind.probabilities[verdict.label], abs=1e-4)
    unread = checker.compare(replace(claim, ocr=None), document)
    assert words.probability == pytest.approx(unread.probabilities[verdict.label], abs=1e-4)


def test_one_sentence_is_all_the_evidence(checker: FactChecker) -> None:
    verdict = checker.compare(CLAIM, Document("d", SENTENCES[0]), explain=True)
    assert verdict.explanation is not None
    assert verdict.explanation.sentence is None
    assert verdict.explanation.removals == ()


def test_an_explanation_changes_nothing_and_can_be_repeated(
    checker: FactChecker, encoders: Encoders, photographs: Path, tmp_path: Path
) -> None:
    documents = [replace(LONG, image=photographs / "00.jpg", date="2024-05-06"), SHORT]
    index = EvidenceIndex.build(documents, tmp_path / "index", encoders)
    claims = [CLAIM, replace(CLAIM, image=photographs / "00.jpg"), Claim("Cats sleep.")]
    plain = checker.check_many(claims, index)
    explained = checker.check_many(claims, index, explain=True)
    assert {verdict.explanation for verdict in plain} == {None}
    assert [replace(verdict, explanation=None) for verdict in explained] == plain
    for claim, verdict in zip(claims, explained, strict=True):
        alone = checker.check(claim, index, explain=True)
        assert alone.explanation is not None
        assert verdict.explanation is not None
        assert alone.explanation.sentence is not None
        assert verdict.explanation.sentence is not None
        assert alone.explanation.sentence.text == verdict.explanation.sentence.text
        for one, other in zip(
            alone.explanation.removals, verdict.explanation.removals, strict=True
        ):
            assert one.probability == pytest.approx(other.probability, abs=1e-5)
        again = Verdict.from_dict(json.loads(json.dumps(verdict.to_dict())))
        assert again == verdict


def test_what_is_taken_away_may_be_all_that_bore_on_the_claim(
    checker: FactChecker, encoders: Encoders, tmp_path: Path
) -> None:
    texts = {"one": "Storms come in autumn.", "two": "The harbour of Port Bell was closed."}
    documents = [Document(name, text) for name, text in texts.items()]
    index = EvidenceIndex.build(documents, tmp_path / "index", encoders)
    verdict = checker.check(CLAIM, index, explain=True)
    assert verdict.explanation is not None
    assert verdict.evidence.bearing is not None
    passages = verdict.evidence.passages
    assert len(passages) == 2
    assert verdict.evidence.bearing == max(cited.bearing or 0 for cited in passages)
    for removal, left in zip(verdict.explanation.removals, passages[::-1], strict=True):
        name = left.passage.document_id
        kept = [document for document in documents if document.id == name]
        alone = checker.check(CLAIM, EvidenceIndex.build(kept, tmp_path / name, encoders))
        assert alone.evidence.bearing == pytest.approx(left.bearing, abs=1e-5)
        assert removal.probability == pytest.approx(alone.probabilities[verdict.label], abs=1e-4)


def test_a_sentence_taken_away_may_be_what_bore_on_the_claim(
    checker: FactChecker, encoders: Encoders, tmp_path: Path
) -> None:
    index = EvidenceIndex.build([SHORT], tmp_path / "index", encoders)
    verdict = checker.check(CLAIM, index, explain=True)
    assert verdict.explanation is not None
    key = verdict.explanation.sentence
    assert key is not None
    text = " ".join(sentence for sentence in SENTENCES if sentence != key.text)
    left = EvidenceIndex.build([replace(SHORT, text=text)], tmp_path / "left", encoders)
    without = checker.check(CLAIM, left)
    assert without.evidence.bearing is not None
    assert verdict.evidence.bearing is not None
    assert abs(without.evidence.bearing - verdict.evidence.bearing) > 0.005
    # An index encodes in bfloat16 where the processor has it.
    wanted = without.probabilities[verdict.label]
    assert key.removal.probability == pytest.approx(wanted, abs=1e-3)


def test_passages_that_disagree() -> None:
    def cited(support: float, refute: float) -> CitedPassage:
        values = (support, 1 - support - refute, refute)
        relation = dict(zip(TextRelation, values, strict=True))
        return CitedPassage(Passage("d", 0, 1, "x"), 0.5, relation=relation, weight=0.25)

    passages = (cited(0.7, 0.1), cited(0.1, 0.8), cited(0.2, 0.2), cited(0.6, 0.3))
    assert _disagreements(Evidence(passages)) == ((1, 2), (4, 2))
    # What does not bear on the claim is no voice in the matter.
    found = tuple(
        replace(one, bearing=bearing)
        for one, bearing in zip(passages, (0.9, 0.6, 0.9, 0.2), strict=True)
    )
    assert _disagreements(Evidence(found)) == ((1, 2),)
    assert _disagreements(Evidence((CitedPassage(Passage("d", 0, 1, "x"), 0.5),))) == ()


def test_what_is_missing_is_said(
    checker: FactChecker, encoders: Encoders, photographs: Path, tmp_path: Path
) -> None:
    def missing(verdict: Verdict) -> tuple[str, ...]:
        assert verdict.explanation is not None
        return verdict.explanation.missing

    nothing = checker.compare(CLAIM, SHORT, explain=True)
    assert missing(nothing) == (
        "The claim came without a picture.",
        "No passage has a date.",
    )
    pictured = replace(CLAIM, image=photographs / "00.jpg")
    dated = replace(SHORT, date="2024-05-06")
    assert missing(checker.compare(pictured, dated, explain=True)) == (
        "The leading document has no picture to compare with the claim's.",
    )
    both = replace(dated, image=photographs / "01.png")
    assert missing(checker.compare(pictured, both, explain=True)) == ()
    index = EvidenceIndex.build([both], tmp_path / "index", encoders)
    assert missing(checker.check(pictured, index, explain=True)) == (
        "All passages are from one document.",
    )
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    unread = checker.compare(replace(CLAIM, image=bad), both, explain=True)
    assert missing(unread) == ("The claim's picture could not be read.",)


OTHER = Document("other", "Port Bell is a small town on the coast. It has a harbour and two piers.")


@pytest.mark.parametrize("picture", [None, "00.jpg", "01.png"])
def test_a_picture_goes_with_the_last_passage_of_its_document(
    checker: FactChecker,
    encoders: Encoders,
    photographs: Path,
    tmp_path: Path,
    picture: str | None,
) -> None:
    claim = replace(CLAIM, image=photographs / "00.jpg")
    leading = replace(SHORT, image=photographs / "00.jpg", ocr="PORT BELL")
    other = OTHER
    if picture is not None:
        other = replace(OTHER, image=photographs / picture, ocr="A PIER")
    index = EvidenceIndex.build([leading, other], tmp_path / "both", encoders)
    verdict = checker.check(claim, index, explain=True)
    assert [cited.passage.document_id for cited in verdict.evidence.passages] == ["short", "other"]
    assert verdict.image_relation is not None
    assert verdict.explanation is not None
    first, second, *_ = verdict.explanation.removals
    assert (first.removed, second.removed) == ("passage 1", "passage 2")
    # What is left is as if the other had never been there, its picture among it.
    for removal, kept in ((first, other), (second, leading)):
        index = EvidenceIndex.build([kept], tmp_path / kept.id, encoders)
        alone = checker.check(claim, index)
        assert removal.label is alone.label
        assert removal.probability == pytest.approx(alone.probabilities[verdict.label], abs=1e-4)


def test_a_picture_goes_with_the_only_sentence_of_its_document(
    checker: FactChecker, encoders: Encoders, photographs: Path, tmp_path: Path
) -> None:
    claim = replace(CLAIM, image=photographs / "00.jpg")
    documents = [
        Document("a", SENTENCES[0], image=photographs / "00.jpg"),
        Document("b", "Port Bell is a small town on the coast."),
    ]
    index = EvidenceIndex.build(documents, tmp_path / "index", encoders)
    verdict = checker.check(claim, index, explain=True)
    assert verdict.image_relation is not None
    assert verdict.explanation is not None
    assert verdict.explanation.sentence is not None
    left = []
    for place, kept in enumerate(documents[::-1], start=1):
        index = EvidenceIndex.build([kept], tmp_path / kept.id, encoders)
        left.append(checker.check(claim, index).probabilities[verdict.label])
        removal = verdict.explanation.removals[place - 1]
        assert removal.removed == f"passage {place}"
        assert removal.probability == pytest.approx(left[-1], abs=1e-4)
    # Each sentence is all of its passage, so that it leaves what its passage leaves.
    assert verdict.explanation.sentence.removal.probability == pytest.approx(min(left), abs=1e-4)
