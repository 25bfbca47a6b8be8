"""What is in a folder in Factify 2's format, and what is wrong with it."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from pydantic import BaseModel, ValidationError

from factcheck.datasets.boilerplate import find_boilerplate
from factcheck.datasets.factify2 import Factify2Row, find_splits, inspect_factify2
from factcheck.datasets.near_duplicates import (
    Groups,
    group_pictures,
    group_texts,
    repeated,
    shared,
)
from factcheck.datasets.picture_files import SIDES, PictureFiles, Side
from factcheck.datasets.picture_survey import PictureFacts, survey_pictures
from factcheck.errors import InvalidInputError
from factcheck.files import file_sha256, spelt, write_whole

SURVEY = "doctor.sqlite"
MANIFEST = "doctor.json"
EXAMPLES = 10
HOSTS = 5
UNLABELLED = "no label"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class _Split:
    """A split as it was read.

    Attributes:
        name: Its name.
        csv_sha256: Hash of its table; None when that cannot be read.
        rows: Its good rows.
        problems: A sentence for each row, or for the table, that cannot be used.
        files: Its picture files.
    """

    name: str
    csv_sha256: str | None
    rows: list[Factify2Row]
    problems: list[str]
    files: PictureFiles


def examine(
    folder: Path,
    splits: Sequence[str] = (),
    out: Path | None = None,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Examine a folder in Factify 2's format, in one pass over its rows and pictures.

    Args:
        folder: The folder, in any of the layouts that `read_factify2` reads.
        splits: Which splits; all that are there without any.
        out: Where the survey of pictures (`doctor.sqlite`, which makes a second run short and one
            that was cut off go on) and the manifest (`doctor.json`) are kept; `folder` itself
            without one.
        on_progress: Called with a stage, how much of it is done and how much there is.

    Returns:
        Plain types, as the manifest holds them: `usable`; `splits`, by name what `_describe` gives;
        `across`, by pair of splits how many texts and pictures of the second are in the first too,
        exactly and nearly; `sha256`, of the tables and the pictures' contents of these splits.

    Raises:
        MissingResourceError: There is no such folder or split.
        InvalidInputError: The folder has no split at all.
        RunError: The survey or the manifest cannot be written.
    """
    report = on_progress or (lambda stage, done, total: None)
    # In their usual order, so that it is val in train that is told; those that are not there last,
    # to be named by the reader.
    there = find_splits(folder)
    asked = set(splits)
    names = [name for name in there if name in asked] + sorted(asked.difference(there)) or there
    if not names:
        raise InvalidInputError(
            f"{folder}: holds no split, a .csv file with the columns 'claim' and 'document'"
        )
    read = []
    for number, name in enumerate(names):
        report("splits read", number, len(names))
        read.append(_read(folder, name))
    report("splits read", len(names), len(names))

    place = out or folder
    paths = list(dict.fromkeys(path for split in read for path in split.files.all()))
    done = 0

    def more(count: int) -> None:
        nonlocal done
        done += count
        report("pictures", done, len(paths))

    facts = survey_pictures(paths, place / SURVEY, more)
    groups = _group(read, facts, report)
    described = {split.name: _describe(split, facts, groups) for split in read}
    result: dict[str, Any] = {
        "schema_version": 1,
        "folder": spelt(str(folder)),
        "usable": all(not split.problems for split in read),
        "splits": described,
        "across": {
            f"{first.name}/{second.name}": {
                field: {
                    kind: shared(found[second.name], found[first.name])
                    for kind, found in (("exact", exact), ("near", near))
                }
                for field, (exact, near) in groups.items()
            }
            for number, first in enumerate(read)
            for second in read[number + 1 :]
        },
    }
    hashes = {name: (d["csv_sha256"], d["pictures_sha256"]) for name, d in described.items()}
    result["sha256"] = hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()
    write_whole(place / MANIFEST, [json.dumps(result, ensure_ascii=False, indent=2), "\n"])
    return result


def identify(folder: Path, split: str) -> dict[str, str | None]:
    """What a run on a split cites of its data.

    Returns:
        `csv_sha256`, of the split's table; `provenance_sha256`, of what is known of its rows beside
        it, None where nothing is; `picture_files_sha256`, of the names and sizes of its pictures;
        `pictures_sha256`, of their content, and `data_sha256`, of all splits examined together,
        both as `examine` found them then, None unless it has examined this very table.
    """
    csv_sha256 = file_sha256(folder / f"{split}.csv")
    provenance = folder / f"provenance-{split}.jsonl"
    try:
        manifest = _Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        manifest = _Manifest(splits={}, sha256="")
    known = manifest.splits.get(split)
    same = known is not None and known.csv_sha256 == csv_sha256
    return {
        "csv_sha256": csv_sha256,
        "provenance_sha256": file_sha256(provenance) if provenance.is_file() else None,
        "picture_files_sha256": PictureFiles(folder, split).names_sha256(),
        "pictures_sha256": known.pictures_sha256 if known and same else None,
        "data_sha256": manifest.sha256 if same else None,
    }


class _ManifestSplit(BaseModel):
    csv_sha256: str | None
    pictures_sha256: str


class _Manifest(BaseModel):
    splits: dict[str, _ManifestSplit]
    sha256: str


def _read(folder: Path, name: str) -> _Split:
    files = PictureFiles(folder, name)
    try:
        rows, problems = inspect_factify2(folder, name, files)
    except InvalidInputError as error:
        return _Split(name, None, [], [spelt(str(error))], files)
    sha256 = file_sha256(folder / f"{name}.csv")
    return _Split(name, sha256, rows, [spelt(str(problem)) for problem in problems], files)


