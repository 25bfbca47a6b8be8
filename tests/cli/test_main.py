"""Help, exit codes, and what standard error says when something is wrong."""

import errno
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from factcheck import errors
from factcheck.cli import app
from factcheck.retrieval import verify_index
from tests.cli.conftest import DOCUMENTS, Command, Outcome, start, write_lines

HEAVY = {
    "accelerate", "faiss", "numpy", "pandas", "pydantic", "rich", "scipy", "sentence_transformers",
    "sklearn", "timm", "torch", "transformers", "yaml",
}  # fmt: skip


def one_sentence(found: Outcome) -> str:
    """Standard error, which must be one sentence of ours with nothing on standard output."""
    assert found.out == ""
    assert found.err.count("\n") == 1
    assert found.err.startswith("factcheck: ")
    assert "Traceback" not in found.err
    return found.err


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["check", "--help"], []])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from factcheck.cli.main import run; code = run(sys.argv[1:]); "
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr); sys.exit(code)"
    )
    line = [sys.executable, "-c", code, *arguments]
    found = subprocess.run(line, capture_output=True, text=True, check=False)
    assert found.returncode == 0
    assert found.stdout
    # Typer itself takes pydantic once a command is named.
    allowed = {"pydantic"} if "check" in arguments else set()
    assert HEAVY & set(found.stderr.split()) <= allowed


def test_every_command_has_help_and_json(command: Command) -> None:
    for name in (
        "index build",
        "index search",
        "check",
        "compare",
        "compare-runs",
        "audit",
        "train",
    ):
        shown = command(*name.split(), "--help")
        assert shown.code == 0
        assert "--json" in shown.out
    assert "--json" in command("data", "compose", "--help").out


def test_version(command: Command) -> None:
    assert command("--version").out == "factcheck 0.1.0\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["unknown"],
        ["check"],
        ["check", "A claim."],
        ["check", "A claim.", "--index", "x", "--colour"],
        ["index"],
        ["index", "search", "A claim.", "--index", "x", "-k", "0"],
        ["index", "search", "A claim.", "--index", "x", "-k", "many"],
    ],
)
def test_usage(command: Command, arguments: list[str]) -> None:
    found = command(*arguments)
    assert found.code == 2
    assert "--help" in one_sentence(found)


def test_a_missing_corpus(command: Command, tmp_path: Path) -> None:
    found = command("index", "build", tmp_path / "none.jsonl", "--out", tmp_path / "out", "--json")
    assert found.code == 4
    assert "none.jsonl" in one_sentence(found)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"text": "No id."}, "'id'"),
        ({"id": "b"}, "'text'"),
        ({"id": "b", "text": " "}, "'text'"),
        ({"id": "bridge", "text": "Twice."}, "another one before it has its id, 'bridge'"),
        ({"id": 7, "text": "Wrong type."}, "'id'"),
        ({"id": "b", "text": ["Wrong type."]}, "'text'"),
        ({"id": "b", "text": "Fine.", "date": "yesterday"}, "'date'"),
        ("[]", "JSON object"),
        ("{", "not JSON"),
    ],
)
def test_a_bad_row(command: Command, tmp_path: Path, row: object, expected: str) -> None:
    path = write_lines(tmp_path / "corpus.jsonl", [DOCUMENTS[0], row])
    found = command("index", "build", path, "--out", tmp_path / "out")
    assert found.code == 5
    sentence = one_sentence(found)
    assert "corpus.jsonl, line 2" in sentence or "corpus.jsonl: document 2" in sentence
    assert expected in sentence
    assert [entry.name for entry in tmp_path.iterdir()] == ["corpus.jsonl"]


def test_an_index_that_is_not_there(
    command: Command, checkpoint_folder: Path, tmp_path: Path
) -> None:
    found = command("check", "A.", "--index", tmp_path / "no", "--checkpoint", checkpoint_folder)
    assert found.code == 4
    assert str(tmp_path / "no") in one_sentence(found)


def test_a_damaged_index(
    command: Command, checkpoint_folder: Path, index: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(index, tmp_path / "copy")
    for file in copy.rglob("*.faiss"):
        file.write_bytes(file.read_bytes()[:-1])
    found = command("check", "A.", "--index", copy, "--checkpoint", checkpoint_folder)
    assert found.code == 5
    assert "damaged" in one_sentence(found)


def test_an_index_of_another_version(
    command: Command, checkpoint_folder: Path, index: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(index, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "version": 99}))
    found = command("check", "A.", "--index", copy, "--checkpoint", checkpoint_folder)
    assert found.code == 5
    assert "version" in one_sentence(found)


def test_a_damaged_checkpoint(
    command: Command, checkpoint_folder: Path, index: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in checkpoint_folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    config = json.loads((copy / "config.json").read_text())
    config["head"]["layers"] = 2
    (copy / "config.json").write_text(json.dumps(config))
    found = command("check", "A.", "--index", index, "--checkpoint", copy)
    assert found.code == 5
    assert str(copy) in one_sentence(found)
    missing = command("check", "A.", "--index", index, "--checkpoint", tmp_path / "none")
    assert missing.code == 4
    one_sentence(missing)


@pytest.mark.parametrize("claim", ["", " ", "a" * 100_000])
def test_a_claim_that_is_no_claim(
    command: Command, checkpoint_folder: Path, index: Path, claim: str
) -> None:
    found = command("check", claim, "--index", index, "--checkpoint", checkpoint_folder)
    assert found.code == 5
    one_sentence(found)


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, 4), (b"", 5), (b"no picture", 5), (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", 5)],
    ids=["missing", "empty", "mislabelled", "truncated"],
)
def test_a_bad_picture(
    command: Command, index: Path, tmp_path: Path, content: bytes | None, code: int
) -> None:
    path = tmp_path / "photo.jpg"
    if content is not None:
        path.write_bytes(content)
    found = command("check", "A claim.", "--image", path, "--index", index)
    assert found.code == code
    assert "photo.jpg" in one_sentence(found)


