"""The results table: systems named in YAML files, scored on the same rows, as Markdown.

Which systems there are, and in which order, is said by a folder of files (`read_rows`). One of them
is the reference, and the others are compared with it in pairs on the same resamples of rows.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.evaluation.audit_scores import score_answers
from factcheck.evaluation.baselines import BASELINES
from factcheck.evaluation.metrics import classification_metrics, weighted_f1
from factcheck.evaluation.splits import Split
from factcheck.settings import Settings, read_yaml
from factcheck.training_settings import FusionTraining

BEGIN = "<!-- results table: made by make reproduce -->"
END = "<!-- end of results table -->"


class ResultRow(Settings):
    """A row of the results table as its YAML file says it: one system and its name.

    Attributes:
        name: What the table calls it.
        reference: Whether the other rows are compared with this one; of exactly one row.
        checkpoint: `embedded` or a checkpoint folder.
        training: A fusion head that is trained for the table.
        baseline: Name of a baseline (`baselines.BASELINES`).
        seed: Of the baseline.
    """

    kind: Literal["result-row"]
    name: str = Field(min_length=1)
    reference: bool = False
    checkpoint: str | None = None
    training: FusionTraining | None = None
    baseline: str | None = None
    seed: int = 0

    @model_validator(mode="after")
    def _one_system(self) -> Self:
        systems = (self.checkpoint, self.training, self.baseline)
        if sum(system is not None for system in systems) != 1:
            raise ValueError("exactly one of checkpoint, training and baseline is needed")
        return self


class Answers(NamedTuple):
    """What a system says of N rows.

    Attributes:
        label: (N, 5) probabilities of the labels, in the order of `records.LABELS`.
        image: (N,) probability of the same picture; NaN where the system gives none.
        model: Hash of its checkpoint; None of a baseline.
    """

    label: np.ndarray
    image: np.ndarray
    model: str | None = None


def read_rows(folder: Path) -> list[ResultRow]:
    """The rows of the table, in the order of their files' names.

    Args:
        folder: A folder with a YAML file for each row.

    Raises:
        MissingResourceError: There is no such folder, or no YAML file in it.
        InvalidInputError: A file is wrong, names a baseline that does not exist or a name that is
            there already; or not exactly one row is the reference.
    """
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise MissingResourceError(f"{folder}: holds no YAML file, one for each row of the table")
    rows: dict[str, ResultRow] = {}
    for path in paths:
        row = read_yaml(path, ResultRow)
        if row.baseline is not None and row.baseline not in BASELINES:
            raise InvalidInputError(
                f"{path}: no baseline is called {row.baseline!r}; there are {', '.join(BASELINES)}"
            )
        if row.name in rows:
            raise InvalidInputError(f"{path}: another row is called {row.name!r} too")
        rows[row.name] = row
    references = [row.name for row in rows.values() if row.reference]
    if len(references) != 1:
        raise InvalidInputError(
            f"{folder}: {', '.join(references) or 'no row'} is the reference, and exactly one row "
            "is to be"
        )
    return list(rows.values())


def run_baseline(row: ResultRow, train: Split, test: Split) -> Answers:
    """Train a baseline and ask it.

    Args:
        row: The row that names it.
        train: The split it is trained on.
        test: The split it answers.
    """
    assert row.baseline is not None
    label = BASELINES[row.baseline](train.labelled(), test.labelled(), row.seed)
    return Answers(label, np.full(len(test), np.nan))


def score_systems(
    test: Split, answers: Mapping[str, Answers], reference: str, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Score systems, and compare all with the reference.

    Args:
        test: The rows that were asked.
        answers: By name what each system says.
        reference: Name of the one that the others are compared with.
        seed: Of the resamples.

    Returns:
        By name `evaluation.metrics.classification_metrics`, `by_source`, the `model` of those that
        have one, and of all but the reference `reference_ahead_by`, the weighted F1 of the
        reference less its own, with its `reference_ahead_by_interval`.
    """
    groups = test.text_groups
    given = {name: said.label.argmax(axis=1) for name, said in answers.items()}
    pairs = [(reference, name) for name in answers if name != reference]
    _, differences = score_answers(test.labels, given, pairs, seed=seed, groups=groups)
    scored: dict[str, dict[str, Any]] = {}
    for name, said in answers.items():
        same = np.where(np.isnan(said.image), -1, test.same_picture)
        metrics = classification_metrics(
            said.label, said.image, test.labels, same, seed=seed, groups=groups
        )
        scored[name] = {**metrics, "by_source": _by_source(test, given[name])}
        if said.model is not None:
            scored[name]["model"] = said.model
        if name != reference:
            ahead = differences[reference, name]
            scored[name]["reference_ahead_by"] = ahead["difference"]
            scored[name]["reference_ahead_by_interval"] = ahead["interval"]
    return scored


def _by_source(split: Split, predicted: np.ndarray) -> dict[str, dict[str, float]]:
    """Weighted F1 and number of rows of each source of texts."""
    sources = np.array([row.source or "unknown" for row in split.rows])
    return {
        source: {
            "rows": int((sources == source).sum()),
            "weighted_f1": weighted_f1(
                split.labels[sources == source], predicted[sources == source]
            ),
        }
        for source in sorted(set(sources.tolist()))
    }


def markdown_table(scored: Mapping[str, Mapping[str, Any]], reference: str) -> str:
    """The table as the README has it.

    Args:
        scored: From `score_systems`, in the order of the rows.
        reference: Name of the reference.
    """
    lines = [
        f"| | weighted F1 | the {reference} is ahead by | text relation accuracy "
        "| calibration error |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, metrics in scored.items():
        ahead = ""
        if name != reference:
            ahead = _with_interval(metrics, "reference_ahead_by")
        lines.append(
            f"| {name} | {_with_interval(metrics, 'weighted_f1')} | {ahead} "
            f"| {metrics['text_relation_accuracy']:.3f} "
            f"| {metrics['expected_calibration_error']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def _with_interval(metrics: Mapping[str, Any], name: str) -> str:
    bounds = metrics[f"{name}_interval"]
    interval = "" if bounds is None else f" ({bounds[0]:.3f} to {bounds[1]:.3f})"
    return f"{metrics[name]:.3f}{interval}"


def replace_table(page: str, table: str, place: str | Path) -> str:
    """A page with the table between its two marks, `BEGIN` and `END`.

    Args:
        page: The page.
        table: From `markdown_table`.
        place: What to call the page in an error.

    Raises:
        InvalidInputError: The page has not exactly one of each mark, in this order.
    """
    counts: Sequence[int] = [page.count(mark) for mark in (BEGIN, END)]
    if counts != [1, 1] or page.index(BEGIN) > page.index(END):
        raise InvalidInputError(
            f"{place}: has no place for the table, one line {BEGIN!r} and one {END!r} after it"
        )
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{table}\n{END}{after}"
