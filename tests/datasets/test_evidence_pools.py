"""Evidence retrieval made of text pairs."""

from factcheck.datasets.evidence_pools import EvidencePool
from factcheck.datasets.text_relations import TextRelationRow
from factcheck.records import TextRelation


def row(claim: str, *evidence: str) -> TextRelationRow:
    return TextRelationRow("1", "one", claim, evidence, TextRelation.SUPPORT, "sentence")


POOL = EvidencePool(
    [
        row("Cats sleep.", "The cat slept."),
        row("Cats sleep.", "A cat purred."),
        row("A cat slept.", "THE CAT SLEPT"),
        row("Dogs bark.", "..."),
    ]
)


def test_texts_of_the_same_words_are_one_document() -> None:
    assert [document.text for document in POOL.documents] == ["The cat slept.", "A cat purred."]
    assert POOL.relevant["Cats sleep."] == {"d0", "d1"}
    assert POOL.relevant["A cat slept."] == {"d0"}


def test_claims_without_evidence_are_not_asked() -> None:
    claims = {"Cats sleep.", "Dogs bark.", "A cat slept.", "Unknown."}
    assert set(POOL.queries(claims, 9, 0)) == {"Cats sleep.", "A cat slept."}
    assert len(POOL.queries(claims, 1, 0)) == 1
    assert POOL.queries(claims, 9, 0) == POOL.queries(sorted(claims), 9, 0)


def test_recall_counts_documents_once() -> None:
    assert POOL.recall("Cats sleep.", ["d0", "d0", "d1"], 1) == 0.5
    assert POOL.recall("Cats sleep.", ["d0", "d0", "d1"], 2) == 1.0
    assert POOL.recall("A cat slept.", ["d1"], 5) == 0.0
