"""How an index grows: building, opening and searching 10,000, 100,000 and a million passages.

    python scripts/measure_index_growth.py --data DATA --work build/index-growth

The two smaller ones hold real passages: every text of the text pairs and every title of the news
photographs, cut as any document is, and are built by the command as a user types it. The largest
holds the passages of the second ten times over: each copy's words in another order, so that words
are as frequent as they are, and its vector moved a little, so that vectors lie in clusters as real
ones do. Its vectors are not computed by a network, everything else is what any build does.

Queries are claims of the development texts; claims are encoded beforehand, so that times are those
of the search: each channel alone, both fused, and, where vectors are real, fused and reranked. One
query at a time, in milliseconds, median and 99th percentile; and 64 at a time, milliseconds each.
Building, opening and searching run in a process each, so that peak memory is its own.
"""

import argparse
import itertools
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measure_speed import matrix_product
from results import origin, write_results

REAL = (10_000, 100_000)
COPIES = 10
QUERIES = 256
SINGLE = 100
# Of vectors of unit length: the cosine of two copies of a passage is about 0.85 with it.
MOVED = 0.42


def texts_of(data: Path) -> Iterator[str]:
    """Every text there is, each once: evidence, claims, titles."""
    from factcheck.datasets import read_text_relations

    rows = read_text_relations([data / "text" / name for name in ("train.jsonl.gz",)])
    titles = (
        json.loads(line).get("title") or ""
        for line in (data / "photos" / "newsimages.jsonl").open(encoding="utf-8")
    )
    every = itertools.chain(
        (row.evidence_text for row in rows), (row.claim for row in rows), titles
    )
    yield from dict.fromkeys(text.strip() for text in every if text.strip())


def write_corpus(data: Path, path: Path, passages: int) -> None:
    """A corpus of as many documents as are needed for so many passages."""
    from factcheck.records import Document
    from factcheck.retrieval import split_passages

    count = 0
    with path.open("w", encoding="utf-8") as file:
        for number, text in enumerate(texts_of(data)):
            file.write(json.dumps({"id": f"d{number}", "text": text}) + "\n")
            count += len(split_passages(Document("", text)))
            if count >= passages:
                return
    raise SystemExit(f"{data}: only {count:,} passages, {passages:,} are needed")


