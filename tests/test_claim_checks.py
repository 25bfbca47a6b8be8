"""Claims that are refused, by number, before any work; and how far a claim is read."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from news import COMET

from factcheck import Claim, Document, EvidenceIndex, FactChecker
from factcheck.characters import legible
from factcheck.encoders.relation_reach import claim_read, passages_read
from factcheck.errors import (
    InvalidInputError,
    MissingResourceError,
)
from factcheck.records import MAX_CLAIM_CHARACTERS
from factcheck.settings import SearchSettings


def test_strict_looks_at_all_pictures_first_and_names_the_claim(
    checker: FactChecker,
    index: EvidenceIndex,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("factcheck.pipeline.CHUNK", 1)
    done: list[int] = []
    good, bad = Claim("A comet was seen in January."), tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8\xff garbage")
    for picture, error in ((bad, InvalidInputError), (tmp_path / "no.jpg", MissingResourceError)):
        with pytest.raises(error, match=rf"^claim 3: .*{picture.name}: "):
            checker.check_many([good, good, Claim("A.", picture)], index, True, done.append)
    assert done == []


def test_a_claim_that_no_channel_finds_anything_for_is_named(
    checker: FactChecker, index: EvidenceIndex
) -> None:
    with pytest.raises(InvalidInputError, match="claim 1: nothing was found by lexical"):
        checker.check(Claim("Xyzzy."), index, search=SearchSettings(channels=("lexical",)))


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b", "\x00\x1b", "???", "\U0001f680"])
def test_an_empty_claim_is_refused(checker: FactChecker, index: EvidenceIndex, text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"the claim is empty"):
        checker.check(Claim(text), index)
    with pytest.raises(InvalidInputError, match=r"claim 2 is empty"):
        checker.check_many([Claim("Something."), Claim(text)], index)
    with pytest.raises(InvalidInputError, match=r"the claim is empty"):
        checker.compare(Claim(text), Document("d", COMET))


@pytest.mark.parametrize("text", ["7", "\u5f57\u661f", "\u0643", "\u0e17"])
def test_a_letter_or_digit_of_any_script_is_a_claim(checker: FactChecker, text: str) -> None:
    assert checker.compare(Claim(text), Document("d", COMET)).evidence.passages


def test_a_row_of_nothing_but_signs_gets_a_label(checker: FactChecker) -> None:
    """Data sets have such rows, and one of them must not stop an evaluation."""
    assert len(checker.compare_many([(Claim("!!"), Document("d", COMET))])) == 1


def test_what_is_not_utf8_is_refused(
    checker: FactChecker, index: EvidenceIndex, photographs: Path
) -> None:
    odd = "caf\udce9 closed"
    document = Document("d", COMET, image=photographs / "00.jpg")
    for claim, name in (
        (Claim(odd), "the claim is not UTF-8"),
        (Claim("A.", photographs / "00.jpg", odd), "the claim: the text in its picture is not"),
    ):
        with pytest.raises(InvalidInputError, match=name):
            checker.check(claim, index)
        with pytest.raises(InvalidInputError, match=name):
            checker.compare(claim, document)
    for given, name in (
        (replace(document, text=odd), "document d: its text is not UTF-8"),
        (replace(document, ocr=odd), "document d: the text in its picture is not UTF-8"),
    ):
        with pytest.raises(InvalidInputError, match=name):
            checker.compare(Claim("A."), given)


def test_a_bad_claim_is_named_before_any_work(
    checker: FactChecker, index: EvidenceIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("factcheck.pipeline.CHUNK", 2)
    done: list[int] = []
    good, bad = Claim("A comet was seen in January."), Claim("x" * (MAX_CLAIM_CHARACTERS + 1))
    for several in ([good, good, bad], [good, good, good, bad]):
        name = f"claim {len(several)} has 10,001 characters"
        with pytest.raises(InvalidInputError, match=name):
            checker.check_many(several, index, on_progress=done.append)
        pairs = [(claim, Document("d", COMET)) for claim in several]
        with pytest.raises(InvalidInputError, match=name):
            checker.compare_many(pairs, on_progress=done.append)
    assert done == []
    lexical = SearchSettings(channels=("lexical",))
    with pytest.raises(InvalidInputError, match="claim 3: nothing was found by lexical"):
        checker.check_many([good, good, Claim("Xyzzy.")], index, search=lexical)
    with pytest.raises(InvalidInputError, match="claim 7: nothing was found by lexical"):
        checker.check_many([Claim("Xyzzy.")], index, search=lexical, first=7)


def test_a_claim_that_is_not_read_to_its_end_says_so(
    checker: FactChecker, index: EvidenceIndex, documents: list[Document]
) -> None:
    """The tests' encoder reads 64 tokens, three of them marks."""
    relation = checker.encoders.relation
    assert relation is not None
    whole = Claim("A storm closed the harbour of Port Bell.")
    cut = Claim(f"{'A storm closed the harbour of Port Bell on Monday. ' * 5}No ferry was damaged.")
    told = []
    for verdicts in (
        checker.check_many([whole, cut], index),
        checker.compare_many([(whole, documents[0]), (cut, documents[0])]),
    ):
        assert verdicts[0].evidence.warnings == ()
        (warning,) = verdicts[1].evidence.warnings
        told.append(warning)
        found = re.fullmatch(
            r"only about the first (\d+) words of the claim were read; check its sentences one by "
            r"one",
            warning,
        )
        assert found is not None
        words = int(found[1])
        # What it says is so: beside some passage nothing behind these words is read.
        head = " ".join(cut.text.split()[:words])
        other = f"{head} {'Cats sleep. ' * 40}"
        pairs = [cited.passage.text for cited in verdicts[1].evidence.passages]
        read = [relation.encode([(text, p) for p in pairs]).packed for text in (cut.text, other)]
        assert any(one == pytest.approx(two, abs=1e-5) for one, two in zip(*read, strict=True))
        short = " ".join(cut.text.split()[: words - 2])
        assert claim_read(relation, short, pairs) is None