def test_a_picture_beside_a_file_of_claims(command: Command, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "claims.jsonl", [{"claim": "One."}])
    found = command("check", path, "--image", "a.jpg", "--index", "x")
    assert found.code == 2
    assert "--image" in one_sentence(found)


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (errors.PrerequisiteError("no hub"), 3, "no hub"),
        (errors.PartialResultError("half of it is done"), 7, "half of it is done"),
        (
            OSError(errno.ENOSPC, "No space left on device", "a.index"),
            6,
            "a.index: the disk is full",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "a/b"), 4, "a/b: Permission denied"),
        (MemoryError(), 6, "memory"),
        (ModuleNotFoundError("No module named 'faiss'", name="faiss"), 3, "faiss"),
        (ValueError("one\ntwo"), 6, "unexpected ValueError: one two"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_goes_wrong_in_a_command(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: BaseException,
    code: int,
    expected: str,
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr("factcheck.datasets.iterate_corpus", fail)
    found = command("index", "build", "corpus.jsonl", "--out", tmp_path / "out")
    assert found.code == code
    assert expected in one_sentence(found)
    debugged = command("--debug", "index", "build", "corpus.jsonl", "--out", tmp_path / "out")
    assert ("Traceback" in debugged.err) is (code != 130)


def test_a_bad_configuration(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("kind: fusion\nepoch: 3\n")
    for name in (["train"], ["data", "compose"]):
        found = command(*name, path, "--data", tmp_path, "--out", tmp_path / "out")
        assert found.code == 5
        assert "train.yaml" in one_sentence(found)
    missing = command("train", tmp_path / "no.yaml", "--data", tmp_path, "--out", tmp_path / "out")
    assert missing.code == 4
    one_sentence(missing)
    assert not (tmp_path / "out").exists()


def test_help_reads_top_to_bottom() -> None:
    assert [command.name for command in app.app.registered_commands] == [
        "check",
        "compare",
        "compare-runs",
        "audit",
        "train",
    ]


def test_nothing_but_ours_is_said(
    corpus: Path, tiny_image_encoder_folder: Path, tmp_path: Path
) -> None:
    process = start(
        *("index", "build", corpus, "--out", tmp_path / "out", "--json"),
        *("--image-encoder", tiny_image_encoder_folder),
    )
    out, err = process.communicate()
    assert process.returncode == 0
    assert err == b""
    assert json.loads(out)["command"] == "index build"


def test_a_reader_that_has_gone(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = start("--help", stdout=writer)
    _, err = process.communicate()
    os.close(writer)
    assert process.returncode == 141
    assert err == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_standard_output_that_is_full() -> None:
    with Path("/dev/full").open("wb") as full:
        process = start("--help", stdout=full)
        _, err = process.communicate()
    assert process.returncode == 6
    assert err.decode().startswith("factcheck: ")
    assert b"Traceback" not in err


@pytest.mark.parametrize(
    "arguments", [("check", "A comet was seen.", "--index"), ("data", "doctor")]
)
def test_a_name_that_is_too_long(command: Command, arguments: tuple[str, ...]) -> None:
    found = command(*arguments, "a" * 300)
    assert found.code == 4
    assert "File name too long" in one_sentence(found)


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", ">&-", "2>&-"])
def test_closed_streams_lead_nowhere(
    tmp_path: Path, tiny_image_encoder_folder: Path, closed: str
) -> None:
    corpus = write_lines(tmp_path / "corpus.jsonl", DOCUMENTS)

    def code(*arguments: object) -> int:
        words = shlex.join(map(str, [sys.executable, "-m", "factcheck", *arguments]))
        return subprocess.run(["sh", "-c", f"exec {words} {closed}"], check=False).returncode

    out = tmp_path / "news.index"
    encoder = ("--image-encoder", tiny_image_encoder_folder)
    assert code("index", "build", corpus, "--out", out, *encoder) == 0
    # Nothing that is written to standard output has come into a file of the index.
    assert verify_index(out)[1] == []
    assert code("index", "info", "--index", out) == 0
    assert code("index", "info", "--index", tmp_path / "none") == 4
    assert code("index", "info") == 2


def test_ctrl_c_during_a_build(
    photographs: Path, tiny_image_encoder_folder: Path, tmp_path: Path
) -> None:
    rows = [{"id": str(i), "text": f"Sentence {i} of many. " * 20} for i in range(4000)]
    corpus = write_lines(tmp_path / "corpus.jsonl", rows)
    folder = tmp_path / "out"
    folder.mkdir()
    process = start(
        *("index", "build", corpus, "--out", folder / "news.index"),
        *("--image-encoder", tiny_image_encoder_folder),
    )
    deadline = time.monotonic() + 120
    # The build is under way once it has begun to write.
    while not any(folder.iterdir()) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    # CPython ends itself by the signal if Ctrl-C fell into exec(); shells call that 130 too.
    assert process.returncode in (130, -signal.SIGINT)
    assert out == b""
    assert err == b"factcheck: interrupted\n"
    # What was done is there for the next try, and nothing that could be taken for an index.
    assert [path.name for path in folder.iterdir()] == [".news.index.partial"]
