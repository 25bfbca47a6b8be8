"""`factcheck index build` and `factcheck index search`."""

import json
import os
from pathlib import Path

import pytest

from factcheck.settings import SearchSettings
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


def test_an_index_is_kept_up_to_date(
    command: Command, corpus: Path, tiny: list[object], tmp_path: Path
) -> None:
    out = tmp_path / "news.index"
    assert command("index", "build", corpus, "--out", out, *tiny).code == 0
    more = write_lines(tmp_path / "more.jsonl", [{"id": "dam", "text": "The dam was opened."}])
    added = command("index", "add", more, "--index", out, *tiny, "--json")
    assert added.code == 0
    assert (added.envelope["result"]["documents"], added.envelope["result"]["segments"]) == (5, 2)
    twice = command("index", "add", more, "--index", out, *tiny)
    assert (twice.code, twice.out) == (5, "")
    assert "'dam'" in twice.err
    assert command("index", "add", more, "--index", out, "--replace", *tiny).code == 0

    ids = tmp_path / "ids.txt"
    ids.write_text("dam\n\n")
    deleted = command("index", "delete", "--index", out, "bridge", "--file", ids, *tiny, "--json")
    assert deleted.envelope["result"]["documents"] == 3
    unknown = command("index", "delete", "--index", out, "nothing", *tiny)
    assert unknown.code == 5
    assert "no document 'nothing' in the index; nothing was deleted" in unknown.err
    assert command("index", "delete", "--index", out, *tiny).code == 2

    info = command("index", "info", "--index", out)
    assert info.code == 0
    assert "3 documents" in info.out
    assert "1 deleted" in info.out
    compacted = command("index", "compact", "--index", out, *tiny, "--json")
    assert compacted.envelope["result"]["segments"] == 1
    assert compacted.envelope["result"]["sha256"] == deleted.envelope["result"]["sha256"]
    whole = command("index", "verify", "--index", out)
    assert (whole.code, whole.err) == (0, "")
    assert "whole, 3 documents in 1 segment" in whole.out

    (path,) = out.glob("segments/*/passages.faiss")
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    damaged = command("index", "verify", "--index", out, "--json")
    assert damaged.code == 5
    assert "1 file is damaged" in damaged.err


def test_a_mistyped_corpus_costs_no_interrupted_build_its_work(
    command: Command, tiny: list[object], tmp_path: Path
) -> None:
    partial = tmp_path / ".news.index.partial"
    partial.mkdir()
    (partial / "state").write_text("hours of work")
    missing = command(
        "index", "build", tmp_path / "corpsu.jsonl", "--out", tmp_path / "news.index", *tiny
    )
    assert missing.code == 4
    assert "corpsu.jsonl: cannot be read" in missing.err
    assert (partial / "state").read_text() == "hours of work"


def test_a_search_says_who_found_what_and_keeps_to_its_policy(
    command: Command, index: Path, tiny: list[object], tmp_path: Path, photographs: Path
) -> None:
    base = ["index", "search", "Closed bridge", "--index", index, *tiny]
    found = command(*base, "--channels", "lexical,dense", "--rerank", 0, "--json")
    first = found.envelope["result"][0]
    assert first["document_id"] == "bridge"
    assert first["channels"].keys() == {"dense", "lexical"}
    assert first["reranked"] is None
    assert first["bearing"] is None
    reread = command(*base, "--json").envelope["result"][0]
    assert 0 < reread["bearing"] < 1
    assert f"bears on it {reread['bearing']:.1%}" in " ".join(command(*base).out.split())
    picture = command(
        "index", "search", "--image", photographs / "00.jpg", "--index", index, *tiny, "--json"
    )
    assert picture.code == 0
    [first, *others] = picture.envelope["result"]
    assert first["channels"].keys() == {"image"}
    assert first["picture"] == {
        "path": str(photographs / "00.jpg"),
        "same": True,
        "matched_places": None,
    }
    assert all(hit["picture"]["same"] is not True for hit in others)
    shown = command("index", "search", "--image", photographs / "00.jpg", "--index", index, *tiny)
    assert "the same picture" in shown.out
    nothing = command(*base, "--as-of", "1900-01-01", "--json")
    assert nothing.envelope["result"] == []
    shown = command(*base, "--as-of", "1900-01-01")
    assert (shown.code, shown.out) == (0, "nothing was found\n")
    for options, message in (
        (["--channels", "dense,smell"], "--channels: 'smell' is none of dense, lexical, image"),
        (["--as-of", "May"], "--as-of: 'May' is not a date as YYYY-MM-DD"),
        (["--undated", "maybe"], "--undated: 'maybe' is neither"),
    ):
        wrong = command(*base, *options)
        assert (wrong.code, wrong.out) == (2, "")
        assert message in wrong.err
    missing = command(*base, "--block-domains", tmp_path / "none.txt")
    assert missing.code == 4
    assert "none.txt" in missing.err
    assert command("index", "search", "--index", index, *tiny).code == 2


