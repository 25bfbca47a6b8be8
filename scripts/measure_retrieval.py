"""How well evidence is found: each channel, their fusion and reranking, against what they stand on.

    python scripts/measure_retrieval.py --data DATA --work build/retrieval

Sources of text pairs: the pool is every evidence text of the source, training rows included, a
query is a claim, and what is to be found is the evidence that the source gives for it, whichever
way it decides. Queries are claims that nothing was trained on: those of the development file, and
of the training file those of the share that tests the fusion head.
`semantic_search` of sentence-transformers and bm25s, both with their default settings on whole
documents, are the references. Copies are not folded here: a pool's near duplicates count as found
or not by their ids.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from results import origin, write_results

from factcheck.datasets import read_text_relations, split_texts
from factcheck.datasets.evidence_pools import EvidencePool
from factcheck.encoders import EMBEDDED_RELATION, Encoders
from factcheck.records import Claim
from factcheck.retrieval import EvidenceIndex
from factcheck.settings import SearchSettings, read_yaml
from factcheck.training_settings import TextRelationTraining

SOURCES: dict[str, tuple[str, ...]] = {
    "fnc1": ("fnc1",),
    "climate-fever": ("climate-fever",),
    "wice": ("wice",),
    "fool-me-twice": ("fool-me-twice-dev",),
    "fever": ("fever-dev", "fever-train-10k"),
}
NOT_TRAINED_ON: dict[str, tuple[str, ...]] = {"covidfact": ("covidfact",), "anli": ("anli-dev",)}
"""Sources whose claims reranking was not trained to find evidence for; not in the mean."""

MEASURES = ("R@1", "R@5", "R@10", "nDCG@10", "RR")
DEPTH = 100

Run = dict[str, dict[str, float]]
"""For each query the documents found, with scores that fall with their rank."""


def of_hits(index: EvidenceIndex, queries: Sequence[str], settings: SearchSettings) -> Run:
    """What an index finds: documents by their best passage."""
    run: Run = {}
    for start in range(0, len(queries), 64):
        chunk = queries[start : start + 64]
        found = index.search_many([Claim(query) for query in chunk], DEPTH, settings)
        for query, hits in zip(chunk, found, strict=True):
            ranks: dict[str, float] = {}
            for rank, hit in enumerate(hits):
                ranks.setdefault(hit.document_id, 1.0 / (1 + rank))
            run[query] = ranks
    return run


def of_bm25s(pool: EvidencePool, queries: Sequence[str]) -> Run:
    """What bm25s alone finds."""
    import bm25s

    retriever = bm25s.BM25()
    texts = [document.text for document in pool.documents]
    retriever.index(bm25s.tokenize(texts, show_progress=False), show_progress=False)
    tokens = bm25s.tokenize(list(queries), show_progress=False)
    k = min(DEPTH, len(texts))
    rows, scores = retriever.retrieve(tokens, k=k, show_progress=False)
    return {
        query: {pool.documents[row].id: float(score) for row, score in zip(*one, strict=True)}
        for query, *one in zip(queries, rows, scores, strict=True)
    }


def of_semantic_search(pool: EvidencePool, queries: Sequence[str], encoders: Encoders) -> Run:
    """What sentence-transformers' semantic_search alone finds."""
    from sentence_transformers.util import semantic_search

    model = encoders.text.model
    corpus = model.encode([document.text for document in pool.documents], convert_to_tensor=True)
    asked = model.encode(list(queries), convert_to_tensor=True)
    return {
        query: {pool.documents[hit["corpus_id"]].id: float(hit["score"]) for hit in hits}
        for query, hits in zip(queries, semantic_search(asked, corpus, top_k=DEPTH), strict=True)
    }


def score(pool: EvidencePool, run: Run) -> dict[str, float]:
    """The measures of a run, in the mean over its queries."""
    import ir_measures

    relevant = {query: dict.fromkeys(pool.relevant[query], 1) for query in run}
    measures = [ir_measures.parse_measure(name) for name in MEASURES]
    found = ir_measures.calc_aggregate(measures, relevant, run)
    return {str(measure): round(float(value), 4) for measure, value in found.items()}


