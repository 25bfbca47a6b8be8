"""Exports photographs that installed packages carry and that are in the public domain or CC0."""

import importlib.util
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from demo_images.canvas import write_atomically

LONG_SIDE = 640
QUALITY = 85


class PackageMissingError(RuntimeError):
    """A package that carries a photograph is not installed."""


@dataclass(frozen=True)
class Photograph:
    """A photograph inside an installed package.

    Attributes:
        name: Path of the exported copy below the demo folder, without suffix.
        package: Import name of the package.
        file: Path of the photograph inside the package.
        long_side: Longest side of the copy in pixels; noisy textures take a smaller one to stay
            light.
    """

    name: str
    package: str
    file: str
    long_side: int = LONG_SIDE


PHOTOGRAPHS = [
    Photograph("images/astronaut", "skimage", "data/astronaut.png"),
    Photograph("images/rocket", "skimage", "data/rocket.jpg"),
    Photograph("images/hubble-deep-field", "skimage", "data/hubble_deep_field.jpg"),
    Photograph("images/cat", "skimage", "data/chelsea.png"),
    Photograph("images/coffee", "skimage", "data/coffee.png"),
    Photograph("images/retina", "skimage", "data/retina.jpg"),
    Photograph("images/cell", "skimage", "data/cell.png"),
    Photograph("images/bricks", "skimage", "data/brick.png", 440),
    Photograph("images/horse", "skimage", "data/horse.png"),
    Photograph("images/grace-hopper", "matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    # Kept out of the corpus, so that claims can carry pictures no document has.
    Photograph("claim-images/photographer", "skimage", "data/camera.png"),
    Photograph("claim-images/gravel", "skimage", "data/gravel.png", 320),
    Photograph("claim-images/grass", "skimage", "data/grass.png", 320),
    Photograph("claim-images/clock", "skimage", "data/clock_motion.png"),
]
_DISTRIBUTIONS = {"skimage": "scikit-image", "matplotlib": "matplotlib"}


def jpeg(image: Image.Image, quality: int = QUALITY) -> bytes:
    """Encodes a picture as JPEG, without metadata.

    Args:
        image: The picture.
        quality: JPEG quality.

    Returns:
        The bytes of the file.
    """
    # A fresh copy of the pixels leaves comments and camera data behind.
    bare = Image.new("RGB", image.size)
    bare.paste(image.convert("RGB"))
    buffer = io.BytesIO()
    bare.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def export_photographs(out: Path) -> list[Path]:
    """Writes every photograph as a small JPEG.

    Args:
        out: The demo folder.

    Returns:
        The files written.

    Raises:
        PackageMissingError: A package or one of its pictures is not there.
    """
    written = []
    for photograph in PHOTOGRAPHS:
        with Image.open(_locate(photograph)) as opened:
            image = _on_white(opened)
        image.thumbnail((photograph.long_side, photograph.long_side), Image.Resampling.LANCZOS)
        path = out / f"{photograph.name}.jpg"
        write_atomically(path, jpeg(image))
        written.append(path)
    return written


def _locate(photograph: Photograph) -> Path:
    # The files are plain pictures, so the package is found but never imported.
    spec = importlib.util.find_spec(photograph.package)
    for folder in (spec.submodule_search_locations if spec else None) or []:
        path = Path(folder) / photograph.file
        if path.is_file():
            return path
    distribution = _DISTRIBUTIONS[photograph.package]
    raise PackageMissingError(
        f"{photograph.file} of {distribution} not found: pip install scikit-image matplotlib, "
        "or pass --skip-photographs to keep the copies that are already there"
    )


def _on_white(image: Image.Image) -> Image.Image:
    """Flattens a transparent picture on white, as a browser would show it."""
    if "A" not in image.getbands():
        return image.convert("RGB")
    flat = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(flat, image.convert("RGBA")).convert("RGB")
