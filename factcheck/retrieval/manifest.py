"""What an index is: the file in its folder that says what it holds and what made it."""

import hashlib
import json
import stat
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from factcheck.encoders import Encoders
from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.settings import PassageSettings, Settings

FORMAT = "factcheck-index"
VERSION = 1

MANIFEST = "manifest.json"
PASSAGES = "passages.faiss"
IMAGES = "images.faiss"
TOKENS = "image_tokens.npy"
METADATA = "metadata.sqlite"
FILES = (PASSAGES, IMAGES, TOKENS, METADATA)
"""The files of an index besides its manifest."""

# An index may come from a stranger: what is read before it can be checked is bounded.
_MAX_BYTES = 2**20

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


class Manifest(Settings):
    """The contents of `manifest.json`, where `sha256` is beside them.

    Attributes:
        format: Tells an index from any other folder.
        version: Of the format; a reader knows one.
        text: The encoder of the passages.
        image: The encoder of the pictures.
        faiss_factory: What `faiss.index_factory` made both vector files from.
        metric: How vectors, of unit length, are compared.
        passage: How documents were cut.
        corpus_sha256: Hash of the documents, the contents of their pictures and the borders of
            their passages, whatever the order of the documents and the places of the pictures.
        documents: Number of documents.
        passages: Number of passages.
        images: Number of documents with a picture.
        files: The other files of the folder, by name.
        libraries: Versions of the libraries that made the index.
    """

    format: Literal["factcheck-index"] = "factcheck-index"
    version: Literal[1] = 1
    text: TextEncoderEntry
    image: ImageEncoderEntry
    faiss_factory: Literal["Flat"] = "Flat"
    metric: Literal["inner_product"] = "inner_product"
    passage: PassageSettings
    corpus_sha256: Sha256
    documents: Annotated[Count, Field(ge=1)]
    passages: Annotated[Count, Field(ge=1)]
    images: Count
    files: dict[str, FileEntry]
    libraries: dict[str, str]

    @model_validator(mode="after")
    def _all_files(self) -> Self:
        if set(self.files) != set(FILES):
            raise ValueError(f"the files must be {', '.join(FILES)}")
        return self

    @property
    def sha256(self) -> str:
        """Hash of what the index is made of, which names it in verdicts.

        The same documents and pictures under the same encoders give the same hash, on any machine
        and in any order: library versions, encoder names, paths and the last bits of the vectors
        do not enter.
        """
        identity = self.model_dump(
            mode="json",
            exclude={
                "files": True,
                "libraries": True,
                "text": {"name"},
                "image": {"name"},
            },
        )
        return hashlib.sha256(canonical_json(identity)).hexdigest()

    def write(self, folder: Path) -> None:
        """Write `manifest.json`.

        Raises:
            OSError: It cannot be written.
        """
        contents = {"sha256": self.sha256, **self.model_dump(mode="json")}
        text = json.dumps(contents, indent=2, ensure_ascii=False)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

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
            manifest = cls.model_validate(data, strict=True)
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


def is_index(folder: Path) -> bool:
    """Whether a folder has the manifest of an index, of whatever version."""
    try:
        return _read_json(folder).get("format") == FORMAT
    except (MissingResourceError, InvalidInputError):
        return False


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
