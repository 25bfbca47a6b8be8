"""Pairs for the text relation encoder: balanced, apart from other parts, and repeatable."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from factcheck.datasets.relation_pairs import UNEVEN, draw_epoch, pad, relation_pools
from factcheck.datasets.text_relations import TextRelationRow
from factcheck.datasets.text_splits import normalise
from factcheck.records import TextRelation
from factcheck.training_settings import TextRelationTraining

SUBJECTS = ("bridge", "harbour", "museum", "railway", "garden", "castle", "school", "market")


def row(source: str, number: int, relation: str) -> TextRelationRow:
    subject = SUBJECTS[number % len(SUBJECTS)]
    place = f"town{number}"
    return TextRelationRow(
        f"{source}-{number}",
        source,
        f"The {subject} of {place} was opened in {1500 + number} by the {subject} board.",
        (f"In {1500 + number} the {subject} of {place} was opened by the {subject} board.",),
        TextRelation(relation),
        "passage",
    )


@pytest.fixture(scope="module")
def rows() -> list[TextRelationRow]:
    """One source of false claims mostly, one of true ones only, one that is balanced."""
    found = [row("false", n, "refute" if n % 4 else "support") for n in range(200)]
    found += [row("true", n, "support") for n in range(200, 300)]
    relations = ("support", "insufficient", "refute")
    return found + [row("even", n, relations[n % 3]) for n in range(300, 600)]


def settings(**changes: Any) -> TextRelationTraining:
    return TextRelationTraining.model_validate(
        {
            "kind": "text-relation",
            "text": ["pairs.jsonl"],
            "sources": {
                name: {"members": [name], "weight": 1} for name in ("false", "true", "even")
            },
            "most_overlap": 1.0,
            "rows": 900,
            **changes,
        }
    )


def counts(rows: list[TextRelationRow], source: str) -> Counter[str]:
    return Counter(str(r.relation) for r in rows if r.source == source)


def test_relations_are_balanced_within_each_source(rows: list[TextRelationRow]) -> None:
    drawn = draw_epoch(settings(), relation_pools(settings(), rows), 0)
    for source in ("false", "true", "even"):
        found = counts(drawn, source)
        assert set(found) == {"support", "insufficient", "refute"}
        assert max(found.values()) <= UNEVEN * min(found.values()) + 1
    assert len({r.id for r in drawn}) == len(drawn)


def test_without_balance_all_rows_are_drawn_as_they_are(rows: list[TextRelationRow]) -> None:
    plain = settings(balanced=False, made_insufficient=False, rows=10_000)
    drawn = draw_epoch(plain, relation_pools(plain, rows), 0)
    assert sorted(r.id for r in drawn) == sorted(r.id for r in rows)


def test_what_is_made_false_is_marked_and_was_supported(rows: list[TextRelationRow]) -> None:
    drawn = draw_epoch(settings(), relation_pools(settings(), rows), 0)
    made = [r for r in drawn if r.id.endswith("~")]
    by_id = {r.id: r for r in rows}
    assert {r.source for r in made} >= {"true"}
    for false in made:
        original = by_id[false.id.removesuffix("~")]
        assert original.relation is TextRelation.SUPPORT
        assert replace(original, id=false.id, claim=false.claim, relation=false.relation) == false
        assert false.claim != original.claim
        assert false.relation is TextRelation.REFUTE
    without = settings(made_false=False)
    drawn = draw_epoch(without, relation_pools(without, rows), 0)
    assert not any(r.id.endswith("~") for r in drawn)
    assert counts(drawn, "true")["refute"] == 0


def test_some_supported_rows_are_edited_where_asked_for(rows: list[TextRelationRow]) -> None:
    some = settings(edited=0.2)
    drawn = draw_epoch(some, relation_pools(some, rows), 0)
    edited = [r for r in drawn if r.id.endswith("~") and r.source == "even"]
    assert len(edited) == 20
    assert counts(drawn, "even")["refute"] <= UNEVEN * 100


def test_no_text_of_another_part_is_in_it(rows: list[TextRelationRow]) -> None:
    halves = {"relation": (0.0, 0.5), "test": (0.5, 1.0)}
    turned = {"relation": (0.5, 1.0), "test": (0.0, 0.5)}
    texts = []
    for shares in (halves, turned):
        pools = relation_pools(settings(shares=shares), rows)
        some = [r for pool in pools.rows.values() for part in pool.values() for r in part]
        assert len(some) > 200
        texts.append({normalise(t) for r in some for t in (r.claim, r.evidence_text)})
    assert not texts[0] & texts[1]


def test_a_source_held_out_gives_nothing_and_moves_nothing(rows: list[TextRelationRow]) -> None:
    whole = relation_pools(settings(), rows)
    without = relation_pools(settings(held_out=["true"]), rows)
    assert set(without.rows) == {"false", "even"}
    assert without.rows["even"] == whole.rows["even"]
    drawn = draw_epoch(settings(held_out=["true"]), without, 0)
    assert not counts(drawn, "true")


def test_epochs_differ_and_can_be_repeated(rows: list[TextRelationRow]) -> None:
    few = settings(rows=300)
    pools = relation_pools(few, list(reversed(rows)))
    again = relation_pools(few, rows)
    first, second = (draw_epoch(few, pools, epoch) for epoch in (0, 1))
    assert [r.id for r in first] == [r.id for r in draw_epoch(few, again, 0)]
    assert {r.id for r in first} != {r.id for r in second}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"held_out": ["other"]}, "other is held out but no source"),
        ({"held_out": ["false", "true", "even"]}, "all sources are held out"),
        ({"shares": {"train": [0.0, 1.0]}}, "shares names no 'relation'"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        settings(**changes)


def test_the_shipped_run_and_the_shipped_data_share_no_text() -> None:
    """The two configurations divide the texts alike, so what one trains on the other leaves out."""
    from factcheck.datasets.compose_settings import ComposeSettings
    from factcheck.settings import read_yaml

    configs = Path(__file__).parents[2] / "configs"
    relation = read_yaml(configs / "text-relation.yaml", TextRelationTraining)
    composed = read_yaml(configs / "compose-default.yaml", ComposeSettings)
    divided = {**composed.text_reserved, **composed.text_shares.by_split()}
    assert list(relation.shares.items()) == list(divided.items())
    members = [
        sorted(m for source in config.sources.values() for m in source.members)
        for config in (relation, composed)
    ]
    assert members[0] == members[1]
    assert relation.text == composed.text


def test_claims_beside_evidence_of_something_else_are_open(rows: list[TextRelationRow]) -> None:
    wanted = settings(unrelated=0.2)
    pools = relation_pools(wanted, rows)
    drawn = draw_epoch(wanted, pools, 0)
    made = [r for r in drawn if r.id.endswith("?")]
    others = {r.id: r for r in drawn if not r.id.endswith("?")}
    assert {r.id for r in draw_epoch(settings(), pools, 0)} == others.keys()
    assert len(made) == pytest.approx(0.2 * len(others), rel=0.05)
    own = {normalise(r.claim): r.evidence for r in rows}
    for row in made:
        assert row.relation is TextRelation.INSUFFICIENT
        assert row.evidence != own.get(normalise(row.claim))
        assert row.claim == others[row.id.removesuffix("?")].claim
    # Half of them have evidence of a source of any kind.
    same = [r.evidence in {o.evidence for o in rows if o.source == r.source} for r in made]
    assert 0.5 < sum(same) / len(same) < 0.9


def test_negated_claims_come_in_pairs(rows: list[TextRelationRow]) -> None:
    wanted = settings(negated=0.2)
    pools = relation_pools(wanted, rows)
    drawn = draw_epoch(wanted, pools, 0)
    made = [r for r in drawn if r.id.endswith("!")]
    others = {r.id: r for r in drawn if not r.id.endswith("!")}
    assert {r.id for r in draw_epoch(settings(), pools, 0)} == others.keys()
    assert len(made) == pytest.approx(0.2 * len(others), rel=0.05)
    for row in made:
        before = others[row.id.removesuffix("!")]
        assert " was not opened" in row.claim or " was never opened" in row.claim
        assert row.evidence == before.evidence
        assert (before.relation, row.relation) in (
            (TextRelation.SUPPORT, TextRelation.REFUTE),
            (TextRelation.INSUFFICIENT, TextRelation.INSUFFICIENT),
        )
    found = Counter(str(r.relation) for r in made)
    assert found["refute"] == found["insufficient"]


def short_rows() -> list[TextRelationRow]:
    """Two pieces of evidence for each claim, in words that other claims do not have."""
    return [
        TextRelationRow(
            f"{number}-{piece}",
            "one",
            f"The {SUBJECTS[number % 8]} at town{number} dates back to year{number}.",
            (f"Masons finished {SUBJECTS[number % 8]} town{number}, {piece} part, year{number}.",),
            TextRelation.SUPPORT,
            "passage",
        )
        for number in range(100)
        for piece in ("north", "south")
    ]


def test_evidence_is_set_among_texts_that_do_not_speak_of_the_claim() -> None:
    rows = short_rows()
    rows[0] = replace(rows[0], unit="document")
    padded = pad(rows, 0.5, Random(0))
    assert padded[0] == rows[0]
    changed = [(old, new) for old, new in zip(rows, padded, strict=True) if old != new]
    assert 0.35 * len(rows) < len(changed) < 0.65 * len(rows)
    for old, new in changed:
        assert new.id == f"{old.id}+"
        assert (new.claim, new.relation) == (old.claim, old.relation)
        assert new.evidence_text.count(old.evidence_text) == 1
        around = new.evidence_text.replace(old.evidence_text, "")
        assert "Masons finished" in around
        # The other piece of evidence for the claim is not among what stands around.
        assert f" town{old.claim.split('town')[1].split()[0]}," not in around
    assert pad(rows, 0.5, Random(0)) == padded
    assert pad(rows, 0.0, Random(0)) == rows


def test_a_run_pads_its_rows_as_it_is_told() -> None:
    rows = short_rows()
    run = settings(padded=0.4, sources={"one": {"members": ["one"], "weight": 1}}, balanced=False)
    drawn = draw_epoch(run, relation_pools(run, rows), 0)
    share = sum(row.id.endswith("+") for row in drawn) / len(drawn)
    assert 0.25 < share < 0.55