def build_real(work: Path, passages: int) -> dict[str, Any]:
    """The command, on a corpus that is there."""
    command = [sys.executable, "-m", "factcheck", "index", "build", str(work / f"{passages}.jsonl")]
    start = time.perf_counter()
    done = subprocess.run(
        [*command, "--out", str(work / f"{passages}.index"), "--json"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    return {**built(json.loads(done.stdout)["result"]["passages"], seconds), "peak_mib": peak}


class Moved:
    """Gives the passages of a synthetic index their vectors: those of real ones, moved."""

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors
        self._rng = np.random.default_rng(0)

    def passages(self, batches: Iterable[list[str]]) -> Iterator[np.ndarray]:
        """As an engine does; passages come in the order of `copies`."""
        start = 0
        for batch in batches:
            rows = np.arange(start, start + len(batch)) % len(self._vectors)
            start += len(batch)
            noise = self._rng.normal(size=(len(batch), self._vectors.shape[1]))
            noise /= np.linalg.norm(noise, axis=1, keepdims=True)
            moved = (self._vectors[rows] + MOVED * noise).astype(np.float32)
            yield moved / np.linalg.norm(moved, axis=1, keepdims=True)

    def pictures(self, batches: Iterable[list[Path]]) -> Iterator[Any]:
        """There are none: synthetic documents have no pictures."""
        assert not list(batches)
        return iter(())


def copies(texts: list[str]) -> Iterator[Any]:
    """Documents of one passage each: texts again and again, their words in other orders."""
    from factcheck.records import Document

    for turn in range(COPIES):
        rng = random.Random(turn)
        for number, text in enumerate(texts):
            words = text.rstrip(".").replace("\n", " ").split()
            rng.shuffle(words)
            # A single sentence: no mark within it, and so no longer than it was.
            line = " ".join(word.rstrip(".!?") or word for word in words)
            yield Document(f"d{turn}-{number}", line)


def build_synthetic(work: Path) -> dict[str, Any]:
    """A million passages, through the same code but for the network."""
    from factcheck.encoders import Encoders
    from factcheck.retrieval import EvidenceIndex

    encoders = Encoders.load()
    with EvidenceIndex.open(work / f"{REAL[-1]}.index", encoders, thorough=False) as real:
        rows = list(range(len(real)))
        vectors = np.concatenate(
            [real.passage_vectors(rows[i : i + 10_000]) for i in range(0, len(rows), 10_000)]
        )
        stored = real.passages_at(set(rows))
        texts = [stored[row].passage.text for row in rows]
    del stored
    start = time.perf_counter()
    index = EvidenceIndex.build(
        copies(texts),
        work / f"{REAL[-1] * COPIES}.index",
        encoders,
        engine=Moved(vectors),
        overwrite=True,
    )
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    kinds = [segment.approximate for segment in index.manifest.segments]
    return {
        **built(len(index), seconds),
        "peak_mib": peak,
        "segments": [kind and kind.model_dump() for kind in kinds],
    }


def built(passages: int, seconds: float) -> dict[str, Any]:
    """What is said of any build."""
    return {
        "passages": passages,
        "seconds": round(seconds, 1),
        "passages_per_second": round(passages / seconds, 1),
    }


def search(data: Path, work: Path, passages: int) -> dict[str, Any]:
    """Opening and searching an index."""
    from factcheck.datasets import read_text_relations
    from factcheck.encoders import EMBEDDED_RELATION, Encoders
    from factcheck.retrieval import EvidenceIndex, Query, Reranker
    from factcheck.settings import SearchSettings

    encoders = Encoders.load(relation=EMBEDDED_RELATION, precision="auto")
    rows = read_text_relations([data / "text" / "dev.jsonl.gz"])
    claims = random.Random(0).sample(sorted({row.claim for row in rows}), QUERIES)
    vectors = encoders.texts(claims)
    queries = [Query(text, vector) for text, vector in zip(claims, vectors, strict=True)]
    folder = work / f"{passages}.index"
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    opened = []
    for _ in range(5):
        start = time.perf_counter()
        index = EvidenceIndex.open(folder, encoders, thorough=False)
        opened.append(time.perf_counter() - start)
    result: dict[str, Any] = {
        "bytes": size,
        "opened_in_ms": round(1000 * float(np.median(opened)), 1),
    }
    ways = {
        "dense": SearchSettings(channels=("dense",), rerank=0),
        "lexical": SearchSettings(channels=("lexical",), rerank=0),
        "fused": SearchSettings(rerank=0),
    }
    for name, settings in ways.items():
        result[name] = latencies(
            lambda some, settings=settings: index.search_queries(some, 10, settings), queries
        )
    if passages in REAL:
        result["fused and reranked"] = latencies(
            lambda some: index.search_queries(some, 10, reranker=Reranker.of(encoders)), queries
        )
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {**result, "peak_mib": after // 1024, "peak_mib_without_index": before // 1024}


def latencies(run: Callable[[list[Any]], Any], queries: list[Any]) -> dict[str, float]:
    """Milliseconds of a query, alone and among 64."""
    run(queries[:64])
    single = []
    for query in queries[:SINGLE]:
        start = time.perf_counter()
        run([query])
        single.append(1000 * (time.perf_counter() - start))
    together = []
    for start_row in range(0, len(queries), 64):
        start = time.perf_counter()
        run(queries[start_row : start_row + 64])
        together.append(1000 * (time.perf_counter() - start) / 64)
    return {
        "one_median_ms": round(float(np.median(single)), 2),
        "one_99th_ms": round(float(np.percentile(single, 99)), 2),
        "of_64_median_ms": round(float(np.median(together)), 2),
        "of_64_highest_ms": round(max(together), 2),
    }


def parts(data: Path, work: Path) -> dict[str, Callable[[], dict[str, Any]]]:
    """All parts by name, in the order they run in."""
    found: dict[str, Callable[[], dict[str, Any]]] = {}
    for size in REAL:
        found[f"build {size}"] = lambda size=size: build_real(work, size)
        found[f"search {size}"] = lambda size=size: search(data, work, size)
    largest = REAL[-1] * COPIES
    found[f"build {largest}"] = lambda: build_synthetic(work)
    found[f"search {largest}"] = lambda: search(data, work, largest)
    return found


def main() -> None:
    """Run all parts and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with text/ and photos/")
    parser.add_argument("--work", type=Path, help="where the indices go: about 8 GB")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("data/results/index-growth.json"))
    arguments = parser.parse_args()
    if arguments.part:
        product = matrix_product()
        result = parts(arguments.data, arguments.work)[arguments.part]()
        sys.stdout.write(json.dumps({**result, "matrix_product_seconds": product}))
        return
    results = {}
    if arguments.work is not None:
        arguments.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.work) as work:
        for size in REAL:
            write_corpus(arguments.data, Path(work) / f"{size}.jsonl", size)
        for name in parts(arguments.data, Path(work)):
            command = [sys.executable, __file__, "--data", str(arguments.data), "--work", work]
            done = subprocess.run(
                [*command, "--part", name], check=True, stdout=subprocess.PIPE, text=True
            )
            results[name] = json.loads(done.stdout)
            sys.stdout.write(f"{name}: {results[name]}\n")
            sys.stdout.flush()
    data = {
        "texts": "text/train.jsonl.gz, photos/newsimages.jsonl",
        "queries": "text/dev.jsonl.gz",
    }
    write_results(arguments.out, {**origin(data), "parts": results})


if __name__ == "__main__":
    main()
