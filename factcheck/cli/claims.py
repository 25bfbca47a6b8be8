"""From what a command is given to the claims and documents it means."""

import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from factcheck.errors import InvalidInputError, MissingResourceError, UsageError

if TYPE_CHECKING:
    from factcheck.records import Claim

STANDARD_INPUT = "-"

_MOST_BYTES = 16 * 2**20
_LISTS = (".jsonl", ".jsonl.gz")


def is_list(argument: str) -> bool:
    """Whether an argument names a JSON Lines file of claims."""
    return "\n" not in argument and argument.lower().endswith(_LISTS)


def require_words(argument: str) -> None:
    """Make sure that a claim's words are not the name of a file, which would be checked as words.

    Raises:
        UsageError: They are.
    """
    try:
        is_file = Path(argument).is_file()
    except OSError:
        # Longer than a name may be.
        is_file = False
    if is_file:
        raise UsageError(
            f"{argument}: a file of claims must be named .jsonl or .jsonl.gz; give the text of one "
            f"claim by {STANDARD_INPUT} and standard input"
        )


def read_text(path: str) -> str:
    """The words in a text file, or in standard input for `-`.

    Raises:
        MissingResourceError: The file cannot be read, or standard input is closed.
        InvalidInputError: It is too large for a text, or not UTF-8.
    """
    if path == STANDARD_INPUT:
        return _decode(_standard_input().read(_MOST_BYTES + 1), "standard input")
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise MissingResourceError(f"{path}: the file cannot be read ({reason})") from error
    return _decode(data, path)


def read_standard_input() -> "str | list[Claim]":
    """The claim in standard input, or the claims if it is JSON Lines.

    Raises:
        MissingResourceError: It is closed.
        InvalidInputError: It is not UTF-8, or a line of JSON Lines is wrong.
    """
    stream = _standard_input()
    first = stream.readline(_MOST_BYTES)
    blank = 0
    while first and not first.strip():
        blank += first.endswith(b"\n")
        first = stream.readline(_MOST_BYTES)
    if first.lstrip(b"\xef\xbb\xbf \t").startswith(b"{"):
        return _read_lines(first, stream, blank)
    return _decode(first + stream.read(_MOST_BYTES), "standard input").strip()


def asked_of(claim: "Claim") -> dict[str, str | None]:
    """What a verdict in JSON is of: `claim_text` and `claim_image`."""
    image = None if claim.image is None else str(claim.image)
    return {"claim_text": claim.text, "claim_image": image}


def require_picture(path: Path | None) -> None:
    """Make sure that a picture named on the command line can be read.

    Raises:
        MissingResourceError: There is no such file, or it cannot be read.
        InvalidInputError: It is not a picture that can be read.
    """
    from factcheck.pictures import decode, read_bytes

    if path is not None:
        decode(read_bytes(path), path)


def _standard_input() -> BinaryIO:
    # Python has none where the process was started with it closed.
    if sys.stdin is None:
        raise MissingResourceError("standard input cannot be read (it is closed)")
    return sys.stdin.buffer


def _read_lines(first: bytes, stream: BinaryIO, blank: int) -> "list[Claim]":
    """Claims in JSON Lines, their pictures relative to the working folder.

    Args:
        first: The first line with something in it.
        stream: The rest.
        blank: How many lines were before it, which count where a line is named by its number.
    """
    from factcheck.datasets import read_claims

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "standard input"
        with path.open("wb") as file:
            # A byte order mark is one only at the very beginning.
            file.write(b"\n" * blank + first.removeprefix(b"\xef\xbb\xbf"))
            shutil.copyfileobj(stream, file)
        try:
            claims = read_claims(path)
        except InvalidInputError as error:
            raise InvalidInputError(str(error).replace(f"{folder}/", "")) from error
    return [replace(claim, image=_below(claim.image, folder)) for claim in claims]


def _below(image: str | Path | None, folder: str) -> Path | None:
    if image is None:
        return None
    return Path(image).relative_to(folder) if Path(image).is_relative_to(folder) else Path(image)


def _decode(data: bytes, name: str) -> str:
    if len(data) > _MOST_BYTES:
        raise InvalidInputError(f"{name}: more than the {_MOST_BYTES:,} bytes that a text may have")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{name}: not UTF-8 (byte {error.start})") from error
