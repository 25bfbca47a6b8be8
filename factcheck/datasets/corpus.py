"""Corpora of evidence documents and lists of claims, as users hand them in."""

import hashlib
import re
from collections.abc import Iterator
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, model_validator

from factcheck.datasets.factify2 import find_splits, read_factify2
from factcheck.datasets.json_lines import (
    FilledText,
    OptionalPath,
    OptionalText,
    read_json_lines,
)
from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.records import Claim, Document


def _iso_date(value: object) -> object:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        raise ValueError("is not a string")
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            raise ValueError
        date.fromisoformat(value)
    except ValueError:
        raise ValueError(f"is {value[:40]!r}, not a date as YYYY-MM-DD") from None
    return value


# A key this much like one that is read, and not there, was meant to be it: "imgae", "URL", "texts".
_LIKE = 0.8


class _UsersLine(BaseModel):
    """A line that a user wrote; keys that are not known are passed over, but not misspelt ones."""

    @model_validator(mode="before")
    @classmethod
    def _is_spelt_right(cls, value: object) -> object:
        if isinstance(value, dict):
            absent = cls.model_fields.keys() - value.keys()
            for key in value.keys() - cls.model_fields.keys():
                meant = get_close_matches(key.casefold(), absent, 1, _LIKE)
                if meant:
                    raise ValueError(f"has the key {key[:40]!r}, which must be {meant[0]!r}")
        return value


class _DocumentLine(_UsersLine):
    """A line of a corpus."""

    id: FilledText
    text: FilledText
    title: OptionalText = None
    url: OptionalText = None
    date: Annotated[str | None, BeforeValidator(_iso_date)] = None
    image: OptionalPath = None
    ocr: OptionalText = None


class _ClaimLine(_UsersLine):
    """A line of a list of claims."""

    claim: FilledText | None = None
    text: FilledText | None = None
    image: OptionalPath = None
    ocr: OptionalText = None

    @model_validator(mode="after")
    def _has_words(self) -> "_ClaimLine":
        if self.claim is None and self.text is None:
            raise ValueError("has neither the key 'claim' nor the key 'text'")
        return self


def read_corpus(path: Path) -> list[Document]:
    """Read the documents of a corpus, as `iterate_corpus` does, all at once.

    Raises:
        MissingResourceError: There is no such file or folder, or it cannot be read.
        InvalidInputError: A line is wrong, two documents have the same id, or there are none.
    """
    path = Path(path)
    if path.is_dir():
        return list(iterate_corpus(path))
    documents: list[Document] = []
    lines: dict[str, int] = {}
    for number, document in _corpus_lines(path):
        first = lines.setdefault(document.id, number)
        if first != number:
            raise InvalidInputError(
                f"{path}, line {number}: the id {document.id[:80]!r} is already that of line "
                f"{first}"
            )
        documents.append(document)
    return documents


def iterate_corpus(path: Path) -> Iterator[Document]:
    """Read the documents of a corpus one by one; memory holds one, or a split of Factify 2.

    Args:
        path: A JSON Lines file, also gzipped (`.gz`), with `id` and `text` and optionally `title`,
            `url`, `date` (YYYY-MM-DD), `image` (a path, relative to the file's folder or absolute)
            and `ocr` on each line; or a Factify 2 folder, of which every document of every split is
            read, with ids like `train-17`.

    Yields:
        The documents in file order. Whether their pictures exist, and whether two documents have
        the same id, is not looked at.

    Raises:
        MissingResourceError: There is no such file or folder, or it cannot be read.
        InvalidInputError: A line is wrong, or there are no documents.
    """
    path = Path(path)
    if path.is_dir():
        splits = find_splits(path)
        if not splits:
            raise MissingResourceError(
                f"{path}: the folder has no CSV file of Factify 2, like train.csv"
            )
        for split in splits:
            for row in read_factify2(path, split):
                yield row.document
        return
    for _, document in _corpus_lines(path):
        yield document


def _corpus_lines(path: Path) -> Iterator[tuple[int, Document]]:
    """The documents of a JSON Lines file with the numbers of their lines."""
    empty = True
    for number, line in read_json_lines(path, _DocumentLine):
        empty = False
        yield (
            number,
            Document(
                id=line.id,
                text=line.text,
                title=line.title,
                url=line.url,
                date=line.date,
                image=_beside(path, line.image),
                ocr=line.ocr,
            ),
        )
    if empty:
        raise InvalidInputError(f"{path}: the corpus has no documents")


def corpus_key(path: Path) -> str:
    """Hash of the files of a corpus, of which a build that was stopped says what it was building.

    Raises:
        MissingResourceError: A file cannot be read.
    """
    # A pipe among them would be waited for.
    files = sorted(filter(Path.is_file, path.glob("*.csv"))) if path.is_dir() else [path]
    digest = hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape"))
    try:
        for file in files:
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    except OSError as error:
        raise MissingResourceError(f"{path}: the file cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def read_ids(path: Path) -> list[str]:
    """Read a list of document ids, one a line; blank lines are passed over.

    Raises:
        MissingResourceError: There is no such file, or it cannot be read.
        InvalidInputError: It is not UTF-8, or names none.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise MissingResourceError(f"{path}: the file cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path}: not UTF-8") from error
    ids = [line.strip() for line in lines if line.strip()]
    if not ids:
        raise InvalidInputError(f"{path}: the file names no documents")
    return ids


def read_claims(path: Path) -> list[Claim]:
    """Read a list of claims.

    Args:
        path: A JSON Lines file, also gzipped (`.gz`), with `claim` (or `text`) and optionally
            `image` (a path, relative to the file's folder or absolute) and `ocr` on each line.

    Returns:
        The claims in file order. Whether their pictures exist is not looked at.

    Raises:
        MissingResourceError: There is no such file, or it cannot be read.
        InvalidInputError: A line is wrong, or there are none.
    """
    path = Path(path)
    claims = [
        Claim(line.claim or line.text or "", _beside(path, line.image), line.ocr)
        for _, line in read_json_lines(path, _ClaimLine)
    ]
    if not claims:
        raise InvalidInputError(f"{path}: the file has no claims")
    return claims


def _beside(path: Path, image: str | None) -> Path | None:
    return None if image is None else path.parent / image
