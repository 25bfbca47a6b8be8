"""How far verdicts and their confidence can be trusted on sources that nothing was trained on.

    python scripts/measure_unseen_sources.py --data DATA --work build/unseen

Some sources are left out of everything: of the training of the text relation encoder, of the rows
that the head is trained and calibrated on. Head and encoder are trained by the configurations of
those that ship, with fewer rows and without a teacher, which would have to be trained without them,
too. They are measured on composed rows of the other sources and of those left out. The difference
is what a user's own sources must be expected to cost. A run that was stopped goes on where it was.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from results import origin, write_results

from factcheck.datasets.compose import compose
from factcheck.datasets.compose_settings import ComposeSettings
from factcheck.encoders import Encoders, EncodingCache
from factcheck.evaluation.metrics import classification_metrics
from factcheck.evaluation.splits import Split, encode_split
from factcheck.evidence import Reading
from factcheck.fusion.checkpoint import Checkpoint, load_checkpoint
from factcheck.fusion.run import relation_probabilities
from factcheck.pipeline import FactChecker
from factcheck.settings import read_yaml
from factcheck.training import train
from factcheck.training.inputs import inputs_of
from factcheck.training.loop import finished
from factcheck.training_settings import FusionTraining, TextRelationTraining

LEFT_OUT = ("fnc1", "climate-fever", "covidfact")
"""News, climate and health: what fact-checkers read, and no two of them of one kind."""

NOTHING_TRAINED_ON = {
    "text_reserved": {},
    "text_shares": {"train": (0.0, 0.01), "val": (0.01, 0.02), "test": (0.02, 1.0)},
}
"""Of a source that is left out no text was seen, whatever its share."""

MAX_ERROR = 0.2


def composed(
    settings: ComposeSettings,
    names: set[str],
    rows: dict[str, int],
    data: Path,
    out: Path,
    changes: dict[str, Any] | None = None,
) -> Path:
    """A folder in Factify 2's format from some of the sources, from an earlier run if it is there.

    Args:
        settings: How to compose.
        names: The sources.
        rows: Rows of each split.
        data: The data folder.
        out: The folder.
        changes: What else is different.

    Raises:
        SystemExit: An earlier run composed other rows there.
    """
    wanted = settings.model_dump(mode="json") | (changes or {})
    wanted["sources"] = {k: v for k, v in wanted["sources"].items() if k in names}
    wanted["rows"] = rows
    settings = ComposeSettings.model_validate(wanted)
    if not out.exists():
        compose(settings, data, out)
    there = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["settings"]
    if ComposeSettings.model_validate(there) != settings:
        raise SystemExit(f"{out}: was composed by other settings; give another --work")
    return out


def trained(settings: Any, data: Path, out: Path, cache: Path | None = None) -> None:
    """Train, unless that has been done."""
    if finished(settings, inputs_of(settings, data), out) is None:
        train(settings, data, out, cache=cache)


def scores(checkpoint: Checkpoint, split: Split) -> dict[str, Any]:
    """How right the verdicts on a split are, and how far their confidence can be trusted."""
    said = relation_probabilities(checkpoint, split.inputs)
    metrics = classification_metrics(
        said.label, said.image, split.labels, split.same_picture, resamples=0
    )
    confidence, right = said.label.max(axis=1), said.label.argmax(axis=1) == split.labels
    conformal = checkpoint.calibration.conformal
    threshold = None if conformal is None else conformal.threshold(MAX_ERROR)
    answered = confidence > (np.inf if threshold is None else threshold)
    shown = (
        "rows",
        "weighted_f1",
        "accuracy",
        "text_relation_accuracy",
        "image_relation_accuracy",
        "negative_log_likelihood",
        "expected_calibration_error",
    )
    return {
        **{name: metrics[name] for name in shown},
        "mean_confidence": float(confidence.mean()),
        f"max_error_{MAX_ERROR}": {
            "answered": float(answered.mean()),
            "given_a_wrong_label": float((answered & ~right).mean()),
        },
    }


def main() -> None:
    """Train without the sources, measure with them, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with text/ and photos/")
    parser.add_argument("--work", type=Path, required=True, help="where the runs go")
    parser.add_argument("--left-out", nargs="+", default=LEFT_OUT, metavar="SOURCE")
    parser.add_argument("--relation-rows", type=int, default=20_000)
    parser.add_argument("--relation-epochs", type=int, default=1)
    parser.add_argument("--rows", type=int, default=6000, help="rows that the head is trained on")
    parser.add_argument("--measured", type=int, default=2000, help="rows measured of each kind")
    parser.add_argument("--relation", type=Path, default=Path("configs/text-relation.yaml"))
    parser.add_argument("--fusion", type=Path, default=Path("configs/fusion-teacher.yaml"))
    parser.add_argument("--compose", type=Path, default=Path("configs/compose-default.yaml"))
    parser.add_argument("--out", type=Path, default=Path("data/results/unseen-sources.json"))
    arguments = parser.parse_args()
    relation = read_yaml(arguments.relation, TextRelationTraining)
    composing = read_yaml(arguments.compose, ComposeSettings)
    left, count = set(arguments.left_out), arguments.measured
    sizes = {"train": arguments.rows, "val": count, "test": count}
    seen = composed(
        composing, composing.sources.keys() - left, sizes, arguments.data, arguments.work / "seen"
    )
    sizes = {"train": 0, "val": 0, "test": count}
    unseen = composed(
        composing, left, sizes, arguments.data, arguments.work / "unseen", NOTHING_TRAINED_ON
    )
    reader = arguments.work / "relation"
    relation = relation.model_copy(
        update={
            "held_out": sorted(left),
            "rows": arguments.relation_rows,
            "epochs": arguments.relation_epochs,
            "teacher": None,
            "unlabelled": 0.0,
            "score_at_most": count,
            "checkpoint_every": 25,
        }
    )
    trained(relation, arguments.data, reader)
    fusion = read_yaml(arguments.fusion, FusionTraining).model_copy(
        update={"relation_encoder": str(reader / "encoder")}
    )
    cache = arguments.work / "encodings.sqlite"
    trained(fusion, seen, arguments.work / "head", cache)
    checkpoint = load_checkpoint(arguments.work / "head" / "checkpoint")
    results = {}
    with EncodingCache(cache) as encodings:
        encoders = Encoders.load(cache=encodings, relation=fusion.relation_encoder)
        # A head says nothing of use on other encoders than its own.
        FactChecker(checkpoint, encoders)
        reading = Reading(encoders, checkpoint.config.passages, checkpoint.config.head.passages)
        for name, folder in (("seen", seen), ("unseen", unseen)):
            results[f"{name} sources"] = scores(checkpoint, encode_split(reading, folder, "test"))
            sys.stdout.write(f"{name}: {json.dumps(results[f'{name} sources'])}\n")
            sys.stdout.flush()
    data = {
        "texts": "text/train.jsonl.gz",
        "composed_by": str(arguments.compose),
        "left_out": sorted(left),
        "relation_rows": arguments.relation_rows,
        "relation_epochs": arguments.relation_epochs,
        "train_rows": arguments.rows,
        "seed": fusion.seed,
    }
    write_results(arguments.out, {**origin(data), **results})


if __name__ == "__main__":
    main()
