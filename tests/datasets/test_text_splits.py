from random import Random

import pytest

from factcheck.datasets.text_relations import TextRelationRow
from factcheck.datasets.text_splits import normalise, split_texts
from factcheck.records import TextRelation

SHARES = {"train": (0.0, 0.6), "val": (0.6, 0.8), "test": (0.8, 1.0)}


def row(number: int, claim: str, evidence: str, source: str = "s") -> TextRelationRow:
    relation = list(TextRelation)[number % 3]
    return TextRelationRow(f"r{number}", source, claim, (evidence,), relation, "sentence")


def tangled(clusters: int, size: int, texts: int) -> list[TextRelationRow]:
    """Clusters in which every claim meets several evidence texts and the reverse."""
    rng = Random(0)
    return [
        row(
            cluster * size + number,
            f"claim {cluster} {rng.randrange(texts)}",
            f"evidence {cluster} {rng.randrange(texts)}",
        )
        for cluster in range(clusters)
        for number in range(size)
    ]


def assert_disjoint(divided: dict[str, list[TextRelationRow]]) -> None:
    for text_of in (lambda r: normalise(r.claim), lambda r: normalise(r.evidence_text)):
        texts = [{text_of(r) for r in rows} for rows in divided.values()]
        assert sum(map(len, texts)) == len(set.union(*texts))


@pytest.mark.parametrize(("clusters", "size", "texts"), [(200, 5, 3), (30, 100, 20), (1, 600, 150)])
def test_splits_share_no_claim_and_no_evidence(clusters, size, texts):
    rows = tangled(clusters, size, texts)
    divided = split_texts(rows, SHARES)
    assert_disjoint(divided)
    assert all(divided.values())
    total = len({(r.claim, r.evidence_text) for r in rows})
    kept = sum(map(len, divided.values()))
    # Only the one cluster that holds everything has to lose pairs.
    assert kept == total if clusters > 1 else kept > total / 3


def test_large_clusters_are_dealt_in_proportion():
    divided = split_texts(tangled(30, 100, 20), SHARES)
    total = sum(map(len, divided.values()))
    for split, (low, high) in SHARES.items():
        assert len(divided[split]) / total == pytest.approx(high - low, abs=0.05)


def test_case_and_punctuation_do_not_make_another_text():
    rows = [row(0, "A claim!", "First."), row(1, "a  CLAIM", "Second.")]
    assert sorted(map(len, split_texts(rows, SHARES).values())) == [0, 0, 2]


def test_the_order_of_the_rows_does_not_matter():
    rows = tangled(50, 20, 6)
    forward, backward = split_texts(rows, SHARES), split_texts(rows[::-1], SHARES)
    for split in SHARES:
        assert {(r.claim, r.evidence_text) for r in forward[split]} == {
            (r.claim, r.evidence_text) for r in backward[split]
        }


def test_loose_pairs_tie_nothing_together():
    rows = [row(n, f"claim {n}", f"evidence {n}") for n in range(90)]
    loose = [row(100 + n, f"claim {n}", f"evidence {(7 * n) % 90}", "loose") for n in range(1, 90)]
    divided = split_texts(rows + loose, SHARES, {"loose"})
    assert_disjoint(divided)
    tied = [r for part in divided.values() for r in part if r.source == "s"]
    assert len(tied) == 90
    assert min(map(len, divided.values())) >= 9


def test_shares_may_leave_texts_out():
    rows = [row(n, f"claim {n}", f"evidence {n}") for n in range(100)]
    assert len(split_texts(rows, {"val": (0.6, 0.8)})["val"]) < 40
