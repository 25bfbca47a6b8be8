"""How fast an index is built and searched, against the plain way and as it grows.

    python scripts/measure_index_speed.py --data DATA --work build/index-speed

Build: passages of DATA/text, encoded and indexed by us, against `SentenceTransformer.encode` with
its default settings and a flat index of FAISS, on the same passages in one process; and which share
of the ten nearest by the plain way ours finds. Search: synthetic vectors around clusters, in one
index of each size, the dense channel alone, one query and 64 at a time; opening with it.
"""

import argparse
import resource
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from results import origin, write_results

from factcheck.datasets import read_text_relations
from factcheck.encoders import Encoders
from factcheck.records import Document
from factcheck.retrieval import EvidenceIndex, split_passages
from factcheck.retrieval.approximate import build_approximate, factory_for, nearest_approximate
from factcheck.retrieval.vectors import VectorWriter, nearest, read_vectors


def measure_build(data: Path, work: Path, count: int) -> dict[str, Any]:
    """Passages a second of a build, as a ratio to the plain way's."""
    import faiss

    encoders = Encoders.load()
    texts: dict[str, None] = {}
    for row in read_text_relations([data / "text" / "train.jsonl.gz"]):
        for passage in split_passages(Document("", row.evidence_text)):
            texts.setdefault(passage.text)
        if len(texts) >= count:
            break
    passages = list(texts)[:count]
    documents = [Document(str(i), text) for i, text in enumerate(passages)]
    encoders.passages(passages[:256])
    start = perf_counter()
    index = EvidenceIndex.build(documents, work / "built.index", encoders, overwrite=True)
    ours = perf_counter() - start
    start = perf_counter()
    vectors = encoders.text.model.encode(passages)
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    plain = perf_counter() - start
    queries = vectors[:: max(1, count // 500)]
    truth = nearest(flat, queries, 10)
    found = index.nearest(queries, 10)
    same = [
        len({r for r, _ in a} & {r for r, _ in b}) / 10 for a, b in zip(truth, found, strict=True)
    ]
    return {
        "passages": count,
        "passages_indexed": len(index),
        "ratio_to_plain": round(plain / ours, 2),
        "passages_per_second": round(count / ours, 1),
        "plain_passages_per_second": round(count / plain, 1),
        "recall_at_10_against_plain": round(float(np.mean(same)), 4),
    }


def measure_search(work: Path, sizes: list[int], dimension: int) -> dict[str, Any]:
    """Milliseconds of a dense search, exact and as an index of that size would do it."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(2000, dimension)).astype(np.float32)
    results: dict[str, Any] = {}
    for size in sizes:
        path = work / f"{size}.faiss"
        writer = VectorWriter(path, dimension)
        for start in range(0, size, 50_000):
            some = min(50_000, size - start)
            noise = rng.normal(size=(some, dimension)).astype(np.float32)
            vectors = centres[rng.integers(0, len(centres), some)] + 0.8 * noise
            writer.add(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
        writer.commit()
        start_time = perf_counter()
        flat = read_vectors(path, dimension, size, thorough=False)
        opened = perf_counter() - start_time
        queries = flat.reconstruct_batch(rng.integers(0, size, 256)).copy()
        queries += 0.02 * rng.normal(size=queries.shape).astype(np.float32)
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        own: dict[str, Any] = {"open_ms": round(1000 * opened, 2)}
        own["exact"] = latencies(lambda some, flat=flat: nearest(flat, some, 10), queries)
        factory = factory_for(size, dimension)
        own["factory"] = factory
        if factory != "Flat":
            start_time = perf_counter()
            own["recall_at_10"] = build_approximate(flat, factory, work / "approximate.faiss")
            own["built_in_seconds"] = round(perf_counter() - start_time, 1)
            import faiss

            index = faiss.read_index(str(work / "approximate.faiss"))
            own["approximate"] = latencies(
                lambda some, i=index, f=flat: nearest_approximate(i, f, some, 10, None), queries
            )
        results[str(size)] = own
        sys.stdout.write(f"{size} {own}\n")
        sys.stdout.flush()
        path.unlink()
    return results


def latencies(search: Any, queries: np.ndarray) -> dict[str, float]:
    """Median and 99th percentile of single queries, and of one in a batch of 64, milliseconds."""
    search(queries[:64])
    single = []
    for query in queries[:100]:
        start = perf_counter()
        search(query[None])
        single.append(1000 * (perf_counter() - start))
    batched = []
    for start_row in range(0, 256, 64):
        start = perf_counter()
        search(queries[start_row : start_row + 64])
        batched.append(1000 * (perf_counter() - start) / 64)
    return {
        "one_median_ms": round(float(np.median(single)), 2),
        "one_99th_ms": round(float(np.percentile(single, 99)), 2),
        "of_64_ms": round(float(np.median(batched)), 2),
    }


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds text/")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--passages", type=int, default=20_000)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 262_144])
    parser.add_argument("--out", type=Path, default=Path("data/results/index-speed.json"))
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "build": measure_build(arguments.data, arguments.work, arguments.passages)
    }
    sys.stdout.write(f"{results['build']}\n")
    results["search"] = measure_search(arguments.work, arguments.sizes, 384)
    results["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    data = {"texts": "text/train.jsonl.gz", "vectors": "synthetic, 2,000 clusters"}
    write_results(arguments.out, {**origin(data), **results})


if __name__ == "__main__":
    main()
