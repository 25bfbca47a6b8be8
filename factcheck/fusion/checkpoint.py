"""Checkpoints of the fusion head: a folder of safetensors and JSON, never pickle.

model.safetensors   weights, fp16
trees.safetensors   boosted trees that are asked beside the head; only where there are any
config.json         shape, the encoders it was trained on, how documents are cut
labels.json         the order of the outputs
calibration.json    temperatures and biases
README.md           model card
"""

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import torch
from pydantic import BaseModel, Field, model_validator

from factcheck.encoders.weights import in_half_precision, require_finite
from factcheck.errors import InvalidInputError, MissingResourceError, RunError
from factcheck.fusion.calibration import Calibration
from factcheck.fusion.head import FusionHead
from factcheck.fusion.trees import FILE as TREES
from factcheck.fusion.trees import Trees, TreesBeside, counted_width
from factcheck.records import LABELS, TEXT_RELATIONS
from factcheck.settings import FusionHeadSettings, PassageSettings, Settings, read_json

T = TypeVar("T", bound=BaseModel)

EMBEDDED = "embedded"
"""Name of the checkpoint that the package carries."""

_EMBEDDED_FOLDER = Path(__file__).parent.parent / "pretrained" / "fusion-default"
# 2: a picture with none to compare it with is not read.
_FORMAT = 2


_BESIDE = "beside:"


class EncoderIdentity(Settings):
    """An encoder as a checkpoint knows it.

    Attributes:
        load: What to load it by: `embedded`, a hub id, a timm name or a folder. In `config.json`
            what begins with `beside:` is the way from the checkpoint's folder (`encoder_beside`):
            a run may be moved with the encoders that were trained in it. `load_checkpoint` follows
            it.
        sha256: Hash of its weights.
        dimension: Width of its vectors.
    """

    load: str
    sha256: str
    dimension: int = Field(ge=1, le=65_536)


class CheckpointConfig(Settings):
    """What `config.json` says.

    Attributes:
        format: Version of the checkpoint format.
        head: Shape of the head.
        passages: How documents are cut into passages.
        text_encoder: The text encoder.
        image_encoder: The image encoder.
        relation_encoder: The text relation encoder, its dimension that of its packed encodings;
            None where the head reads none.
        trees_share: What boosted trees count for beside the head, in the text relation
            (`fusion.trees`); None without any.
        image_tokens: Tokens of a picture; of the largest that an image encoder takes, 2,048 pixels
            a side, there are 4,096.
    """

    format: int = _FORMAT
    head: FusionHeadSettings
    passages: PassageSettings
    text_encoder: EncoderIdentity
    image_encoder: EncoderIdentity
    relation_encoder: EncoderIdentity | None = None
    trees_share: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    image_tokens: int = Field(ge=1, le=4096)

    @model_validator(mode="after")
    def _trees_can_be(self) -> Self:
        if self.trees_share is not None and self.relation_encoder is None:
            raise ValueError("trees read what a text relation encoder says, and there is none")
        return self


class Labels(Settings):
    """What `labels.json` says: the order of the outputs.

    Attributes:
        labels: The five labels.
        text_relations: The three text relations.
    """

    labels: tuple[str, ...] = tuple(LABELS)
    text_relations: tuple[str, ...] = tuple(TEXT_RELATIONS)


@dataclass(frozen=True)
class Checkpoint:
    """A fusion head ready to run.

    Attributes:
        head: The head, in evaluation mode.
        config: Its configuration.
        calibration: Its calibration.
        sha256: Hash of everything that a verdict depends on: weights, encoders, calibration.
        trees: What is asked beside the head; None where nothing is.
    """

    head: FusionHead
    config: CheckpointConfig
    calibration: Calibration
    sha256: str
    trees: TreesBeside | None = None


def build_head(config: CheckpointConfig) -> FusionHead:
    """A head of the configured shape with fresh weights."""
    return FusionHead(
        config.head,
        config.text_encoder.dimension,
        config.image_encoder.dimension,
        config.image_tokens,
        0 if config.relation_encoder is None else config.relation_encoder.dimension,
    )


def encoder_beside(encoder: str, checkpoint: Path) -> str:
    """The name of an encoder that a checkpoint is moved with.

    Args:
        encoder: Its folder.
        checkpoint: Folder of the checkpoint; it need not be there yet.
    """
    return _BESIDE + os.path.relpath(os.path.realpath(encoder), os.path.realpath(checkpoint))


