"""What tells relevance: its network, its files, and the encoder that holds it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from factcheck.encoders import Encoders, EncodingCache, TextEncoder
from factcheck.encoders.relation import RelationEncoder
from factcheck.encoders.relevance import Relevance, RelevanceNetwork
from factcheck.errors import InvalidInputError, MissingResourceError, RunError, UsageError

PAIRS = [
    ("The bridge was closed in 1999.", "In 1999 the bridge was closed for repairs."),
    ("The bridge was closed in 1999.", "Cats sleep for most of the day. " * 30),
    ("A", "B"),
]


@pytest.fixture
def relation(encoders: Encoders) -> RelationEncoder:
    assert encoders.relation is not None
    return encoders.relation


@pytest.fixture
def relevance(relation: RelationEncoder) -> Relevance:
    assert relation.relevance is not None
    return relation.relevance


@pytest.fixture
def folder(relation_encoder_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(relation_encoder_folder, tmp_path / "relation"))


def test_one_by_one_or_together_it_is_the_same(relation: RelationEncoder) -> None:
    together = relation.relevances(PAIRS)
    assert together.shape == (3,)
    assert together.dtype == np.float32
    assert len(set(together.tolist())) == 3
    for place, pair in enumerate(PAIRS):
        assert relation.relevances([pair])[0] == pytest.approx(together[place], abs=1e-4)
    assert relation.relevances([]).shape == (0,)


def test_lower_layers_are_shared_and_only_the_upper_ones_are_trained(
    relation: RelationEncoder,
) -> None:
    body = relation.network.body
    network = RelevanceNetwork(body, 1, dropout=0.3).train()
    lower, upper = network.body.encoder.layer
    assert lower is body.encoder.layer[0]
    assert network.body.embeddings is body.embeddings
    assert upper is not body.encoder.layer[1]
    trained = {name for name, one in network.named_parameters() if one.requires_grad}
    assert trained == {name for name in network.own if not name.startswith("body.pooler")}
    assert all("layer.1." in name or name.startswith("relevance.") for name in network.own)
    assert upper.training
    assert not lower.training
    assert not network.body.embeddings.training


def test_what_is_trained_does_not_change_what_passages_say(
    relation: RelationEncoder,
) -> None:
    before = relation.encode(PAIRS).packed
    network = RelevanceNetwork(relation.network.body, 1)
    with torch.no_grad():
        for value in network.own.values():
            value.add_(1.0)
    assert np.array_equal(relation.encode(PAIRS).packed, before)


def test_some_layer_must_be_shared(relation: RelationEncoder) -> None:
    with pytest.raises(InvalidInputError, match="of 2 layers of a Transformer, 2 cannot"):
        RelevanceNetwork(relation.network.body, 2)


def test_the_file_holds_its_own_layers_alone(folder: Path, relevance: Relevance) -> None:
    weights = load_file(folder / "relevance.safetensors")
    assert weights.keys() == relevance.network.own.keys()
    assert all(value.dtype == torch.float16 for value in weights.values())


def test_a_hash_names_its_weights(folder: Path, relevance: Relevance) -> None:
    again = RelationEncoder.load(str(folder)).relevance
    assert again is not None
    assert again.sha256 == relevance.sha256
    weights = load_file(folder / "relevance.safetensors")
    weights["relevance.bias"] += 1
    save_file(weights, folder / "relevance.safetensors")
    changed = RelationEncoder.load(str(folder))
    assert changed.relevance is not None
    assert changed.relevance.sha256 != relevance.sha256
    assert changed.sha256 == again.config.relation_sha256


def test_what_does_not_tell_whether_anything_bears_on_a_claim_says_nothing_of_it(
    folder: Path, text_encoder: TextEncoder, encoders: Encoders, relevance: Relevance
) -> None:
    cosines = np.array([0.9, 0.1, 0.5])
    assert relevance.config.bearing is not None
    told = encoders.bearings(PAIRS, cosines)
    assert told == pytest.approx(
        relevance.config.bearing.probabilities(encoders.relevances(PAIRS), cosines)
    )
    path = folder / "relevance.json"
    said = json.loads(path.read_text())
    del said["bearing"]
    path.write_text(json.dumps(said))
    plain = RelationEncoder.load(str(folder), text_encoder)
    assert plain.relevance is not None
    # Neither the logits nor an order by them are others for that.
    assert plain.relevance.sha256 == relevance.sha256
    assert np.isnan(encoders.with_relation(plain).bearings(PAIRS, cosines)).all()
    bare = Encoders(encoders.text, encoders.image)
    assert np.isnan(bare.bearings(PAIRS, cosines)).all()


def test_cosines_of_other_encoders_tell_nothing(
    folder: Path, text_encoder: TextEncoder, encoders: Encoders
) -> None:
    path = folder / "relevance.json"
    said = json.loads(path.read_text())
    assert said["bearing"]["search_sha256"] == encoders.search_sha256
    said["bearing"]["search_sha256"] = "0" * 64
    path.write_text(json.dumps(said))
    other = encoders.with_relation(RelationEncoder.load(str(folder), text_encoder))
    assert encoders.bearing is not None
    assert other.bearing is None
    assert np.isnan(other.bearings(PAIRS, np.ones(3))).all()


def test_weights_that_overflow_tell_no_relevance(folder: Path, text_encoder: TextEncoder) -> None:
    weights = load_file(folder / "relevance.safetensors")
    weights["relevance.weight"] = torch.full((1, 384), torch.finfo(torch.float32).max)
    save_file(weights, folder / "relevance.safetensors")
    encoder = RelationEncoder.load(str(folder), text_encoder)
    with pytest.raises(RunError, match="relation: tells relevance in numbers that are not finite"):
        encoder.relevances(PAIRS)


def test_an_encoder_without_it_says_so(
    folder: Path, text_encoder: TextEncoder, encoders: Encoders
) -> None:
    for name in ("relevance.json", "relevance.safetensors"):
        (folder / name).unlink()
    without = RelationEncoder.load(str(folder), text_encoder)
    assert without.relevance is None
    with pytest.raises(UsageError, match="relation: has nothing that tells relevance"):
        without.relevances(PAIRS)
    with pytest.raises(UsageError, match="that tells relevance was loaded"):
        encoders.with_relation(without).relevances(PAIRS)


def test_half_of_it_is_refused(folder: Path, text_encoder: TextEncoder) -> None:
    (folder / "relevance.json").unlink()
    with pytest.raises(MissingResourceError, match=r"relevance\.json: cannot be read"):
        RelationEncoder.load(str(folder), text_encoder)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"relation_sha256": "0" * 64}, "made for the text relation encoder 000000000000"),
        ({"layers": 0}, "layers: Input should be greater than or equal to 1"),
        ({"layers": 2}, "of 2 layers of a Transformer, 2 cannot be copied"),
        ({"weights": [1, 2]}, "weights.2: Field required"),
        ({"weights": [1, 2, 3, float("nan")]}, "weights.3: Input should be a finite number"),
        (
            {"bearing": {"bias": 0, "relevance": -1, "cosine": 1, "search_sha256": ""}},
            "bearing.relevance: Input should be greater than or equal to 0",
        ),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_a_file_that_does_not_fit_is_named(
    folder: Path, text_encoder: TextEncoder, change: dict[str, object], problem: str
) -> None:
    path = folder / "relevance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InvalidInputError) as error:
        RelationEncoder.load(str(folder), text_encoder)
    assert str(error.value).startswith(f"{path}: {problem}")


def test_weights_of_another_shape_are_named(folder: Path, text_encoder: TextEncoder) -> None:
    path = folder / "relevance.safetensors"
    weights = load_file(path)
    weights["relevance.weight"] = torch.zeros(1, 7)
    save_file(weights, path)
    with pytest.raises(InvalidInputError, match=r"safetensors: relevance\.weight does not fit"):
        RelationEncoder.load(str(folder), text_encoder)
    path.write_bytes(b"nothing")
    with pytest.raises(InvalidInputError, match=r"relevance\.safetensors"):
        RelationEncoder.load(str(folder), text_encoder)


def test_pairs_are_read_once_and_kept_apart_from_relations(
    encoders: Encoders, tmp_path: Path
) -> None:
    with EncodingCache(tmp_path / "cache.sqlite") as cache:
        cached = Encoders(encoders.text, encoders.image, cache, encoders.relation)
        first = cached.relevances([*PAIRS, PAIRS[0]])
        assert first[0] == first[3]
        seen: list[int] = []
        again = cached.relevances(PAIRS, seen.append)
        assert seen[0] == 3
        assert again == pytest.approx(first[:3])
        assert cached.relations(PAIRS).shape[1] > 1


def test_bfloat16_says_nearly_the_same(relation: RelationEncoder) -> None:
    exact = relation.relevances(PAIRS)
    fast = relation.relevances(PAIRS, precision="auto")
    assert fast == pytest.approx(exact, abs=0.1 * float(np.ptp(exact)) + 0.02)
