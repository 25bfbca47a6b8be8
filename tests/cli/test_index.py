"""`factcheck index build` and `factcheck index search`."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command, write_lines


@pytest.fixture
def tiny(tiny_image_encoder_folder: Path) -> list[object]:
    return ["--image-encoder", tiny_image_encoder_folder]


def test_build_and_search(
    command: Command, corpus: Path, tiny: list[object], tmp_path: Path
) -> None:
    out = tmp_path / "news.index"
    built = command("index", "build", corpus, "--out", out, *tiny, "--json")
    assert built.code == 0
    assert built.err == ""
    assert built.envelope["command"] == "index build"
    result = built.envelope["result"]
    assert (result["documents"], result["images"]) == (4, 2)
    assert result["passages"] >= 4

    found = command("index", "search", "Closed bridge", "--index", out, "-k", 2, *tiny, "--json")
    assert found.code == 0
    assert found.envelope["command"] == "index search"
    assert len(found.envelope["result"]) == 2
    assert found.envelope["result"][0]["document_id"] == "bridge"
    shown = command("index", "search", "-", "--index", out, *tiny, stdin=b"Closed bridge\n")
    assert shown.code == 0
    assert shown.out.startswith("1. Old bridge closed for repairs [bridge], characters 0-")

    again = command("index", "build", corpus, "--out", out, *tiny)
    assert again.code == 2
    assert "news.index" in again.err
    replaced = command("index", "build", corpus, "--out", out, *tiny, "--overwrite")
    assert replaced.code == 0
    assert result["sha256"] in replaced.out
    assert "4 documents" in replaced.out


def test_a_picture_that_cannot_be_read(
    command: Command, tiny: list[object], tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "corpus.jsonl", [{"id": "a", "text": "One.", "image": "no.jpg"}])
    built = command("index", "build", path, "--out", tmp_path / "out", *tiny, "--json")
    assert built.code == 0
    assert built.envelope["result"]["images"] == 0
    (warning,) = built.envelope["warnings"]
    assert "no.jpg" in warning
    assert built.err == f"warning: {warning}\n"
    strict = command("index", "build", path, "--out", tmp_path / "other", *tiny, "--strict")
    assert strict.code in (4, 5)
    assert not (tmp_path / "other").exists()
