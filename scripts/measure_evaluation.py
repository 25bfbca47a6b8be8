"""Measure `factcheck evaluate` on a large split against the same models run the plain way.

    factcheck data compose configs/compose-large.yaml --data DATA --out build/large
    python scripts/measure_evaluation.py --data build/large

The plain way is the loop that one writes first: sentence-transformers' `encode` with its default
settings, pairs tokenised and read by the same cross-encoder as they come, Pillow, timm's transform,
the same image network and the same head, in float32, one pair after another or in batches of 32 in
file order. It is timed from its first row on, with everything loaded, and takes nothing twice from
memory. Against it stands our checker, timed in the same way: with a cache that it fills, and again
with the cache warm. Beside both stands the command as a user types it, with imports, loading, the
bootstrap and the report, and how its time grows.

Every part runs in a process of its own, so that peak memory is its own, and says how long a
2048 x 2048 float32 matrix product took just before it, since these machines change from hour to
hour. The doctor's pass over the whole folder is timed last.
"""

import argparse
import csv
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure_speed import matrix_product
from results import origin, write_results

BATCH = 32
SIZES = (750, 7_500, 30_000)
COMPARED = 7_500
ONE_BY_ONE = 300


class PlainEncoders:
    """What `FusionInputs.assemble` wants of encoders: each call encodes what it is given."""

    def __init__(self, ours: Any) -> None:
        self.text = ours.text
        self._relation = ours.relation

    def relations(self, pairs: list[tuple[str, str]]) -> np.ndarray:
        """(N, R) text relation encodings, in batches as the pairs come."""
        import torch

        if self._relation is None:
            return np.zeros((len(pairs), 0), dtype=np.float32)
        packed = []
        for start in range(0, len(pairs), BATCH):
            claims, passages = zip(*pairs[start : start + BATCH], strict=True)
            tokens = self.text.model.tokenizer(
                list(claims),
                list(passages),
                truncation="longest_first",
                max_length=self._relation.config.max_tokens,
                padding=True,
                return_tensors="pt",
            )
            with torch.inference_mode():
                vectors, logits, salience = self._relation.network(dict(tokens))
            packed.append(torch.cat((vectors, logits, salience[:, None]), dim=1).numpy())
        return np.concatenate(packed)

    def texts(self, texts: list[str]) -> np.ndarray:
        """(N, D) vectors by sentence-transformers' defaults."""
        vectors: np.ndarray = self.text.model.encode(texts, show_progress_bar=False)
        return vectors


def plain(folder: Path, count: int, batch: int) -> dict[str, Any]:
    """Seconds for the first rows of the test split, and the label of each."""
    import torch
    from PIL import Image
    from timm.data.transforms_factory import create_transform

    from factcheck.datasets import read_factify2
    from factcheck.encoders import Encoders
    from factcheck.fusion.checkpoint import EMBEDDED, load_checkpoint
    from factcheck.fusion.inputs import FusionInputs, PassageVectors, best_first
    from factcheck.fusion.run import relation_probabilities
    from factcheck.retrieval import split_passages

    checkpoint = load_checkpoint(EMBEDDED)
    cutting, kept = checkpoint.config.passages, checkpoint.config.head.passages
    relation = checkpoint.config.relation_encoder
    ours = Encoders.load(relation=None if relation is None else relation.load)
    encoders = PlainEncoders(ours)
    side = ours.image.transform.side
    transform = create_transform(
        (3, side, side),
        interpolation="bicubic",
        mean=ours.image.transform.mean,
        std=ours.image.transform.std,
        crop_pct=1.0,
        crop_mode="squash",
    )

    @torch.inference_mode()
    def grids(paths: list[str | Path | None]) -> tuple[np.ndarray, np.ndarray]:
        there = [path for path in paths if path is not None]
        rows = np.array([-1 if path is None else 0 for path in paths])
        rows[rows == 0] = np.arange(len(there))
        if not there:
            return np.zeros((0, ours.image.tokens, ours.image.dimension), np.float32), rows
        images = []
        for path in there:
            with Image.open(path) as image:
                images.append(transform(image.convert("RGB")))
        return ours.image.network(torch.stack(images)).tokens.numpy(), rows

    everything = read_factify2(folder, "test")[:count]
    labels: list[int] = []
    start = time.perf_counter()
    for first in range(0, len(everything), batch):
        rows = everything[first : first + batch]
        claims = [row.claim.text for row in rows]
        cut = [
            split_passages(row.document, cutting.max_characters, cutting.overlap_sentences)
            for row in rows
        ]
        claim_vectors = encoders.texts(claims)
        vectors = encoders.texts([passage.text for passages in cut for passage in passages])
        chosen = []
        for passages, claim, end in zip(
            cut, claim_vectors, itertools.accumulate(map(len, cut)), strict=True
        ):
            own = vectors[end - len(passages) : end]
            best = best_first(claim, own, kept)
            chosen.append(PassageVectors([passages[i].text for i in best], own[best]))
        tokens, places = grids(
            [row.claim.image for row in rows] + [row.document.image for row in rows]
        )
        inputs = FusionInputs.assemble(
            encoders,  # type: ignore[arg-type]
            claims,
            claim_vectors,
            chosen,
            [row.claim.ocr for row in rows],
            [row.document.ocr for row in rows],
            places[: len(rows)],
            places[len(rows) :],
            np.full(len(rows), np.nan, dtype=np.float32),
            tokens,
            kept,
        )
        labels += relation_probabilities(checkpoint, inputs).label.argmax(axis=1).tolist()
    return {"seconds": time.perf_counter() - start, "labels": labels}


