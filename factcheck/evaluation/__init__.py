"""Evaluation: what verdicts are worth, and against what."""

from factcheck.evaluation.compare_runs import compare_runs
from factcheck.evaluation.evaluate import evaluate_split, merge_runs
from factcheck.evaluation.metrics import classification_metrics

__all__ = ["classification_metrics", "compare_runs", "evaluate_split", "merge_runs"]
