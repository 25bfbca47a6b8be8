"""Real predictions of two classifiers, run folders with them, and a run whose texts are hostile."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factcheck.datasets import Factify2Row, read_factify2
from factcheck.evaluation import evaluate_split
from factcheck.evaluation.intervals import RELATION_OF
from factcheck.evaluation.report import write_report
from factcheck.evaluation.splits import Split, encode_split
from factcheck.evidence import Reading
from factcheck.pipeline import FactChecker
from factcheck.records import LABELS, Verdict

HOSTILE = (
    "She said \"no\" & 'yes' </script><script>window.broken = 1</script>"
    "<img src=https://example.org/x.png onerror='window.broken = 2'> {{ 7 * 7 }} </dd></article>"
)
"""What would run, load or close something if a page took it for its own."""


@dataclass(frozen=True)
class Digits:
    """What two classifiers make of handwritten digits, 0 to 4 standing for the five labels.

    Attributes:
        labels: (N,) true digits.
        logistic: (N, 5) probabilities of a regression on few rows, modest ones.
        bayes: (N, 5) those of naive Bayes: nearly all are 0 or 1, so there are many ties.
    """

    labels: np.ndarray
    logistic: np.ndarray
    bayes: np.ndarray


def classify_digits() -> Digits:
    """Train on the first 60 digits, predict the others."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB

    pictures, digits = load_digits(n_class=5, return_X_y=True)
    logistic = LogisticRegression(C=1e-4).fit(pictures[:60], digits[:60])
    bayes = GaussianNB().fit(pictures[:60], digits[:60])
    return Digits(
        digits[60:], logistic.predict_proba(pictures[60:]), bayes.predict_proba(pictures[60:])
    )


def run_lines(labels: np.ndarray, probabilities: np.ndarray, split: str) -> list[dict[str, Any]]:
    """Predictions as `evaluate_split` writes them, as far as they are read again."""
    return [
        {
            "index": index,
            "label": str(LABELS[row.argmax()]),
            "true_label": str(LABELS[label]),
            "probabilities": dict(zip(map(str, LABELS), row.tolist(), strict=True)),
            "evidence": {"passages": [{"passage": {"document_id": f"{split}-{index}"}}]},
        }
        for index, (label, row) in enumerate(zip(labels, probabilities, strict=True))
    ]


def write_run(folder: Path, lines: list[Any]) -> Path:
    """A run folder with predictions; a line that is a string goes in as it is."""
    folder.mkdir()
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "predictions.jsonl").write_text("".join(f"{text}\n" for text in texts))
    return folder


@pytest.fixture(scope="session")
def digits() -> Digits:
    """Real predictions."""
    return classify_digits()


@dataclass(frozen=True)
class Run:
    """A run on a split of 40 rows, and the report of it.

    Attributes:
        report: The report's file.
        rows: The split's rows. Row 1 holds `HOSTILE` wherever it holds a text, row 2 has no picture
            of its claim, and the picture of row 3's document is damaged.
        verdicts: The verdicts on them; a passage of row 1's is `HOSTILE`.
        metrics: What `evaluate_split` returned.
    """

    report: Path
    rows: list[Factify2Row]
    verdicts: list[Verdict]
    metrics: dict[str, Any]


@pytest.fixture(scope="session")
def hostile_run(
    checker: FactChecker, factify2_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """A run some of whose rows are meant to do harm to its report."""
    folder = tmp_path_factory.mktemp("hostile")
    data = Path(shutil.copytree(factify2_folder, folder / "data"))
    next((data / "images-test" / "claim").glob("2.*")).unlink()
    damaged = next((data / "images-test" / "document").glob("3.*"))
    damaged.write_bytes(damaged.read_bytes()[:200])
    metrics = evaluate_split(checker, data, "test", folder / "run")
    lines = (folder / "run" / "predictions.jsonl").read_text().splitlines()
    verdicts = [Verdict.from_dict(json.loads(line)) for line in lines]
    rows = read_factify2(data, "test")
    # Cleaning takes tags out of claims and documents; the page must not count on that.
    claim = replace(rows[1].claim, text=HOSTILE, ocr=HOSTILE)
    document = replace(rows[1].document, ocr=HOSTILE)
    rows[1] = replace(rows[1], claim=claim, document=document, source=HOSTILE)
    cited = verdicts[1].evidence.passages[0]
    passages = (replace(cited, passage=replace(cited.passage, text=HOSTILE)),)
    verdicts[1] = replace(verdicts[1], evidence=replace(verdicts[1].evidence, passages=passages))
    write_report(folder / "report.html", metrics, rows, verdicts)
    return Run(folder / "report.html", rows, verdicts, metrics)


@pytest.fixture(scope="session")
def splits(checker: FactChecker, factify2_folder: Path) -> tuple[Split, Split]:
    """`train` of 200 rows and `val` of 60, encoded for `checker`."""
    config = checker.checkpoint.config
    reading = Reading(checker.encoders, config.passages, config.head.passages)
    return (
        encode_split(reading, factify2_folder, "train"),
        encode_split(reading, factify2_folder, "val"),
    )


def at_random(split: Split, seed: int) -> Split:
    """A split whose labels have nothing to do with its rows, as many of each as can be."""
    labels = np.random.default_rng(seed).permutation(len(split)) % len(LABELS)
    return replace(
        split,
        rows=[replace(row, label=LABELS[k]) for row, k in zip(split.rows, labels, strict=True)],
        relations=RELATION_OF[labels],
        labels=labels,
        same_picture=np.full(len(split), -1),
    )


def plant_hosts(split: Split) -> Split:
    """The same split with the label in the host of each claim picture's address."""
    rows = [
        replace(row, claim_image_url=f"https://site{label}.example/{row.index}.jpg")
        for row, label in zip(split.rows, split.labels, strict=True)
    ]
    return replace(split, rows=rows)
