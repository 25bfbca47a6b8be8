"""Measure a fusion head against the baselines: same encodings, same rows, one run.

    python scripts/compare_with_baselines.py --data build/composed --cache build/encodings.sqlite

The baselines are trained on the same training rows as the head and see the same encodings. The
difference in weighted F1 to each is given with a paired bootstrap interval over test rows.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from results import origin, write_results

from factcheck.encoders import Encoders, EncodingCache
from factcheck.evaluation.audit_scores import score_answers
from factcheck.evaluation.baselines import BASELINES
from factcheck.evaluation.metrics import classification_metrics, weighted_f1
from factcheck.evaluation.splits import Split, encode_split
from factcheck.evidence import Reading
from factcheck.fusion.checkpoint import EMBEDDED, load_checkpoint
from factcheck.fusion.run import relation_probabilities


def by_source(split: Split, predicted: np.ndarray) -> dict[str, dict[str, float]]:
    """Weighted F1 and number of rows of each source of texts."""
    sources = np.array([row.source or "unknown" for row in split.rows])
    return {
        source: {
            "rows": int((sources == source).sum()),
            "weighted_f1": weighted_f1(
                split.labels[sources == source], predicted[sources == source]
            ),
        }
        for source in sorted(set(sources))
    }


def main() -> None:
    """Train the baselines, score everything on the test split, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder in Factify 2's format")
    parser.add_argument("--cache", type=Path, help="file with encodings, as training leaves it")
    parser.add_argument("--checkpoint", default=EMBEDDED)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("data/results/baselines.json"))
    arguments = parser.parse_args()

    checkpoint = load_checkpoint(arguments.checkpoint)
    cache = EncodingCache(arguments.cache) if arguments.cache else None
    encoders = Encoders.load(
        checkpoint.config.text_encoder.load, checkpoint.config.image_encoder.load, cache
    )
    reading = Reading(encoders, checkpoint.config.passages, checkpoint.config.head.passages)
    train = encode_split(reading, arguments.data, "train")
    test = encode_split(reading, arguments.data, "test")

    ours = relation_probabilities(checkpoint, test.inputs)
    predicted = ours.label.argmax(axis=1)
    systems: dict[str, Any] = {
        "fusion head": {
            **classification_metrics(ours.label, ours.image, test.labels, test.same_picture),
            "by_source": by_source(test, predicted),
        }
    }
    none = np.full(len(test), np.nan)
    for name, baseline in BASELINES.items():
        sys.stderr.write(f"training: {name}\n")
        probabilities = baseline(train.labelled(), test.labelled(), arguments.seed)
        theirs = probabilities.argmax(axis=1)
        answers = {"head": predicted, name: theirs}
        _, differences = score_answers(test.labels, answers, [("head", name)], seed=arguments.seed)
        ahead = differences["head", name]
        systems[name] = {
            **classification_metrics(
                probabilities, none, test.labels, np.full(len(test), -1), seed=arguments.seed
            ),
            "head_ahead_by": ahead["difference"],
            "head_ahead_by_interval": ahead["interval"],
            "by_source": by_source(test, theirs),
        }
    description = {"folder": "composed", "train_rows": len(train), "test_rows": len(test)}
    write_results(
        arguments.out,
        {
            **origin(
                {**description, "made_by": "factcheck data compose configs/compose-default.yaml"}
            ),
            "seed": arguments.seed,
            "model": checkpoint.sha256,
            "systems": systems,
        },
    )
    for name, metrics in systems.items():
        low, high = metrics["weighted_f1_interval"]
        sys.stdout.write(
            f"{name:28} weighted F1 {metrics['weighted_f1']:.3f} ({low:.3f} to {high:.3f})  "
            f"ECE {metrics['expected_calibration_error']:.3f}\n"
        )


if __name__ == "__main__":
    main()
