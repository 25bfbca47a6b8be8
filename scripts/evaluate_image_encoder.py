"""Measure the image encoder: copies against other pictures, retrieval, and what is left of meaning.

    python scripts/evaluate_image_encoder.py --data FOLDER

Ours computes in bfloat16 where the processor has it. Compared on the same pictures with a 64-bit
perceptual hash and with the teacher, EfficientNet-Lite0 with ImageNet weights. Thresholds are
chosen on validation photographs (share 0.88 to 0.92), and everything is measured on photographs
that no training of the encoder saw: pairs on share 0.92 to 1, retrieval with 2,000 queries of share
0.75 to 1, each lightly and each heavily edited, among 10,000 photographs, the probe on share 0.88
to 1. The readout of token grids was fitted on share 0.75 to 0.88; its retrieval is also told on the
queries of the rest. How the first candidates of retrieval are put in order, by pictures squeezed to
two sides at once among others, was chosen on photographs of share 0.75 to 1 that are not among the
2,000.
"""

import argparse
import gzip
import json
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import imagehash
import numpy as np
import torch
from PIL import Image
from results import origin, write_results
from scipy.stats import bootstrap
from sklearn.linear_model import Ridge

from factcheck.datasets.compose_pictures import open_photograph
from factcheck.datasets.lookalikes import Lookalikes
from factcheck.datasets.photographs import Photograph, list_photographs
from factcheck.encoders import ImageEncoder, TextEncoder
from factcheck.encoders.image import pool
from factcheck.encoders.image_match import found_in, pooled_cosine, token_match
from factcheck.evaluation.copies import (
    Similarity,
    others_of,
    pair_similarities,
    separation,
)
from factcheck.training.copy_readout import edited_copies
from factcheck.training.teacher import encode_images, load_teacher

FOLDERS = ("photos/newsimages", "photos/visual7w")
STATEMENTS = "photos/visual7w-statements.jsonl.gz"
VALIDATION, TEST, UNSEEN = (0.88, 0.92), (0.92, 1.0), (0.75, 1.0)
RERANKED = 200
FINER_SIDE = 224
CHUNK = 256

Views = Sequence[Image.Image]


def hashes(images: Views) -> np.ndarray:
    """(N, 64) perceptual hashes as +1 and -1, so that an inner product counts equal bits."""
    bits = np.stack([imagehash.phash(image).hash.ravel() for image in images])
    return np.where(bits, 1.0, -1.0).astype(np.float32)


