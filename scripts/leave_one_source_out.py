"""How well the text relation encoder does on sources it never saw.

    python scripts/leave_one_source_out.py --data DATA --work build/leave-one-out --levers --taught

For each of seven sources an encoder is trained without it, by configs/text-relation.yaml with fewer
rows and no teacher, and scored on the rows of that source (macro F1 over the relations that it has,
at most 1,500 rows drawn by seed). The same is done with the plain baseline: one epoch on as many
rows as they come, whole documents cut at the window's end, nothing balanced, made or weighed
against. The mean over sources is the figure that development goes by. A run that was stopped goes
on where it was.

`--levers` adds ours without one lever after the other, `--taught` ours with a teacher that has not
seen the source either, trained by configs/text-relation-teacher.yaml. `--also NAME=JSON` adds
another way by what it changes of the configuration: what was tried and did not earn its place is in
the results as well. `--jobs` trains several encoders at once, which a graphics card has room for.
"""

import argparse
import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from results import origin, write_results

from factcheck.settings import read_yaml
from factcheck.training import train
from factcheck.training.inputs import inputs_of
from factcheck.training.loop import finished
from factcheck.training_settings import TextRelationTraining

SOURCES = ("wice", "fnc1", "climate-fever", "covidfact", "fool-me-twice", "anli", "mnli")

UNTAUGHT: dict[str, Any] = {"teacher": None, "unlabelled": 0.0}

PLAIN: dict[str, Any] = UNTAUGHT | {
    "balanced": False,
    "made_insufficient": False,
    "made_false": False,
    "edited": 0.0,
    "unrelated": 0.0,
    "negated": 0.0,
    "padded": 0.0,
    "debias": 0.0,
    "dropout": 0.0,
    "passages_read": 0,
    "max_tokens": 256,
    "epochs": 1,
    "batch_size": 32,
}

LEVERS: dict[str, dict[str, Any]] = {
    "balance": {"balanced": False},
    "made open pairs": {"made_insufficient": False},
    "claims made false": {"made_false": False, "edited": 0.0},
    "claim-only expert": {"debias": 0.0},
    "other subjects": {"unrelated": 0.0},
    "negated claims": {"negated": 0.0},
    "padding": {"padded": 0.0},
    "dropout": {"dropout": 0.0},
}
"""What ours is without each lever."""

NEVER = 1_000_000
"""Steps between checkpoints: a fold that was cut off begins anew."""


def fold(
    settings: TextRelationTraining,
    teacher: TextRelationTraining | None,
    source: str,
    data: Path,
    out: Path,
) -> dict[str, Any]:
    """The scores of a run without a source, on that source; from an earlier run where there is one.

    Args:
        settings: The run, but for the source.
        teacher: The run of its teacher, likewise; None without one.
        source: The source left out.
        data: The data folder.
        out: Run folder.
    """
    without = {
        "held_out": [source],
        "development": [],
        "shares": {"relation": (0.0, 1.0)},
        "checkpoint_every": NEVER,
    }
    wanted = settings.model_dump(mode="json") | without
    own = out / "teacher"
    if teacher is not None:
        wanted["teacher"] = str(own / "encoder")
    run = TextRelationTraining.model_validate(wanted)
    metrics = finished(run, inputs_of(run, data), out)
    taught: dict[str, Any] = {}
    if teacher is not None:
        of_teacher = teacher.model_dump(mode="json") | without
        of_source = TextRelationTraining.model_validate(of_teacher)
        scores = finished(of_source, inputs_of(of_source, data), own)
        # Its weights went with an earlier run; another one has to learn of them again.
        lost = metrics is None and not (own / "encoder" / "model.safetensors").exists()
        if scores is None or lost:
            scores = train(of_source, data, own)
        taught = {"teacher_macro_f1": scores["held_out_macro_f1"]}
    if metrics is None:
        metrics = train(run, data, out)
    # The weights have served their purpose.
    for path in sorted(out.glob("**/*.safetensors")) + sorted(out.glob("**/checkpoint.pt")):
        path.unlink()
    return {
        "macro_f1": metrics["held_out_macro_f1"],
        **taught,
        "by_member": metrics["held_out_by_source"],
        "rows_an_epoch": sum(sum(counts.values()) for counts in metrics["rows"].values()),
    }


