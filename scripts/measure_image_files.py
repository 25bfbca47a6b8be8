"""Measure the whole way from picture files to vectors, against a plain loop.

    python scripts/measure_image_files.py --data FOLDER

The plain loop opens each file with Pillow, applies timm's transform and calls timm's network, one
picture after another. Ours is `Encoders.pictures`: files hashed, decoded by a pool of threads no
larger than needed, and our network, in float32 as the plain loop and in the fastest number format
that the processor has, as commands do. All take the same 1,000 JPEG files, in chunks whose order
changes, and ratios are medians over the chunks. The files are photographs of --data enlarged
to sizes that news sites and cameras give, since the photographs at hand are small.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image
from results import origin, write_results
from timm.data import create_transform
from timm.models.twins import Twins
from torch import nn

from factcheck.datasets.photographs import list_photographs
from factcheck.encoders import Encoders, ImageEncoder, TextEncoder
from factcheck.encoders.image import (
    EMBEDDED_FOLDER,
    IMAGENET_MEAN,
    IMAGENET_STD,
    ImageTransform,
    read_image_encoder,
)
from factcheck.encoders.twins_svt import TwinsSVT

WIDTHS = (800, 1280, 2048, 3000, 4000)
QUALITY = 88
CHUNK = 50


def write_files(data: Path, folder: Path, count: int) -> list[Path]:
    """JPEG files of `WIDTHS` in turn."""
    photographs = list_photographs([data / "photos/newsimages"])
    paths = []
    for number, photograph in enumerate(random.Random(0).sample(photographs, count)):
        with Image.open(photograph.path) as image:
            width = WIDTHS[number % len(WIDTHS)]
            height = round(width * image.height / image.width)
            large = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
        paths.append(folder / f"{number:04}.jpg")
        large.save(paths[-1], quality=QUALITY)
    return paths


def shipped() -> tuple[nn.Module, ImageEncoder, int, float]:
    """The shape of the shipped encoder as timm's network and as ours."""
    shape = read_image_encoder(EMBEDDED_FOLDER)[0].architecture
    reference = Twins(
        img_size=shape.side,
        num_classes=0,
        embed_dims=shape.dims,
        num_heads=shape.heads,
        mlp_ratios=(shape.mlp_ratio,) * 4,
        depths=shape.depths,
        wss=shape.windows,
        sr_ratios=shape.sub_windows,
    )
    return reference.eval(), ImageEncoder.load(), shape.side, 1.0


def small() -> tuple[nn.Module, ImageEncoder, int, float]:
    """The paper's small variant at 224 pixels, random weights."""
    torch.manual_seed(0)
    reference = timm.create_model("twins_svt_small", pretrained=False, num_classes=0).eval()
    network = TwinsSVT.from_timm(reference)
    return reference, ImageEncoder("small", network, ImageTransform(224)), 224, 0.9


@torch.inference_mode()
def plain(paths: list[Path], network: nn.Module, transform: Any) -> None:
    """One file after another."""
    for path in paths:
        with Image.open(path) as image:
            network(transform(image.convert("RGB"))[None])


def measure(paths: list[Path], which: str, text: TextEncoder) -> dict[str, Any]:
    """Images a second of each way, and median ratios over chunks."""
    reference, encoder, side, crop = {"shipped": shipped, "small": small}[which]()
    transform = create_transform(
        (3, side, side),
        interpolation="bicubic",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        crop_pct=crop,
    )
    ours = {
        "float32": Encoders(text, encoder),
        "fastest": Encoders(text, encoder, precision="auto"),
    }
    ways: dict[str, Callable[[list[Path]], object]] = {
        "plain": lambda some: plain(some, reference, transform),
        **{name: encoders.pictures for name, encoders in ours.items()},
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way(paths[:4])
    order = random.Random(0)
    for start in range(0, len(paths), CHUNK):
        chunk = paths[start : start + CHUNK]
        for name in order.sample(sorted(ways), len(ways)):
            begun = time.perf_counter()
            ways[name](chunk)
            times[name].append(time.perf_counter() - begun)
    return {
        "side": side,
        "plain_images_per_second": round(len(paths) / sum(times["plain"]), 1),
        **{
            name: {
                "ratio": round(
                    statistics.median(
                        one / other for one, other in zip(times["plain"], times[name], strict=True)
                    ),
                    2,
                ),
                "images_per_second": round(len(paths) / sum(times[name]), 1),
                "number_format": encoders.precision,
            }
            for name, encoders in ours.items()
        },
    }


def main() -> None:
    """Write the files, measure both networks and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds photos/")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("data/results/image-files.json"))
    arguments = parser.parse_args()
    text = TextEncoder.load()
    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(arguments.data, Path(folder), arguments.files)
        results = {which: measure(paths, which, text) for which in ("shipped", "small")}
        mean = sum(path.stat().st_size for path in paths) / len(paths)
    data = {
        "files": f"{arguments.files} JPEG, quality {QUALITY}, widths {WIDTHS}",
        "mean_bytes": round(mean),
        "seed": 0,
    }
    write_results(arguments.out, {**origin(data), **results})
    json.dump(results, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