def load_checkpoint(name: str | Path = EMBEDDED) -> Checkpoint:
    """Load a checkpoint.

    Args:
        name: `embedded` or a folder.

    Raises:
        MissingResourceError: There is no checkpoint.
        InvalidInputError: A file of it is damaged, the weights do not fit the configuration, or one
            is no finite number.
    """
    from safetensors import SafetensorError, safe_open

    folder = _EMBEDDED_FOLDER if name == EMBEDDED else Path(name)
    if not folder.is_dir():
        raise MissingResourceError(f"{folder}: no such checkpoint folder")
    config = read_json(folder / "config.json", CheckpointConfig)
    if config.format != _FORMAT:
        raise InvalidInputError(
            f"{folder / 'config.json'}: checkpoint format {config.format}, but this version reads "
            f"format {_FORMAT}"
        )
    config = _follow(config, folder)
    if read_json(folder / "labels.json", Labels) != Labels():
        raise InvalidInputError(f"{folder / 'labels.json'}: other labels than this version knows")
    calibration = read_json(folder / "calibration.json", Calibration)
    path = folder / "model.safetensors"
    try:
        # Without memory until the file has shown that it holds so much: what a stranger's
        # config.json asks for may be gigabytes.
        with torch.device("meta"):
            head = build_head(config)
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            found = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            _check_shapes(path, head, found)
            # Copied, so that nothing depends on what happens to the file later.
            weights = {name: file.get_tensor(name).to(torch.float32, copy=True) for name in names}
        require_finite(weights, path)
        head.load_state_dict(weights, assign=True)
    except OSError as error:
        raise MissingResourceError(f"{path}: cannot be read ({error.strerror or error})") from error
    except SafetensorError as error:
        raise InvalidInputError(f"{path}: not a safetensors file ({error})") from error
    except (AssertionError, ValueError, RuntimeError) as error:
        raise InvalidInputError(f"{folder / 'config.json'}: impossible shape ({error})") from error
    beside = None
    if config.trees_share is not None:
        trees = Trees.load(folder / TREES, counted_width(config.head.passages))
        beside = TreesBeside(trees, config.trees_share)
    return Checkpoint(head.eval(), config, calibration, _hash(folder, beside is not None), beside)


def save_checkpoint(
    folder: Path,
    head: FusionHead,
    config: CheckpointConfig,
    calibration: Calibration,
    card: str,
    trees: Trees | None = None,
) -> Checkpoint:
    """Write a checkpoint folder, whole or not at all, and load it.

    An existing checkpoint in its place is replaced once the new one is complete.

    Raises:
        RunError: It cannot be written, or a weight is no finite number in half precision.
    """
    from safetensors.torch import save_file

    weights = in_half_precision(head.state_dict(), folder / "model.safetensors")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            new = Path(temporary) / "new"
            new.mkdir()
            save_file(weights, new / "model.safetensors")
            if trees is not None:
                trees.save(new / TREES)
            (new / "config.json").write_text(config.model_dump_json(indent=2) + "\n")
            (new / "labels.json").write_text(Labels().model_dump_json(indent=2) + "\n")
            calibration.save(new / "calibration.json")
            (new / "README.md").write_text(card)
            if folder.exists():
                folder.replace(Path(temporary) / "old")
            new.replace(folder)
    except OSError as error:
        raise RunError(f"{folder}: the checkpoint cannot be written ({error.strerror})") from error
    return load_checkpoint(folder)


def _follow(config: CheckpointConfig, folder: Path) -> CheckpointConfig:
    """A configuration that names encoders beside the checkpoint from where the process is."""
    kinds = ("text_encoder", "image_encoder", "relation_encoder")
    found = {kind: getattr(config, kind) for kind in kinds}
    return config.model_copy(
        update={
            kind: identity.model_copy(
                update={"load": _way(folder / identity.load.removeprefix(_BESIDE))}
            )
            for kind, identity in found.items()
            if identity is not None and identity.load.startswith(_BESIDE)
        }
    )


def _way(path: Path) -> str:
    short = os.path.normpath(path)
    # Behind a link the folder above is another one.
    return short if os.path.realpath(short) == os.path.realpath(path) else str(path)


def _check_shapes(path: Path, head: FusionHead, found: dict[str, tuple[int, ...]]) -> None:
    wanted = {key: tuple(value.shape) for key, value in head.state_dict().items()}
    for key, shape in wanted.items():
        if key not in found:
            raise InvalidInputError(f"{path}: the weights lack {key}")
        if found[key] != shape:
            raise InvalidInputError(
                f"{path}: {key} has shape {found[key]}, but config.json asks for {shape}"
            )
    extra = sorted(set(found) - set(wanted))
    if extra:
        raise InvalidInputError(f"{path}: the weights have {extra[0]}, which config.json does not")


def _hash(folder: Path, trees: bool) -> str:
    """Hash of weights, configuration and calibration; the card does not change a verdict."""
    digest = hashlib.sha256()
    names = ("model.safetensors", "config.json", "labels.json", "calibration.json")
    for name in (*names, *((TREES,) if trees else ())):
        data = (folder / name).read_bytes()
        digest.update(json.dumps([name, len(data)]).encode() + data)
    return digest.hexdigest()
