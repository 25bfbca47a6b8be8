"""From a claim to a verdict, through real encoders, a real index and a real head."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import save_photograph
from news import COMET, LIBRARY

from factcheck import Claim, Document, EvidenceIndex, FactChecker
from factcheck.encoders import Encoders
from factcheck.encoders.relation import unpack
from factcheck.errors import (
    FactcheckError,
    InvalidInputError,
    MissingResourceError,
    RunError,
    UsageError,
)
from factcheck.fusion.checkpoint import build_head, load_checkpoint, save_checkpoint
from factcheck.records import (
    LABELS,
    TEXT_RELATIONS,
    Label,
    Search,
    Verdict,
    label_probabilities,
)
from factcheck.retrieval import Reranker, SourcePolicy
from factcheck.settings import SearchSettings


def claims(photographs: Path) -> list[Claim]:
    return [
        Claim("A storm closed the harbour of Port Bell.", photographs / "00.jpg"),
        Claim("The library lent 1.2 million books.", photographs / "05.png", "a caption"),
        Claim("A comet was seen in January."),
        Claim("A storm closed the harbour of Port Bell.", photographs / "01.png"),
    ]


def assert_same(one: Verdict, other: Verdict) -> None:
    assert one.label is other.label
    assert list(one.probabilities.values()) == pytest.approx(
        list(other.probabilities.values()), abs=1e-5
    )
    assert one.image_relation == pytest.approx(other.image_relation, abs=1e-5)
    assert [cited.passage for cited in one.evidence.passages] == [
        cited.passage for cited in other.evidence.passages
    ]


def test_a_verdict_is_consistent_and_names_its_versions(
    checker: FactChecker, index: EvidenceIndex, photographs: Path
) -> None:
    for verdict in checker.check_many(claims(photographs), index):
        assert sum(verdict.probabilities.values()) == pytest.approx(1)
        assert sum(verdict.text_relation.values()) == pytest.approx(1)
        assert verdict.probabilities == pytest.approx(
            label_probabilities(verdict.text_relation, verdict.image_relation)
        )
        assert verdict.label is max(LABELS, key=verdict.probabilities.__getitem__)
        assert verdict.model == checker.checkpoint.sha256
        assert verdict.index == index.sha256
        assert Verdict.from_dict(verdict.to_dict()) == verdict


def searched_with(checker: FactChecker) -> str:
    """The hash of what gives claims the vectors that are searched with."""
    query = checker.encoders.query
    assert query is not None
    return query.sha256


def told_by(checker: FactChecker) -> str:
    """The hash of what tells whether passages bear on a claim."""
    bearing = checker.encoders.bearing
    assert bearing is not None
    return bearing.sha256


def test_the_right_document_is_cited_with_offsets(
    checker: FactChecker, index: EvidenceIndex, documents: list[Document], photographs: Path
) -> None:
    texts = {document.id: document.text for document in documents}
    verdict = checker.check(claims(photographs)[0], index)
    assert verdict.evidence.passages[0].passage.document_id == "harbour"
    assert verdict.evidence.passages[0].title == "Harbour closed"
    for cited in verdict.evidence.passages:
        passage = cited.passage
        assert texts[passage.document_id][passage.start : passage.end] == passage.text
    assert all(cited.channels for cited in verdict.evidence.passages)
    reranker = Reranker.of(checker.encoders)
    assert reranker is not None
    assert verdict.search == Search(
        ("dense", "lexical", "image"),
        40,
        reranker_sha256=reranker.sha256,
        query_sha256=searched_with(checker),
        bearing_sha256=told_by(checker),
    )


def test_many_claims_give_what_single_ones_give(
    checker: FactChecker, index: EvidenceIndex, photographs: Path
) -> None:
    several = claims(photographs)
    for claim, verdict in zip(several, checker.check_many(several, index), strict=True):
        assert_same(checker.check(claim, index), verdict)


def test_many_pairs_give_what_single_ones_give(
    checker: FactChecker, documents: list[Document], photographs: Path
) -> None:
    pairs = [(claim, document) for claim in claims(photographs) for document in documents]
    for (claim, document), verdict in zip(pairs, checker.compare_many(pairs), strict=True):
        assert_same(checker.compare(claim, document), verdict)
        assert verdict.index is None
        two = claim.image is not None and document.image is not None
        assert (verdict.image_relation is not None) == two


def test_without_two_pictures_the_label_is_not_multimodal(
    checker: FactChecker, documents: list[Document]
) -> None:
    verdict = checker.compare(Claim("The library lent books."), documents[1])
    assert verdict.image_relation is None
    assert verdict.evidence.image is None
    assert verdict.probabilities[Label.SUPPORT_MULTIMODAL] == 0


def test_a_bad_picture_is_a_warning_and_strict_makes_it_an_error(
    checker: FactChecker, index: EvidenceIndex, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8\xff garbage")
    several = [Claim("A comet was seen."), Claim("A storm came.", bad)]
    verdicts = checker.check_many(several, index)
    assert verdicts[0].evidence.warnings == ()
    assert "bad.jpg" in verdicts[1].evidence.warnings[0]
    assert verdicts[1].image_relation is None
    with pytest.raises(InvalidInputError, match=r"bad\.jpg"):
        checker.check_many(several, index, strict=True)


def test_a_missing_picture_is_another_error_than_a_bad_one(
    checker: FactChecker, index: EvidenceIndex, tmp_path: Path
) -> None:
    nope = tmp_path / "nope.jpg"
    with pytest.raises(MissingResourceError, match=r"nope\.jpg"):
        checker.check_many([Claim("A comet was seen."), Claim("A.", nope)], index, strict=True)
    with pytest.raises(MissingResourceError, match=r"nope\.jpg"):
        checker.compare(Claim("A."), Document("d", COMET, image=nope), strict=True)


def test_a_policy_is_kept_and_recorded(
    checker: FactChecker, index: EvidenceIndex, documents: list[Document]
) -> None:
    claim = Claim("A storm closed the harbour of Port Bell.")
    unranked = SearchSettings(rerank=0)
    verdict = checker.check(
        claim, index, search=unranked, policy=SourcePolicy("2024-05-05", "keep")
    )
    assert verdict.search == Search(
        ("dense", "lexical", "image"),
        0,
        "2024-05-05",
        "keep",
        query_sha256=searched_with(checker),
        bearing_sha256=told_by(checker),
    )
    assert "harbour" not in {cited.passage.document_id for cited in verdict.evidence.passages}
    assert Verdict.from_dict(verdict.to_dict()) == verdict
    wanted = r"no document is left to look at: all are blocked, or came too late$"
    with pytest.raises(InvalidInputError, match=wanted):
        checker.check(claim, index, policy=SourcePolicy("1900-01-01"))


def test_an_index_that_was_emptied_is_called_so(
    checker: FactChecker, encoders: Encoders, tmp_path: Path
) -> None:
    index = EvidenceIndex.build([Document("comet", COMET)], tmp_path / "i", encoders)
    empty = index.delete(["comet"])
    for policy in (None, SourcePolicy("1900-01-01")):
        with pytest.raises(InvalidInputError, match=r"i: the index is empty$"):
            checker.check(Claim("A comet was seen."), empty, policy=policy)


class Reader:
    """Stands for an OCR reader, and notes what it was given."""

    def __init__(self) -> None:
        self.read_: list[Path] = []

    def read(self, path: str | Path) -> str:
        self.read_.append(Path(path))
        return "LIBRARY OPENS"


def test_the_text_in_the_picture_of_the_evidence_is_read_if_asked(
    checker: FactChecker, encoders: Encoders, photographs: Path, tmp_path: Path
) -> None:
    picture, claimed = tmp_path / "evidence.png", photographs / "03.png"
    save_photograph(picture, seed=30)
    index = EvidenceIndex.build(
        [Document("library", LIBRARY, image=picture)], tmp_path / "i", encoders
    )
    given = EvidenceIndex.build(
        [Document("library", LIBRARY, image=picture, ocr="LIBRARY OPENS")],
        tmp_path / "given",
        encoders,
    )
    claim = Claim("The library lent 1.2 million books.", claimed, "a caption")
    reader = Reader()
    reading = FactChecker(checker.checkpoint, encoders, reader)  # type: ignore[arg-type]
    read = reading.check(claim, index)
    assert reader.read_ == [picture]
    assert read.evidence.warnings == ()
    assert read.probabilities == checker.check(claim, given).probabilities
    plain = checker.check(claim, index)
    assert read.probabilities != plain.probabilities
    # Text that the corpus gives is not read, and that of a document once for several claims.
    reading.check(claim, given)
    assert len(reader.read_) == 1
    reading.check_many([claim, claim], index)
    assert len(reader.read_) == 2
    reader.read_.clear()

    def unread(why: str) -> None:
        found = reading.check(claim, index)
        (warning,) = found.evidence.warnings
        assert why in warning
        assert warning.endswith("; the text in the evidence's picture was not read")
        assert found.probabilities == plain.probabilities
        with pytest.raises(FactcheckError, match=why):
            reading.check(claim, index, strict=True)
        assert reader.read_ == []

    # A stranger's index may name any file: only the picture that was indexed is read.
    save_photograph(picture, seed=31)
    unread("not the one that was indexed")
    picture.unlink()
    unread("not an ordinary file")
    os.mkfifo(picture)
    unread("not an ordinary file")


def test_a_pair_is_read_once(
    checker: FactChecker, index: EvidenceIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[str, str]] = []
    relation = checker.encoders.relation
    assert relation is not None
    encode = relation.encode

    def count(pairs: list[tuple[str, str]], **options: object) -> object:
        read.extend(pairs)
        return encode(pairs, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(relation, "encode", count)
    checker.check(Claim(" A storm closed the harbour of Port Bell. "), index)
    assert len(read) == len(set(read)) == len(index)


def test_the_others_get_their_verdicts_where_one_has_none(
    checker: FactChecker,
    index: EvidenceIndex,
    photographs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lexical = SearchSettings(channels=("lexical",))
    good, bad = claims(photographs), Claim("Then there was not this.")
    failed: dict[int, str] = {}
    for chunk in (1, 3, 512):
        monkeypatch.setattr("factcheck.pipeline.CHUNK", chunk)
        failed.clear()
        verdicts = checker.check_many(
            [bad, good[0], bad, good[1], good[2]],
            index,
            explain=True,
            search=lexical,
            on_failure=failed.__setitem__,
        )
        assert list(failed) == [1, 3]
        assert failed[1].startswith("nothing was found by lexical")
        alone = [checker.check(claim, index, explain=True, search=lexical) for claim in good[:3]]
        for one, other in zip(alone, verdicts, strict=True):
            assert_same(one, other)
            assert one.explanation is not None
            assert other.explanation is not None
            assert [r.removed for r in one.explanation.removals] == [
                r.removed for r in other.explanation.removals
            ]


def test_an_empty_document_is_refused(checker: FactChecker) -> None:
    with pytest.raises(InvalidInputError, match=r"document d: its text is empty"):
        checker.compare(Claim("Something."), Document("d", "  "))


def test_nothing_to_check_gives_nothing(checker: FactChecker, index: EvidenceIndex) -> None:
    assert checker.check_many([], index) == []
    assert checker.compare_many([]) == []


def test_an_index_of_other_encoders_is_refused(
    checker: FactChecker, documents: list[Document], other_encoders: Encoders, tmp_path: Path
) -> None:
    index = EvidenceIndex.build(documents, tmp_path / "i", other_encoders)
    with pytest.raises(InvalidInputError, match=r"image encoder"):
        checker.check(Claim("A storm came."), index)


def test_a_head_of_other_encoders_is_refused(
    checkpoint_folder: Path, other_encoders: Encoders
) -> None:
    with pytest.raises(InvalidInputError, match=r"was trained on the image encoder"):
        FactChecker(load_checkpoint(checkpoint_folder), other_encoders)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"text_encoder": 300}, r"text encoder .* has vectors of 300 numbers, but they have 384"),
        ({"image_encoder": 16}, r"image encoder tiny has vectors of 16 numbers, but they have 32"),
        ({"relation_encoder": 100}, r"text relation .* of 100 numbers, but they have 388"),
        ({"image_tokens": 16}, r"image encoder tiny has 16 tokens a picture, but it has 4"),
    ],
)
def test_a_configuration_that_says_of_encoders_what_they_are_not_is_refused(
    checkpoint_folder: Path,
    encoders: Encoders,
    tmp_path: Path,
    changes: dict[str, int],
    sentence: str,
) -> None:
    """The hashes are right and the weights fit config.json, but neither fits the encoders."""
    right = load_checkpoint(checkpoint_folder)
    config = right.config.model_copy(
        update={
            name: value
            if name == "image_tokens"
            else getattr(right.config, name).model_copy(update={"dimension": value})
            for name, value in changes.items()
        }
    )
    wrong = save_checkpoint(tmp_path / "wrong", build_head(config), config, right.calibration, "")
    with pytest.raises(InvalidInputError, match=sentence):
        FactChecker(wrong, encoders)


def test_weights_that_overflow_give_no_label(
    checker: FactChecker, documents: list[Document]
) -> None:
    config = checker.checkpoint.config
    head = build_head(config).eval()
    with torch.no_grad():
        head.from_text.weight.fill_(3e38)
    wild = FactChecker(replace(checker.checkpoint, head=head), checker.encoders)
    with pytest.raises(RunError, match=r"numbers that are not finite"):
        wild.compare(Claim("A storm."), documents[0])


def test_loading_by_folder(checkpoint_folder: Path, tmp_path: Path) -> None:
    checker = FactChecker.load(checkpoint_folder, cache=tmp_path / "cache.sqlite")
    document = Document("d", COMET)
    first = checker.compare(Claim("A comet was seen."), document)
    assert_same(
        first, FactChecker.load(checkpoint_folder).compare(Claim("A comet was seen."), document)
    )
    with pytest.raises(MissingResourceError, match=r"no such checkpoint folder"):
        FactChecker.load(tmp_path / "none")


def test_a_photograph_of_any_size_is_compared(checker: FactChecker, tmp_path: Path) -> None:
    thin = save_photograph(tmp_path / "thin.png", seed=1, size=(700, 1))
    dot = save_photograph(tmp_path / "dot.png", seed=2, size=(1, 1))
    verdict = checker.compare(Claim("Something.", thin), Document("d", COMET, image=dot))
    assert verdict.image_relation is not None


def test_each_passage_says_something_by_itself(
    checker: FactChecker, encoders: Encoders, documents: list[Document], index: EvidenceIndex
) -> None:
    claim = Claim("A storm closed the harbour of Port Bell.")
    for verdict in (checker.compare(claim, documents[0]), checker.check(claim, index)):
        passages = verdict.evidence.passages
        assert len(passages) > 1
        pairs = [(claim.text, cited.passage.text) for cited in passages]
        read = unpack(encoders.relations(pairs))
        for cited, logits in zip(passages, read.logits, strict=True):
            assert cited.relation is not None
            expected = np.exp(logits) / np.exp(logits).sum()
            assert [cited.relation[r] for r in TEXT_RELATIONS] == pytest.approx(expected, abs=1e-4)
        weights = [cited.weight for cited in passages]
        expected = np.exp(read.salience) / np.exp(read.salience).sum()
        assert weights == pytest.approx(expected, abs=1e-4)


def test_a_head_without_text_relations_says_nothing_of_passages(
    checker: FactChecker, documents: list[Document]
) -> None:
    config = checker.checkpoint.config.model_copy(update={"relation_encoder": None})
    plain = replace(checker.checkpoint, config=config, head=build_head(config).eval())
    encoders = Encoders(checker.encoders.text, checker.encoders.image)
    verdict = FactChecker(plain, encoders).compare(Claim("A storm."), documents[0])
    assert {cited.relation for cited in verdict.evidence.passages} == {None}
    with pytest.raises(InvalidInputError, match=r"text relation encoder .* but none was given"):
        FactChecker(checker.checkpoint, encoders)


def test_a_label_is_given_only_at_the_error_rate_asked_for(
    checker: FactChecker, index: EvidenceIndex, photographs: Path
) -> None:
    asked = claims(photographs)
    plain = checker.check_many(asked, index)
    assert {verdict.decision for verdict in plain} == {None}
    for max_error in (0.001, 0.1, 0.99):
        found = checker.check_many(asked, index, max_error=max_error)
        conformal = checker.checkpoint.calibration.conformal
        assert conformal is not None
        for one, other in zip(plain, found, strict=True):
            assert one == replace(other, decision=None)
            assert other.decision == conformal.decide(one.probabilities, max_error)
    assert not any(v.decision.answered for v in checker.check_many(asked, index, max_error=0.001))
    assert all(v.decision.answered for v in checker.check_many(asked, index, max_error=0.99))
    for wrong in (0.0, 1.0, float("nan")):
        with pytest.raises(UsageError, match="cannot be asked for"):
            checker.check(asked[0], index, max_error=wrong)


def test_without_rows_kept_back_no_rate_is_promised(
    checker: FactChecker, documents: list[Document]
) -> None:
    calibration = checker.checkpoint.calibration.model_copy(update={"conformal": None})
    bare = FactChecker(replace(checker.checkpoint, calibration=calibration), checker.encoders)
    with pytest.raises(UsageError, match="trained without rows kept back"):
        bare.compare(Claim("A storm."), documents[0], max_error=0.1)


def test_pictures_in_doubt_are_compared_point_by_point(
    checker: FactChecker, encoders: Encoders, tmp_path: Path
) -> None:
    """The encoder of these tests has no readout, so that it leaves all pairs in doubt."""
    demo = Path(__file__).parent.parent / "data" / "demo"
    original = tmp_path / "rocket.jpg"
    shutil.copyfile(demo / "images" / "rocket.jpg", original)
    document = Document("library", LIBRARY, image=original)
    claim = Claim("The library has a rocket.", demo / "claim-images" / "rocket-caption.jpg")

    def told(verdict: Verdict) -> int | None:
        assert verdict.evidence.image is not None
        return verdict.evidence.image.matched_places

    found = told(checker.compare(claim, document))
    assert found is not None
    assert found > 100
    index = EvidenceIndex.build([document], tmp_path / "i", encoders)
    assert told(checker.check(claim, index)) == found
    # The index is of another file than the one that is there now.
    shutil.copyfile(demo / "images" / "cat.jpg", original)
    assert told(checker.check(claim, index)) is None
    other = told(checker.compare(claim, document))
    assert other is not None
    assert other < 10