def main() -> None:
    """Train all folds of all ways and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds text/")
    parser.add_argument("--config", type=Path, default=Path("configs/text-relation.yaml"))
    parser.add_argument(
        "--teacher", type=Path, default=Path("configs/text-relation-teacher.yaml"), metavar="CONFIG"
    )
    parser.add_argument("--rows", type=int, default=24_000, help="rows of an epoch")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of ours")
    parser.add_argument("--teacher-epochs", type=int, default=2, help="epochs of the teacher")
    parser.add_argument("--scored", type=int, default=1500, help="rows scored of each source")
    parser.add_argument("--sources", nargs="*", default=SOURCES)
    parser.add_argument("--levers", action="store_true", help="also ours without each lever")
    parser.add_argument("--taught", action="store_true", help="also ours with a teacher")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=JSON")
    parser.add_argument("--jobs", type=int, default=1, help="encoders trained at once")
    parser.add_argument("--work", type=Path, required=True, help="where the runs go")
    parser.add_argument("--out", type=Path, default=Path("data/results/leave-one-source-out.json"))
    arguments = parser.parse_args()
    settings = read_yaml(arguments.config, TextRelationTraining)
    scored = {"score_at_most": arguments.scored}
    # The plain baseline sees as many rows as ours in all its epochs: the learner differs, not how
    # much it is shown.
    plain = PLAIN | {"rows": arguments.rows * arguments.epochs} | scored
    ours = UNTAUGHT | {"rows": arguments.rows, "epochs": arguments.epochs} | scored
    ways: dict[str, dict[str, Any]] = {}
    teacher = None
    if arguments.taught:
        # It takes longest, and so begins first.
        kept = {"teacher": settings.teacher, "unlabelled": settings.unlabelled}
        ways["ours, taught"] = ours | kept
        budget = {"rows": arguments.rows, "epochs": arguments.teacher_epochs} | scored
        teacher = read_yaml(arguments.teacher, TextRelationTraining).model_copy(update=budget)
    ways |= {"plain baseline": plain, "ours": ours}
    if arguments.levers:
        ways |= {f"without {name}": ours | changes for name, changes in LEVERS.items()}
    for added in arguments.also:
        name, _, changes = added.partition("=")
        ways[name] = ours | json.loads(changes)
    context = multiprocessing.get_context("spawn")
    results: dict[str, Any] = {}
    with ProcessPoolExecutor(arguments.jobs, mp_context=context) as pool:
        running = {}
        for name, changes in ways.items():
            changed = settings.model_dump(mode="json") | changes
            run = TextRelationTraining.model_validate(changed)
            for source in arguments.sources:
                out = arguments.work / name.replace(" ", "-").replace(",", "") / source
                running[name, source] = pool.submit(
                    fold, run, teacher if run.teacher else None, source, arguments.data, out
                )
        for name, changes in ways.items():
            folds = {}
            for source in arguments.sources:
                folds[source] = running[name, source].result()
                sys.stdout.write(f"{name:26} {source:16} {folds[source]['macro_f1']:.3f}\n")
            mean = sum(one["macro_f1"] for one in folds.values()) / len(folds)
            results[name] = {"mean_macro_f1": mean, "changes": changes, "folds": folds}
            sys.stdout.write(f"{name:26} {'mean':16} {mean:.3f}\n")
            sys.stdout.flush()
    budget = {
        "rows": arguments.rows,
        "epochs": arguments.epochs,
        "teacher_epochs": arguments.teacher_epochs,
        **scored,
    }
    data = {"texts": "text/train.jsonl.gz", "budget": budget, "seed": settings.seed}
    write_results(arguments.out, {**origin(data), "ways": results})


if __name__ == "__main__":
    main()
