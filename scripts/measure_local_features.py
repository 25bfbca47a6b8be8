"""Pictures compared point by point: copies against what looks like them.

    python scripts/measure_local_features.py --data FOLDER

Photographs of share 0.75 to 1, which no encoder saw: a sample of them lightly and heavily edited,
each beside its original and beside those others that the image encoder takes to be nearest. Beside
the number of places that match stands what the readout of token grids says of the same pairs. Not
all of the others are others: press photographs are there twice, cut in another way, and so are two
moments of one scene; the pairs that match most are named, to be looked at. Then the pictures of the
demo claims beside all pictures of the demo corpus, most of them drawn.
"""

import argparse
import json
import time
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image
from results import origin, write_results

from factcheck.datasets.photo_edits import heavy_copy, light_copy
from factcheck.datasets.photographs import list_photographs
from factcheck.encoders import ImageEncoder
from factcheck.encoders.image import pool
from factcheck.encoders.image_match import CopyReadout
from factcheck.encoders.local_features import LocalFeatures, matched_places
from factcheck.encoders.picture_pairs import DOUBTFUL

DEMO = Path(__file__).parent.parent / "data" / "demo"
# A copy is named by its original and what was done to it, but for one.
NAMED = {"hubble-warm": "hubble-deep-field"}
THRESHOLDS = (5, 6, 8, 10, 12, 16, 20)
LOOKED_AT = 10
CHUNK = 256


def opened(path: Path) -> Image.Image:
    """A picture file in RGB."""
    with Image.open(path) as image:
        return image.convert("RGB")


def grids(encoder: ImageEncoder, images: list[Image.Image]) -> np.ndarray:
    """(N, T, C) token grids of pictures."""
    parts = [
        encoder.encode(images[start : start + CHUNK], precision="auto").tokens
        for start in range(0, len(images), CHUNK)
    ]
    return np.concatenate(parts)


def readout_logits(readout: CopyReadout, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(N,) logits of the readout."""
    with torch.inference_mode():
        found: np.ndarray = readout(torch.from_numpy(left), torch.from_numpy(right)).numpy()
    return found


def told_apart(places: np.ndarray, logits: np.ndarray, same: np.ndarray) -> dict[str, Any]:
    """How well places that match, and the readout, tell N pairs of which it is known."""
    doubtful = (DOUBTFUL[0] < logits) & (logits < DOUBTFUL[1])
    return {
        "copies": int(same.sum()),
        "others": int((~same).sum()),
        "most places of others": sorted(places[~same].astype(int).tolist())[-5:],
        "fewest places of copies": sorted(places[same].astype(int).tolist())[:5],
        "wrong by places": {
            f"{least}": {
                "others taken for copies": int((places[~same] >= least).sum()),
                "copies not found": int((places[same] < least).sum()),
            }
            for least in THRESHOLDS
        },
        "wrong by readout": {
            "others taken for copies": int((logits[~same] > 0).sum()),
            "copies not found": int((logits[same] <= 0).sum()),
        },
        "in doubt": round(float(doubtful.mean()), 4),
        "wrong by readout where it is not in doubt": int(((logits > 0) != same)[~doubtful].sum()),
    }


def photographs(data: Path, encoder: ImageEncoder, size: int, others: int) -> dict[str, Any]:
    """Edited photographs beside their originals and beside the nearest of the others."""
    assert encoder.copies is not None
    folders = [data / "photos" / name for name in ("newsimages", "visual7w")]
    known = [one.path for one in list_photographs(folders) if one.share >= 0.75]
    tokens = grids(encoder, [opened(path) for path in known])
    asked = Random(0).sample(range(len(known)), size)
    points = {}
    results: dict[str, Any] = {"photographs": len(known)}
    for name, edit in (("light", light_copy), ("heavy", heavy_copy)):
        copies = [edit(opened(known[i]), Random(f"{name}/{i}")) for i in asked]
        own = grids(encoder, copies)
        cosines = pool(own) @ pool(tokens).T
        pairs = []
        for place, i in enumerate(asked):
            nearest = [j for j in np.argsort(-cosines[place])[: others + 1].tolist() if j != i]
            pairs += [(place, j) for j in [i, *nearest[:others]]]
        rows, beside = map(np.array, zip(*pairs, strict=True))
        features = [LocalFeatures.of(copy) for copy in copies]
        for j in set(beside.tolist()) - points.keys():
            points[j] = LocalFeatures.of(opened(known[j]))
        places = np.array([matched_places(features[a], points[b]) for a, b in pairs])
        same = np.array([asked[a] == b for a, b in pairs])
        logits = readout_logits(encoder.copies, own[rows], tokens[beside])
        matched = sorted(
            (int(places[row]), known[asked[pairs[row][0]]].name, known[pairs[row][1]].name)
            for row in np.flatnonzero(~same & (places >= LOOKED_AT))
        )
        results[name] = {**told_apart(places, logits, same), "others that match": matched}
    return results


def demo(encoder: ImageEncoder) -> dict[str, Any]:
    """The pictures of the demo claims beside all pictures of the corpus."""
    assert encoder.copies is not None
    claims = [json.loads(line) for line in (DEMO / "claims.jsonl").read_text().splitlines()]
    shown = sorted({one["image"] for one in claims if one.get("image")})
    lines = (DEMO / "corpus.jsonl").read_text().splitlines()
    corpus = sorted({one["image"] for one in map(json.loads, lines) if one.get("image")})
    images = [opened(DEMO / name) for name in (*shown, *corpus)]
    tokens = grids(encoder, images)
    features = [LocalFeatures.of(image) for image in images]
    pairs = [(a, len(shown) + b) for a in range(len(shown)) for b in range(len(corpus))]
    places = np.array([matched_places(features[a], features[b]) for a, b in pairs])
    stems = [Path(name).stem for name in (*shown, *corpus)]
    same = np.array([_is_copy(stems[a], stems[b]) for a, b in pairs])
    left, right = (np.array(side) for side in zip(*pairs, strict=True))
    return told_apart(places, readout_logits(encoder.copies, tokens[left], tokens[right]), same)


def _is_copy(copy: str, picture: str) -> bool:
    return picture in (copy, NAMED.get(copy)) or copy.startswith(f"{picture}-")


def seconds(data: Path, count: int) -> dict[str, float]:
    """What the points of a picture and the comparison of two take, on one core and one process."""
    folder = data / "photos" / "newsimages"
    images = [opened(path) for path in sorted(folder.glob("*.webp"))[: 2 * count]]
    start = time.perf_counter()
    points = [LocalFeatures.of(image) for image in images]
    middle = time.perf_counter()
    for left, right in zip(points[:count], points[count:], strict=True):
        matched_places(left, right)
    end = time.perf_counter()
    return {
        "points of a picture": round((middle - start) / len(images), 4),
        "comparison of two": round((end - middle) / count, 4),
    }


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with photos/")
    parser.add_argument("--size", type=int, default=500, help="photographs that are edited")
    parser.add_argument("--others", type=int, default=10, help="photographs beside each copy")
    parser.add_argument("--out", type=Path, default=Path("data/results/local-features.json"))
    arguments = parser.parse_args()
    encoder = ImageEncoder.load("embedded")
    results = {
        **origin({"photographs": "share 0.75 to 1", "demo": "data/demo"}),
        "edited photographs": photographs(
            arguments.data, encoder, arguments.size, arguments.others
        ),
        "demo": demo(encoder),
        "seconds": seconds(arguments.data, 100),
    }
    write_results(arguments.out, results)


if __name__ == "__main__":
    main()
