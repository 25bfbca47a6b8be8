"""Searching an index: by text, by picture, from several threads, and after it is opened again."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from factcheck.encoders import Encoders
from factcheck.errors import InvalidInputError, UsageError
from factcheck.records import Claim, Document
from factcheck.retrieval import EvidenceIndex
from factcheck.settings import SearchSettings

_CLAIMS = {
    "rocket": "A rocket touched down on a ship at sea.",
    "coffee": "Frost made coffee dearer.",
    "cat": "Firefighters saved a pet stuck up high.",
    "election": "The senator lost the vote.",
    "river": "Rain put the town under water.",
    "vaccine": "Children may now be vaccinated.",
}

_DENSE = SearchSettings(channels=("dense",), rerank=0)


def test_search_finds_the_document_that_speaks_of_the_claim(index: EvidenceIndex) -> None:
    for document_id, text in _CLAIMS.items():
        hits = index.search(Claim(text), 3, _DENSE)
        assert hits[0].document_id == document_id
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert all(-1 <= hit.score <= 1 for hit in hits)


def test_a_hit_says_where_it_is_from(index: EvidenceIndex, documents: list[Document]) -> None:
    (hit,) = index.search(Claim(_CLAIMS["river"]), k=1)
    document = next(document for document in documents if document.id == "river")
    assert document.text[hit.passage.start : hit.passage.end] == hit.passage.text
    assert (hit.title, hit.url, hit.date) == (document.title, document.url, document.date)
    plain = json.loads(json.dumps(hit.to_dict()))
    assert plain["document_id"] == "river"
    assert plain["passage"]["text"] == hit.passage.text


def test_a_text_finds_itself_with_the_cosine_of_its_vectors(
    index: EvidenceIndex, documents: list[Document], encoders: Encoders
) -> None:
    text = documents[2].text
    (hit,) = index.search(Claim(text), 1, _DENSE)
    assert hit.document_id == documents[2].id
    # Passages are encoded in bfloat16 where the processor has it, claims never are.
    cosine = (encoders.texts([text]) @ encoders.queries([text]).T).item()
    assert hit.score == pytest.approx(cosine, abs=2e-3)
    assert hit.score < 0.999
    # A text encoder that has nothing of its own for queries asks with the vector of the text.
    alike = Encoders(encoders.text, encoders.image)
    alike.query = None
    with EvidenceIndex.open(index.folder, alike) as same:
        (hit,) = same.search(Claim(text), 1, _DENSE)
    assert hit.document_id == documents[2].id
    assert hit.score == pytest.approx(1, abs=2e-3)


def test_many_claims_find_what_each_finds_alone(index: EvidenceIndex) -> None:
    claims = [Claim(text) for text in _CLAIMS.values()]
    together = index.search_many(claims, k=4)
    for claim, hits in zip(claims, together, strict=True):
        alone = index.search(claim, k=4)
        assert [hit.passage for hit in hits] == [hit.passage for hit in alone]
        # A batch is padded to its longest claim, which moves the last bits.
        assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in alone], abs=1e-5)
    assert index.search_many([]) == []


def test_k_beyond_the_index_gives_all_of_it(index: EvidenceIndex) -> None:
    assert len(index) == 6
    assert len(index.search(Claim("Anything."), k=100)) == 6


def test_what_cannot_be_searched_is_refused(index: EvidenceIndex) -> None:
    with pytest.raises(UsageError, match="k is 0"):
        index.search(Claim("Anything."), k=0)
    with pytest.raises(InvalidInputError, match="claim 2: its text is empty"):
        index.search_many([Claim("Anything."), Claim(" ")])
    with pytest.raises(InvalidInputError, match="surrogate"):
        index.search(Claim("\ud800"))
    with pytest.raises(UsageError, match=r"shape \(1, 3\)"):
        index.search_vectors(np.ones((1, 3)))
    with pytest.raises(UsageError, match="finite"):
        index.search_vectors(np.full((1, 384), np.nan))


def test_a_picture_finds_every_document_that_shows_it(
    index: EvidenceIndex, encoders: Encoders, photographs: Path
) -> None:
    pooled = encoders.pictures([photographs / "00.jpg"]).pooled
    (hits,) = index.search_images(pooled, k=10)
    assert [hit.document_id for hit in hits[:2]] == ["rocket", "election"]
    assert [hit.score for hit in hits[:2]] == pytest.approx([1, 1], abs=1e-5)
    assert len(hits) == 4
    assert hits[2].score < 1 - 1e-4
    assert Path(hits[0].path).is_absolute()
    assert json.loads(json.dumps(hits[0].to_dict()))["title"] == "On the rocket"


def test_pictures_of_documents_come_in_their_order(index: EvidenceIndex) -> None:
    images = index.images_of(["election", "river", "coffee"])
    assert [image.document_id for _, image in images] == ["election", "coffee"]
    assert [row for row, _ in images] == [3, 1]
    assert index.images_of([]) == []
    with pytest.raises(InvalidInputError, match="no document 'none' in the index"):
        index.images_of(["river", "none"])


def test_tokens_and_vectors_are_those_of_the_encoder(
    index: EvidenceIndex, encoders: Encoders, photographs: Path
) -> None:
    encoded = encoders.pictures([photographs / "02.jpg", photographs / "00.jpg"])
    tokens = index.image_tokens([2, 0])
    assert tokens.dtype == np.float32
    assert np.allclose(tokens, encoded.tokens[encoded.rows], atol=2e-3)
    assert np.allclose(index.image_vectors([2, 0]), encoded.pooled[encoded.rows], atol=1e-5)
    assert index.image_tokens([]).shape == (0, 4, 32)
    assert index.image_vectors([]).shape == (0, 32)
    with pytest.raises(UsageError, match="rows go from 0 to 3"):
        index.image_tokens([4])
    with pytest.raises(UsageError, match="rows go from 0 to 3"):
        index.image_vectors([-1])


def test_a_document_comes_back_as_it_went_in(
    index: EvidenceIndex, documents: list[Document]
) -> None:
    for document in documents:
        image = None if document.image is None else str(document.image)
        assert index.document(document.id) == replace(document, image=image)
    with pytest.raises(InvalidInputError, match="no document 'none' in the index"):
        index.document("none")


def test_an_index_without_pictures_finds_none(encoders: Encoders, tmp_path: Path) -> None:
    documents = [Document("a", "Water boils at 100 degrees.")]
    with EvidenceIndex.build(documents, tmp_path / "i", encoders) as index:
        assert index.search_images(np.eye(2, 32)) == [[], []]
        assert index.images_of(["a"]) == []
        assert index.search(Claim("Boiling water"))[0].document_id == "a"


def test_odd_characters_survive(encoders: Encoders, tmp_path: Path) -> None:
    document = Document("id'\"\0\n\U0001f600", "Nul \0 here. \U0001f600 Caf\u00e9. " * 40, title="")
    with EvidenceIndex.build([document], tmp_path / "a?b#c%20d", encoders) as index:
        assert index.document(document.id) == document
        for hit in index.search(Claim("nul"), k=100):
            assert document.text[hit.passage.start : hit.passage.end] == hit.passage.text


def test_several_threads_search_one_index(index: EvidenceIndex, encoders: Encoders) -> None:
    vectors = encoders.texts(list(_CLAIMS.values()))
    expected = index.search_vectors(vectors, 3)
    with ThreadPoolExecutor(8) as threads:
        for found in threads.map(lambda _: index.search_vectors(vectors, 3), range(60)):
            assert found == expected


def test_default_encoders_are_loaded_once_and_only_for_a_search(
    built: Path, encoders: Encoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Encoders] = []

    def load() -> Encoders:
        loaded.append(encoders)
        return encoders

    monkeypatch.setattr(Encoders, "load", load)
    with EvidenceIndex.open(built) as index:
        index.document("river")
        index.search_vectors(np.eye(1, 384))
        assert not loaded
        assert index.search(Claim(_CLAIMS["river"]), 10, _DENSE)[0].document_id == "river"
        index.search(Claim(_CLAIMS["cat"]))
        assert len(loaded) == 1


def test_a_closed_index_says_so(built: Path, encoders: Encoders) -> None:
    with EvidenceIndex.open(built, encoders) as index:
        pass
    with pytest.raises(UsageError, match="the index is closed"):
        index.document("river")


def test_passage_vectors_are_those_that_were_searched(
    index: EvidenceIndex, encoders: Encoders
) -> None:
    hits = index.search(Claim(_CLAIMS["cat"]), k=2)
    vectors = index.passage_vectors([hit.row for hit in hits])
    again = encoders.texts([hit.passage.text for hit in hits])
    assert np.einsum("nd,nd->n", vectors, again) == pytest.approx(1, abs=2e-3)
    assert index.passage_vectors([]).shape == (0, 384)
    with pytest.raises(UsageError, match="passage rows go from 0 to 5"):
        index.passage_vectors([6])
