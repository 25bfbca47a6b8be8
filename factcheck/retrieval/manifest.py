"""What an index is: the file in its folder that says what it holds and what made it.

An index is a list of segments, folders that never change once they are written, and of the
documents in them that no longer count. Each change writes new files beside the old ones and then a
new manifest over the old one, in one rename: whoever reads sees the index before it or after it.
"""

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from factcheck.encoders import Encoders
from factcheck.errors import InvalidInputError, MissingResourceError, UsageError
from factcheck.retrieval import approximate, lexical
from factcheck.settings import PassageSettings, Settings

FORMAT = "factcheck-index"
VERSION = 5

MANIFEST = "manifest.json"
SEGMENTS = "segments"
TEMPORARY = f".{MANIFEST}.tmp"
"""What a manifest is called until it is whole; a writer that was killed may leave it."""

PASSAGES = "passages.faiss"
APPROXIMATE = "passages_approximate.faiss"
IMAGES = "images.faiss"
TOKENS = "image_tokens.npy"
METADATA = "metadata.sqlite"
FILES = frozenset((PASSAGES, IMAGES, TOKENS, METADATA, *lexical.FILES))
"""The files of every segment; one that is large has `APPROXIMATE` too."""

# An index may come from a stranger: what is read before it can be checked is bounded.
_MAX_BYTES = 2**24

