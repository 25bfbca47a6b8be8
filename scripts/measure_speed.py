"""Measure the time of a check, cold and warm, the rate of a batch, and the memory of each.

    python scripts/measure_speed.py --data build/composed

Every part runs in a process of its own, so that peak memory is its own. Named reference for the
timings of this machine at this hour: a 2048 x 2048 float32 matrix product, timed before each part;
the results give each figure in seconds and in such products.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from results import origin, write_results

DEMO = Path(__file__).parent.parent / "data" / "demo"
REPEATS = 20


def matrix_product() -> float:
    """Median seconds of the reference."""
    import torch

    left = torch.randn(2048, 2048)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        left @ left
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def cold_check(folder: Path, rows: int) -> dict[str, Any]:
    """One check from nothing: the command as a user types it, imports and loading included."""
    index = folder / "demo.index"
    command = [sys.executable, "-m", "factcheck"]
    subprocess.run(
        [*command, "index", "build", str(DEMO / "corpus.jsonl"), "--out", str(index)],
        check=True,
        capture_output=True,
    )
    claim = json.loads((DEMO / "four-claims.jsonl").read_text().splitlines()[0])
    check = [*command, "check", claim["claim"], "--image", str(DEMO / claim["image"])]
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([*check, "--index", str(index)], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {"seconds": times, "median_seconds": statistics.median(times), "peak_kib": children}


def warm_check(folder: Path, rows: int) -> dict[str, Any]:
    """One check after another in a process that has loaded everything."""
    from factcheck import EvidenceIndex, FactChecker
    from factcheck.datasets import read_claims, read_corpus

    checker = FactChecker.load(precision="auto")
    index = EvidenceIndex.build(
        read_corpus(DEMO / "corpus.jsonl"), folder / "demo.index", checker.encoders
    )
    claims = read_claims(DEMO / "four-claims.jsonl")
    checker.check(claims[0], index)
    times = []
    for turn in range(REPEATS):
        start = time.perf_counter()
        checker.check(claims[turn % len(claims)], index)
        times.append(time.perf_counter() - start)
    return {"median_seconds": statistics.median(times), "slowest_seconds": max(times)}


def batch(folder: Path, rows: int) -> dict[str, Any]:
    """Pairs of the test split in one call, texts and pictures encoded from nothing."""
    from factcheck import FactChecker
    from factcheck.datasets import read_factify2

    checker = FactChecker.load(precision="auto")
    pairs = [(row.claim, row.document) for row in read_factify2(folder, "test")[:rows]]
    checker.compare_many(pairs[:8])
    start = time.perf_counter()
    checker.compare_many(pairs)
    seconds = time.perf_counter() - start
    return {
        "pairs": len(pairs),
        "median_seconds": seconds,
        "pairs_per_second": len(pairs) / seconds,
    }


PARTS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "one check, cold": cold_check,
    "one check, warm": warm_check,
    "batch": batch,
}


def run_part(name: str, data: Path, rows: int) -> dict[str, Any]:
    """Run one part here and add the reference and this process' peak memory."""
    product = matrix_product()
    with tempfile.TemporaryDirectory() as temporary:
        result = PARTS[name](data if name == "batch" else Path(temporary), rows)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result["peak_memory_mib"] = round(result.pop("peak_kib", own) / 1024)
    result["matrix_product_seconds"] = product
    result["in_matrix_products"] = round(result["median_seconds"] / product, 1)
    return result


def main() -> None:
    """Run all parts and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder in Factify 2's format")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--part", choices=PARTS)
    parser.add_argument("--out", type=Path, default=Path("data/results/speed.json"))
    arguments = parser.parse_args()
    if arguments.part:
        sys.stdout.write(json.dumps(run_part(arguments.part, arguments.data, arguments.rows)))
        return
    results = {}
    for name in PARTS:
        command = [sys.executable, __file__, "--data", str(arguments.data)]
        done = subprocess.run(
            [*command, "--rows", str(arguments.rows), "--part", name],
            check=True,
            capture_output=True,
            text=True,
        )
        results[name] = json.loads(done.stdout)
        sys.stdout.write(f"{name}: {results[name]}\n")
    data = {"folder": "composed, test split", "rows": arguments.rows, "corpus": "data/demo"}
    write_results(arguments.out, {**origin(data), "parts": results})


if __name__ == "__main__":
    main()
