"""What reading passages word by word costs: rates with and without the text relation encoder.

    python scripts/measure_text_relation_cost.py --data build/composed

Both checkers compare the same rows of the test split, nothing cached, in chunks and one by one, in
turns whose order changes; the ratio is the median over them. The one without has a head of the same
shape that reads no text relations, with fresh weights: what it says is worthless, what it costs is
what a checkpoint without them costs.
"""

import argparse
import json
import random
import statistics
import sys
import time
from pathlib import Path

import torch
from results import origin, write_results

from factcheck import Claim, Document, FactChecker
from factcheck.datasets import read_factify2
from factcheck.encoders import Encoders
from factcheck.fusion.checkpoint import Checkpoint, build_head


def without(checker: FactChecker) -> FactChecker:
    """A checker that reads no text relations, and is otherwise the same."""
    config = checker.checkpoint.config.model_copy(update={"relation_encoder": None})
    torch.manual_seed(0)
    checkpoint = Checkpoint(build_head(config).eval(), config, checker.checkpoint.calibration, "")
    encoders = checker.encoders
    plain = Encoders(encoders.text, encoders.image, precision=encoders.precision)
    return FactChecker(checkpoint, plain)


def compare(
    checkers: dict[str, FactChecker], chunks: list[list[tuple[Claim, Document]]]
) -> dict[str, float]:
    """Pairs a second of each checker, and the ratio, medians over the chunks."""
    rates: dict[str, list[float]] = {name: [] for name in checkers}
    order = random.Random(0)
    for chunk in chunks:
        for name in order.sample(sorted(checkers), len(checkers)):
            start = time.perf_counter()
            checkers[name].compare_many(chunk)
            rates[name].append(len(chunk) / (time.perf_counter() - start))
    ratios = [one / other for one, other in zip(rates["with"], rates["without"], strict=True)]
    return {
        "ratio": round(statistics.median(ratios), 3),
        **{f"pairs_per_second_{n}": round(statistics.median(r), 1) for n, r in rates.items()},
    }


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder in Factify 2's format")
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--out", type=Path, default=Path("data/results/text-relation-cost.json"))
    arguments = parser.parse_args()
    rows = read_factify2(arguments.data, "test")[: arguments.rows]
    pairs = [(row.claim, row.document) for row in rows]
    checker = FactChecker.load(precision="auto")
    checkers = {"with": checker, "without": without(checker)}
    for one in checkers.values():
        one.compare_many(pairs[:32])
    results = {
        "64 at a time": compare(
            checkers, [pairs[start : start + 64] for start in range(0, len(pairs), 64)]
        ),
        "one at a time": compare(checkers, [[pair] for pair in pairs[:64]]),
    }
    data = {
        "made_by": "factcheck data compose configs/compose-default.yaml",
        "split": "test",
        "rows": len(pairs),
    }
    write_results(
        arguments.out,
        {
            **origin(data),
            "model": checker.checkpoint.sha256,
            "precision": checker.encoders.precision,
            **results,
        },
    )
    json.dump(results, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
