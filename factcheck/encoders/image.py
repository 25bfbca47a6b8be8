"""The image encoder: pictures in, a token grid and a pooled vector out.

The network is a Twins-SVT (`twins_svt`). The interface is one class, so that another network takes
its place without a change elsewhere.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import torch
from PIL import Image
from pydantic import Field, ValidationError
from torch import Tensor

from factcheck import pictures
from factcheck.encoders.identity import settings_hash
from factcheck.encoders.image_match import CopyReadout
from factcheck.encoders.precision import NumberFormats, best_device, number_format
from factcheck.encoders.twins_svt import (
    GlobalSubsampledAttention,
    LocallyGroupedAttention,
    TwinsSVT,
)
from factcheck.encoders.twins_svt_weights import load_weights, shape_of, timm_model
from factcheck.encoders.weights import in_half_precision, read_weights, weights_hash
from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.settings import Precision, Settings, TwinsSvtSettings, first_problem

EMBEDDED = "embedded"
"""Name of the image encoder that the package carries."""

BATCH_SIZE = 64
"""Pictures a batch: enough to keep the processor busy, few enough for its caches."""

EMBEDDED_FOLDER = Path(__file__).parent.parent / "pretrained" / "twins-svt-4m"

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ImageTransform:
    """From a decoded picture to what the network takes.

    The whole picture is squeezed into a square: cutting the centre out would hide what a crop or a
    caption changed at the rim.

    Attributes:
        side: Side of the square, pixels.
        mean: Mean of each channel, of pixel values in [0, 1].
        std: Standard deviation of each channel, likewise.
    """

    side: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def pixels(self, image: Image.Image) -> Tensor:
        """(side, side, 3) uint8 of an RGB image."""
        small = image.resize((self.side, self.side), Image.Resampling.BICUBIC, reducing_gap=2.0)
        return torch.from_numpy(np.array(small))

    def normalise(self, pixels: Tensor) -> Tensor:
        """(B, 3, side, side) float32, normalised, of (B, side, side, 3) uint8.

        The result lies in memory as the pixels do, channels last, as the network reads it.
        """
        # A whole row at a time: with three numbers to a step nothing is computed side by side.
        mean = (torch.tensor(self.mean) * 255).repeat(pixels.shape[2], 1)
        std = (torch.tensor(self.std) * 255).repeat(pixels.shape[2], 1)
        return (pixels - mean).div_(std).permute(0, 3, 1, 2)


_Level = Annotated[float, Field(ge=-1000, le=1000)]
_Spread = Annotated[float, Field(ge=1e-3, le=1000)]


class ImageEncoderConfig(Settings):
    """What `config.json` of an image encoder folder says."""

    architecture: TwinsSvtSettings
    mean: tuple[_Level, _Level, _Level] = IMAGENET_MEAN
    std: tuple[_Spread, _Spread, _Spread] = IMAGENET_STD


@dataclass(frozen=True)
class ImageEncodings:
    """What the image encoder gives for N pictures.

    Attributes:
        tokens: (N, T, C) float32, the final token grid in row order.
        pooled: (N, C) float32, its mean, of unit length.
    """

    tokens: np.ndarray
    pooled: np.ndarray


class ImageEncoder:
    """A Twins-SVT behind a narrow interface.

    Attributes:
        name: What the network was loaded as.
        sha256: Hash of its weights.
        dimension: Width C of tokens and pooled vectors.
        tokens: Number T of tokens of a picture.
        transform: From pictures to what the network takes.
        device: Where the network is.
        copies: Tells copies from other pictures by their token grids; None where none was fitted.
    """

    def __init__(
        self,
        name: str,
        network: TwinsSVT,
        transform: ImageTransform,
        device: torch.device | None = None,
    ) -> None:
        self.name = name
        self.transform = transform
        self.device = device or torch.device("cpu")
        self.network = network.eval()
        self.copies: CopyReadout | None = None
        self._formats = NumberFormats(self.network)
        self.sha256 = weights_hash(self.network)
        self.network.to(self.device)
        with torch.inference_mode():
            images = torch.zeros(1, 3, transform.side, transform.side)
            _, self.tokens, self.dimension = self.network(images.to(self.device)).tokens.shape

    @classmethod
    def load(cls, name: str = EMBEDDED) -> Self:
        """Load an image encoder, all but the embedded one onto a CUDA device where there is one.

        Args:
            name: `embedded`; a folder with config.json and model.safetensors; a checkpoint file of
                a published variant, `.safetensors` or PyTorch's; or, if nothing on disk has that
                name, that of a Twins-SVT of timm with its pretrained tag, such as
                `twins_svt_small.in1k`.

        Raises:
            PrerequisiteError: A timm model whose weights are not on disk, and no hub.
            MissingResourceError: No such folder or file.
            InvalidInputError: A folder or file whose configuration or weights do not fit.
        """
        if name == EMBEDDED:
            return cls._from_folder(EMBEDDED_FOLDER)
        # Published checkpoint files are named after timm's models: what is on disk goes first.
        if Path(name).is_file():
            network = TwinsSVT.from_file(name)
            return cls(Path(name).name, network, ImageTransform(224), best_device())
        if name.startswith("twins_svt") and not Path(name).is_dir():
            return cls._from_timm(name)
        return cls._from_folder(Path(name), best_device())

    @classmethod
    def _from_folder(cls, folder: Path, device: torch.device | None = None) -> Self:
        config, network = read_image_encoder(folder)
        transform = ImageTransform(config.architecture.side, config.mean, config.std)
        encoder = cls(folder.name, network, transform, device)
        encoder.copies = CopyReadout.from_folder(folder, encoder.tokens)
        return encoder

    @classmethod
    def _from_timm(cls, name: str) -> Self:
        from timm.data.config import resolve_model_data_config

        model = timm_model(name)
        data: dict[str, Any] = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
        transform = ImageTransform(data["input_size"][-1], data["mean"], data["std"])
        return cls(name, TwinsSVT.from_timm(model), transform, best_device())

    @cached_property
    def identity(self) -> str:
        """Hash of all that an encoding depends on: the weights, the transform and the windows.

        `sha256` names the weights alone, as checkpoints and indices do.
        """
        transform = self.transform
        attention = [
            (name, module.heads, getattr(module, "window", 0), getattr(module, "sub_window", 0))
            for name, module in self.network.named_modules()
            if isinstance(module, LocallyGroupedAttention | GlobalSubsampledAttention)
        ]
        return settings_hash(
            self.sha256, transform.side, [*transform.mean], [*transform.std], attention
        )

    def prepare(self, data: bytes, name: str | Path) -> Tensor:
        """Decode a picture file no larger than the network needs it; safe to call from threads.

        Args:
            data: The file's bytes.
            name: What to call it in an error.

        Returns:
            (side, side, 3) uint8, for `encode_pixels`.

        Raises:
            InvalidInputError: It is no picture that can be decoded; see `pictures.decode`.
        """
        return self.transform.pixels(pictures.decode(data, name, self.transform.side))

    def encode(
        self,
        images: Sequence[Image.Image],
        batch_size: int = BATCH_SIZE,
        precision: Precision = "float32",
        side: int | None = None,
    ) -> ImageEncodings:
        """Encode RGB pictures of any size, as `pictures.decode` gives them; see `encode_pixels`.

        Args:
            images: N pictures.
            batch_size: Pictures a batch.
            precision: Number format that the network computes in.
            side: Side of the square that they are squeezed into, at least 32 pixels; without it the
                one that the network was trained on. A larger one gives a finer token grid.
        """
        transform = self.transform if side is None else replace(self.transform, side=side)
        pixels = [transform.pixels(image) for image in images]
        return self.encode_pixels(pixels, batch_size, precision)

    def encode_pixels(
        self,
        pixels: Sequence[Tensor],
        batch_size: int = BATCH_SIZE,
        precision: Precision = "float32",
    ) -> ImageEncodings:
        """Encode pictures that are prepared.

        Args:
            pixels: N pictures as `prepare` gives them, (side, side, 3) uint8 each, all of one side.
            batch_size: Pictures a batch.
            precision: Number format that the network computes in; bfloat16 gives a cosine above
                0.999 to float32.

        Returns:
            Token grids and pooled vectors, in order.

        Raises:
            PrerequisiteError: bfloat16 was asked for by name and the processor does not have it.
        """
        dtype = number_format(precision, self.device)
        network = self._formats[dtype]
        grids = [np.zeros((0, self.tokens, self.dimension), dtype=np.float32)]
        for start in range(0, len(pixels), batch_size):
            batch = torch.stack(list(pixels[start : start + batch_size]))
            with torch.inference_mode():
                grid, _ = network(self.transform.normalise(batch).to(self.device, dtype))
            grids.append(grid.float().cpu().numpy())
        tokens = np.concatenate(grids[1:] or grids)
        return ImageEncodings(tokens, pool(tokens))


def pool(tokens: np.ndarray) -> np.ndarray:
    """(N, C) unit vectors: the mean over the tokens of (N, T, C) grids."""
    mean = tokens.mean(axis=1, dtype=np.float32)
    unit: np.ndarray = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    return unit


def build_twins_svt(settings: TwinsSvtSettings) -> TwinsSVT:
    """A Twins-SVT of the given shape with fresh weights."""
    return TwinsSVT(**settings.model_dump(exclude={"side"}))


def architecture_of(network: TwinsSVT, side: int) -> TwinsSvtSettings:
    """The shape of a network, for `save_image_encoder`.

    Args:
        network: The network.
        side: Side of the square input that it is to have, pixels.
    """
    shape = shape_of(network.state_dict(), "the network")
    local = [stage.blocks[0].attention for stage in network.stages]  # type: ignore[index, union-attr]
    return TwinsSvtSettings.model_validate(
        {
            **asdict(shape),
            "side": side,
            "heads": tuple(attention.heads for attention in local),
            "windows": tuple(attention.window for attention in local),
        }
    )


def read_image_encoder(folder: Path) -> tuple[ImageEncoderConfig, TwinsSVT]:
    """Read an image encoder folder, `config.json` and `model.safetensors`.

    Raises:
        MissingResourceError: The folder or one of the files is not there.
        InvalidInputError: The configuration is none, or the weights do not fit it.
    """
    path = folder / "config.json"
    try:
        config = ImageEncoderConfig.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingResourceError(
            f"{folder}: no image encoder there: config.json and model.safetensors are needed"
        ) from error
    except ValidationError as error:
        raise InvalidInputError(
            f"{path}: not an image encoder's configuration: {first_problem(error)}"
        ) from error
    except ValueError as error:
        raise InvalidInputError(f"{path}: not an image encoder's configuration") from error
    with torch.device("meta"):
        network = build_twins_svt(config.architecture)
    weights = folder / "model.safetensors"
    load_weights(network, read_weights(weights), weights)
    return config, network


def save_image_encoder(
    network: TwinsSVT, architecture: TwinsSvtSettings, transform: ImageTransform, folder: Path
) -> None:
    """Write `model.safetensors` (fp16) and `config.json`, as `ImageEncoder.load` reads them.

    Raises:
        RunError: A weight is no finite number in half precision.
    """
    from safetensors.torch import save_file

    weights = in_half_precision(network.state_dict(), folder / "model.safetensors")
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "model.safetensors")
    config = ImageEncoderConfig(architecture=architecture, mean=transform.mean, std=transform.std)
    (folder / "config.json").write_text(json.dumps(config.model_dump(mode="json"), indent=2) + "\n")
