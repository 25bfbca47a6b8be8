"""Two runs on the same rows: whether one is better than the other, and where they part."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from factcheck.datasets.json_lines import read_json_lines
from factcheck.errors import InvalidInputError
from factcheck.evaluation.intervals import (
    RESAMPLES,
    Scores,
    confusions,
    interval_of,
    label_scores,
    resampled,
    two_sided_p,
)
from factcheck.evaluation.shared_texts import groups_of
from factcheck.records import LABELS, Label

MAX_ROWS = 1_000_000
"""Most rows that are read of a run."""

_COMPARED = ("weighted_f1", "macro_f1", "accuracy")


def _label(value: object) -> Label:
    # A strict model takes no string for an enumeration.
    if not isinstance(value, str) or value not in LABELS:
        raise ValueError("is none of the five labels")
    return Label(value)


def _label_or_null(value: object) -> Label | None:
    return None if value is None else _label(value)


def _complete(value: dict[Label, float]) -> dict[Label, float]:
    if len(value) < len(LABELS):
        raise ValueError("have not all five labels")
    if abs(sum(value.values()) - 1) > 1e-3:
        raise ValueError(f"sum to {sum(value.values()):.4f} and not to 1")
    return value


_OneLabel = Annotated[Label, BeforeValidator(_label)]
_Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Passage(BaseModel):
    document_id: str


class _Cited(BaseModel):
    passage: _Passage


class _Evidence(BaseModel):
    passages: list[_Cited] = []


class _Line(BaseModel):
    index: int
    label: _OneLabel
    true_label: Annotated[Label | None, BeforeValidator(_label_or_null)]
    probabilities: Annotated[dict[_OneLabel, _Probability], AfterValidator(_complete)]
    text_keys: list[str] = []
    evidence: _Evidence = _Evidence()


@dataclass(frozen=True)
class _Prediction:
    true_label: Label
    label: Label
    confidence: float
    document: str | None
    text_keys: list[str]


@dataclass(frozen=True)
class _Run:
    path: Path
    rows: dict[int, _Prediction]


def compare_runs(a: Path, b: Path, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """Compare two runs of `evaluate_split` on the same split.

    Args:
        a: Run folder; its `predictions.jsonl` is read.
        b: Another one.
        resamples: Paired bootstrap resamples, of groups of rows that share no text
            (`intervals.resampled`).
        seed: Of the bootstrap.

    Returns:
        - `rows`, and how many groups they are, `text_groups`: as many as rows where the runs do not
          say which texts they are on, as runs of earlier versions do not.
        - `scores`: for `weighted_f1`, `macro_f1` and `accuracy` the score of `a`, that of `b` and
          `b_minus_a`, each with its `{name}_interval` (95%, `[low, high]`), and the `two_sided_p`
          of no difference (`intervals.two_sided_p`); these are None where all rows of each label
          share texts, which nothing can be drawn from.
        - `counts` of rows by who is right: `both`, `only_a`, `only_b`, `neither`.
        - `mcnemar_p`: two-sided, of McNemar's test that each is right alone equally often, exact:
          a binomial test on the rows where one alone is (Psychometrika 12, 1947). It takes rows
          as independent; where there are far fewer groups than rows it is too sure.
        - `flips`: the rows whose label differs, in the order of `a`: `index`, `true_label`, the
          labels `a` and `b`, `a_confidence` and `b_confidence` (probability of each one's label).

    Raises:
        MissingResourceError: A run has no predictions that can be read.
        InvalidInputError: A line is malformed, a row has no true label or occurs twice, or the runs
            are not on the same rows.
    """
    runs = _read(a / "predictions.jsonl"), _read(b / "predictions.jsonl")
    _require_same_rows(*runs)
    pairs = [(index, ours, runs[1].rows[index]) for index, ours in runs[0].rows.items()]
    truth = _positions(ours.true_label for _, ours, _ in pairs)
    given_a = _positions(ours.label for _, ours, _ in pairs)
    given_b = _positions(theirs.label for _, _, theirs in pairs)
    groups = groups_of([ours.text_keys for _, ours, _ in pairs])
    right_a, right_b = given_a == truth, given_b == truth
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return {
        "rows": len(pairs),
        "text_groups": len(np.unique(groups)),
        "scores": _scores(truth, given_a, given_b, groups, resamples, seed),
        "counts": {
            "both": int((right_a & right_b).sum()),
            "only_a": only_a,
            "only_b": only_b,
            "neither": int((~right_a & ~right_b).sum()),
        },
        "mcnemar_p": _mcnemar(only_a, only_b),
        "flips": [
            {
                "index": index,
                "true_label": str(ours.true_label),
                "a": str(ours.label),
                "b": str(theirs.label),
                "a_confidence": ours.confidence,
                "b_confidence": theirs.confidence,
            }
            for index, ours, theirs in pairs
            if ours.label is not theirs.label
        ],
    }


def _read(path: Path) -> _Run:
    rows: dict[int, _Prediction] = {}
    for number, line in read_json_lines(path, _Line):
        place = f"{path}, line {number}"
        if line.true_label is None:
            raise InvalidInputError(f"{place}: row {line.index} has no true label to compare by")
        if line.index in rows:
            raise InvalidInputError(f"{place}: row {line.index} is there for the second time")
        if len(rows) == MAX_ROWS:
            raise InvalidInputError(f"{place}: more than the {MAX_ROWS:,} rows allowed")
        cited = line.evidence.passages
        rows[line.index] = _Prediction(
            line.true_label,
            line.label,
            line.probabilities[line.label],
            cited[0].passage.document_id if cited else None,
            line.text_keys,
        )
    if not rows:
        raise InvalidInputError(f"{path}: holds no predictions")
    return _Run(path, rows)


def _require_same_rows(a: _Run, b: _Run) -> None:
    for one, other in ((a, b), (b, a)):
        missing = next((index for index in one.rows if index not in other.rows), None)
        if missing is not None:
            raise InvalidInputError(f"{other.path}: has no row {missing}, which {one.path} has")
    for index, ours in a.rows.items():
        theirs = b.rows[index]
        if ours.true_label is not theirs.true_label:
            raise InvalidInputError(
                f"{b.path}: row {index} has the true label {theirs.true_label}, and "
                f"{ours.true_label} in {a.path}"
            )
        # Two splits may have the same labels in the same order; the document's id names the split.
        if ours.document and theirs.document and ours.document != theirs.document:
            raise InvalidInputError(
                f"{b.path}: row {index} cites the document {theirs.document!r}, and "
                f"{ours.document!r} in {a.path}"
            )


def _positions(labels: Iterable[Label]) -> np.ndarray:
    return np.array([LABELS.index(label) for label in labels])


def _scores(
    truth: np.ndarray,
    given_a: np.ndarray,
    given_b: np.ndarray,
    groups: np.ndarray,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    def score(times: np.ndarray) -> Scores:
        of_a = label_scores(confusions(truth, given_a, times))
        of_b = label_scores(confusions(truth, given_b, times))
        return {
            f"{name} {side}": values
            for name in _COMPARED
            for side, values in (
                ("a", of_a[name]),
                ("b", of_b[name]),
                ("b_minus_a", of_b[name] - of_a[name]),
            )
        }

    found = score(np.ones((1, len(truth)), dtype=np.int64))
    drawn = resampled(truth, score, resamples, seed, groups)
    scores: dict[str, dict[str, Any]] = {}
    for name in _COMPARED:
        scores[name] = {}
        for side in ("a", "b", "b_minus_a"):
            scores[name][side] = float(found[f"{name} {side}"][0])
            scores[name][f"{side}_interval"] = interval_of(drawn[f"{name} {side}"])
        scores[name]["two_sided_p"] = two_sided_p(drawn[f"{name} b_minus_a"])
    return scores


def _mcnemar(only_a: int, only_b: int) -> float:
    from scipy.stats import binomtest

    alone = only_a + only_b
    return float(binomtest(only_a, alone).pvalue) if alone else 1.0
