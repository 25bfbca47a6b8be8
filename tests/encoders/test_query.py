"""What a search asks with: upper layers of its own, read from a file, used by searches alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from factcheck.encoders import Encoders
from factcheck.encoders.query import (
    EMBEDDED_FOLDER,
    QueryConfig,
    QueryNetwork,
    halfway,
    load_query_encoder,
    save_query,
)
from factcheck.encoders.text import TextEncoder
from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.records import Claim, Document
from factcheck.retrieval import EvidenceIndex
from factcheck.settings import SearchSettings

CLAIMS = ["A door is open.", "Polar bears thrive although sea ice melts, a study has found."]


@pytest.fixture(scope="module")
def saved(text_encoder: TextEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the text encoder with a changed upper layer for queries beside it."""
    folder = tmp_path_factory.mktemp("text") / "encoder"
    text_encoder.model.save(str(folder))
    network = QueryNetwork(text_encoder, 1)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for key, value in network.own.items():
            if key.endswith("dense.weight"):
                value.add_(0.05 * torch.randn_like(value))
    save_query(folder, QueryConfig(text_sha256=text_encoder.sha256, layers=1), network)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "encoder"))


def test_what_ships_is_for_the_embedded_text_encoder(text_encoder: TextEncoder) -> None:
    found = load_query_encoder(text_encoder)
    assert found is not None
    assert found.dimension == text_encoder.dimension
    assert found.identity != text_encoder.identity
    cosines = (found.encode(CLAIMS) * text_encoder.encode(CLAIMS)).sum(axis=1)
    # Another vector, for the same thing.
    assert all(0.3 < cosine < 0.999 for cosine in cosines)
    weights = load_file(EMBEDDED_FOLDER / "query.safetensors")
    assert {key.split(".")[2] for key in weights} == {"4", "5"}
    assert all(value.dtype == torch.float16 for value in weights.values())


def test_untrained_it_is_the_text_encoder(text_encoder: TextEncoder) -> None:
    network = QueryNetwork(text_encoder, 2).eval()
    with torch.inference_mode():
        found = network(CLAIMS).numpy()
    assert found == pytest.approx(text_encoder.encode(CLAIMS), abs=1e-5)


def test_only_the_upper_layers_are_trained(text_encoder: TextEncoder) -> None:
    network = QueryNetwork(text_encoder, 1, dropout=0.5).train()
    trained = {name for name, one in network.named_parameters() if one.requires_grad}
    assert trained
    assert all(".layer.5." in name for name in trained)
    before = text_encoder.encode(CLAIMS)
    with torch.no_grad():
        for value in network.own.values():
            value.add_(1.0)
    assert np.array_equal(text_encoder.encode(CLAIMS), before)
    layers: Any = network.model[0].auto_model.encoder.layer
    assert layers[5].training
    assert not layers[4].training


def test_what_lies_beside_a_text_encoder_is_asked_with(folder: Path) -> None:
    text = TextEncoder.load(str(folder))
    found = load_query_encoder(text)
    assert found is not None
    own, plain = found.encode(CLAIMS), text.encode(CLAIMS)
    assert np.linalg.norm(own, axis=1) == pytest.approx(np.ones(2), abs=1e-5)
    assert abs(own - plain).max() > 0.01
    shipped = load_query_encoder(TextEncoder.load("embedded"))
    assert shipped is not None
    assert abs(own - shipped.encode(CLAIMS)).max() > 0.01


def test_another_text_encoder_asks_with_its_own_vectors(
    text_encoder: TextEncoder, encoders: Encoders, tmp_path: Path
) -> None:
    text_encoder.model.save(str(tmp_path / "other"))
    path = tmp_path / "other" / "model.safetensors"
    weights = load_file(path)
    weights["encoder.layer.0.output.dense.bias"] += 0.5
    save_file(weights, path, {"format": "pt"})
    other = TextEncoder.load(str(tmp_path / "other"))
    assert load_query_encoder(other) is None
    both = Encoders(other, encoders.image)
    assert both.query is None
    assert np.array_equal(both.queries(CLAIMS), both.texts(CLAIMS))