def rows_cosine(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """(N,) cosines of the rows of two (N, C)."""
    return torch.nn.functional.cosine_similarity(left, right, dim=-1)


class Methods:
    """Everything that turns pictures into arrays, under its name in the results."""

    def __init__(self, encoder: ImageEncoder) -> None:
        self.encoder = encoder
        self.teacher = load_teacher()
        self.kept: dict[str, dict[str, np.ndarray]] = {}

    def encode(self, images: Views) -> dict[str, np.ndarray]:
        """Encodings of N pictures by method, each (N, ...)."""
        return {
            "ours": self.encoder.encode(images, precision="auto").tokens,
            "ours, finer": self.encoder.encode(images, precision="auto", side=FINER_SIDE).tokens,
            "efficientnet-lite0": encode_images(self.teacher, images),
            "perceptual-hash": hashes(images),
        }

    def originals(self, photographs: list[Photograph]) -> dict[str, np.ndarray]:
        """Encodings of N unedited photographs by method, each photograph encoded once."""
        new = [photograph for photograph in photographs if photograph.sha256 not in self.kept]
        for start in range(0, len(new), CHUNK):
            chunk = new[start : start + CHUNK]
            with ThreadPoolExecutor(os.cpu_count()) as threads:
                images = list(threads.map(open_photograph, chunk))
            encoded = self.encode(images)
            for row, photograph in enumerate(chunk):
                self.kept[photograph.sha256] = {name: e[row] for name, e in encoded.items()}
            progress(f"unedited: {start + len(chunk):,} of {len(new):,} encoded")
        return {
            name: np.stack([self.kept[photograph.sha256][name] for photograph in photographs])
            for name in self.kept[photographs[0].sha256]
        }


def similarities(encoder: ImageEncoder) -> dict[str, tuple[str, Similarity]]:
    """By its name in the results, a method and how two of its encodings are compared."""
    assert encoder.copies is not None, "the encoder's folder has no readout of copies"
    return {
        "ours, readout of token grids": ("ours", encoder.copies),
        "ours, token grids": ("ours", token_match),
        "ours, pooled": ("ours", pooled_cosine),
        "EfficientNet-Lite0": ("efficientnet-lite0", rows_cosine),
        "perceptual hash, 64 bits": ("perceptual-hash", rows_cosine),
    }


def measure_pairs(methods: Methods, folders: list[Path], rounds: int) -> dict[str, Any]:
    """Accuracy at the validation threshold and ROC AUC on test pairs, by method."""
    scores: dict[str, dict[str, list[np.ndarray]]] = {}
    for split, share, turns in (("validation", VALIDATION, rounds), ("test", TEST, rounds)):
        photographs = list_photographs(folders, share)
        near = Lookalikes(photographs, open_photograph)
        place = {photograph.sha256: i for i, photograph in enumerate(photographs)}
        for turn in range(turns):
            rng = Random(turn)
            lookalikes = np.array([place[near.near(p, rng).sha256] for p in photographs])
            views = zip(*edited_copies(photographs, str(turn)), strict=True)
            light, heavy = map(methods.encode, views)
            for name, (method, similarity) in similarities(methods.encoder).items():
                same, different = pair_similarities(
                    torch.from_numpy(light[method]),
                    torch.from_numpy(heavy[method]),
                    others_of(lookalikes, turn),
                    similarity,
                )
                kept = scores.setdefault(name, {})
                kept.setdefault(f"{split}/same", []).append(same)
                kept.setdefault(f"{split}/different", []).append(different)
            progress(f"pairs: {split}, round {turn + 1} of {turns}")
    return {name: _separation(kept) for name, kept in scores.items()}


def _separation(scores: dict[str, list[np.ndarray]]) -> dict[str, Any]:
    joined = {name: np.concatenate(parts) for name, parts in scores.items()}
    chosen = separation(joined["validation/same"], joined["validation/different"])
    same, different = joined["test/same"], joined["test/different"]
    found = separation(same, different, chosen.threshold)

    def accuracy(one: np.ndarray, other: np.ndarray, axis: int = -1) -> np.ndarray:
        return ((one >= found.threshold).mean(axis) + (other < found.threshold).mean(axis)) / 2

    interval = bootstrap((same, different), accuracy, n_resamples=999, rng=0).confidence_interval
    # In each round every second one, as `others_of` pairs them: rounds may have an odd number.
    looks_alike = np.concatenate(
        [np.arange(len(part)) % 2 == 0 for part in scores["test/different"]]
    )
    return {
        "accuracy": round(found.accuracy, 4),
        "accuracy_interval": [round(interval.low, 4), round(interval.high, 4)],
        "roc_auc": round(found.auc, 5),
        "threshold": round(found.threshold, 4),
        "found_copies": round(float((same >= found.threshold).mean()), 4),
        "false_alarms": round(float((different >= found.threshold).mean()), 4),
        "false_alarms_lookalikes": round(
            float((different[looks_alike] >= found.threshold).mean()), 4
        ),
        "validation_accuracy": round(chosen.accuracy, 4),
        "pairs": len(same) + len(different),
    }


def measure_retrieval(
    methods: Methods, folders: list[Path], size: int, queries: int
) -> dict[str, Any]:
    """Recall of edited, never trained on photographs among unedited ones."""
    unseen = list_photographs(folders, UNSEEN)
    trained = list_photographs(folders, (0.0, UNSEEN[0]))
    indexed = [*unseen, *trained][:size]
    asked = Random(0).sample(range(len(unseen)), queries)
    index = methods.originals(indexed)
    truth = np.array(asked)
    views = zip(*edited_copies([indexed[i] for i in asked], "1"), strict=True)
    copies = zip(("lightly edited", "heavily edited"), views, strict=True)
    # The readout was fitted on some of these photographs; on the others it is told apart.
    apart = np.array([indexed[i].share >= VALIDATION[0] for i in asked])
    found = {}
    for name, images in copies:
        found[name] = _retrieved(methods, methods.encode(images), index, truth, apart)
        progress(f"retrieval: {name}")
    asked_of = {"queries": queries, "not_fitted_on": int(apart.sum())}
    return {"index": len(indexed), **asked_of, "methods": found}


@torch.inference_mode()
def _retrieved(
    methods: Methods,
    query: dict[str, np.ndarray],
    index: dict[str, np.ndarray],
    truth: np.ndarray,
    apart: np.ndarray,
) -> dict[str, dict[str, float]]:
    """Recall by method of queries whose originals stand at `truth` in the index.

    Args:
        methods: What encoded them.
        query: The queries' encodings by method.
        index: The index's.
        truth: (Q,) places of the originals.
        apart: (Q,) bool, the queries whose photographs no readout was fitted on.
    """
    pooled = pool(query["ours"]) @ pool(index["ours"]).T
    first = np.argsort(-pooled, axis=1)[:, :RERANKED]
    side = methods.encoder.transform.side

    def shared(row: int, *views: str) -> torch.Tensor:
        """How much of a query is found in each of its candidates, in the mean over views."""
        of_views = [
            found_in(torch.from_numpy(query[view][row]), torch.from_numpy(index[view][first[row]]))
            for view in views
        ]
        return torch.stack(of_views).mean(dim=0)

    def readout(row: int) -> torch.Tensor:
        assert methods.encoder.copies is not None
        own = torch.from_numpy(query["ours"][row : row + 1]).expand(RERANKED, -1, -1)
        return methods.encoder.copies(own, torch.from_numpy(index["ours"][first[row]]))

    ways: dict[str, Callable[[int], torch.Tensor]] = {
        "readout of token grids": readout,
        "what is found of the query's tokens": lambda row: shared(row, "ours"),
        f"the same at {side} and at {FINER_SIDE} pixels": (
            lambda row: shared(row, "ours", "ours, finer")
        ),
    }
    found: dict[str, dict[str, float]] = {}
    for name, way in ways.items():
        best = np.array([first[row, int(way(row).argmax())] for row in range(len(truth))])
        found[f"ours, first {RERANKED} by {name}"] = {
            "recall_at_1": round(float((best == truth).mean()), 4),
            "recall_at_1_not_fitted_on": round(float((best == truth)[apart].mean()), 4),
        }
    return {
        **found,
        "ours, pooled": _recall(pooled, truth),
        "EfficientNet-Lite0": _recall(
            query["efficientnet-lite0"] @ index["efficientnet-lite0"].T, truth
        ),
        "perceptual hash, 64 bits": _recall(
            query["perceptual-hash"] @ index["perceptual-hash"].T, truth
        ),
    }


def _recall(similarity: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Recall at 1 and 10; of equal similarities the true one counts as last."""
    own = similarity[np.arange(len(truth)), truth][:, None]
    better = (similarity >= own).sum(axis=1) - 1
    return {f"recall_at_{k}": round(float((better < k).mean()), 4) for k in (1, 10)}


def measure_probe(methods: Methods, data: Path, folders: list[Path]) -> dict[str, Any]:
    """Linear probe: which of four statements about a photograph is true.

    A ridge regression takes the picture's vector to the text encoder's vector of the true
    statement, less the mean of the four; the answer is the statement nearest to what it predicts.
    Its penalty is chosen on validation photographs.
    """
    groups: dict[tuple[str, str], list[tuple[str, bool]]] = {}
    with gzip.open(data / STATEMENTS, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            question = row["text"].split("?")[0]
            groups.setdefault((row["photo"], question), []).append((row["text"], row["match"]))
    photographs = {p.path.stem: p for p in list_photographs(folders)}
    whole = {
        key: rows
        for key, rows in groups.items()
        if len(rows) == 4 and sum(match for _, match in rows) == 1 and key[0] in photographs
    }
    names = sorted({photo for photo, _ in whole})
    place = {name: i for i, name in enumerate(names)}
    encoded = methods.originals([photographs[name] for name in names])
    features = {
        "ours, pooled": pool(encoded["ours"]),
        "EfficientNet-Lite0": encoded["efficientnet-lite0"],
    }
    keys = list(whole)
    texts = [text for key in keys for text, _ in whole[key]]
    vectors = TextEncoder.load().encode(texts).reshape(len(keys), 4, -1)
    vectors -= vectors.mean(axis=1, keepdims=True)
    truth = np.array([[match for _, match in whole[key]].index(True) for key in keys])
    share = np.array([photographs[photo].share for photo, _ in keys])
    picture = np.array([place[photo] for photo, _ in keys])
    target = vectors[np.arange(len(keys)), truth]
    train, choose, test = share < 0.75, (share >= 0.75) & (share < 0.88), share >= 0.88

    def accuracy(model: Ridge, inputs: np.ndarray, rows: np.ndarray) -> float:
        predicted = model.predict(inputs[rows])
        chosen = np.einsum("nc,nkc->nk", predicted, vectors[rows]).argmax(axis=1)
        return float((chosen == truth[rows]).mean())

    result = {}
    for name, vector in features.items():
        standard = (vector - vector.mean(axis=0)) / vector.std(axis=0)
        inputs = standard[picture]
        models = [Ridge(alpha).fit(inputs[train], target[train]) for alpha in 10.0 ** np.arange(7)]
        best = max(models, key=lambda model: accuracy(model, inputs, choose))
        result[name] = {"accuracy": round(accuracy(best, inputs, test), 4), "alpha": best.alpha}
    blind = Ridge(1.0).fit(np.ones((int(train.sum()), 1)), target[train])
    result["no picture"] = {"accuracy": round(accuracy(blind, np.ones((len(keys), 1)), test), 4)}
    return {"questions": int(test.sum()), "chance": 0.25, "methods": result}


def progress(text: str) -> None:
    """Tell what has been done."""
    sys.stderr.write(f"{text}\n")


def main() -> None:
    """Measure everything and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds photos/")
    parser.add_argument("--encoder", default="embedded")
    parser.add_argument("--rounds", type=int, default=1, help="edits of each photograph")
    parser.add_argument("--index-size", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--out", type=Path, default=Path("data/results/image-encoder.json"))
    arguments = parser.parse_args()
    folders = [arguments.data / folder for folder in FOLDERS]
    methods = Methods(ImageEncoder.load(arguments.encoder))
    results = {
        "encoder": {"name": methods.encoder.name, "sha256": methods.encoder.sha256},
        "pairs": measure_pairs(methods, folders, arguments.rounds),
        "retrieval": measure_retrieval(methods, folders, arguments.index_size, arguments.queries),
        "linear_probe": measure_probe(methods, arguments.data, folders),
    }
    data = {
        "photographs": "11,500, NewsImages and Visual7W, split by content hash",
        "seed": "edits by round and content hash",
    }
    write_results(arguments.out, {**origin(data), **results})
    json.dump(results, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