def at_most(pool: EvidencePool, queries: Sequence[str], k: int) -> float:
    """The recall of a search that puts nothing but evidence first: k documents cannot hold more."""
    return float(np.mean([min(1.0, k / len(pool.relevant[query])) for query in queries]))


def main() -> None:
    """Measure, or tune, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with text/")
    parser.add_argument("--work", type=Path, required=True, help="where indices go")
    parser.add_argument("--config", type=Path, default=Path("configs/text-relation.yaml"))
    parser.add_argument("--queries", type=int, default=250, help="claims of each source")
    parser.add_argument("--out", type=Path, default=Path("data/results/retrieval.json"))
    arguments = parser.parse_args()
    encoders = Encoders.load(relation=EMBEDDED_RELATION, precision="auto")
    settings = read_yaml(arguments.config, TextRelationTraining)
    training = read_text_relations([arguments.data / "text" / "train.jsonl.gz"])
    development = read_text_relations([arguments.data / "text" / "dev.jsonl.gz"])
    loose = {name for source in settings.sources.values() for name in source.loose}
    shares = split_texts(training, settings.shares, loose)
    pools, indices = {}, {}
    claims: dict[str, set[str]] = {}
    for source, members in {**SOURCES, **NOT_TRAINED_ON}.items():
        pools[source] = EvidencePool([r for r in (*training, *development) if r.source in members])
        asked = [*shares["test"], *development]
        claims[source] = {row.claim for row in asked if row.source in members}
        folder = arguments.work / f"{source}.index"
        if folder.exists():
            indices[source] = EvidenceIndex.open(folder, encoders)
        else:
            indices[source] = EvidenceIndex.build(pools[source].documents, folder, encoders)
        tell(f"{source}: {len(pools[source].documents)} documents, {len(indices[source])} passages")
    plain = {"distinct": False, "rerank": 0}
    ways: dict[str, Callable[[str, list[str]], Run]] = {
        "bm25s alone": lambda s, q: of_bm25s(pools[s], q),
        "semantic_search alone": lambda s, q: of_semantic_search(pools[s], q, encoders),
        "dense": lambda s, q: of_hits(indices[s], q, SearchSettings(channels=("dense",), **plain)),
        "lexical": lambda s, q: of_hits(
            indices[s], q, SearchSettings(channels=("lexical",), **plain)
        ),
        "fused": lambda s, q: of_hits(indices[s], q, SearchSettings(**plain)),
        "fused and reranked": lambda s, q: of_hits(indices[s], q, SearchSettings(distinct=False)),
    }
    results: dict[str, Any] = {}
    for source, pool in pools.items():
        queries = pool.queries(claims[source], arguments.queries, seed=0)
        found: dict[str, Any] = {"documents": len(pool.documents), "queries": len(queries)}
        found["R@5 at most"] = round(at_most(pool, queries, 5), 4)
        for name, way in ways.items():
            found[name] = score(pool, way(source, queries))
            tell(f"{source:14} {name:22} {json.dumps(found[name])}")
        results[source] = found
    ahead = {
        source: found["fused and reranked"]["R@5"]
        - max(found["bm25s alone"]["R@5"], found["semantic_search alone"]["R@5"])
        for source, found in results.items()
    }
    trained = [ahead[source] for source in SOURCES]
    results["recall@5 ahead of the better reference"] = {
        **{source: round(value, 4) for source, value in ahead.items()},
        "mean": round(float(np.mean(trained)), 4),
    }
    tell(json.dumps(results["recall@5 ahead of the better reference"]))
    data = {"texts": "text/train.jsonl.gz, text/dev.jsonl.gz"}
    write_results(arguments.out, {**origin(data), "evidence": results})


def tell(line: str) -> None:
    """Write a line of progress."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
