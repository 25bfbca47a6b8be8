from pathlib import Path
from random import Random

import pytest
import yaml
from pydantic import ValidationError

from factcheck.datasets.compose_quotas import allocate, label_quotas, pour, relation_quotas
from factcheck.datasets.compose_settings import ComposeSettings
from factcheck.datasets.compose_texts import choose_texts
from factcheck.datasets.insufficient import attached_evidence, make_insufficient
from factcheck.datasets.lookalikes import Lookalikes
from factcheck.datasets.photographs import Photograph, list_photographs
from factcheck.datasets.text_relations import TextRelationRow, read_text_relations
from factcheck.datasets.text_splits import normalise
from factcheck.errors import InvalidInputError
from factcheck.pictures import decode, read_bytes
from factcheck.records import TextRelation

SUPPORT, INSUFFICIENT, REFUTE = TextRelation
CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("name", ["compose-default.yaml", "compose-small.yaml"])
def test_the_configurations_fit(name):
    settings = ComposeSettings.model_validate(yaml.safe_load((CONFIGS / name).read_text()))
    # What the shipped image encoder was trained on is kept out.
    assert min(low for low, _ in settings.photograph_shares.by_split().values()) >= 0.75


@pytest.mark.parametrize(
    "change",
    [
        {"unknown": 1},
        {"caption": 1.5},
        {"quality": [90, 80]},
        {"text_shares": {"train": [0, 0.7], "val": [0.6, 0.8], "test": [0.8, 1]}},
        {"sources": {"a": {"members": ["x"], "weight": 1}, "b": {"members": ["x"], "weight": 1}}},
        {"sources": {"a": {"members": ["x"], "loose": ["y"], "weight": 1}}},
    ],
)
def test_settings_that_make_no_sense_are_refused(compose_settings, change):
    with pytest.raises(ValidationError):
        ComposeSettings.model_validate(compose_settings.model_dump() | change)


def test_quotas_are_balanced():
    assert list(label_quotas(13).values()) == [3, 3, 3, 2, 2]
    assert relation_quotas(100) == {SUPPORT: 40, INSUFFICIENT: 40, REFUTE: 20}


def test_pouring_fills_what_has_room():
    weights = {"a": 1.0, "b": 1.0, "c": 2.0}
    assert pour(8, weights, {"a": 9, "b": 9, "c": 9}) == {"a": 2, "b": 2, "c": 4}
    assert pour(8, weights, {"a": 1, "b": 9, "c": 3}) == {"a": 1, "b": 4, "c": 3}
    assert pour(99, weights, {"a": 1, "b": 0, "c": 3}) == {"a": 1, "b": 0, "c": 3}


def test_a_source_that_is_poor_in_a_relation_gives_less_of_all():
    available = {
        "poor": {SUPPORT: 500, INSUFFICIENT: 500, REFUTE: 5},
        "rich": {SUPPORT: 500, INSUFFICIENT: 500, REFUTE: 500},
    }
    taken = allocate(500, available, {"poor": 1, "rich": 1}, set(), 1.0)
    assert sum(taken["poor"].values()) <= 50
    assert sum(counts[REFUTE] for counts in taken.values()) == 100


def test_sentence_pairs_are_held_back():
    plenty = {SUPPORT: 500, INSUFFICIENT: 500, REFUTE: 500}
    taken = allocate(200, {"a": plenty, "b": plenty}, {"a": 1, "b": 9}, {"b"}, 0.4)
    assert sum(taken["b"].values()) == pytest.approx(80, abs=3)
    assert sum(taken["a"].values()) + sum(taken["b"].values()) == 200


def _row(number: int, claim: str, evidence: str, relation: TextRelation) -> TextRelationRow:
    return TextRelationRow(f"r{number}", "s", claim, (evidence,), relation, "sentence")


def test_made_insufficient_pairs_are_similar_but_not_the_claims_own(data):
    rows = [
        row
        for row in read_text_relations([data / "text" / "pairs.jsonl.gz"])
        if row.source.startswith("claims")
    ]
    attached = attached_evidence(rows)
    made = make_insufficient(rows, attached, 60, 0.75, Random(0))
    assert len(made) == 60
    assert {row.relation for row in made} == {INSUFFICIENT}
    assert len({row.claim for row in made}) == 60
    for row in made:
        assert row.evidence_text not in attached[normalise(row.claim)]
        claim, evidence = (set(normalise(t).split()) for t in (row.claim, row.evidence_text))
        assert claim & evidence
        assert not claim <= evidence


def test_evidence_that_says_the_same_is_not_put_beside_a_claim():
    rows = [
        _row(0, "the bridge fell", "in the night the old bridge fell into the river", SUPPORT),
        _row(1, "a bridge stood", "In the night, the old bridge fell into the river!", REFUTE),
    ]
    assert make_insufficient(rows, attached_evidence(rows), 5, 1.0, Random(0)) == []


def test_texts_are_balanced_within_each_source_and_disjoint(data, compose_settings):
    rows = read_text_relations([data / "text" / "pairs.jsonl.gz"])
    chosen = choose_texts(compose_settings, rows)
    assert {split: len(pairs) for split, pairs in chosen.items()} == dict(compose_settings.rows)
    for pairs in chosen.values():
        for source in compose_settings.sources:
            counts = [
                sum(pair.source == source and pair.relation is relation for pair in pairs)
                for relation in TextRelation
            ]
            assert abs(counts[0] - counts[1]) <= 2
            assert abs(counts[0] - 2 * counts[2]) <= 3
    claims = [{normalise(pair.claim) for pair in pairs} for pairs in chosen.values()]
    assert sum(map(len, claims)) == len(set.union(*claims))


def test_padding_keeps_the_evidence_and_is_for_short_documents(data, compose_settings):
    rows = read_text_relations([data / "text" / "pairs.jsonl.gz"])
    by_id = {row.id: row for row in rows}
    padded = compose_settings.model_copy(update={"padded": 1.0})
    for pair in choose_texts(padded, rows)["train"]:
        evidence = by_id[pair.text_id.split("+")[-1]]
        assert evidence.evidence_text in pair.document
        assert (pair.fillers > 0) == (evidence.unit != "document")
        assert (pair.document == evidence.evidence_text) == (pair.fillers == 0)


def test_too_few_texts_are_an_error(data, compose_settings):
    rows = read_text_relations([data / "text" / "pairs.jsonl.gz"])
    greedy = compose_settings.model_copy(
        update={"rows": compose_settings.rows.model_copy(update={"test": 100_000})}
    )
    with pytest.raises(InvalidInputError, match="the split test of 100,000 rows needs"):
        choose_texts(greedy, rows)


def test_lookalikes_look_alike(data, tmp_path):
    photographs = list_photographs([data / "photos"])[:20]
    original = decode(read_bytes(photographs[0].path), "x")
    twin = tmp_path / "twin.png"
    original.crop((2, 2, 94, 70)).save(twin)
    everything = [*photographs, *list_photographs([tmp_path])]

    def read(photograph: Photograph):
        return decode(read_bytes(photograph.path), photograph.path)

    alike = Lookalikes(everything, read)
    found = [alike.near(photographs[0], Random(seed)).path for seed in range(40)]
    assert twin in found
    assert photographs[0].path not in found
    assert len(set(found)) <= 5
