"""How well the text relation encoder does on sources it never saw.

    python scripts/leave_one_source_out.py --data DATA --work build/leave-one-out

For each of seven sources an encoder is trained without it, by configs/text-relation.yaml with fewer
rows, and scored on the rows of that source (macro F1 over the relations that it has, at most 1,500
rows drawn by seed). The same is done with the plain baseline: one epoch on rows as they come, whole
documents cut at the window's end, nothing balanced, made or weighed against. The mean over sources
is the figure that development goes by. A run that was stopped goes on where it was.

`--also NAME=JSON` adds another way to the table, by what it changes of the configuration: what was
tried and did not earn its place is in the results as well.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from results import origin, write_results

from factcheck.settings import read_yaml
from factcheck.training import train
from factcheck.training_settings import TextRelationTraining

SOURCES = ("wice", "fnc1", "climate-fever", "covidfact", "fool-me-twice", "anli", "mnli")

PLAIN = {
    "balanced": False,
    "made_insufficient": False,
    "made_false": False,
    "edited": 0.0,
    "debias": 0.0,
    "passages_read": 0,
    "max_tokens": 256,
    "epochs": 1,
}


def fold(
    settings: TextRelationTraining, source: str, changes: dict[str, Any], data: Path, out: Path
) -> dict[str, Any]:
    """The scores of a run without a source, on that source; from an earlier run where there is one.

    Args:
        settings: The configuration.
        source: The source left out.
        changes: What is changed of the configuration.
        data: The data folder.
        out: Run folder.
    """
    wanted = settings.model_dump(mode="json") | changes
    wanted |= {"held_out": [source], "development": [], "shares": {"relation": (0.0, 1.0)}}
    run = TextRelationTraining.model_validate(wanted)
    done = out / "metrics.json"
    stamp = out / "settings.json"
    same = stamp.exists() and TextRelationTraining.model_validate_json(stamp.read_text()) == run
    if done.exists() and same:
        metrics: dict[str, Any] = json.loads(done.read_text())
    else:
        metrics = train(run, data, out)
        # The weights have served their purpose.
        for path in (out / "checkpoint.pt", out / "encoder" / "model.safetensors"):
            path.unlink(missing_ok=True)
    return {
        "macro_f1": metrics["held_out_macro_f1"],
        "by_member": metrics["held_out_by_source"],
        "rows_trained_on": sum(sum(counts.values()) for counts in metrics["rows"].values()),
    }


def main() -> None:
    """Train all folds of all ways and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds text/")
    parser.add_argument("--config", type=Path, default=Path("configs/text-relation.yaml"))
    parser.add_argument("--rows", type=int, default=8000, help="rows of each training run")
    parser.add_argument("--scored", type=int, default=1500, help="rows scored of each source")
    parser.add_argument("--sources", nargs="*", default=SOURCES)
    parser.add_argument("--also", action="append", default=[], metavar="NAME=JSON")
    parser.add_argument("--work", type=Path, required=True, help="where the runs go")
    parser.add_argument("--out", type=Path, default=Path("data/results/leave-one-source-out.json"))
    arguments = parser.parse_args()
    settings = read_yaml(arguments.config, TextRelationTraining)
    budget = {"rows": arguments.rows, "score_at_most": arguments.scored}
    ways: dict[str, dict[str, Any]] = {"plain baseline": PLAIN | budget, "ours": budget}
    for added in arguments.also:
        name, _, changes = added.partition("=")
        ways[name] = budget | json.loads(changes)
    results: dict[str, Any] = {}
    for name, changes in ways.items():
        folds = {}
        for source in arguments.sources:
            out = arguments.work / name.replace(" ", "-") / source
            folds[source] = fold(settings, source, changes, arguments.data, out)
            sys.stdout.write(f"{name:24} {source:16} {folds[source]['macro_f1']:.3f}\n")
            sys.stdout.flush()
        mean = sum(one["macro_f1"] for one in folds.values()) / len(folds)
        results[name] = {"mean_macro_f1": mean, "changes": changes, "folds": folds}
        sys.stdout.write(f"{name:24} {'mean':16} {mean:.3f}\n")
    data = {"texts": "text/train.jsonl.gz", "budget": budget, "seed": settings.seed}
    write_results(arguments.out, {**origin(data), "ways": results})


if __name__ == "__main__":
    main()
