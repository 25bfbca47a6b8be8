"""JSON Lines from strangers: bounded lines, one model a line, every error with file and line."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ValidationError

from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.records import is_storable

MAX_LINE_BYTES = 10 * 2**20
"""Longest line that is read: a long book fits, a file that is not JSON Lines does not."""

Line = TypeVar("Line", bound=BaseModel)


def _storable(value: str) -> str:
    if not is_storable(value):
        raise ValueError("holds half of a Unicode surrogate pair")
    return value


def _filled(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty")
    return _storable(value)


def _path(value: str | None) -> str | None:
    if value is not None and "\0" in _storable(value):
        raise ValueError("holds a NUL character")
    return value


def _blank_as_none(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


FilledText = Annotated[str, AfterValidator(_filled)]
"""A string that holds more than white space."""

OptionalText = Annotated[
    Annotated[str, AfterValidator(_storable)] | None, BeforeValidator(_blank_as_none)
]
"""A string; null or white space counts as absent."""

OptionalPath = Annotated[str | None, AfterValidator(_path), BeforeValidator(_blank_as_none)]
"""A file name; null or white space counts as absent."""


def read_json_lines(path: Path, kind: type[Line]) -> Iterator[tuple[int, Line]]:
    """The lines of a JSON Lines file, also gzipped (`.gz`); blank lines are passed over.

    Args:
        path: The file.
        kind: The model that every line must fit.

    Yields:
        The line's number, from 1, and what it holds.

    Raises:
        MissingResourceError: There is no such file, or it cannot be read.
        InvalidInputError: A line is longer than `MAX_LINE_BYTES`, is not UTF-8, is not a JSON
            object or does not fit `kind`; or the file is not the gzip file that its name says.
    """
    for number, line in _raw_lines(path):
        place = f"{path}, line {number}"
        try:
            # A byte order mark is what some editors put before the first line.
            value = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            raise InvalidInputError(
                f"{place}: not UTF-8 (byte {error.start} of the line)"
            ) from error
        except (ValueError, RecursionError) as error:
            raise InvalidInputError(f"{place}: not JSON ({error})") from error
        if not isinstance(value, dict):
            raise InvalidInputError(f"{place}: not a JSON object but {type(value).__name__}")
        try:
            yield number, kind.model_validate(value, strict=True)
        except ValidationError as error:
            raise InvalidInputError(f"{place}: {_explain(error)}") from error


def _raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise InvalidInputError(
                        f"{path}, line {number}: longer than the {MAX_LINE_BYTES:,} bytes allowed"
                    )
                if line.strip():
                    yield number, line
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidInputError(
            f"{path}, after line {number}: not a whole gzip file ({error})"
        ) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise MissingResourceError(f"{path}: the file cannot be read ({reason})") from error


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    what = repr(key) if key else "the line"
    if first["type"] == "missing":
        return f"the key {what} is missing"
    if first["type"] == "value_error":
        return f"{what} {first['ctx']['error']}"
    return f"{what} does not fit: {first['msg'][0].lower()}{first['msg'][1:]}"
