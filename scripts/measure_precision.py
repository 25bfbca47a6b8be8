"""What computing in bfloat16 changes: speed of each encoder, its outputs, and the verdicts.

    python scripts/measure_precision.py --data build/composed

The same rows of the test split, nothing cached, in float32 and in bfloat16 (matrix products only,
sums in float32), chunk by chunk in turns. Ratios are medians over the chunks.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from results import origin, write_results

from factcheck import FactChecker
from factcheck.datasets import read_factify2
from factcheck.retrieval import split_passages

CHUNK = 64


def timed(work: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Seconds that something takes, and what it gives."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(N,) cosines of two times N vectors of any shape."""
    left, right = left.reshape(len(left), -1), right.reshape(len(right), -1)
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.asarray(np.einsum("nd,nd->n", left, right) / norms)


def compare(
    works: dict[str, list[Callable[[], np.ndarray]]],
) -> tuple[dict[str, Any], list[list[np.ndarray]]]:
    """Ratio of the rates of two ways to do chunks of work, and what either gives."""
    for ways in works.values():
        ways[0]()
    ratios, given = [], []
    slow_name, fast_name = works
    for number, pair in enumerate(zip(*works.values(), strict=True)):
        order = (0, 1) if number % 2 else (1, 0)
        done = {place: timed(pair[place]) for place in order}
        ratios.append(done[0][0] / done[1][0])
        given.append([done[0][1], done[1][1]])
    return {f"rate_of_{fast_name}_over_{slow_name}": round(statistics.median(ratios), 3)}, given


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder in Factify 2's format")
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--out", type=Path, default=Path("data/results/precision.json"))
    arguments = parser.parse_args()
    checkers = {name: FactChecker.load(precision=name) for name in ("float32", "bfloat16")}
    rows = read_factify2(arguments.data, "test")[: arguments.rows]
    chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    passages = [
        [(row.claim.text, p.text) for row in chunk for p in split_passages(row.document)[:5]]
        for chunk in chunks
    ]
    pictures = [[side.image for r in c for side in (r.claim, r.document)] for c in chunks]
    pairs = [[(row.claim, row.document) for row in chunk] for chunk in chunks]

    def works(
        of: Callable[[FactChecker, int], np.ndarray],
    ) -> dict[str, list[Callable[[], np.ndarray]]]:
        return {
            name: [lambda c=checker, i=i: of(c, i) for i in range(len(chunks))]
            for name, checker in checkers.items()
        }

    def verdicts(checker: FactChecker, chunk: int) -> np.ndarray:
        found = checker.compare_many(pairs[chunk])
        return np.array([list(verdict.probabilities.values()) for verdict in found])

    parts: dict[str, Callable[[FactChecker, int], np.ndarray]] = {
        "text encoder": lambda c, i: c.encoders.texts([text for _, text in passages[i]]),
        "text relation encoder": lambda c, i: c.encoders.relations(passages[i])[:, :-4],
        "image encoder, decoding included": lambda c, i: c.encoders.pictures(pictures[i]).tokens,
        "verdicts": verdicts,
    }
    results: dict[str, Any] = {}
    for name, of in parts.items():
        result, given = compare(works(of))
        left, right = (np.concatenate([pair[place] for pair in given]) for place in (0, 1))
        if name == "verdicts":
            result["largest_difference_of_a_probability"] = float(np.abs(left - right).max())
            result["mean_difference_of_a_probability"] = float(np.abs(left - right).mean())
            same = left.argmax(axis=1) == right.argmax(axis=1)
            result["labels_that_agree"] = round(float(same.mean()), 4)
        else:
            similar = cosines(left, right)
            result["cosine_mean"] = round(float(similar.mean()), 6)
            result["cosine_lowest"] = round(float(similar.min()), 6)
        results[name] = result
        sys.stdout.write(f"{name}: {json.dumps(result)}\n")
        sys.stdout.flush()
    data = {
        "made_by": "factcheck data compose configs/compose-default.yaml",
        "split": "test",
        "rows": len(rows),
    }
    model = checkers["float32"].checkpoint.sha256
    write_results(arguments.out, {**origin(data), "model": model, **results})


if __name__ == "__main__":
    main()
