"""Where the pictures of a Factify 2 split lie: in folders or in archives, by category or not.

The label is in the path of many of them: paths are for opening files, and never become a feature.
"""

import hashlib
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.records import LABELS, Label

Side = Literal["claim", "document"]
SIDES: tuple[Side, ...] = ("claim", "document")

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


class PictureFiles:
    """The picture files of a split, each folder and archive listed once.

    Looked through, in this order: the folders `images-{split}` and `images/{split}`, then the
    archives `images-{split}.zip` and `images.zip`, which are read as they are. In each, pictures
    are at `{claim,document}/{index}.jpg` or in a folder of the category below that; .jpeg, .png and
    .webp are as good. The path of a picture in an archive goes on behind the archive's own, as
    `pictures.read_bytes` reads it: `images-val.zip/images-val/claim/5.jpg`.

    Args:
        folder: The Factify 2 folder.
        split: Name of the split.
    """

    def __init__(self, folder: Path, split: str) -> None:
        self._folder = folder
        self._split = split
        self._roots = (folder / f"images-{split}", folder / "images" / split)
        self._archives = (folder / f"images-{split}.zip", folder / "images.zip")
        self._listed: dict[str, dict[str, Path]] = {}
        self._members: dict[str, dict[str, Path]] | None = None

    def find(self, side: Side, index: int, label: Label | None) -> Path | None:
        """The picture of a row's side, if there is one.

        Args:
            side: Of which side.
            index: Of which row.
            label: The row's label, whose folder is looked into; where it is not known, all are.

        Raises:
            InvalidInputError: An archive is not a whole zip file.
            MissingResourceError: A folder or archive cannot be read.
        """
        categories: Iterable[Label] = LABELS if label is None else (label,)
        for place in (side, *(f"{side}/{category}" for category in categories)):
            found = self._list(place).get(str(index))
            if found is not None:
                return found
        return None

    def all(self) -> Iterator[Path]:
        """All pictures of both sides, whether or not a row has their index."""
        for side in SIDES:
            for place in (side, *(f"{side}/{category}" for category in LABELS)):
                yield from self._list(place).values()

    def names_sha256(self) -> str:
        """A hash of the names and sizes of all pictures, which tells most changes from none.

        To read the pictures themselves would take minutes. Of one in an archive the archive's size
        has to do.
        """
        parts = [archive for archive in self._archives if archive.is_file()]
        lines = []
        for path in (*parts, *self.all()):
            size = path.stat().st_size if path.is_file() else "packed"
            lines.append(f"{path.relative_to(self._folder).as_posix()} {size}")
        # A name need not be UTF-8.
        listed = "\n".join(sorted(lines)).encode("utf-8", "surrogateescape")
        return hashlib.sha256(listed).hexdigest()

    def _list(self, place: str) -> dict[str, Path]:
        """The pictures of a folder, such as `claim/Refute`, by their stem."""
        if place not in self._listed:
            found = dict(self._packed().get(place, {}))
            for root in reversed(self._roots):
                folder = root / place
                files = _sorted_files(folder) if folder.is_dir() else []
                found |= {file.stem: file for file in files if file.suffix.lower() in _SUFFIXES}
            self._listed[place] = found
        return self._listed[place]

    def _packed(self) -> dict[str, dict[str, Path]]:
        """The pictures in archives, by folder and stem."""
        if self._members is None:
            members: dict[str, dict[str, Path]] = defaultdict(dict)
            for archive in self._archives:
                if archive.is_file():
                    for name in _names(archive):
                        place, stem = self._place(PurePosixPath(name))
                        if place is not None:
                            members[place].setdefault(stem, archive / name)
            self._members = dict(members)
        return self._members

    def _place(self, name: PurePosixPath) -> tuple[str | None, str]:
        """The folder of an archive's picture as `_list` calls it, None for other files."""
        parts = name.parent.parts
        for above in ((f"images-{self._split}",), ("images", self._split), (self._split,)):
            if parts[: len(above)] == above:
                parts = parts[len(above) :]
                break
        fits = parts[:1] in {(side,) for side in SIDES} and len(parts) <= 2
        if not fits or name.suffix.lower() not in _SUFFIXES:
            return None, name.stem
        return "/".join(parts), name.stem


def _sorted_files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise MissingResourceError(f"{folder}: cannot be read ({error.strerror})") from error


def _names(archive: Path) -> list[str]:
    try:
        with zipfile.ZipFile(archive) as file:
            return sorted(file.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        # The last two: a version that this Python does not know, and names that are no text.
        raise InvalidInputError(f"{archive}: not a whole zip file ({error})") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise MissingResourceError(f"{archive}: the file cannot be read ({reason})") from error
