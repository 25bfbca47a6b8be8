"""The text relation encoder: its interface, its files, and documents of several passages."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from factcheck.encoders import Encoders, EncodingCache, TextEncoder
from factcheck.encoders.relation import (
    RelationEncoder,
    RelationEncodings,
    _positions,
    build_relation_network,
    document_logits,
    tokenise,
    unpack,
)
from factcheck.errors import InvalidInputError, MissingResourceError

PAIRS = [
    ("The bridge was closed in 1999.", "In 1999 the bridge was closed for repairs."),
    ("The bridge was closed in 1999.", "The bridge stayed open throughout 1999."),
    ("Hopper retired as a rear admiral.", "Cats sleep for most of the day. " * 30),
    ("A", "B"),
]


@pytest.fixture
def relation(encoders: Encoders) -> RelationEncoder:
    assert encoders.relation is not None
    return encoders.relation


def test_one_by_one_or_together_it_is_the_same(relation: RelationEncoder) -> None:
    together = relation.encode(PAIRS)
    assert together.vectors.shape == (4, relation.dimension)
    assert together.logits.shape == (4, 3)
    assert together.salience.shape == (4,)
    for place, pair in enumerate(PAIRS):
        alone = relation.encode([pair])
        assert alone.packed[0] == pytest.approx(together.packed[place], abs=1e-4)
    assert relation.encode([]).packed.shape == (0, relation.width)


def test_what_is_packed_is_unpacked(relation: RelationEncoder) -> None:
    encodings = relation.encode(PAIRS)
    again = unpack(encodings.packed.reshape(2, 2, -1))
    assert np.array_equal(again.logits.reshape(4, 3), encodings.logits)
    assert np.array_equal(again.salience.reshape(4), encodings.salience)
    assert np.array_equal(again.vectors.reshape(4, -1), encodings.vectors)


def test_both_texts_and_their_order_matter(relation: RelationEncoder) -> None:
    (claim, passage), *_ = PAIRS
    pairs = [(claim, passage), (passage, claim), (claim, "Cats sleep."), ("Cats sleep.", passage)]
    vectors = relation.encode(pairs).vectors
    distances = np.linalg.norm(vectors[:1] - vectors[1:], axis=1)
    assert (distances > 0.1).all()


def test_a_long_text_costs_no_more_than_the_window(relation: RelationEncoder) -> None:
    claim, passage = "Cats sleep.", "The cat slept on the mat in the hall. " * 50
    one, other = relation.encode([(claim, passage), (claim, passage + "x" * 1_000_000)]).vectors
    assert one == pytest.approx(other, abs=1e-4)


def test_a_document_is_the_weighted_mean_of_its_passages() -> None:
    logits = torch.tensor([[[3.0, 0, 0], [0, 0, 5.0], [9.0, 9.0, 9.0]]]).expand(3, -1, -1)
    salience = torch.tensor([[0.0, 0.0, 50.0], [2.0, 2.0 + np.log(3), 0], [1.0, 0, 0]])
    present = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 0]]).bool()
    found = document_logits(logits, salience, present)
    assert found[0].tolist() == pytest.approx([1.5, 0, 2.5])
    assert found[1].tolist() == pytest.approx([0.75, 0, 3.75], abs=1e-5)
    assert found[2].tolist() == [0, 0, 0]


def test_the_file_holds_no_embeddings(relation_encoder_folder: Path) -> None:
    from safetensors.torch import load_file

    weights = load_file(relation_encoder_folder / "model.safetensors")
    assert not any("embeddings" in name for name in weights)
    assert all(value.dtype == torch.float16 for value in weights.values())


def test_its_hash_covers_the_embeddings(
    relation: RelationEncoder, relation_encoder_folder: Path
) -> None:
    again = RelationEncoder.load(str(relation_encoder_folder))
    assert again.sha256 == relation.sha256
    with torch.no_grad():
        next(again.network.embeddings.parameters()).mul_(1.01)
    changed = RelationEncoder("other", again.config, again.network, again.tokenizer)
    assert changed.sha256 != relation.sha256


class Counting(RelationEncoder):
    """Counts the pairs it reads."""

    read = 0

    def encode(
        self, pairs: Sequence[tuple[str, str]], *rest: Any, **more: Any
    ) -> RelationEncodings:
        self.read += len(pairs)
        return super().encode(pairs, *rest, **more)


def test_each_pair_is_read_once_and_kept(
    encoders: Encoders, relation: RelationEncoder, tmp_path: Path
) -> None:
    counting = Counting("c", relation.config, relation.network, relation.tokenizer)
    with EncodingCache(tmp_path / "cache.sqlite") as cache:
        cached = Encoders(encoders.text, encoders.image, cache, counting)
        first = cached.relations([*PAIRS, PAIRS[0]])
        assert counting.read == 4
        assert np.array_equal(first[0], first[4])
        seen: list[int] = []
        again = cached.relations([*PAIRS[1:], ("A", "C")], seen.append)
        assert counting.read == 5
        assert sum(seen) == 4
        assert again[:3] == pytest.approx(first[1:4], abs=1e-6)


def test_pairs_that_join_alike_are_told_apart(encoders: Encoders, tmp_path: Path) -> None:
    with EncodingCache(tmp_path / "cache.sqlite") as cache:
        cached = Encoders(encoders.text, encoders.image, cache, encoders.relation)
        one, other = cached.relations([('a", "b', "c"), ("a", 'b", "c')])
        assert not np.array_equal(one, other)
        assert np.array_equal(cached.relations([("a", 'b", "c')])[0], other)


def test_without_one_there_is_nothing_to_read(encoders: Encoders) -> None:
    assert Encoders(encoders.text, encoders.image).relations(PAIRS).shape == (4, 0)


@pytest.fixture
def folder(relation_encoder_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(relation_encoder_folder, tmp_path / "relation"))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingResourceError, match=r"none/config.json: no text relation encoder"):
        RelationEncoder.load(str(tmp_path / "none"))


def test_places_are_counted_from_behind_that_of_padding() -> None:
    def embeddings(**places: nn.Module) -> nn.Module:
        return nn.ModuleDict(places)

    assert _positions(embeddings(position_embeddings=nn.Embedding(512, 4))) == 512
    assert _positions(embeddings(position_embeddings=nn.Embedding(514, 4, padding_idx=1))) == 512
    assert _positions(embeddings()) is None


def test_missing_or_damaged_weights_are_named(folder: Path, text_encoder: TextEncoder) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(
        InvalidInputError, match=r"model.safetensors: expected a checkpoint of tensors"
    ):
        RelationEncoder.load(str(folder), text_encoder)
    weights.unlink()
    with pytest.raises(
        MissingResourceError, match=r"model.safetensors: the weights cannot be read"
    ):
        RelationEncoder.load(str(folder), text_encoder)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"max_tokens": 3}, "max_tokens"),
        ({"max_tokens": 513}, "max_tokens: 513, but its text encoder reads 512"),
        ({"layers": 3}, "model.safetensors: .* does not fit the text encoder"),
        ({"base_sha256": "0" * 64}, "made on the text encoder embedded"),
        ({"strange": 1}, "strange"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(
    folder: Path, text_encoder: TextEncoder, changes: dict[str, object], complaint: str
) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(InvalidInputError, match=complaint):
        RelationEncoder.load(str(folder), text_encoder)


def test_dropout_acts_in_training_alone(text_encoder: TextEncoder) -> None:
    for dropout, differs in ((0.5, True), (0.0, False)):
        network, tokenizer = build_relation_network(text_encoder, 1, dropout)
        tokens = tokenise(tokenizer, PAIRS, 64)
        with torch.no_grad():
            # The vectors are taken before the readouts' own dropout.
            first, second = (network.train()(tokens)[0] for _ in range(2))
            assert (not torch.equal(first, second)) is differs
            first, second = (network.eval()(tokens)[0] for _ in range(2))
            assert torch.equal(first, second)
