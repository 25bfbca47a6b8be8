"""What a run is made from: hashes by which data that changed under a run are noticed.

Settings name files and folders. Two runs with equal settings are the same run only if what lies
there is the same, too: a checkpoint must not go on with the rows of other data, and what was
finished on data that were mended since must be done again.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from factcheck.datasets import find_splits
from factcheck.datasets.picture_files import PictureFiles
from factcheck.encoders import image, relation
from factcheck.files import file_sha256
from factcheck.settings import Settings

INPUTS = "inputs.json"
"""Where a run folder keeps them."""

# The text encoder is not among them: its hash is in whatever is trained on it.
_NAME_ENCODERS = ("initial", "teacher", "relation_encoder", "image_encoder")

# Of a folder in Factify 2's format. Labels of the test rows that come later change no encoder.
_READ_BY = {"fusion": ("train", "val", "test"), "image-relation": ("train", "val")}


def inputs_of(settings: Settings, data: Path) -> dict[str, str]:
    """Hashes of what a run reads, by name.

    Args:
        settings: Of the run. Those with `text` read these files, others the splits of a folder in
            Factify 2's format that are of use to them, of whose pictures names and sizes are taken;
            both may start from encoders, of which the weights are taken.
        data: The data folder.

    Returns:
        Of everything that is there; what is missing, whoever reads it will name.
    """
    values = dict(settings)
    kind = str(values.get("kind"))
    if "text" in values:
        names = [*values["text"], *values.get("development", [])]
        found = _hashes({str(name): data / name for name in names})
    else:
        splits = [split for split in find_splits(data) if split in _READ_BY.get(kind, (split,))]
        tables = {f"{split}.csv": data / f"{split}.csv" for split in splits}
        beside = {f"provenance-{split}.jsonl" for split in splits}
        found = _hashes(tables | {name: data / name for name in sorted(beside)})
        found |= {
            f"pictures of {split}": PictureFiles(data, split).names_sha256() for split in splits
        }
    return found | started_from(settings)


def started_from(settings: Settings) -> dict[str, str]:
    """Hashes of the weights that a run starts from or learns from, by name, as `inputs_of`."""
    values = dict(settings)
    weights = {
        name: _weights(name, str(values[name]))
        for name in _NAME_ENCODERS
        if values.get(name) is not None
    }
    taught = {
        f"teachers {name}": Path(name) / "model.safetensors" for name in values.get("teachers", [])
    }
    return _hashes(weights | taught)


def combined(digests: Iterable[str]) -> str:
    """One hash of many, in their order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def unchanged(out: Path, inputs: Mapping[str, str]) -> bool:
    """Whether the run in a folder was made from these.

    Args:
        out: The run folder.
        inputs: As they are now. What a run once read and is no longer there has not changed.
    """
    try:
        known: Any = json.loads((out / INPUTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(known, dict) and all(known.get(key) == own for key, own in inputs.items())


def _hashes(paths: Mapping[str, Path]) -> dict[str, str]:
    """The hashes of those files that are there."""
    return {name: file_sha256(path) for name, path in paths.items() if path.is_file()}


def _weights(kind: str, name: str) -> Path:
    """Where the weights of an encoder lie; a path that leads nowhere if the name is a hub's."""
    if kind == "image_encoder" and name == image.EMBEDDED:
        return image.EMBEDDED_FOLDER / "model.safetensors"
    folder = relation.folder_of(name)
    return folder if folder.is_file() else folder / "model.safetensors"
