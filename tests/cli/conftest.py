"""A small corpus with its index, and the command line run inside the test's process."""

import io
import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from factcheck.cli.main import run

DOCUMENTS = [
    {
        "id": "bridge",
        "title": "Old bridge closed for repairs",
        "text": "The old bridge over the river was closed on Monday. It will open again in May. "
        "Engineers had found cracks in two of its pillars.",
        "url": "https://example.org/bridge",
        "date": "2024-03-04",
        "image": "00.jpg",
    },
    {
        "id": "museum",
        "title": "Museum shows 300 maps",
        "text": "The city museum opened a show of 300 maps on Friday. The oldest is from 1482.",
        "image": "01.png",
    },
    {
        "id": "storm",
        "text": "A storm cut the power of 4,000 homes. Nobody was hurt.",
        "ocr": "STORM",
    },
    {
        "id": "harvest",
        "text": "The apple harvest was the smallest in ten years after late frost.",
    },
]


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def envelope(self) -> dict[str, Any]:
        """Standard output as the JSON envelope."""
        envelope = json.loads(self.out)
        assert list(envelope) == ["schema_version", "command", "result", "warnings"]
        assert envelope["schema_version"] == 1
        return envelope


Command = Callable[..., Outcome]


@pytest.fixture(scope="session", autouse=True)
def _no_bars() -> None:
    """The command line turns these off before transformers is imported; here it is already."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Command]:
    """Run the command line: arguments, and what standard input holds."""

    def call(*arguments: object, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    environment = dict(os.environ)
    with warnings.catch_warnings():
        yield call
    os.environ.clear()
    os.environ.update(environment)
    logging.disable(logging.NOTSET)


def start(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    """Start the command line in a process of its own."""
    line = [sys.executable, "-m", "factcheck", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(line, **{"stdout": pipe, "stderr": pipe, **options})


def write_lines(path: Path, rows: list[Any]) -> Path:
    """Write JSON Lines; a string goes in as it is."""
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def corpus(photographs: Path) -> Path:
    """A corpus of four documents, two of them with pictures."""
    return write_lines(photographs / "corpus.jsonl", DOCUMENTS)


@pytest.fixture(scope="session")
def index(corpus: Path, encoders: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its index."""
    from factcheck.datasets import read_corpus
    from factcheck.retrieval import EvidenceIndex

    folder = tmp_path_factory.mktemp("index") / "news.index"
    EvidenceIndex.build(read_corpus(corpus), folder, encoders).close()
    return folder


@pytest.fixture(scope="session")
def factify2(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in Factify 2's format with a labelled and an unlabelled split."""
    folder = tmp_path_factory.mktemp("factify2")
    header = "\tclaim\tclaim_image\tdocument\tdocument_image\tCategory\tClaim OCR\tDocument OCR\n"
    rows = [
        ("The bridge was closed.", "The bridge was closed on Monday.", "Support_Multimodal"),
        ("The museum shows maps.", "A show of maps has opened.", "Support_Text"),
        ("The bridge will open.", "The river is wide and deep.", "Insufficient_Text"),
        ("The museum has a cafe.", "A show of maps has opened.", "Insufficient_Multimodal"),
        ("Nobody lost power.", "A storm cut the power of 4,000 homes.", "Refute"),
    ]
    for split, labelled in (("test", True), ("hidden", False)):
        lines = [
            f"{i}\t{claim}\t\t{document}\t\t{label if labelled else ''}\t\t\n"
            for i, (claim, document, label) in enumerate(rows)
        ]
        (folder / f"{split}.csv").write_text(header + "".join(lines))
    for side, name in (("claim", "00.jpg"), ("document", "02.jpg")):
        target = folder / "images-test" / side / "Support_Multimodal" / "0.jpg"
        target.parent.mkdir(parents=True)
        target.write_bytes((photographs / name).read_bytes())
    return folder
