"""From what a command is given to the claims it means."""

from pathlib import Path

import pytest

from factcheck.cli.claims import is_list, read_standard_input, read_text, require_words
from factcheck.errors import MissingResourceError, UsageError
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