def test_a_search_asks_with_it_and_the_passages_stay(
    folder: Path, encoders: Encoders, tmp_path: Path
) -> None:
    documents = [
        Document(f"d{number}", text)
        for number, text in enumerate(
            ("The door stood open all night.", "A bear was seen.", "Ice has melted in the north.")
        )
    ]
    queries = Encoders(TextEncoder.load(str(folder)), encoders.image)
    index = EvidenceIndex.build(documents, tmp_path / "index", queries)
    plain = EvidenceIndex.build(documents, tmp_path / "plain", encoders)
    # What a search asks with is no part of an index.
    assert index.manifest.sha256 == plain.manifest.sha256
    dense = SearchSettings(channels=("dense",), rerank=0)
    [hits] = index.search_many([Claim(CLAIMS[1])], 3, dense)
    vector = queries.queries(CLAIMS[1:])[0]
    wanted = queries.passages([document.text for document in documents]) @ vector
    assert sorted(hit.score for hit in hits) == pytest.approx(sorted(wanted), abs=1e-4)
    assert wanted != pytest.approx(
        queries.passages([document.text for document in documents]) @ queries.texts(CLAIMS[1:])[0],
        abs=1e-3,
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"text_sha256": "0" * 64}, "made for the text encoder 000000000000, but beside it lies"),
        ({"layers": 0}, "layers: Input should be greater than or equal to 1"),
        ({"layers": 6}, "of 6 layers of a Transformer, 6 cannot be copied"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_a_file_that_does_not_fit_is_named(
    folder: Path, change: dict[str, object], problem: str
) -> None:
    path = folder / "query.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InvalidInputError) as error:
        load_query_encoder(TextEncoder.load(str(folder)))
    assert str(error.value).startswith(f"{path}: {problem}")


def test_a_folder_that_has_the_name_of_a_model_is_not_looked_into(
    folder: Path, text_encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = folder.rename(folder.with_name(text_encoder.name))
    (named / "query.json").write_text("{}")
    monkeypatch.chdir(named.parent)
    assert load_query_encoder(text_encoder) is not None


def test_half_of_it_is_refused(folder: Path) -> None:
    text = TextEncoder.load(str(folder))
    (folder / "query.json").rename(folder / "kept.json")
    with pytest.raises(MissingResourceError, match=r"query\.json: cannot be read"):
        load_query_encoder(text)
    (folder / "kept.json").rename(folder / "query.json")
    (folder / "query.safetensors").unlink()
    with pytest.raises(MissingResourceError, match=r"query\.safetensors: the weights cannot be"):
        load_query_encoder(text)


def test_weights_of_another_shape_or_that_are_no_numbers_are_named(folder: Path) -> None:
    path = folder / "query.safetensors"
    text = TextEncoder.load(str(folder))
    weights = load_file(path)
    odd = "encoder.layer.5.output.dense.bias"
    save_file(weights | {odd: torch.zeros(7)}, path)
    with pytest.raises(InvalidInputError, match=r"output\.dense\.bias does not fit its encoder"):
        load_query_encoder(text)
    save_file(weights | {odd: torch.full_like(weights[odd], float("nan"))}, path)
    with pytest.raises(InvalidInputError, match="not all finite numbers"):
        load_query_encoder(text)


def test_queries_are_cached_apart_from_texts(
    folder: Path, encoders: Encoders, tmp_path: Path
) -> None:
    from factcheck.encoders import EncodingCache

    with EncodingCache(tmp_path / "cache.sqlite") as cache:
        both = Encoders(TextEncoder.load(str(folder)), encoders.image, cache)
        texts, queries = both.texts(CLAIMS), both.queries(CLAIMS)
        assert abs(texts - queries).max() > 0.01
        again = Encoders(TextEncoder.load(str(folder)), encoders.image, cache)
        assert np.array_equal(again.queries(CLAIMS), queries)
        assert np.array_equal(again.texts(CLAIMS), texts)


def test_a_search_asks_halfway_between_both(folder: Path, encoders: Encoders) -> None:
    both = Encoders(TextEncoder.load(str(folder)), encoders.image)
    assert both.query is not None
    plain, own, asked = both.texts(CLAIMS), both.query.encode(CLAIMS), both.queries(CLAIMS)
    assert np.linalg.norm(asked, axis=1) == pytest.approx(np.ones(2), abs=1e-5)
    assert (asked * plain).sum(axis=1) == pytest.approx((asked * own).sum(axis=1), abs=1e-5)
    assert ((asked * plain).sum(axis=1) > (own * plain).sum(axis=1)).all()
    assert both.queries([]).shape == (0, both.text.dimension)
    # What is known of them already is not encoded again.
    assert both.queries(CLAIMS, -own) == pytest.approx(-own, abs=1e-5)


def test_opposite_vectors_leave_the_plain_one() -> None:
    plain = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    assert np.array_equal(halfway(plain, -plain), plain)
