"""Hybrid search: what each channel finds, how they are fused, reranked, and what counts once."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from factcheck.encoders import Encoders
from factcheck.errors import InvalidInputError
from factcheck.records import Claim, Document
from factcheck.retrieval import EvidenceIndex, PictureSearch, Query, SourcePolicy
from factcheck.retrieval.distinct import first_of_each, same_article, sketch
from factcheck.retrieval.passages import split_passages
from factcheck.retrieval.reader import IndexReader
from factcheck.retrieval.rerank import Reranker
from factcheck.retrieval.words import words_of
from factcheck.settings import Channel, SearchSettings
from tests.retrieval.test_distinct import PARTS

FUSED = SearchSettings(rerank=0)


def only(*channels: Channel) -> SearchSettings:
    return SearchSettings(channels=channels, rerank=0)


def test_every_hit_says_who_found_it(index: EvidenceIndex, photographs: Path) -> None:
    claim = Claim("Coffee prices rose after frost in Brazil.", photographs / "01.png")
    hits = index.search(claim, 6, FUSED)
    assert hits[0].document_id == "coffee"
    assert hits[0].channels.keys() == {"dense", "lexical", "image"}
    assert {found.rank for found in hits[0].channels.values()} == {1}
    assert hits[0].fused == pytest.approx(3 / 61)
    for hit in hits:
        assert hit.fused == pytest.approx(sum(1 / (60 + f.rank) for f in hit.channels.values()))
    assert [hit.fused for hit in hits] == sorted((h.fused or 0 for h in hits), reverse=True)
    assert hits[0].channels["image"].score == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("channel", ["dense", "lexical", "image"])
def test_each_channel_can_look_alone(
    channel: Channel, index: EvidenceIndex, photographs: Path
) -> None:
    claim = Claim("The senator won by two points.", photographs / "02.jpg")
    hits = index.search(claim, 6, only(channel))
    assert hits[0].document_id == {"image": "cat"}.get(channel, "election")
    assert all(hit.channels.keys() == {channel} for hit in hits)
    scores = [hit.channels[channel].score for hit in hits]
    assert scores == sorted(scores, reverse=True)


def test_words_are_found_in_other_forms_but_not_stop_words(index: EvidenceIndex) -> None:
    (hit, *_) = index.search(Claim("approving vaccines"), 3, only("lexical"))
    assert hit.document_id == "vaccine"
    assert index.search(Claim("the and of"), 3, only("lexical")) == []


def test_each_passage_is_found_by_the_words_of_its_title(
    encoders: Encoders, tmp_path: Path
) -> None:
    filler = "Visitors come from all over the world and wait for an hour or two. " * 8
    documents = [
        Document("tower", f"It is 330 metres tall. {filler}", title="The Eiffel Tower"),
        Document("bridge", f"It is 227 metres tall. {filler}"),
        Document("long", filler, title="Words upon words. " * 20 + "Xylophone"),
    ]
    index = EvidenceIndex.build(documents, tmp_path / "titles.index", encoders)
    found = index.search(Claim("Eiffel"), 9, only("lexical"))
    assert {hit.document_id for hit in found} == {"tower"}
    assert len(found) == len(split_passages(documents[0])) > 1
    # What is cited is the passage alone, and so is what its vector is of.
    for hit in found:
        assert documents[0].text[hit.passage.start : hit.passage.end] == hit.passage.text
        [vector] = encoders.passages([hit.passage.text])
        assert index.passage_vectors([hit.row])[0] == pytest.approx(vector, abs=1e-5)
    assert index.search(Claim("xylophone"), 9, only("lexical")) == []
    grown = EvidenceIndex.build(documents[1:], tmp_path / "grown.index", encoders)
    grown = grown.add(documents[:1]).compact()
    merged = grown.search(Claim("Eiffel"), 9, only("lexical"))
    assert {hit.passage for hit in merged} == {hit.passage for hit in found}


def test_bm25_scores_are_those_of_bm25s(index: EvidenceIndex, documents: list[Document]) -> None:
    import bm25s

    reference = bm25s.BM25(method="lucene")
    tokens = words_of([f"{document.title} {document.text}" for document in documents])
    reference.index(tokens, show_progress=False)
    query = words_of(["The old town of the river was flooded by the rain on Sunday"])[0]
    expected = reference.get_scores([word for word in query if word in reference.vocab_dict])
    found = dict(index.by_words(query, 10))
    for row, score in enumerate(expected):
        assert found.get(row, 0.0) == pytest.approx(float(score), rel=1e-5)


def test_a_claim_that_is_only_a_picture_finds_where_it_was_seen(
    index: EvidenceIndex, photographs: Path, tmp_path: Path
) -> None:
    repost = tmp_path / "repost.jpg"
    with Image.open(photographs / "00.jpg") as image:
        image.resize((120, 90)).save(repost, quality=40)
    hits = index.search(Claim("", repost), 4, SearchSettings(distinct=False))
    assert {hit.document_id for hit in hits[:2]} == {"rocket", "election"}
    assert all(hit.date == "2024-05-01" and hit.passage.start == 0 for hit in hits)
    assert all(hit.channels.keys() == {"image"} for hit in hits)
    with pytest.raises(InvalidInputError, match="claim 1: its text is empty"):
        index.search(Claim(" "))


def test_reposts_come_before_pictures_that_only_look_alike(
    index: EvidenceIndex, encoders: Encoders, photographs: Path
) -> None:
    from factcheck.retrieval import picture_fingerprint

    # The tokens of one picture with the fingerprint of another.
    tokens = encoders.pictures([photographs / "01.png"]).tokens[0]
    query = Query("", None, tokens, picture_fingerprint(photographs / "02.jpg"))
    [hits] = index.search_queries([query], 3, only("image"))
    assert [hit.document_id for hit in hits[:2]] == ["cat", "coffee"]


def test_of_many_reposts_the_oldest_are_looked_at_and_none_twice(
    encoders: Encoders, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = photographs / "03.png"
    days = [None, "2012-01-01", "2009-01-01", "2011-01-01", None, "2008-01-01", "2010-01-01"]
    documents = [
        Document(f"copy-{i}", f"{ARTICLE} So paper {'x' * i} writes.", image=picture, date=day)
        for i, day in enumerate(days)
    ]
    documents += [
        Document(f"other-{i}", f"Story {i} is of another matter.", image=photographs / f"0{i}.jpg")
        for i in (0, 2, 4, 6, 8)
    ]
    whole = EvidenceIndex.build(documents[:4], tmp_path / "i", encoders)
    index = whole.add(documents[4:])
    compared: list[int] = []
    compare = PictureSearch._compare

    def counted(self: PictureSearch, rows: Sequence[int]) -> None:
        compared.extend(rows)
        compare(self, rows)

    monkeypatch.setattr(PictureSearch, "_compare", counted)
    monkeypatch.setattr("factcheck.retrieval.search.PICTURES_COMPARED", 3)
    monkeypatch.setattr("factcheck.retrieval.picture_search.PICTURES_COMPARED", 3)
    few = SearchSettings(channels=("image",), candidates=2, rerank=0)
    [hit] = index.search(Claim("", picture), 1, few)
    assert hit.document_id in {"copy-5", "copy-2", "copy-6"}
    # The copies are of one article, so that the channel is asked again and again.
    compared.clear()
    hits = index.search(Claim("", picture), 6, few)
    assert [hit.document_id[:5] for hit in hits] == ["copy-", *["other"] * 5]
    assert {hits[0].document_id, *hits[0].copies} >= {"copy-5", "copy-2", "copy-6", "copy-3"}
    assert len(compared) == len(set(compared))
    every = few.model_copy(update={"distinct": False})
    found = [hit.document_id for hit in index.search(Claim("", picture), 3, every)]
    assert set(found) == {"copy-5", "copy-2", "copy-6"}
    # So many as are asked for, and behind them what is no re-post.
    found = [hit.document_id for hit in index.search(Claim("", picture), 5, every)]
    assert set(found) == {"copy-5", "copy-2", "copy-6", "copy-3", "copy-1"}
    found = [hit.document_id for hit in index.search(Claim("", picture), 10, every)]
    assert len([name for name in found if name.startswith("copy-")]) == 7


def test_the_text_relation_encoder_puts_the_first_in_order(
    index: EvidenceIndex, encoders: Encoders
) -> None:
    claim = Claim("Firefighters rescued a cat after the flood.")
    plain = index.search(claim, 6, FUSED)
    read = index.search(claim, 6, SearchSettings(rerank=4))
    assert sorted(hit.row for hit in plain) == sorted(hit.row for hit in read)
    assert {hit.row for hit in plain[:4]} == {hit.row for hit in read[:4]}
    scores = [hit.reranked for hit in read[:4]]
    assert scores == sorted((score or 0 for score in scores), reverse=True)
    assert [hit.reranked for hit in read[4:]] == [None, None]
    without = EvidenceIndex.open(index.folder, Encoders(encoders.text, encoders.image))
    assert [hit.row for hit in without.search(claim, 6)] == [hit.row for hit in plain]


def test_pictures_are_ordered_by_how_much_of_the_query_they_show(
    index: EvidenceIndex, encoders: Encoders, photographs: Path
) -> None:
    found = encoders.pictures([photographs / "01.png", photographs / "00.jpg"])
    coffee, rocket = found.tokens[found.rows]
    # Nearly all of one picture, and a token like another that outweighs the rest in the mean.
    mixed = np.concatenate([rocket[:-1], 100 * coffee.mean(axis=0, keepdims=True)])
    mean = mixed.mean(axis=0)
    [nearest] = index.nearest_pictures((mean / np.linalg.norm(mean))[None], 1)
    [hits] = index.search_queries([Query("", None, mixed)], 3, only("image"))
    documents = [hit.document_id for hit in hits]
    assert index.images_at([nearest[0][0]])[nearest[0][0]].document_id == "coffee"
    assert set(documents[:2]) == {"rocket", "election"}
    scores = [hit.channels["image"].score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(1, abs=2 / len(mixed))


@pytest.fixture(scope="module")
def dated(encoders: Encoders, tmp_path_factory: pytest.TempPathFactory) -> EvidenceIndex:
    """Documents on one subject with different days and hosts."""
    documents = [
        Document("early", "The dam broke on Friday.", date="2020-01-02", url="http://a.example/1"),
        Document("late", "The dam held after all.", date="2020-03-01", url="https://b.example/2"),
        Document("undated", "The dam was inspected.", url="https://news.b.example/3"),
        Document("checked", "Claim about the dam is false.", date="2020-01-01",
                 url="https://www.politifact.com/dam"),
        Document("bare", "A dam is a wall.", date="2019-12-31"),
    ]  # fmt: skip
    folder = tmp_path_factory.mktemp("dated") / "i"
    return EvidenceIndex.build(documents, folder, encoders)


@pytest.mark.parametrize("settings", [only("dense"), only("lexical"), SearchSettings()])
@pytest.mark.parametrize(
    ("policy", "found"),
    [
        (SourcePolicy(), {"early", "late", "undated", "checked", "bare"}),
        (SourcePolicy("2020-01-02"), {"early", "checked", "bare"}),
        (SourcePolicy("2020-01-01", "keep"), {"undated", "checked", "bare"}),
        (SourcePolicy.of(block="fact-checkers"), {"early", "late", "undated", "bare"}),
        (SourcePolicy(blocked=frozenset({"b.example"})), {"early", "checked", "bare"}),
        (SourcePolicy("2020-01-01", blocked=frozenset({"politifact.com"})), {"bare"}),
        (SourcePolicy("1900-01-01"), set()),
    ],
)
def test_what_a_policy_keeps_out_is_not_found(
    dated: EvidenceIndex, policy: SourcePolicy, found: set[str], settings: SearchSettings
) -> None:
    hits = dated.search(Claim("What of the dam?"), 10, settings, policy)
    assert {hit.document_id for hit in hits} == found
    assert dated.may_find(policy) == bool(found)


def test_copies_in_archives_and_translations_are_kept_out_with_their_site(
    encoders: Encoders, tmp_path: Path
) -> None:
    urls = {
        "archived": "https://web.archive.org/web/20200102/https://www.snopes.com/dam",
        "translated": "https://www-snopes-com.translate.goog/dam?_x_tr_sl=en",
        "other": "https://web.archive.org/web/20200102/https://a.example/dam",
        "short": "https://archive.ph/AbCdE",
    }
    documents = [Document(name, f"The dam broke, {name}.", url=url) for name, url in urls.items()]
    with EvidenceIndex.build(documents, tmp_path / "i", encoders) as index:
        policy = SourcePolicy.of(block="fact-checkers")
        hits = index.search(Claim("What of the dam?"), 10, FUSED, policy)
        assert {hit.document_id for hit in hits} == {"other", "short"}
        policy = SourcePolicy(blocked=frozenset({"archive.org"}))
        hits = index.search(Claim("What of the dam?"), 10, FUSED, policy)
        assert {hit.document_id for hit in hits} == {"translated", "short"}


ARTICLE = (
    "The central bank raised its key rate to four percent on Thursday. Markets had expected it. "
    "The governor said that inflation was falling more slowly than hoped. Unions called the step "
    "a mistake that will cost jobs before the winter."
)


def test_copies_and_near_duplicates_count_once(encoders: Encoders, tmp_path: Path) -> None:
    documents = [
        Document("agency", ARTICLE),
        Document("copy", f"{ARTICLE} (Agency)"),
        Document("altered", ARTICLE.replace("four percent", "9 percent")),
        Document("other", "The bank of the river was raised by two metres after the flood."),
    ]
    with EvidenceIndex.build(documents, tmp_path / "i", encoders) as index:
        claim = Claim("The central bank raised its rate to four percent.")
        hits = {hit.document_id: hit for hit in index.search(claim, 10, FUSED)}
        first = "agency" if "agency" in hits else "copy"
        assert hits.keys() == {first, "altered", "other"}
        assert hits[first].copies == ({"agency": "copy", "copy": "agency"}[first],)
        everything = index.search(claim, 10, replace_distinct(FUSED))
        assert len(everything) == 4


WIRE = "The river Elva burst its banks on Friday and flooded the old town of Marn, the mayor said."
DENIAL = "The mayor of Marn denied on Saturday that the Elva had flooded the old town."
HISTORY = "The Elva last flooded Marn in 1954, when the bridge was swept away."


@pytest.fixture(scope="module")
def flooded(encoders: Encoders, tmp_path_factory: pytest.TempPathFactory) -> EvidenceIndex:
    """A story of an agency in sixty papers, and two documents that say something else."""
    documents = [Document(f"wire-{i}", f"{WIRE} So paper {'x' * i} writes.") for i in range(60)]
    documents += [Document("denial", DENIAL), Document("history", HISTORY)]
    return EvidenceIndex.build(documents, tmp_path_factory.mktemp("flooded") / "i", encoders)


@pytest.mark.parametrize("settings", [FUSED, SearchSettings(), only("dense"), only("lexical")])
def test_copies_do_not_take_the_place_of_what_else_there_is(
    flooded: EvidenceIndex, settings: SearchSettings
) -> None:
    claim = Claim("The river Elva burst its banks on Friday and flooded the old town of Marn.")
    for k in (2, 5):
        hits = {hit.document_id: hit for hit in flooded.search(claim, k, settings)}
        copied = next(name for name in hits if name.startswith("wire-"))
        others = {"denial", "history"} if k == 5 else set(hits) - {copied}
        assert hits.keys() == {copied, *others}
        assert len(others) == min(k - 1, 2)
        assert len(hits[copied].copies) == 59 or k == 2
    everything = flooded.search(claim, 5, replace_distinct(settings))
    assert len(everything) == 5
    other = Claim("The bridge of Marn was swept away in 1954.")
    together = flooded.search_many([claim, other], 3, settings)
    assert [len(hits) for hits in together] == [3, 3]


def test_what_is_ranked_below_copies_is_reread(encoders: Encoders, tmp_path: Path) -> None:
    documents = [Document(f"wire-{i}", f"{WIRE} So paper {'x' * i} writes.") for i in range(30)]
    documents += [Document("denial", DENIAL), Document("history", HISTORY)]
    with EvidenceIndex.build(documents, tmp_path / "i", encoders) as index:
        hits = index.search(Claim(WIRE), 3, SearchSettings(rerank=3))
    assert len(hits) == 3
    # Thirty copies are the first thirty of the fused list, of which only 26 used to be looked at.
    assert {"denial", "history"} < {hit.document_id for hit in hits}
    assert None not in [hit.reranked for hit in hits]


def test_passages_are_reread_once_and_channels_asked_no_more_than_needed(
    flooded: EvidenceIndex, index: EvidenceIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    nearest = IndexReader.nearest

    def counted(self: IndexReader, vectors: np.ndarray, k: int, policy: SourcePolicy) -> object:
        asked.append(k)
        return nearest(self, vectors, k, policy)

    monkeypatch.setattr(IndexReader, "nearest", counted)
    read: list[int] = []
    weights = np.array([1.0, 0.0, 0.0, 0.0])

    def relevances(pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        read.append(len(pairs))
        return np.zeros(len(pairs))

    def search(where: EvidenceIndex, settings: SearchSettings, k: int) -> None:
        vector = where.encoders.texts([WIRE])[0]
        where.search_queries(
            [Query(WIRE, vector)], k, settings, reranker=Reranker(relevances, weights, "0" * 64)
        )

    small = SearchSettings(channels=("dense",), candidates=8)
    search(flooded, small, 2)
    assert asked == [8, 16, 32, 62]
    assert len(read) == 1
    asked.clear()
    search(flooded, small, 1)
    search(flooded, replace_distinct(small), 4)
    # Six different documents: a channel that gives all it has is not asked again.
    search(index, SearchSettings(channels=("dense",), candidates=5), 5)
    assert asked == [8, 8, 5]


def test_a_copy_with_another_number_is_found(encoders: Encoders, tmp_path: Path) -> None:
    story = " ".join(PARTS)
    altered = story.replace("that 12 people", "that 112 people")
    documents = [Document("article", story), Document("altered", altered)]
    with EvidenceIndex.build(documents, tmp_path / "i", encoders) as index:
        for settings in (SearchSettings(), FUSED):
            claim = Claim("The ferry Aurora sank on Monday: 112 dead.")
            hits = index.search(claim, 10, settings)
            texts = [hit.passage.text for hit in hits]
            assert any("that 112 people" in text for text in texts)
            assert any("that 12 people" in text for text in texts)
            assert len(texts) == len(set(texts))


def replace_distinct(settings: SearchSettings) -> SearchSettings:
    return settings.model_copy(update={"distinct": False})


def test_passages_of_a_copy_repeat_the_article() -> None:
    halves = ARTICLE[:130], ARTICLE[130:]
    copied = sketch(ARTICLE + " So it was reported.")
    ids, texts = ["a", "b", "c"], [halves[0], halves[1], "Something else stands in this text."]
    assert same_article(sketch(ARTICLE), copied)
    sketches = [sketch(ARTICLE), copied, sketch(texts[2] * 3)]
    whole = {"a": ARTICLE}.__getitem__
    assert first_of_each(ids, texts, sketches, whole) == {0: [1], 2: []}
    # Two parts of one document both count.
    assert first_of_each(["a", "a", "c"], texts, sketches, whole) == {0: [], 1: [], 2: []}
    assert not same_article(sketch(ARTICLE), sketch(ARTICLE[::-1]))
    assert sketch("Too few words.") == b""


def test_hits_are_equal_one_by_one_and_together(index: EvidenceIndex, photographs: Path) -> None:
    claims = [
        Claim("Frost made coffee dearer.", photographs / "00.jpg"),
        Claim("", photographs / "01.png"),
        Claim("Two bridges were closed."),
    ]
    together = index.search_many(claims, 5)
    for claim, hits in zip(claims, together, strict=True):
        alone = index.search(claim, 5)
        assert [hit.row for hit in alone] == [hit.row for hit in hits]
        assert np.allclose([h.score for h in alone], [h.score for h in hits], atol=1e-5)
        assert [h.bearing for h in alone] == pytest.approx([h.bearing for h in hits], abs=1e-5)
        measured: dict[str, Any] = {"score": 0, "reranked": None, "bearing": None, "channels": {}}
        assert [replace(h, **measured) for h in alone] == [replace(h, **measured) for h in hits]
