"""Downloading the pictures of a Factify 2 folder whose tables hold their URLs.

A picture goes to `images-{split}/{claim,document}/{index}.{jpg,png,webp}`, so that no path tells a
label. It appears there whole or not at all: whatever interrupts the work, calling again goes on
where it stopped. A file without content, or a link that leads nowhere, is no picture. What could
not be had is kept in `hydrate-{split}.jsonl`, one URL a line with reason and status. Only one
process at a time may work on a folder.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from stat import S_ISREG
from typing import Annotated, Any

from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, BeforeValidator

from factcheck.datasets.factify2 import find_splits, read_factify2
from factcheck.datasets.fetch import (
    PERMANENT,
    Fetcher,
    FetchError,
    FetchSettings,
    Reason,
    host_of,
    parse_url,
)
from factcheck.datasets.json_lines import read_json_lines
from factcheck.datasets.picture_files import SIDES
from factcheck.errors import InvalidInputError, MissingResourceError, RunError
from factcheck.files import write_new, write_whole
from factcheck.pictures import FORMATS, decode
from factcheck.records import LABELS

OUTCOMES = ("present", "fetched", "failed", "without_url")
UNLABELLED = "unlabelled"

Progress = Callable[[int, int], None]

# What a reader of Factify 2 folders finds; MPO is a JPEG with more pictures behind it.
_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp"}
_UNREACHABLE = frozenset(
    {Reason.NO_HOST, Reason.NO_CONNECTION, Reason.TIMEOUT, Reason.TOO_SLOW, Reason.BUSY}
)
_MOST_UNREACHABLE = 5
_SAVE_EVERY = 100
# A large picture takes hundreds of megabytes while it is decoded.
_DECODED_AT_ONCE = 2


@dataclass(frozen=True)
class Hydrated:
    """What became of the pictures of a folder, a picture being that of one side of a row.

    Attributes:
        folder: The folder.
        splits: Number of pictures by split and outcome: `present` before, `fetched` now, `failed`
            now or for good before, and `without_url`, which have no file either.
        labels: Number of pictures by outcome, label (or `UNLABELLED`) and side.
        reasons: Number of those that failed by `Reason`, the most frequent first.
    """

    folder: Path
    splits: dict[str, dict[str, int]]
    labels: dict[str, dict[str, dict[str, int]]]
    reasons: dict[str, int]

    def total(self, outcome: str) -> int:
        """Number of pictures with an outcome."""
        return sum(counts[outcome] for counts in self.splits.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, as JSON holds them."""
        return {
            "folder": str(self.folder),
            **{outcome: self.total(outcome) for outcome in OUTCOMES},
            "splits": self.splits,
            "labels": self.labels,
            "reasons": self.reasons,
        }


def hydrate(
    folder: Path,
    splits: Sequence[str],
    settings: FetchSettings,
    *,
    retry: bool = False,
    on_progress: Progress | None = None,
) -> Hydrated:
    """Download the pictures that are not there yet.

    A URL that several rows have is fetched once. What failed in an earlier call is tried again,
    unless its reason is one of `PERMANENT`. A host that fails five pictures in a row by not
    answering is left alone for the rest of the call.

    Args:
        folder: A Factify 2 folder.
        splits: Names of its splits; all that are found if there are none.
        settings: Bounds, and how politely.
        retry: Try again also what failed for good.
        on_progress: Told how many URLs are done, and of how many.

    Returns:
        What became of the pictures. Labels are for this report and steer nothing.

    Raises:
        MissingResourceError: There is no such folder or split.
        InvalidInputError: A table or a `hydrate-{split}.jsonl` is wrong, or a folder for pictures
            is a link that leads out of the folder.
        RunError: The folder cannot be written to, as when the disk is full.
    """
    folder = Path(folder)
    splits = list(dict.fromkeys(splits)) or find_splits(folder)
    if not splits:
        raise MissingResourceError(f"{folder}: no CSV file with a claim and a document column")
    pictures = [picture for split in splits for picture in _pictures(folder, split)]
    missing: dict[str, list[_Picture]] = {}
    for picture in pictures:
        if picture.url is not None and not picture.present:
            missing.setdefault(picture.url, []).append(picture)
    for place in {picture.stem.parent for some in missing.values() for picture in some}:
        _require_within(place, folder)
    journal = _Journal(folder, splits, missing)
    wanted = [
        url
        for url in missing
        if retry or not journal.is_permanent(url, allow_private=settings.allow_private)
    ]
    work = _Work(missing, journal, len(wanted), on_progress or (lambda done, total: None))
    try:
        asyncio.run(work.run(wanted, settings))
    finally:
        journal.save()
    return _report(folder, splits, pictures, journal)