def ours(folder: Path, count: int, cache: Path) -> dict[str, Any]:
    """Seconds for the first rows of the test split, and the label of each."""
    from factcheck import FactChecker
    from factcheck.cli.allocator import keep_freed_memory
    from factcheck.datasets import read_factify2
    from factcheck.records import LABELS

    keep_freed_memory()  # as the command does
    checker = FactChecker.load(cache=cache, precision="auto")
    rows = read_factify2(folder, "test")[:count]
    start = time.perf_counter()
    verdicts = checker.compare_many([(row.claim, row.document) for row in rows])
    seconds = time.perf_counter() - start
    labels = [LABELS.index(verdict.label) for verdict in verdicts]
    return {"seconds": seconds, "precision": checker.encoders.precision, "labels": labels}


def factcheck(*arguments: str) -> dict[str, Any]:
    """Seconds and peak memory of a factcheck command."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "factcheck", *arguments], check=True, stdout=subprocess.DEVNULL
    )
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {"seconds": seconds, "peak_memory_mib": round(peak / 1024)}


def command(folder: Path, count: int, cache: Path, out: Path) -> dict[str, Any]:
    """Seconds of the command on the first rows of the test split."""
    some = first_rows(folder, count, out.parent / f"first-{count}")
    where = ("--out", str(out), "--cache", str(cache))
    return {**factcheck("evaluate", str(some), "--split", "test", *where), "rows": count}


def first_rows(folder: Path, count: int, to: Path) -> Path:
    """A folder whose test split is the first rows of that of another."""
    if not to.exists():
        to.mkdir()
        csv.field_size_limit(sys.maxsize)
        with (
            (folder / "test.csv").open(newline="") as source,
            (to / "test.csv").open("w", newline="") as target,
        ):
            rows = csv.reader(source, delimiter="\t")
            csv.writer(target, delimiter="\t").writerows(itertools.islice(rows, count + 1))
        (to / "images-test").symlink_to((folder / "images-test").resolve())
    return to


def parts(folder: Path, work: Path) -> dict[str, Callable[[], dict[str, Any]]]:
    """All parts by name, in the order they run in."""
    cold = {
        f"command, cold, {count} rows": (
            lambda count=count: command(
                folder, count, work / f"{count}.sqlite", work / f"cold-{count}"
            )
        )
        for count in SIZES
    }
    cache = work / "ours.sqlite"
    return {
        "plain, one at a time": lambda: plain(folder, ONE_BY_ONE, 1),
        "plain, batches": lambda: plain(folder, COMPARED, BATCH),
        "ours, cold": lambda: ours(folder, COMPARED, cache),
        "ours, warm": lambda: ours(folder, COMPARED, cache),
        **cold,
        "command, warm": lambda: command(
            folder, COMPARED, work / f"{COMPARED}.sqlite", work / "warm"
        ),
        "doctor": lambda: factcheck("data", "doctor", str(folder), "--out", str(work / "doctor")),
    }


def run_part(name: str, folder: Path, work: Path) -> dict[str, Any]:
    """Run one part here and add the reference and peak memory."""
    product = matrix_product()
    result = parts(folder, work)[name]()
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result.setdefault("peak_memory_mib", round(own / 1024))
    if "labels" in result:
        result["rows"] = len(result["labels"])
    if "rows" in result:
        result["pairs_per_second"] = round(result["rows"] / result["seconds"], 2)
    return {**result, "matrix_product_seconds": product}


def summary(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The ratios, the slope and how far both ways agree."""
    rate = {name: part["pairs_per_second"] for name, part in results.items() if "rows" in part}
    seconds = [results[f"command, cold, {count} rows"]["seconds"] for count in SIZES]
    slope = np.polyfit(np.log(SIZES), np.log(seconds), 1)[0]
    labels = results["plain, batches"]["labels"]
    agree = np.mean(np.array(labels) == np.array(results["ours, cold"]["labels"]))
    compared = {
        "cold": rate["ours, cold"],
        "warm": rate["ours, warm"],
        "command_cold": rate[f"command, cold, {COMPARED} rows"],
        "command_warm": rate["command, warm"],
    }
    return {
        **{
            f"{name}_over_{plain.replace(', ', '_').replace(' ', '_')}": round(own / rate[plain], 2)
            for name, own in compared.items()
            for plain in ("plain, batches", "plain, one at a time")
        },
        "slope_of_log_seconds_over_log_rows": round(float(slope), 3),
        "milliseconds_a_row_beyond_the_smallest": [
            round(1000 * (more - less) / (many - few), 1)
            for (few, less), (many, more) in itertools.pairwise(zip(SIZES, seconds, strict=True))
        ],
        "labels_that_agree": round(float(agree), 4),
    }


def main() -> None:
    """Run all parts and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder that was composed")
    parser.add_argument("--work", type=Path, help="where caches and runs go; they are large")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("data/results/evaluation-speed.json"))
    arguments = parser.parse_args()
    if arguments.part:
        sys.stdout.write(json.dumps(run_part(arguments.part, arguments.data, arguments.work)))
        return
    results = {}
    with tempfile.TemporaryDirectory(dir=arguments.work) as work:
        for name in parts(arguments.data, Path(work)):
            command = [sys.executable, __file__, "--data", str(arguments.data)]
            done = subprocess.run(
                [*command, "--work", work, "--part", name],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            results[name] = json.loads(done.stdout)
            shown = {key: value for key, value in results[name].items() if key != "labels"}
            sys.stdout.write(f"{name}: {shown}\n")
            sys.stdout.flush()
    ratios = summary(results)
    for part in results.values():
        part.pop("labels", None)
    data = {"made_by": "factcheck data compose configs/compose-large.yaml", "split": "test"}
    write_results(arguments.out, {**origin(data), **ratios, "parts": results})
    json.dump(ratios, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
