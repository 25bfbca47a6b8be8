"""The image encoder: pictures in, a token grid and a pooled vector out.

Today's network is timm's Twins-SVT (arXiv:2104.13840). The interface is one class, so that another
network takes its place without a change elsewhere.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor, nn

from factcheck.encoders.weights import weights_hash
from factcheck.errors import InvalidInputError, MissingResourceError, PrerequisiteError
from factcheck.settings import Settings, TwinsSvtSettings

EMBEDDED = "embedded"
"""Name of the image encoder that the package carries."""

_EMBEDDED_FOLDER = Path(__file__).parent.parent / "pretrained" / "twins-svt-4m"

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
        """(3, side, side) uint8 of an RGB image."""
        small = image.resize((self.side, self.side), Image.Resampling.BICUBIC, reducing_gap=2.0)
        return torch.from_numpy(np.array(small)).permute(2, 0, 1).contiguous()

    def normalise(self, pixels: Tensor) -> Tensor:
        """(B, 3, side, side) float32, normalised, of uint8 pixels."""
        mean = torch.tensor(self.mean).reshape(1, 3, 1, 1) * 255
        std = torch.tensor(self.std).reshape(1, 3, 1, 1) * 255
        return (pixels.float() - mean) / std


class ImageEncoderConfig(Settings):
    """What `config.json` of an image encoder folder says."""

    architecture: TwinsSvtSettings
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


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
    """

    def __init__(self, name: str, network: nn.Module, transform: ImageTransform) -> None:
        self.name = name
        self.network = network.eval()
        self.transform = transform
        self.sha256 = weights_hash(network)
        with torch.inference_mode():
            grid = self.network(torch.zeros(1, 3, transform.side, transform.side))
        _, self.tokens, self.dimension = grid.shape

    @classmethod
    def load(cls, name: str = EMBEDDED) -> Self:
        """Load an image encoder.

        Args:
            name: `embedded`, a folder with config.json and model.safetensors, or the name of a
                Twins-SVT of timm with its pretrained tag, such as `twins_svt_small.in1k`.

        Raises:
            PrerequisiteError: A timm model whose weights are not on disk, and no hub.
            InvalidInputError: A folder whose configuration or weights do not fit.
        """
        if name == EMBEDDED:
            return cls._from_folder(_EMBEDDED_FOLDER)
        if name.startswith("twins_svt"):
            return cls._from_timm(name)
        return cls._from_folder(Path(name))

    @classmethod
    def _from_folder(cls, folder: Path) -> Self:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            text = (folder / "config.json").read_text()
            config = ImageEncoderConfig.model_validate_json(text)
            network = build_twins_svt(config.architecture)
            weights = load_file(folder / "model.safetensors")
            network.load_state_dict({key: value.float() for key, value in weights.items()})
        except OSError as error:
            raise MissingResourceError(
                f"{folder}: no image encoder there: config.json and model.safetensors are needed"
            ) from error
        except (ValidationError, ValueError) as error:
            raise InvalidInputError(
                f"{folder / 'config.json'}: not an image encoder's configuration"
            ) from error
        except (SafetensorError, RuntimeError) as error:
            raise InvalidInputError(
                f"{folder / 'model.safetensors'}: weights do not fit the shape in config.json"
            ) from error
        side = config.architecture.side
        return cls(folder.name, network, ImageTransform(side, config.mean, config.std))

    @classmethod
    def _from_timm(cls, name: str) -> Self:
        import timm
        from timm.data.config import resolve_model_data_config

        try:
            model = timm.create_model(name, pretrained=True, num_classes=0)
        except (OSError, RuntimeError) as error:
            raise PrerequisiteError(
                f"{name}: its weights are not on this machine and could not be had from the model "
                f"hub ({type(error).__name__}); give a folder or '{EMBEDDED}'"
            ) from error
        data: dict[str, Any] = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
        side = data["input_size"][-1]
        return cls(name, _TokenGrid(model), ImageTransform(side, data["mean"], data["std"]))

    def encode(self, images: Sequence[Image.Image], batch_size: int = 32) -> ImageEncodings:
        """Encode RGB pictures of any size.

        Args:
            images: N pictures, as `pictures.decode` gives them.
            batch_size: Pictures a batch.

        Returns:
            Token grids and pooled vectors, in order.
        """
        tokens = np.zeros((len(images), self.tokens, self.dimension), dtype=np.float32)
        for start in range(0, len(images), batch_size):
            chunk = [self.transform.pixels(image) for image in images[start : start + batch_size]]
            with torch.inference_mode():
                grid = self.network(self.transform.normalise(torch.stack(chunk)))
            tokens[start : start + len(chunk)] = grid.numpy()
        return ImageEncodings(tokens, pool(tokens))


def pool(tokens: np.ndarray) -> np.ndarray:
    """(N, C) unit vectors: the mean over the tokens of (N, T, C) grids."""
    mean = tokens.mean(axis=1, dtype=np.float32)
    unit: np.ndarray = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    return unit


class _TokenGrid(nn.Module):
    """timm's Twins without its head: (B, 3, H, W) to tokens (B, h*w, C)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.network.forward_features(images)  # type: ignore[operator]
        return tokens


def build_twins_svt(settings: TwinsSvtSettings) -> nn.Module:
    """A Twins-SVT of the given shape with fresh weights: (B, 3, H, W) to tokens (B, h*w, C)."""
    from timm.models.twins import Twins

    network = Twins(
        img_size=settings.side,
        num_classes=0,
        embed_dims=settings.dims,
        num_heads=settings.heads,
        mlp_ratios=(settings.mlp_ratio,) * 4,
        depths=settings.depths,
        wss=settings.windows,
        sr_ratios=settings.sub_windows,
    )
    return _TokenGrid(network)


def save_image_encoder(
    network: nn.Module, architecture: TwinsSvtSettings, transform: ImageTransform, folder: Path
) -> None:
    """Write `model.safetensors` (fp16) and `config.json`, as `ImageEncoder.load` reads them."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {key: value.half().contiguous() for key, value in network.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    config = ImageEncoderConfig(architecture=architecture, mean=transform.mean, std=transform.std)
    (folder / "config.json").write_text(json.dumps(config.model_dump(mode="json"), indent=2) + "\n")