def usable_picture(data: bytes, name: str) -> tuple[bytes, str]:
    """A picture as it is to be stored, and the suffix of its file.

    JPEG, PNG and WebP stay as they are; the first frame of anything else that `decode` reads
    becomes a PNG.

    Raises:
        FetchError: It is not a picture, is damaged, or has too many pixels.
    """
    try:
        picture = decode(data, name)
    except InvalidInputError as error:
        if isinstance(error.__cause__, UnidentifiedImageError):
            raise FetchError(Reason.NOT_AN_IMAGE) from error
        if error.__cause__ is None or isinstance(error.__cause__, Image.DecompressionBombError):
            raise FetchError(Reason.TOO_LARGE) from error
        raise FetchError(Reason.DAMAGED) from error
    with Image.open(BytesIO(data), formats=FORMATS) as opened:
        suffix = _SUFFIXES.get(opened.format or "")
    if suffix is not None:
        return data, suffix
    packed = BytesIO()
    picture.save(packed, "PNG")
    return packed.getvalue(), ".png"


@dataclass(frozen=True)
class _Picture:
    """One side of a row; `stem` is where its file goes, without suffix."""

    split: str
    side: str
    label: str
    url: str | None
    present: bool
    stem: Path


class _Failure(BaseModel):
    url: str
    reason: Annotated[Reason, BeforeValidator(Reason)]
    status: int | None = None


class _Journal:
    """What could not be had, by URL, kept in a file for each split."""

    def __init__(
        self, folder: Path, splits: Sequence[str], missing: dict[str, list[_Picture]]
    ) -> None:
        self._paths = {split: folder / f"hydrate-{split}.jsonl" for split in splits}
        self._splits = {url: {picture.split for picture in some} for url, some in missing.items()}
        self._unsaved = 0
        self.failures: dict[str, _Failure] = {}
        for path in self._paths.values():
            if path.is_file():
                for _, failure in read_json_lines(path, _Failure):
                    if failure.url in missing:
                        self.failures[failure.url] = failure

    def is_permanent(self, url: str, *, allow_private: bool) -> bool:
        failure = self.failures.get(url)
        if failure is None or (allow_private and failure.reason is Reason.ADDRESS_REFUSED):
            return False
        return failure.reason in PERMANENT

    def note(self, url: str, error: FetchError | None) -> None:
        if error is None:
            self.failures.pop(url, None)
            return
        self.failures[url] = _Failure(url=url, reason=error.reason, status=error.status)
        self._unsaved += 1
        if self._unsaved >= _SAVE_EVERY:
            self.save()

    def save(self) -> None:
        for split, path in self._paths.items():
            failures = [some for url, some in self.failures.items() if split in self._splits[url]]
            if failures:
                write_whole(path, (f"{failure.model_dump_json()}\n" for failure in failures))
            else:
                path.unlink(missing_ok=True)
        self._unsaved = 0


class _Queue:
    """The URLs of one host, and how it has answered so far."""

    def __init__(self, urls: list[str]) -> None:
        self.count = len(urls)
        self.urls = iter(urls)
        self.last: FetchError | None = None
        self.unreachable = 0


