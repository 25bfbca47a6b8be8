"""`factcheck compare`."""

import os
from pathlib import Path

from factcheck import Verdict
from tests.cli.conftest import Command, start

CLAIM = "The old bridge was closed on Monday."
DOCUMENT = "The old bridge over the river was closed on Monday."


def test_as_json(command: Command, checkpoint_folder: Path, photographs: Path) -> None:
    found = command(
        "compare",
        *("--claim", CLAIM, "--claim-image", photographs / "00.jpg", "--claim-ocr", "BRIDGE"),
        *("--document", DOCUMENT, "--document-image", photographs / "02.jpg"),
        *("--title", "Bridge closed", "--checkpoint", checkpoint_folder, "--json"),
    )
    assert found.code == 0
    assert found.err == ""
    assert found.envelope["command"] == "compare"
    verdict = Verdict.from_dict(found.envelope["result"])
    assert verdict.image_relation is not None
    assert verdict.index is None
    assert verdict.evidence.passages[0].title == "Bridge closed"


def test_a_document_in_a_file_or_standard_input(
    command: Command, checkpoint_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "document.txt"
    path.write_text(DOCUMENT)
    given = ["--claim", CLAIM, "--checkpoint", checkpoint_folder, "--json"]
    results = [
        command("compare", *given, "--document", DOCUMENT),
        command("compare", *given, "--document-file", path),
        command("compare", *given, "--document-file", "-", stdin=DOCUMENT.encode()),
    ]
    assert [found.code for found in results] == [0, 0, 0]
    assert results[0].out == results[1].out == results[2].out


def test_for_a_person(command: Command, checkpoint_folder: Path) -> None:
    found = command(
        "compare", "--claim", CLAIM, "--document", DOCUMENT, "--checkpoint", checkpoint_folder
    )
    assert found.code == 0
    assert DOCUMENT in found.out
    assert "index" not in found.out


def test_what_is_not_utf8(command: Command, checkpoint_folder: Path) -> None:
    odd, given = "caf\udce9 closed", ["--checkpoint", checkpoint_folder]
    for claim, document in ((odd, DOCUMENT), (CLAIM, odd)):
        found = command("compare", "--claim", claim, "--document", document, *given)
        assert (found.code, found.out) == (5, "")
        assert found.err.endswith(" is not UTF-8\n")
        assert "unexpected" not in found.err


def test_where_standard_output_is_ascii(checkpoint_folder: Path) -> None:
    process = start(
        *("compare", "--claim", "The caf\xe9 was closed.", "--document", DOCUMENT),
        *("--checkpoint", checkpoint_folder, "--precision", "float32"),
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert out.startswith(b"-----")
    assert b"The caf? was closed." in out


def test_one_document_is_needed(command: Command, tmp_path: Path) -> None:
    assert command("compare", "--claim", CLAIM).code == 2
    both = command("compare", "--claim", CLAIM, "--document", "a", "--document-file", "b")
    assert both.code == 2
    assert command("compare", "--claim", "-", "--document-file", "-").code == 2
    missing = command("compare", "--claim", CLAIM, "--document-file", tmp_path / "none.txt")
    assert missing.code == 4
    assert "none.txt" in missing.err
