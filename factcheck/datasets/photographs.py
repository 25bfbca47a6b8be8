"""Folders of photographs: listing them, and splitting them by content so that splits never mix."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from factcheck.errors import MissingResourceError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True)
class Photograph:
    """A photograph on disk.

    Attributes:
        path: Where the file lies.
        sha256: Hash of the file's bytes, in hexadecimal.
    """

    path: Path
    sha256: str

    @property
    def share(self) -> float:
        """A number in [0, 1) that depends on the content alone, uniform over photographs.

        Splits are ranges of it: the same picture falls into the same split on every machine,
        whatever its name, folder or the pictures beside it.
        """
        return int(self.sha256[:8], 16) / 2**32


def list_photographs(
    folders: list[Path], share: tuple[float, float] = (0.0, 1.0)
) -> list[Photograph]:
    """All photographs below `folders` whose `share` lies in a half-open range, each content once.

    Args:
        folders: Folders, searched recursively for the file endings in `SUFFIXES`.
        share: Lower (inclusive) and upper (exclusive) bound of `Photograph.share`.

    Returns:
        Photographs sorted by content hash.

    Raises:
        MissingResourceError: A folder does not exist, or nothing is found in all of them.
    """
    found: dict[str, Photograph] = {}
    for folder in folders:
        if not folder.is_dir():
            raise MissingResourceError(f"{folder}: no such folder of photographs")
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
                found.setdefault(sha256, Photograph(path, sha256))
    kept = [photo for _, photo in sorted(found.items()) if share[0] <= photo.share < share[1]]
    if not kept:
        names = ", ".join(map(str, folders))
        raise MissingResourceError(f"{names}: no photographs in the share {share[0]} to {share[1]}")
    return kept