def test_a_claim_is_read_to_its_end_beside_a_short_passage(checker: FactChecker) -> None:
    relation = checker.encoders.relation
    assert relation is not None
    claim = "A storm closed the harbour of Port Bell on Monday. " * 4
    assert claim_read(relation, claim, ["It did."]) is None
    assert claim_read(relation, claim, ["It did.", "It rained. " * 40]) is not None
    assert claim_read(relation, claim, []) is None
    # Cut before it is tokenised, whatever it is cut in.
    assert claim_read(relation, f"{' ' * 5000}A storm.", ["It did."]) == 0
    chinese = Claim("\u5f57\u661f" * 50)
    warnings = checker.compare(chinese, Document("d", COMET)).evidence.warnings
    assert sum("characters of the claim" in warning for warning in warnings) == 1
    assert re.search(r"the first \d+ characters of the claim", warnings[0])


def test_what_is_not_read_of_a_passage_is_told(checker: FactChecker) -> None:
    relation = checker.encoders.relation
    assert relation is not None
    claim = "A storm closed the harbour of Port Bell on Monday."
    texts = ["It did.", "It rained in the north. " * 40, f"It did.{' ' * 9000}", "Cats sleep."]
    read = passages_read(relation, claim, texts)
    assert [to is None for to in read] == [True, False, True, True]
    # What it says is so: nothing behind is read.
    end = read[1]
    assert end is not None
    head, other = texts[1][:end], texts[1][:end] + " The cat sat on the mat." * 20
    first, second = relation.encode([(claim, head), (claim, other)]).packed
    whole = relation.encode([(claim, texts[1])]).packed[0]
    assert whole == pytest.approx(first, abs=1e-5)
    assert whole == pytest.approx(second, abs=1e-5)
    assert passages_read(relation, claim, []) == []
    long = Document("d", f"It rained {'1, 2; ' * 30}times.")
    warnings = checker.compare(Claim(claim), long).evidence.warnings
    assert re.fullmatch(
        r"of passage 1 only about the first \d+ of \d+ characters were read beside the claim",
        warnings[0],
    )


