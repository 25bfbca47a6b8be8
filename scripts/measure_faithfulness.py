"""Does taking the passage away that an explanation names change a verdict more than another one?

    python scripts/measure_faithfulness.py --data build/composed

On the first 500 rows of the test split that have at least two passages, by how much the
probability of the verdict's label falls when a passage is taken away: the one of the highest
weight, the one most like the claim, the one whose removal is reported to matter most, and one at
random (the mean over all).
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from results import origin, write_results
from scipy.stats import bootstrap

from factcheck import FactChecker
from factcheck.datasets import read_factify2
from factcheck.retrieval import split_passages


def interval(values: list[float], seed: int) -> dict[str, Any]:
    """Mean with a 95% bootstrap interval."""
    found = bootstrap((np.array(values),), np.mean, n_resamples=2000, rng=seed).confidence_interval
    return {"mean": float(np.mean(values)), "interval": [float(found.low), float(found.high)]}


def main() -> None:
    """Explain the verdicts and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder in Factify 2's format")
    parser.add_argument("--cache", type=Path, help="file with encodings, as training leaves it")
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("data/results/faithfulness.json"))
    arguments = parser.parse_args()
    checker = FactChecker.load(cache=arguments.cache)
    cutting = checker.checkpoint.config.passages
    pairs = [
        (row.claim, row.document)
        for row in read_factify2(arguments.data, "test")
        if len(split_passages(row.document, cutting.max_characters, cutting.overlap_sentences)) > 1
    ][: arguments.rows]
    verdicts = checker.compare_many(pairs, explain=True)
    falls: dict[str, list[float]] = {
        name: [] for name in ("highest weight", "most similar", "reported to matter most", "random")
    }
    ahead: list[float] = []
    for verdict in verdicts:
        assert verdict.explanation is not None
        removals = [r for r in verdict.explanation.removals if r.removed.startswith("passage")]
        fall = [verdict.confidence - removal.probability for removal in removals]
        weights = [cited.weight or 0.0 for cited in verdict.evidence.passages]
        top = int(np.argmax(weights))
        falls["highest weight"].append(fall[top])
        falls["most similar"].append(fall[0])
        falls["reported to matter most"].append(max(fall))
        falls["random"].append(float(np.mean(fall)))
        ahead.append(fall[top] - float(np.mean(fall)))
    results = {name: interval(values, arguments.seed) for name, values in falls.items()}
    results["highest weight less random"] = interval(ahead, arguments.seed)
    data = {
        "made_by": "factcheck data compose configs/compose-default.yaml",
        "split": "test",
        "rows": len(verdicts),
        "of": "the first rows with at least two passages",
    }
    write_results(
        arguments.out,
        {**origin(data), "model": checker.checkpoint.sha256, "fall_of_probability": results},
    )
    json.dump(results, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
