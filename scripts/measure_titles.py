"""What a title's words are worth to a search, and where they are best put.

    python scripts/measure_titles.py --data DATA --work build/titles

The evidence in the text pairs has no titles, so the first words of a document stand in for one. The
sources are those whose evidence is long enough to be cut, the claims those of the share `val`
(configs/relevance.yaml). Compared are an index of documents without titles, one with them, and
sentence vectors that are made of title and passage together. Found is recall of the evidence among
the first five documents, and among those of the first 40 passages, which is what is reread.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from results import origin, write_results

from factcheck.datasets import read_text_relations, split_texts
from factcheck.datasets.evidence_pools import EvidencePool
from factcheck.encoders import EMBEDDED_RELATION, Encoders
from factcheck.records import Claim, Document
from factcheck.retrieval import EvidenceIndex, split_passages
from factcheck.retrieval.engine import LocalEngine
from factcheck.settings import SearchSettings, read_yaml
from factcheck.training_settings import RelevanceTraining

SOURCES = ("fnc1", "wice", "fool-me-twice")
TITLE_WORDS = 8
FIRST = 5
DEPTH = 100


class OnceEncoding(LocalEngine):
    """Encodes a passage once, in however many indices it is."""

    def __init__(self, encoders: Encoders) -> None:
        super().__init__(encoders)
        self._known: dict[str, np.ndarray] = {}

    def passages(self, batches: Iterable[list[str]]) -> Iterator[np.ndarray]:
        """See `Engine`."""
        for batch in batches:
            new = [text for text in dict.fromkeys(batch) if text not in self._known]
            for vectors in super().passages([new] if new else []):
                self._known |= zip(new, vectors, strict=True)
            yield np.stack([self._known[text] for text in batch])


def titled(document: Document) -> Document:
    """A document with its first words for a title."""
    return replace(document, title=" ".join(document.text.split()[:TITLE_WORDS]))


def of_index(
    index: EvidenceIndex, claims: Sequence[str], settings: SearchSettings
) -> list[list[str]]:
    """For each claim the documents of the passages found, best first."""
    found = index.search_many([Claim(claim) for claim in claims], DEPTH, settings)
    return [[hit.document_id for hit in hits] for hits in found]


def of_titled_vectors(
    documents: Sequence[Document], claims: Sequence[str], encoders: Encoders
) -> list[list[str]]:
    """The same by vectors of title and passage together."""
    cut = [(document, passage) for document in documents for passage in split_passages(document)]
    vectors = encoders.passages([f"{document.title}. {passage.text}" for document, passage in cut])
    cosines = encoders.texts(claims) @ vectors.T
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :DEPTH]
    return [[cut[place][0].id for place in row] for row in order]


def recalls(
    pool: EvidencePool, claims: Sequence[str], found: Sequence[Sequence[str]], depth: int
) -> dict[str, float]:
    """Mean recall among the first documents, and among those of the first passages."""
    places = {"recall@5": FIRST, f"recall in {depth} passages": depth}
    return {
        name: round(
            float(
                np.mean(
                    [
                        pool.recall(claim, own[:depth], k)
                        for claim, own in zip(claims, found, strict=True)
                    ]
                )
            ),
            4,
        )
        for name, k in places.items()
    }


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with text/")
    parser.add_argument("--work", type=Path, required=True, help="where indices go")
    parser.add_argument("--config", type=Path, default=Path("configs/relevance.yaml"))
    parser.add_argument("--out", type=Path, default=Path("data/results/titles.json"))
    arguments = parser.parse_args()
    settings = read_yaml(arguments.config, RelevanceTraining)
    encoders = Encoders.load(relation=EMBEDDED_RELATION, precision="auto")
    rows = read_text_relations([arguments.data / path for path in settings.text])
    shares = split_texts(rows, settings.shares, set(settings.loose))
    depth = SearchSettings().rerank
    ways = {
        "dense": SearchSettings(channels=("dense",), distinct=False, rerank=0),
        "lexical": SearchSettings(channels=("lexical",), distinct=False, rerank=0),
        "fused": SearchSettings(distinct=False, rerank=0),
        "fused and reranked": SearchSettings(distinct=False),
    }
    engine = OnceEncoding(encoders)
    results: dict[str, Any] = {}
    for source in SOURCES:
        members = set(settings.sources[source].members)
        pool = EvidencePool(row for row in rows if row.source in members)
        known = {row.claim for row in shares[settings.weighed_on] if row.source in members}
        claims = pool.queries(known, settings.weighed_claims, settings.seed)
        documents = [titled(document) for document in pool.documents]
        own: dict[str, Any] = {"documents": len(documents), "claims": len(claims)}
        for title, corpus in (("without titles", pool.documents), ("with titles", documents)):
            folder = arguments.work / source / title.replace(" ", "-")
            folder.parent.mkdir(parents=True, exist_ok=True)
            index = EvidenceIndex.build(corpus, folder, encoders, engine=engine, overwrite=True)
            own[title] = {
                name: recalls(pool, claims, of_index(index, claims, how), depth)
                for name, how in ways.items()
            }
        found = of_titled_vectors(documents, claims, encoders)
        own["with titles"]["dense, vectors of title and passage"] = recalls(
            pool, claims, found, depth
        )
        sys.stdout.write(f"{source}: {json.dumps(own, indent=1)}\n")
        sys.stdout.flush()
        results[source] = own
    data = {"texts": [str(path) for path in settings.text], "share": settings.weighed_on}
    write_results(arguments.out, {**origin(data), "sources": results})


if __name__ == "__main__":
    main()