_Grouped = dict[str, tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]
"""By field, by split, the exact and the near group of each row; see `Groups`."""


def _group(splits: Sequence[_Split], facts: dict[Path, PictureFacts], report: Progress) -> _Grouped:
    """Group the texts and pictures of all splits together, each field by itself."""

    def pictures(side: Side) -> Groups:
        images = [_image(row, side) for split in splits for row in split.rows]
        return group_pictures([facts[image] if image else None for image in images])

    fields: dict[str, Callable[[], Groups]] = {
        "claims": lambda: group_texts([row.claim.text for s in splits for row in s.rows]),
        "documents": lambda: group_texts([row.document.text for s in splits for row in s.rows]),
        "claim pictures": lambda: pictures("claim"),
        "document pictures": lambda: pictures("document"),
    }
    ends = np.cumsum([len(split.rows) for split in splits])[:-1]
    names = [split.name for split in splits]
    grouped: _Grouped = {}
    for number, (field, group) in enumerate(fields.items()):
        report("duplicates", number, len(fields))
        groups = group()
        grouped[field] = (
            dict(zip(names, np.split(groups.exact, ends), strict=True)),
            dict(zip(names, np.split(groups.near, ends), strict=True)),
        )
    report("duplicates", len(fields), len(fields))
    return grouped


def _describe(split: _Split, facts: dict[Path, PictureFacts], groups: _Grouped) -> dict[str, Any]:
    """What is in one split.

    Returns:
        `rows` (good ones), `problems` (`count`, and the first of them), `labels`, `pictures` by
        side (`found`, `missing`, `broken`), `pictures_without_row`, `broken` (the first of them),
        `empty` (rows by column without a value), `words` (10%, 50% and 90% quantile of the number
        of words, by text), `documents_with_boilerplate` (by kind), `hosts` (of the addresses, by
        side and label, the most frequent), `duplicates` (rows whose value an earlier row has, by
        field, exactly and nearly), `csv_sha256`, `pictures_sha256`.
    """
    rows = split.rows
    pictures = {side: [_image(row, side) for row in rows] for side in SIDES}
    used = {image for images in pictures.values() for image in images if image}
    broken = [problem for image in sorted(used) if (problem := facts[image].problem)]
    texts = {
        "claim": [row.claim.text for row in rows],
        "document": [row.document.text for row in rows],
        "claim OCR": [row.claim.ocr or "" for row in rows],
        "document OCR": [row.document.ocr or "" for row in rows],
    }
    return {
        "rows": len(rows),
        "problems": {"count": len(split.problems), "first": split.problems[:EXAMPLES]},
        "labels": dict(Counter(_label(row) for row in rows).most_common()),
        "pictures": {
            side: {
                "found": sum(image is not None for image in images),
                "missing": sum(image is None for image in images),
                "broken": sum(bool(image and facts[image].problem) for image in images),
            }
            for side, images in pictures.items()
        },
        "pictures_without_row": len(set(split.files.all()) - used),
        "broken": {"count": len(broken), "first": broken[:EXAMPLES]},
        "empty": {name: sum(not text.strip() for text in values) for name, values in texts.items()},
        "words": {name: _quantiles(values) for name, values in texts.items()},
        "documents_with_boilerplate": dict(
            Counter(
                kind
                for row in rows
                # The reader has cleaned it already: what it left as it was has none.
                if row.raw_document.strip() != row.document.text
                for kind in {piece.kind for piece in find_boilerplate(row.raw_document)}
            ).most_common()
        ),
        "hosts": {
            side: _hosts([(_label(row), url) for row, url in zip(rows, urls, strict=True)])
            for side, urls in (
                ("claim", [row.claim_image_url for row in rows]),
                ("document", [row.document_image_url for row in rows]),
            )
        },
        "duplicates": {
            field: {"exact": repeated(exact[split.name]), "near": repeated(near[split.name])}
            for field, (exact, near) in groups.items()
        },
        "csv_sha256": split.csv_sha256,
        "pictures_sha256": _pictures_hash(rows, pictures, facts),
    }


def _image(row: Factify2Row, side: Side) -> Path | None:
    image = row.claim.image if side == "claim" else row.document.image
    return None if image is None else Path(image)


def _label(row: Factify2Row) -> str:
    return UNLABELLED if row.label is None else str(row.label)


def _quantiles(texts: Sequence[str]) -> list[int]:
    lengths = [len(text.split()) for text in texts if text.strip()]
    return [int(n) for n in np.quantile(lengths, [0.1, 0.5, 0.9])] if lengths else []


def _hosts(labelled: Sequence[tuple[str, str | None]]) -> dict[str, dict[str, int]]:
    """By label the hosts that most addresses name."""
    counts: dict[str, Counter[str]] = {}
    for label, url in labelled:
        if url:
            counts.setdefault(label, Counter())[host_of(url)] += 1
    return {label: dict(found.most_common(HOSTS)) for label, found in sorted(counts.items())}


def host_of(url: str) -> str:
    """The host that an address names, in lower case; `no host` if it names none."""
    try:
        return urlsplit(url).hostname or "no host"
    except ValueError:
        return "no host"


def _pictures_hash(
    rows: Sequence[Factify2Row],
    pictures: dict[Side, list[Path | None]],
    facts: dict[Path, PictureFacts],
) -> str:
    """One hash over those of all pictures, whatever order the rows are in."""
    lines = [
        f"{side} {row.index} {facts[image].sha256}\n"
        for side, images in pictures.items()
        for row, image in zip(rows, images, strict=True)
        if image is not None
    ]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