def test_channels_that_cannot_find_anything_are_refused(
    command: Command, index: Path, tiny: list[object], photographs: Path
) -> None:
    base = ["index", "search", "--index", index, *tiny]
    picture = ["--image", photographs / "00.jpg"]
    found = command(*base, "Closed bridge", "--channels", "image")
    assert (found.code, found.out) == (2, "")
    assert "--channels image: looks only for pictures, and there is none" in found.err
    for channels in ("lexical,dense", "dense", "lexical"):
        found = command(*base, *picture, "--channels", channels)
        assert (found.code, found.out) == (2, "")
        assert "looks only for words, and there are none" in found.err
    assert command(*base, *picture, "--channels", "image,dense").code == 0
    assert command(*base, "Closed bridge", *picture, "--channels", "image").code == 0


def test_a_number_of_passages_to_reread_has_a_border(
    command: Command, index: Path, tiny: list[object]
) -> None:
    base = ["index", "search", "Closed bridge", "--index", index, *tiny]
    wrong = command(*base, "--rerank", 1001)
    assert (wrong.code, wrong.out) == (2, "")
    assert "'--rerank'" in wrong.err
    assert "1000" in wrong.err
    assert command(*base, "--rerank", SearchSettings(rerank=1000).rerank).code == 0


def test_an_id_that_is_no_text_is_not_in_the_index(
    command: Command, corpus: Path, tiny: list[object], tmp_path: Path
) -> None:
    out = tmp_path / "news.index"
    assert command("index", "build", corpus, "--out", out, *tiny).code == 0
    # What a shell hands over for a byte that is not UTF-8.
    wrong = command("index", "delete", "--index", out, "bridge", "\udcff", *tiny)
    assert (wrong.code, wrong.out) == (5, "")
    assert "no document '\\udcff' in the index; nothing was deleted" in wrong.err
    assert "4 documents" in command("index", "info", "--index", out).out


def test_an_index_is_built_from_a_pipe(
    command: Command, tiny: list[object], tmp_path: Path
) -> None:
    reads, writes = os.pipe()
    with os.fdopen(writes, "w") as pipe:
        for number in range(3):
            pipe.write(json.dumps({"id": f"{number}", "text": "A bridge was closed."}) + "\n")
    out = tmp_path / "i"
    built = command("index", "build", f"/dev/fd/{reads}", "--out", out, *tiny, "--json")
    os.close(reads)
    assert (built.code, built.err) == (0, "")
    assert built.envelope["result"]["documents"] == 3


def test_an_engine_is_known_by_name(
    command: Command, corpus: Path, tiny: list[object], tmp_path: Path
) -> None:
    base = ["index", "build", corpus, "--out", tmp_path / "i", *tiny]
    assert "--engine: 'spark' is neither" in command(*base, "--engine", "spark").err
    assert "go with --engine ray" in command(*base, "--workers", 2).err
