"""A run on a split as one page of HTML that needs no network: scores, curves and single rows.

All that the page needs is in it: pictures as `data:` URIs, one style and one script, which its
Content-Security-Policy allows by their hashes and nothing else. Rows reach the script as attributes
and text of the page, which Jinja escapes; there is no script made of data.
"""

import hashlib
import math
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from factcheck.datasets import Factify2Row
from factcheck.evaluation.rendering import template_environment
from factcheck.evaluation.report_rows import MAX_ROWS, ShownRow, shorten, show_rows
from factcheck.evaluation.slices import slice_rows
from factcheck.files import write_whole
from factcheck.records import LABELS, Verdict

_SCORES = {
    "weighted_f1": "weighted F1, the score of Factify 2",
    "macro_f1": "macro F1, of the labels that occur, true or given",
    "mean_f1_without_refute": "mean F1 without Refute, of all four labels",
    "accuracy": "accuracy",
    "text_relation_accuracy": "accuracy of the text relation",
    "image_relation_accuracy": "accuracy of the image relation",
    "accuracy_at_80_percent_coverage": "accuracy of the surest 80%",
    "area_under_risk_coverage": "area under the risk-coverage curve",
    "expected_calibration_error": "expected calibration error",
    "brier": "Brier score",
    "negative_log_likelihood": "negative log-likelihood, nats",
}
_AXES = {
    "text_only": "only the text relation is wrong",
    "image_only": "only the image relation is wrong",
    "both": "both are wrong",
    "refute": "Refute is the true label or the label given",
}


def write_report(
    path: Path,
    metrics: dict[str, Any],
    rows: Sequence[Factify2Row],
    verdicts: Sequence[Verdict],
) -> None:
    """Write the report of a run; the same run gives the same bytes.

    Args:
        path: The file.
        metrics: What `evaluate_split` returns for a split with labels.
        rows: The split's N rows, each with a label.
        verdicts: The N verdicts on them.

    Raises:
        RunError: The file cannot be written.
    """
    from markupsafe import Markup

    environment = template_environment()
    environment.filters |= {"digits": _digits, "percent": _percent, "shorten": shorten}
    templates = files("factcheck.evaluation") / "templates"
    style, script = (
        (templates / name).read_text(encoding="utf-8") for name in ("report.css", "report.js")
    )
    shown = show_rows(rows, verdicts)
    curve = metrics["risk_coverage"]
    parts = environment.get_template("report.html").generate(
        # The page's own style and script, which no data enters.
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
        metrics=metrics,
        labels=LABELS,
        scores=_scores(metrics),
        by_label=_by_label(metrics),
        confusion=_confusion(metrics, shown),
        axes=_errors_by_axis(metrics),
        bins=_bins(metrics["reliability"]),
        curve=list(zip(curve["coverage"], curve["risk"], strict=True)),
        risk_top=_top(curve["risk"]),
        slices=slice_rows(rows, verdicts),
        shown=shown,
        wrong=Counter(one.wrong for one in shown)[True],
        all_wrong=sum(metrics["errors_by_axis"]["count"].values()),
        max_rows=MAX_ROWS,
    )
    write_whole(path, parts)


def _policy(style: str, script: str) -> str:
    """A Content-Security-Policy under which the page can ask the network for nothing."""
    return "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src {_hash_source(style)}",
            f"script-src {_hash_source(script)}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash_source(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _scores(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"title": title, "value": metrics[name], "interval": metrics.get(f"{name}_interval")}
        for name, title in _SCORES.items()
    ]


def _by_label(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for position, label in enumerate(metrics["labels"]):
        counts = metrics["confusion"][position]
        found.append(
            {
                "label": label,
                "rows": sum(counts),
                "given": sum(row[position] for row in metrics["confusion"]),
                "recall": counts[position] / sum(counts) if any(counts) else None,
                "f1": metrics["f1"][label],
                "leaderboard": metrics["leaderboard_columns"][label],
            }
        )
    return found


def _confusion(metrics: dict[str, Any], shown: Sequence[ShownRow]) -> list[dict[str, Any]]:
    """The matrix with, in each cell, its share of the row, a shade of 0 to 10, and a row shown."""
    first: dict[tuple[str, str], int] = {}
    for one in shown:
        first.setdefault((str(one.row.label), str(one.verdict.label)), one.row.index)
    found = []
    for true, counts in zip(metrics["labels"], metrics["confusion"], strict=True):
        shares = [count / max(1, sum(counts)) for count in counts]
        cells = [
            {
                "given": given,
                "count": count,
                "share": share,
                # By the root, so that rare confusions differ from none at all.
                "shade": round(10 * math.sqrt(share)),
                "first": first.get((true, given)),
            }
            for given, count, share in zip(metrics["labels"], counts, shares, strict=True)
        ]
        found.append({"true": true, "rows": sum(counts), "cells": cells})
    return found


def _errors_by_axis(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    errors = metrics["errors_by_axis"]
    return [
        {"title": title, "count": errors["count"][name], "share": errors["share"][name]}
        for name, title in _AXES.items()
    ]


def _bins(reliability: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Bins of the reliability diagram, each from `low` to `high` confidence."""
    count, most = len(reliability["rows"]), max(reliability["rows"])
    return [
        {
            "low": position / count,
            "high": (position + 1) / count,
            "rows": rows,
            "share_of_most": rows / most,
            "confidence": reliability["confidence"][position],
            "accuracy": reliability["accuracy"][position],
        }
        for position, rows in enumerate(reliability["rows"])
    ]


def _top(risk: Sequence[float]) -> float:
    """Where the axis of risk ends: a whole tenth not below any of the risks."""
    return max(1, math.ceil(10 * max(risk) - 1e-9)) / 10


def _digits(value: float | None, places: int = 4) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def _percent(share: float | None, places: int = 1) -> str:
    return "-" if share is None else f"{100 * share:.{places}f}%"
