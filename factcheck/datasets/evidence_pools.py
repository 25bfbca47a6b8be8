"""Evidence retrieval made of text pairs: claims, and all the evidence of their source."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from random import Random

from factcheck.datasets.text_relations import TextRelationRow
from factcheck.datasets.text_splits import normalise
from factcheck.records import Document


class EvidencePool:
    """The evidence of a source as a corpus, and claims with what is to be found for them.

    What a claim is given as evidence is to be found whichever way it decides. Texts that differ in
    case or punctuation alone are one document.

    Attributes:
        documents: The corpus.
        relevant: For each claim the ids of its evidence.
    """

    def __init__(self, rows: Iterable[TextRelationRow]) -> None:
        id_of: dict[str, str] = {}
        self.documents: list[Document] = []
        self.relevant: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            name = normalise(row.evidence_text)
            if not name:
                continue
            if name not in id_of:
                id_of[name] = f"d{len(id_of)}"
                self.documents.append(Document(id_of[name], row.evidence_text))
            self.relevant[row.claim].add(id_of[name])

    def queries(self, claims: Collection[str], at_most: int, seed: int | str) -> list[str]:
        """Some of the claims, drawn by a seed."""
        known = sorted(set(claims) & self.relevant.keys())
        return Random(seed).sample(known, min(at_most, len(known)))

    def recall(self, claim: str, document_ids: Iterable[str], k: int) -> float:
        """Part of a claim's evidence among the first k different documents found for it."""
        first = list(dict.fromkeys(document_ids))[:k]
        relevant = self.relevant[claim]
        return len(relevant.intersection(first)) / len(relevant)
