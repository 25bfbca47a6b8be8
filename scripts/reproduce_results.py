"""Make the results table: every system of configs/reproduce on the same rows, in one run.

    python scripts/reproduce_results.py configs/reproduce --data build/composed

Baselines and heads are trained on the same training rows and see the same encodings. The difference
in weighted F1 to the reference is given with a paired bootstrap interval, over groups of test rows
that share no text. Of the reference it is said, too, what becomes of its labels at three error
rates.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, get_args

from results import origin, write_results

from factcheck.datasets.doctor import identify
from factcheck.encoders import Encoders, EncodingCache
from factcheck.errors import FactcheckError
from factcheck.evaluation.evaluate import decision_metrics
from factcheck.evaluation.results_table import (
    Answers,
    ResultRow,
    markdown_table,
    read_rows,
    replace_table,
    run_baseline,
    score_systems,
)
from factcheck.evaluation.splits import Split, encode_split
from factcheck.evidence import Reading
from factcheck.files import write_whole
from factcheck.fusion.abstention import Conformal
from factcheck.fusion.checkpoint import Checkpoint, load_checkpoint
from factcheck.fusion.run import relation_probabilities
from factcheck.pipeline import FactChecker
from factcheck.records import LABELS
from factcheck.settings import Precision
from factcheck.training import train

RATES = (0.05, 0.1, 0.2)
"""Error rates that labels of the reference are asked for at."""


class Bench:
    """Checkpoints, and splits as they read them."""

    def __init__(self, data: Path, work: Path, cache: Path | None, precision: Precision) -> None:
        self._data = data
        self._precision = precision
        self._work = work
        self._cache_file = cache
        self._cache = None if cache is None else EncodingCache(cache)

    def checkpoint(self, row: ResultRow) -> Checkpoint | None:
        """The checkpoint of a row, trained where that is asked for; None of a baseline."""
        if row.training is None:
            return None if row.checkpoint is None else load_checkpoint(row.checkpoint)
        out = self._work / row.name.replace(" ", "-").replace("/", "-")
        settings = row.training.model_copy(update={"precision": self._precision})
        train(settings, self._data, out, cache=self._cache_file)
        return load_checkpoint(out / "checkpoint")

    def split(self, checkpoint: Checkpoint, name: str) -> Split:
        """A split as a checkpoint reads it."""
        config = checkpoint.config
        relation = config.relation_encoder
        encoders = Encoders.load(
            config.text_encoder.load,
            config.image_encoder.load,
            self._cache,
            None if relation is None else relation.load,
            self._precision,
        )
        # A head says nothing of use on other encoders than its own.
        FactChecker(checkpoint, encoders)
        reading = Reading(encoders, config.passages, config.head.passages)
        return encode_split(reading, self._data, name)


def decided(conformal: Conformal, said: Answers, test: Split) -> list[dict[str, Any]]:
    """What becomes of the rows when labels are asked for at each of `RATES`."""
    probabilities = [dict(zip(LABELS, row, strict=True)) for row in said.label.tolist()]
    given = [LABELS[label] for label in said.label.argmax(axis=1)]
    true = [LABELS[label] for label in test.labels]
    return [
        decision_metrics([conformal.decide(row, rate) for row in probabilities], given, true)
        for rate in RATES
    ]


def main() -> None:
    """Run all systems, write the results, print the table and put it into a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", type=Path, help="folder with a YAML file for each row")
    parser.add_argument("--data", type=Path, required=True, help="a folder in Factify 2's format")
    parser.add_argument("--split", default="test")
    parser.add_argument("--cache", type=Path, help="file with encodings, as training leaves it")
    parser.add_argument("--work", type=Path, default=Path("build/reproduce"))
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        default="float32",
        help="number format that the encoders compute in",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readme", type=Path, help="page to put the table into")
    parser.add_argument("--out", type=Path, default=Path("data/results/baselines.json"))
    arguments = parser.parse_args()
    try:
        make(arguments)
    except FactcheckError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


def make(arguments: argparse.Namespace) -> None:
    """What `main` does once its arguments are read."""
    rows = read_rows(arguments.configs)
    reference = next(row for row in rows if row.reference)
    page = arguments.readme.read_text(encoding="utf-8") if arguments.readme else ""
    if arguments.readme:
        replace_table(page, "", arguments.readme)
    bench = Bench(arguments.data, arguments.work, arguments.cache, arguments.precision)
    leading = bench.checkpoint(reference)
    if leading is None:
        # Baselines read what a checkpoint says is to be read.
        leading = load_checkpoint()
    train_split = bench.split(leading, "train")
    test = bench.split(leading, arguments.split)
    answers: dict[str, Answers] = {}
    for row in rows:
        sys.stderr.write(f"{row.name}\n")
        if row.baseline is not None:
            answers[row.name] = run_baseline(row, train_split, test)
            continue
        checkpoint = leading if row is reference else bench.checkpoint(row)
        assert checkpoint is not None
        own = test if checkpoint is leading else bench.split(checkpoint, arguments.split)
        said = relation_probabilities(checkpoint, own.inputs)
        answers[row.name] = Answers(said.label, said.image, checkpoint.sha256)
    scored = score_systems(test, answers, reference.name, arguments.seed)
    table = markdown_table(scored, reference.name)
    data = {
        "folder": arguments.data.name,
        "tables": {
            name: identify(arguments.data, name)["csv_sha256"]
            for name in ("train", arguments.split)
        },
        "split": arguments.split,
        "precision": arguments.precision,
        "train_rows": len(train_split),
        "test_rows": len(test),
    }
    conformal = leading.calibration.conformal
    if reference.baseline is None and conformal is not None:
        scored[reference.name]["decisions"] = decided(conformal, answers[reference.name], test)
    results = {**origin(data), "seed": arguments.seed, "reference": reference.name}
    write_results(arguments.out, {**results, "systems": scored})
    if arguments.readme:
        write_whole(arguments.readme, [replace_table(page, table, arguments.readme)])
    sys.stdout.write(table)


if __name__ == "__main__":
    main()
