"""`factcheck data hydrate`."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.datasets.misbehaving_server import MisbehavingServer, picture


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MisbehavingServer]:
    # Reading the certificates of this machine takes longer than most of the tests.
    monkeypatch.setenv("SSL_CERT_DIR", os.devnull)
    with MisbehavingServer() as running:
        yield running


def write(folder: Path, server: MisbehavingServer, *paths: str, split: str = "train") -> Path:
    """A split with a picture on each side of its rows."""
    lines = ["\tclaim\tclaim_image\tdocument\tdocument_image\tCategory"]
    for index, (claim, document) in enumerate(zip(paths[::2], paths[1::2], strict=True)):
        label = "Refute" if index % 2 else "Support_Text"
        lines.append(f"{index}\tC\t{server.url(claim)}\tD\t{server.url(document)}\t{label}")
    (folder / f"{split}.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_all_can_be_had(command: Command, server: MisbehavingServer, tmp_path: Path) -> None:
    folder = write(tmp_path, server, "/good/0", "/good/1", "/good/2", "/good/3")
    found = command("data", "hydrate", folder, "--allow-private", "--pause", "0")
    assert (found.code, found.err) == (0, "")
    assert "Support_Text, claim" in found.out
    assert (folder / "images-train" / "document" / "1.jpg").read_bytes() == picture(3)
    server.hits.clear()
    again = command("data", "hydrate", folder, "--allow-private", "--json")
    assert (again.code, again.envelope["result"]["present"]) == (0, 4)
    assert not server.hits


def test_some_cannot_be_had(command: Command, server: MisbehavingServer, tmp_path: Path) -> None:
    write(tmp_path, server, "/good/0", "/status/404", split="val")
    folder = write(tmp_path, server, "/good/0", "/html", "/good/2", "/status/404")
    given = ["data", "hydrate", folder, "--split", "train", "--allow-private", "--pause", "0"]
    found = command(*given, "--json")
    assert found.code == 7
    assert found.err.count("\n") == 1
    assert "2 of 4 pictures could not be had; hydrate-*.jsonl" in found.err
    result = found.envelope["result"]
    assert list(result["splits"]) == ["train"]
    assert (result["fetched"], result["failed"]) == (2, 2)
    assert result["labels"]["failed"]["Refute"] == {"claim": 0, "document": 1}
    assert result["reasons"] == {"not an image": 1, "gone": 1}

    server.hits.clear()
    shown = command(*given)
    assert (shown.code, server.hits.total()) == (7, 0)
    assert "not an image" in shown.out
    assert "Refute, document" in shown.out
    assert command(*given, "--retry").code == 7
    assert server.hits == {"/html": 1, "/status/404": 1}


def test_size_time_and_attempts_are_bounded_as_asked(
    command: Command, server: MisbehavingServer, tmp_path: Path
) -> None:
    folder = write(tmp_path, server, "/good/0", "/kind/PNG", "/drip", "/status/503")
    given = ["data", "hydrate", folder, "--allow-private", "--pause", "0", "--json"]
    bounds = ["--max-size", "0.008", "--time-limit", "1", "--attempts", "1"]
    found = command(*given, *bounds)
    assert found.code == 7
    assert found.envelope["result"]["reasons"] == {
        "too large": 1,
        "too slow": 1,
        "server error": 1,
    }
    assert server.hits["/status/503"] == 1
    refused = command(*given, "--max-size", "65")
    assert (refused.code, "--max-size" in refused.err) == (2, True)


def test_loopback_is_refused_by_default(
    command: Command, server: MisbehavingServer, tmp_path: Path
) -> None:
    folder = write(tmp_path, server, "/good/0", "/good/1")
    found = command("data", "hydrate", folder, "--json")
    assert found.code == 7
    assert found.envelope["result"]["reasons"] == {"address refused": 2}
    assert not server.hits


def test_ctrl_c_leaves_whole_pictures(
    command: Command, server: MisbehavingServer, tmp_path: Path
) -> None:
    paths = [f"/lingering/{i}" for i in range(20)]
    folder = write(tmp_path, server, *paths)
    pressed = threading.Event()

    def press(path: str) -> None:
        if path == "/lingering/9" and not pressed.is_set():
            pressed.set()
            os.kill(os.getpid(), signal.SIGINT)

    server.on_request = press
    given = ["data", "hydrate", folder, "--allow-private", "--pause", "0", "--json"]
    found = command(*given)
    assert (found.code, found.out, found.err) == (130, "", "factcheck: interrupted\n")
    whole = {picture(i) for i in range(20)}
    left = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".csv"]
    assert all(path.read_bytes() in whole for path in left)
    assert len(left) < 20
    again = command(*given)
    assert again.code == 0
    assert again.envelope["result"]["present"] == len(left)


@pytest.mark.parametrize(
    ("given", "code", "named"),
    [
        (["--concurrency", "0"], 2, "--concurrency"),
        (["--per-host", "0"], 2, "--per-host"),
        (["--pause", "-1"], 2, "--pause"),
        (["--split", "none"], 4, "none.csv"),
    ],
)
def test_what_is_wrong_is_named(
    command: Command,
    server: MisbehavingServer,
    tmp_path: Path,
    given: list[str],
    code: int,
    named: str,
) -> None:
    folder = write(tmp_path, server, "/good/0", "/good/1")
    found = command("data", "hydrate", folder, *given)
    assert (found.code, found.out) == (code, "")
    assert named in found.err
    assert not server.hits