class _Work:
    """Fetches URLs and stores what comes."""

    def __init__(
        self,
        missing: dict[str, list[_Picture]],
        journal: _Journal,
        total: int,
        on_progress: Progress,
    ) -> None:
        self._missing = missing
        self._journal = journal
        self._total = total
        self._on_progress = on_progress
        self._done = 0

    async def run(self, urls: list[str], settings: FetchSettings) -> None:
        hosts: dict[str, list[str]] = {}
        for url in urls:
            hosts.setdefault(_host(url), []).append(url)
        queues = [_Queue(some) for some in hosts.values()]
        with ThreadPoolExecutor(_DECODED_AT_ONCE) as pool:
            async with aclosing(Fetcher(settings)) as fetcher:
                try:
                    async with asyncio.TaskGroup() as workers:
                        for queue in queues:
                            for _ in range(min(settings.per_host, queue.count)):
                                workers.create_task(self._serve(queue, fetcher, pool))
                except ExceptionGroup as group:
                    raise group.exceptions[0] from None

    async def _serve(self, queue: _Queue, fetcher: Fetcher, pool: ThreadPoolExecutor) -> None:
        for url in queue.urls:
            if queue.unreachable < _MOST_UNREACHABLE:
                queue.last = await self._get(url, fetcher, pool)
                silent = queue.last is not None and queue.last.reason in _UNREACHABLE
                queue.unreachable = queue.unreachable + 1 if silent else 0
            self._journal.note(url, queue.last)
            self._done += 1
            self._on_progress(self._done, self._total)

    async def _get(self, url: str, fetcher: Fetcher, pool: ThreadPoolExecutor) -> FetchError | None:
        loop = asyncio.get_running_loop()
        stems = [picture.stem for picture in self._missing[url]]
        try:
            data = await fetcher.fetch(url)
            await loop.run_in_executor(pool, _store, data, url, stems)
        except FetchError as error:
            return error
        return None


def _pictures(folder: Path, split: str) -> Iterator[_Picture]:
    for row in read_factify2(folder, split):
        for side, url, image in zip(
            SIDES,
            (row.claim_image_url, row.document_image_url),
            (row.claim.image, row.document.image),
            strict=True,
        ):
            yield _Picture(
                split,
                side,
                label=row.label or UNLABELLED,
                url=url,
                present=image is not None and _is_there(Path(image)),
                stem=folder / f"images-{split}" / side / str(row.index),
            )


def _is_there(image: Path) -> bool:
    """Whether a picture that a folder lists is a file with something in it, or in an archive."""
    try:
        found = image.stat()
    except NotADirectoryError:
        return True
    except OSError:
        return False
    return S_ISREG(found.st_mode) and found.st_size > 0


def _require_within(place: Path, folder: Path) -> None:
    """Make sure that what is written to a place in a data set's folder stays in that folder.

    A data set comes from strangers, and one of its folders may be a link to one of the user's.
    """
    if not place.resolve().is_relative_to(folder.resolve()):
        raise InvalidInputError(
            f"{place}: a link that leads out of {folder}, where no pictures are put; replace it by "
            "a folder"
        )


def _host(url: str) -> str:
    try:
        return host_of(parse_url(url))
    except FetchError:
        return ""


def _store(data: bytes, url: str, stems: list[Path]) -> None:
    stored, suffix = usable_picture(data, url)
    for stem in stems:
        path = stem.with_name(stem.name + suffix)
        # Always the same name, so that what a killed process leaves is written over by the next.
        temporary = stem.with_name(f".{stem.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                # Whoever made the data set knows this name and may have put a link there.
                write_new(temporary, stored)
                temporary.replace(path)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise
            # An empty file of another format would be found in the picture's stead.
            for other in set(_SUFFIXES.values()) - {suffix}:
                stale = stem.with_name(stem.name + other)
                if (stale.is_symlink() or stale.is_file()) and not _is_there(stale):
                    stale.unlink()
        except OSError as error:
            raise RunError(f"{path}: cannot be written ({error.strerror})") from error


def _report(
    folder: Path, splits: Sequence[str], pictures: list[_Picture], journal: _Journal
) -> Hydrated:
    found = {picture.label for picture in pictures}
    names = [str(label) for label in (*LABELS, UNLABELLED) if label in found]
    by_split = {split: dict.fromkeys(OUTCOMES, 0) for split in splits}
    by_label = {
        outcome: {label: dict.fromkeys(map(str, SIDES), 0) for label in names}
        for outcome in OUTCOMES
    }
    reasons: Counter[str] = Counter()
    for picture in pictures:
        failure = journal.failures.get(picture.url or "")
        if picture.present:
            outcome = "present"
        elif picture.url is None:
            outcome = "without_url"
        elif failure is not None:
            outcome = "failed"
            reasons[str(failure.reason)] += 1
        else:
            outcome = "fetched"
        by_split[picture.split][outcome] += 1
        by_label[outcome][picture.label][picture.side] += 1
    return Hydrated(folder, by_split, by_label, dict(reasons.most_common()))
