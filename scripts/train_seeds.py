"""Train the fusion head with several seeds; validation says which one ships.

    python scripts/train_seeds.py configs/fusion-default.yaml --data build/composed --work WORK

The one with the lowest negative log-likelihood on the validation rows that stop training is chosen;
what the others reach on the test split says how much of a figure is chance. A seed whose run folder
is finished is not trained again, unless the encoders were others then, which is an error.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from results import origin, write_results

from factcheck.encoders import Encoders
from factcheck.fusion.checkpoint import load_checkpoint
from factcheck.settings import read_yaml
from factcheck.training import train
from factcheck.training.inputs import inputs_of
from factcheck.training.loop import finished
from factcheck.training_settings import FusionTraining

SHOWN = ("weighted_f1", "negative_log_likelihood", "expected_calibration_error")
CHOSEN_BY = "best_negative_log_likelihood"


def summary(metrics: dict[str, Any]) -> dict[str, Any]:
    """What is told of a seed."""
    test = metrics["test"]
    return {
        "best_epoch": metrics["best_epoch"],
        CHOSEN_BY: round(metrics[CHOSEN_BY], 4),
        "validation_weighted_f1": round(metrics["best_weighted_f1"], 4),
        "test": {
            **{name: round(test[name], 4) for name in SHOWN},
            "refute_f1": round(test["f1"]["Refute"], 4),
            **{
                name: round(test[name], 4)
                for name in ("text_relation_accuracy", "image_relation_accuracy")
            },
        },
    }


def require_same_encoders(out: Path, encoders: Encoders) -> None:
    """Refuse a finished run on other encoders: `embedded` may have been others then.

    Args:
        out: Its folder.
        encoders: Those of this run.

    Raises:
        SystemExit: It was on others.
    """
    config = load_checkpoint(out / "checkpoint").config
    pairs = (
        (config.text_encoder, encoders.text),
        (config.image_encoder, encoders.image),
        (config.relation_encoder, encoders.relation),
    )
    for then, now in pairs:
        if (then and then.sha256) != (now and now.sha256):
            raise SystemExit(f"{out}: was trained on other encoders; give another --work")


def main() -> None:
    """Train, compare and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, help="training of a fusion head")
    parser.add_argument("--data", type=Path, required=True, help="folder with train, val and test")
    parser.add_argument("--work", type=Path, required=True, help="where runs go")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cache", type=Path, help="file with encodings of other runs")
    parser.add_argument("--out", type=Path, default=Path("data/results/fusion-seeds.json"))
    arguments = parser.parse_args()
    base = read_yaml(arguments.config, FusionTraining)
    cache = arguments.cache or arguments.work / "encodings.sqlite"
    arguments.work.mkdir(parents=True, exist_ok=True)
    encoders = Encoders.load(base.text_encoder, base.image_encoder, relation=base.relation_encoder)
    seeds: dict[int, dict[str, Any]] = {}
    for seed in arguments.seeds:
        settings = base.model_copy(update={"seed": seed})
        out = arguments.work / f"run-{seed}"
        metrics = finished(settings, inputs_of(settings, arguments.data), out)
        if metrics is None:
            metrics = train(settings, arguments.data, out, cache=cache)
        else:
            require_same_encoders(out, encoders)
        seeds[seed] = summary(metrics)
        sys.stdout.write(f"seed {seed}: {json.dumps(seeds[seed])}\n")
        sys.stdout.flush()
    chosen = min(seeds, key=lambda seed: seeds[seed][CHOSEN_BY])
    sys.stdout.write(f"chosen: seed {chosen}\n")
    # Of a single seed there is no deviation to tell.
    spread = {
        name: round(statistics.stdev(one["test"][name] for one in seeds.values()), 4)
        for name in (seeds[chosen]["test"] if len(seeds) > 1 else ())
    }
    data = {"folder": str(arguments.data), "composed_by": "configs/compose-default.yaml"}
    write_results(
        arguments.out,
        {**origin(data), "chosen": chosen, "standard_deviation_on_test": spread, "seeds": seeds},
    )


if __name__ == "__main__":
    main()
