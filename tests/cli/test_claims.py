"""From what a command is given to the claims it means."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from factcheck.cli.claims import is_list, read_standard_input, read_text, require_words
from factcheck.errors import InvalidInputError, MissingResourceError, UsageError
from factcheck.records import Claim
from tests.cli.conftest import Command


@pytest.mark.parametrize("name", ["a.jsonl", "a.JSONL", "a.jsonl.gz", "A.Jsonl.GZ"])
def test_a_list_by_its_name(name: str) -> None:
    assert is_list(name)
    assert not is_list(f"Two lines.\n{name}")
    assert not is_list(f"{name} was leaked.")


def test_the_name_of_a_file_is_no_claim(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A claim.")
    with pytest.raises(UsageError, match=r"a\.txt: a file of claims must be named \.jsonl"):
        require_words(str(tmp_path / "a.txt"))
    for words in ("", "A claim.", str(tmp_path), "long " * 2000, "a\0b", "caf\udce9"):
        require_words(words)


def test_standard_input_that_is_closed(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A process that is started with it closed has none.
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(MissingResourceError, match="standard input cannot be read"):
        read_text("-")
    with pytest.raises(MissingResourceError, match="standard input cannot be read"):
        read_standard_input()


@pytest.mark.parametrize("before", [b"", b"\n", b"\n \r\n\n", b"\xef\xbb\xbf", b"\n\xef\xbb\xbf"])
def test_lines_of_standard_input_have_their_numbers(
    monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    def read(lines: bytes) -> "str | list[Claim]":
        data = SimpleNamespace(buffer=io.BytesIO(before + lines))
        monkeypatch.setattr(sys, "stdin", data)
        return read_standard_input()

    claims = read(b'{"claim": "One."}\n\n{"claim": "Two."}')
    assert claims == [Claim("One."), Claim("Two.")]
    number = before.count(b"\n") + 2
    with pytest.raises(InvalidInputError, match=rf"^standard input, line {number}: "):
        read(b'{"claim": "One."}\n{"claim": 5}')