Name = Annotated[str, Field(pattern="^[0-9]{6}$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=2**40)]
Size = Annotated[int, Field(ge=1, lt=2**20)]


class TextEncoderEntry(Settings):
    """The text encoder that made an index: its name, hash of its weights, length of its vectors."""

    name: str
    sha256: Sha256
    dimension: Size


class ImageEncoderEntry(TextEncoderEntry):
    """The image encoder that made an index, with the number of tokens of a picture."""

    tokens: Size


class FileEntry(Settings):
    """What a file must be, byte for byte."""

    sha256: Sha256
    size: Count


class ApproximateEntry(Settings):
    """The approximate index of a segment (`approximate`).

    Attributes:
        factory: What `faiss.index_factory` made it from.
        recall_at_10: Share of the ten nearest that it finds, measured when it was made.
    """

    factory: Annotated[str, Field(pattern=f"^({approximate.FACTORY.pattern})$")]
    recall_at_10: Annotated[float, Field(ge=0, le=1)]


class Segment(Settings):
    """A part of an index.

    Attributes:
        name: Of its folder in `segments/`.
        documents: Number of its documents, those that no longer count included.
        passages: Number of its passages, likewise.
        images: Number of its pictures, likewise.
        approximate: Its approximate index; None where it is searched exactly.
        files: Its files by name.
        deleted: Number of its documents that no longer count.
        deleted_file: Name of the file that lists their rows; None where there are none.
    """

    name: Name
    documents: Annotated[Count, Field(ge=1)]
    passages: Annotated[Count, Field(ge=1)]
    images: Count
    approximate: ApproximateEntry | None = None
    files: dict[str, FileEntry]
    deleted: Count = 0
    deleted_file: Annotated[str, Field(pattern="^deleted-[0-9]{6}[.]npy$")] | None = None

    @model_validator(mode="after")
    def _all_files(self) -> Self:
        wanted = set(FILES)
        if self.approximate is not None:
            wanted.add(APPROXIMATE)
        if self.deleted_file is not None:
            wanted.add(self.deleted_file)
        if set(self.files) != wanted:
            raise ValueError(f"the files must be {', '.join(sorted(wanted))}")
        if (self.deleted == 0) != (self.deleted_file is None) or self.deleted > self.documents:
            raise ValueError("deleted does not fit the segment")
        return self


class Manifest(Settings):
    """The contents of `manifest.json`, where `sha256` is beside them.

    Attributes:
        format: Tells an index from any other folder.
        version: Of the format; a reader knows one.
        generation: Counts the changes.
        text: The encoder of the passages.
        image: The encoder of the pictures.
        metric: How vectors, of unit length, are compared.
        analyser: What makes words of a passage (`words.ANALYSER`).
        passage: How documents are cut.
        corpus_sha256: Hash of the documents that count and of the contents of their pictures,
            whatever their order and the places of the pictures.
        documents: Number of documents that count.
        passages: Number of their passages.
        images: Number of those documents with a picture.
        segments: The parts, in the order of their rows.
        libraries: Versions of the libraries that made the newest part.
    """

    format: Literal["factcheck-index"] = "factcheck-index"
    version: Literal[5] = 5
    generation: Annotated[Count, Field(ge=1)] = 1
    text: TextEncoderEntry
    image: ImageEncoderEntry
    metric: Literal["inner_product"] = "inner_product"
    analyser: Literal["nfkc-casefold-unaccented-words-or-bigrams-english-snowball"] = (
        "nfkc-casefold-unaccented-words-or-bigrams-english-snowball"
    )
    passage: PassageSettings
    corpus_sha256: Sha256
    documents: Count
    passages: Count
    images: Count
    segments: list[Segment]
    libraries: dict[str, str]

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        names = [segment.name for segment in self.segments]
        if len(set(names)) != len(names):
            raise ValueError("a segment is named twice")
        return self

    @property
    def sha256(self) -> str:
        """Hash of what the index is made of, which names it in verdicts.

        The same documents and pictures under the same encoders give the same hash, on any machine
        and in any order, however they came in: segments, library versions, encoder names, paths and
        the last bits of the vectors do not enter.
        """
        identity = self.model_dump(
            mode="json",
            exclude={
                "generation": True,
                "segments": True,
                "libraries": True,
                "text": {"name"},
                "image": {"name"},
            },
        )
        return hashlib.sha256(canonical_json(identity)).hexdigest()

    def write(self, folder: Path) -> None:
        """Put `manifest.json` in the place of what is there, in one step.

        Raises:
            UsageError: It has so many segments that `read` would refuse it.
            OSError: It cannot be written.
        """
        contents = {"sha256": self.sha256, **self.model_dump(mode="json")}
        data = json.dumps(contents, indent=2, ensure_ascii=False).encode() + b"\n"
        if len(data) > _MAX_BYTES:
            raise UsageError(
                f"{folder / MANIFEST}: with {len(self.segments):,} segments it takes more than "
                f"{_MAX_BYTES:,} bytes, and would not be read: give each segment more passages"
            )
        temporary = folder / TEMPORARY
        # An index may come from a stranger: a link that waits under this name is not written to.
        temporary.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(temporary, flags, 0o666), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / MANIFEST)
        sync(folder)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read and check `manifest.json`; the other files are not touched.

        Raises:
            MissingResourceError: There is no such folder.
            InvalidInputError: It is not an index, is of another version, or is damaged.
        """
        path = folder / MANIFEST
        data = _read_json(folder)
        if data.get("format") != FORMAT:
            raise InvalidInputError(f"{path}: not an index: its format is not '{FORMAT}'")
        if data.get("version") != VERSION:
            raise InvalidInputError(
                f"{path}: the index has format version {str(data.get('version'))[:20]}, and this "
                f"release reads version {VERSION}: build it again"
            )
        sha256 = data.pop("sha256", None)
        try:
            # From JSON, where a tuple is a list.
            manifest = cls.model_validate_json(json.dumps(data), strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "manifest"
            raise InvalidInputError(f"{path}: {place}: {first['msg']}") from error
        if manifest.sha256 != sha256:
            raise InvalidInputError(f"{path}: damaged: what it says does not give its sha256")
        return manifest

    def mismatch(self, encoders: Encoders) -> str | None:
        """Which encoder is not the one that made the index and which is; None if both fit."""
        for kind, entry, encoder in (
            ("text", self.text, encoders.text),
            ("image", self.image, encoders.image),
        ):
            if entry.sha256 != encoder.sha256:
                return (
                    f"it was built with the {kind} encoder {entry.name} ({entry.sha256[:12]}...), "
                    f"and {encoder.name} ({encoder.sha256[:12]}...) is given"
                )
        return None


def is_folder(path: Path) -> bool:
    """Whether a folder is there itself, not a link to one."""
    return path.is_dir() and not path.is_symlink()


def check_folders(folder: Path, manifest: Manifest) -> None:
    """Refuse an index whose segments lie elsewhere.

    An index may come from a stranger, and what no manifest names is removed from the folders of its
    segments: a link in the place of one would have files outside of the index removed.

    Args:
        folder: Where the index is.
        manifest: What it holds.

    Raises:
        InvalidInputError: A folder of segments is a link or a file; one that is missing is told by
            its files.
    """
    segments = folder / SEGMENTS
    for path in (segments, *(segments / segment.name for segment in manifest.segments)):
        if os.path.lexists(path) and not is_folder(path):
            raise InvalidInputError(f"{path}: not an ordinary folder")


def is_index(folder: Path) -> bool:
    """Whether a folder has the manifest of an index, of whatever version."""
    try:
        return _read_json(folder).get("format") == FORMAT
    except (MissingResourceError, InvalidInputError):
        return False


def sync(path: Path) -> None:
    """Wait until a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def canonical_json(value: Any) -> bytes:
    """JSON with one spelling for each value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _read_json(folder: Path) -> dict[str, Any]:
    """The object in a folder's `manifest.json`."""
    path = folder / MANIFEST
    if not folder.exists():
        raise MissingResourceError(f"{folder}: there is no such index")
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
            raise InvalidInputError(f"{path}: not a file of at most {_MAX_BYTES:,} bytes")
        data = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InvalidInputError(f"{folder}: not an index: it has no {MANIFEST}") from error
    except OSError as error:
        raise MissingResourceError(f"{path}: it cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path}: damaged, not JSON") from error
    if not isinstance(data, dict):
        raise InvalidInputError(f"{path}: damaged, not a JSON object")
    return data