@pytest.mark.parametrize(
    ("claim", "evidence", "told"),
    [
        ("दिल्ली में बाढ़ आई", "कल दिल्ली में भारी बाढ़ आई।", "the claim and the evidence can only"),
        ("The flood hit Delhi.", "कल दिल्ली में भारी बाढ़ आई।", "the evidence can only be read letter"),
        (
            "埃菲尔铁塔位于巴黎",
            "The tower is in Paris.",
            "the claim can only be read letter by letter",
        ),
        ("Der Turm steht in Zürich.", "Łódź leży w Polsce, Rzeszów też.", None),
        ("Japan (日本) is a country.", "Japan, 日本国, is in Asia, as is well known.", None),
    ],
)
def test_a_language_that_is_not_known_is_told(
    checker: FactChecker, claim: str, evidence: str, told: str | None
) -> None:
    verdict = checker.compare(Claim(claim), Document("d", evidence))
    found = [one for one in verdict.evidence.warnings if "letter by letter" in one]
    assert [told in one for one in found if told] == ([] if told is None else [True])
    assert len(found) == (told is not None)


@pytest.mark.parametrize("text", ["2\u00bd hours", "10\u00b2 trees", "CO\u2082", "\u00b4"])
def test_numbers_stay_what_they_are(text: str) -> None:
    assert legible(text) == text


def test_a_face_of_letters_is_no_other_language(checker: FactChecker) -> None:
    wide = "".join(chr(ord(c) + 0xFEE0) if c.isalpha() else c for c in "Grace Hopper retired.")
    verdict = checker.compare(Claim(wide), Document("d", "Grace Hopper retired in 1986."))
    assert verdict.evidence.warnings == ()


def test_letters_that_look_alike_are_read_alike(checker: FactChecker) -> None:
    claim = Claim("Official figures show that five firms filed in 1962.")
    odd = claim.text.replace("ffi", "\ufb03").replace("fi", "\ufb01").replace("19", "\uff11\uff19")
    assert odd != claim.text
    plain, other = (checker.compare(claim, Document("d", text)) for text in (claim.text, odd))
    assert other.probabilities == pytest.approx(plain.probabilities)
    assert other.evidence.passages[0].passage.text == odd


def test_a_claim_of_a_hundred_thousand_characters_is_refused(
    checker: FactChecker, index: EvidenceIndex
) -> None:
    checker.check(Claim("word " * (MAX_CLAIM_CHARACTERS // 5)), index)
    with pytest.raises(InvalidInputError, match=r"the claim has 100,000 characters"):
        checker.check(Claim("x" * 100_000), index)


def test_a_picture_that_could_not_be_read_is_told_where_nothing_was_found(
    checker: FactChecker, index: EvidenceIndex, tmp_path: Path
) -> None:
    claims = [Claim("A comet was seen in January."), Claim("Xyzzy.", tmp_path / "gone.jpg")]
    told: dict[int, str] = {}
    found = checker.check_many(
        claims,
        index,
        search=SearchSettings(channels=("lexical",)),
        on_failure=lambda number, problem: told.update({number: problem}),
    )
    assert len(found) == 1
    assert told[2].startswith("nothing was found by lexical")
    assert "gone.jpg: the image cannot be read" in told[2]


def test_white_space_around_a_claim_says_nothing(checker: FactChecker) -> None:
    text = "The comet was seen in January. It was bright."
    document = Document("d", COMET)
    plain, spaced = (
        checker.compare(Claim(one), document, explain=True) for one in (text, f" \n{text} ")
    )
    assert plain.explanation is not None
    assert plain == spaced
