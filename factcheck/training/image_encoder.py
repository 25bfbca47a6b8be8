"""Training the image encoder: the same picture close together, look-alikes apart, meaning kept.

Three losses on two edited views of each photograph:

- NT-Xent (SimCLR, arXiv:2002.05709, eq. 1) on pooled vectors, one view lightly and one heavily
  edited. Batches are made of clusters of look-alikes, so that the negatives are hard ones: nearest
  neighbours under the teacher and, where asked for, under the network itself, found anew at each
  checkpoint (as ANCE does for passages, arXiv:2007.00808). Where asked for, the latest vectors of
  all other photographs are negatives too.
- The same on late interaction of token grids (the mean over tokens of the best match on the other
  side, as ColBERT does for words, arXiv:2004.12832), which makes single tokens comparable and so
  finds crops and captions.
- Distillation: a linear map of the pooled vector predicts the teacher's vector of the unedited
  photograph, which keeps what an ImageNet-trained network knows of meaning.

The learning rate warms up, stays, and decays linearly over the last part of the run (WSD), so a run
can be lengthened or cut short by changing `steps` and resuming.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from factcheck.datasets.photographs import list_photographs
from factcheck.encoders.image import (
    ImageTransform,
    build_twins_svt,
    read_image_encoder,
    save_image_encoder,
)
from factcheck.encoders.image_match import pooled_cosine, token_match
from factcheck.encoders.precision import best_device, has_bfloat16
from factcheck.encoders.twins_svt import TwinsSVT
from factcheck.evaluation.copies import (
    others_of,
    pair_similarities,
    separation,
)
from factcheck.training.image_losses import late_interaction, memory_similarities, nt_xent
from factcheck.training.image_pairs import (
    EditedPairs,
    LookalikeBatches,
    own_neighbours,
    require_enough,
)
from factcheck.training.inputs import combined, started_from
from factcheck.training.loop import decayed_and_not, require_same_run, write_metrics, write_run
from factcheck.training.run_log import append_row, cut_log
from factcheck.training.teacher import nearest_neighbours, teacher_vectors
from factcheck.training_settings import ImageEncoderTraining

log = logging.getLogger(__name__)


@dataclass
class _Run:
    """The state of a run that a checkpoint holds.

    Attributes:
        model: What is trained.
        average: Running average of its weights, which is what is kept in the end.
        distiller: From pooled vectors to the teacher's.
        optimiser: Of model and distiller.
        latest: (photographs, C) pooled vector of each one's last light view, zeros where not seen.
        step: Batches done.
    """

    model: TwinsSVT
    average: TwinsSVT
    distiller: nn.Linear
    optimiser: torch.optim.Optimizer
    latest: Tensor
    step: int = 0

    @classmethod
    def start(
        cls, settings: ImageEncoderTraining, photographs: int, width: int, device: torch.device
    ) -> Self:
        """A run at its first step.

        Args:
            settings: What to train.
            photographs: How many photographs it is trained on.
            width: Of the teacher's vectors.
            device: Where to train.
        """
        model = build_twins_svt(settings.architecture)
        if settings.initial is not None:
            model.load_state_dict(read_image_encoder(settings.initial)[1].state_dict())
        average = build_twins_svt(settings.architecture)
        average.load_state_dict(model.state_dict())
        dim = settings.architecture.dims[-1]
        distiller = nn.Linear(dim, width)
        for part in (model, average, distiller):
            part.to(device)
        optimiser = torch.optim.AdamW(
            decayed_and_not([*model.parameters(), *distiller.parameters()], 0.05),
            lr=settings.learning_rate,
            betas=(0.9, 0.98),
            fused=True,
        )
        return cls(
            model, average, distiller, optimiser, torch.zeros(photographs, dim, device=device)
        )

    def save(self, path: Path) -> None:
        temporary = path.with_suffix(".tmp")
        torch.save(
            {
                "model": self.model.state_dict(),
                "average": self.average.state_dict(),
                "distiller": self.distiller.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "latest": self.latest,
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
        self.latest.copy_(state["latest"])
        self.step = state["step"]

    def update(self, loss: Tensor, rate: float) -> None:
        """One step of the optimiser at a learning rate, and one of the average."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(
            [p for group in self.optimiser.param_groups for p in group["params"]], 1.0
        )
        self.optimiser.step()
        decay = min(0.998, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.model.parameters(), strict=True)
            for slow, fast in pairs:
                slow.lerp_(fast, 1 - decay)
        self.step += 1


class _Losses(NamedTuple):
    """The three losses of a batch, scalars; see the module."""

    contrast: Tensor
    match: Tensor
    meaning: Tensor

    def total(self, settings: ImageEncoderTraining) -> Tensor:
        meaning = settings.distillation_weight * self.meaning
        return self.contrast + settings.token_weight * self.match + meaning


def _losses(
    run: _Run, settings: ImageEncoderTraining, tokens: Tensor, indices: Tensor, target: Tensor
) -> _Losses:
    """The losses of a batch, whose pooled vectors become the latest of their photographs.

    Args:
        run: The run.
        settings: Its settings.
        tokens: (2N, T, C) token grids, the light views first.
        indices: (N,) which photographs they are of.
        target: (photographs, width) the teacher's vectors.
    """
    mean = tokens.mean(dim=1)
    pooled = F.normalize(mean, dim=-1)
    # A copy: the latest vectors change before gradients are computed.
    memory = run.latest.clone() if settings.memory else None
    others = None if memory is None else memory_similarities(pooled, indices, memory)
    run.latest[indices] = pooled[: len(indices)].detach()
    predicted = F.normalize(run.distiller(mean), dim=-1)
    return _Losses(
        contrast=nt_xent(pooled @ pooled.T, settings.temperature, others),
        match=nt_xent(late_interaction(tokens), settings.temperature),
        meaning=1 - (predicted * target[indices].repeat(2, 1)).sum(dim=-1).mean(),
    )


def _learning_rate(step: int, settings: ImageEncoderTraining) -> float:
    decay_steps = settings.decay_fraction * settings.steps
    left = (settings.steps - step) / decay_steps
    return settings.learning_rate * min(1.0, (step + 1) / settings.warmup_steps, left)


def _windows(step: int, settings: ImageEncoderTraining) -> tuple[int, int, int, int]:
    """Side of the windows at a step; smaller pictures have smaller ones."""
    small = settings.small_start
    starting = small is not None and step < small.steps
    return small.windows if small and starting else settings.architecture.windows


def _give_way(worker: int) -> None:
    """Let the network's threads go first: one that waits makes all others wait for it."""
    os.nice(10)


@torch.inference_mode()
def copy_detection(
    model: TwinsSVT, pairs: EditedPairs, neighbours: np.ndarray, seed: int = 0
) -> dict[str, float]:
    """How well copies are told from other pictures, half of which are look-alikes.

    Args:
        model: The network.
        pairs: Photographs that it was not trained on.
        neighbours: (photographs, n) nearest neighbours of each, the look-alikes.
        seed: Chooses the edits and the unrelated pictures.

    Returns:
        `auc_pooled` and `auc_tokens`, ROC AUC; `accuracy_pooled` and `accuracy_tokens`, at the
        threshold that is best on these same pairs.
    """
    device = next(model.parameters()).device

    def grids(views: Sequence[Tensor]) -> Tensor:
        chunks = torch.split(torch.stack(list(views)), 64)
        images = (pairs.transform.normalise(chunk).to(device) for chunk in chunks)
        return torch.cat([model(chunk).tokens.float().cpu() for chunk in images])

    light, heavy, _ = zip(*(pairs[index, seed] for index in range(len(pairs))), strict=True)
    light_grids, heavy_grids = grids(light), grids(heavy)
    others = others_of(neighbours[:, 0], seed)
    result = {}
    for name, similarity in (("pooled", pooled_cosine), ("tokens", token_match)):
        scores = pair_similarities(light_grids, heavy_grids, others, similarity)
        found = separation(*scores)
        result[f"auc_{name}"] = found.auc
        result[f"accuracy_{name}"] = found.accuracy
    return result


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

    Raises:
        UsageError: `out` holds a checkpoint of a run with other settings, of other photographs, or
            that started from other weights.
        InvalidInputError: There are too few photographs for a batch, for look-alikes or for
            validation.

    Returns:
        How well the finished encoder detects copies among the photographs kept for validation.
    """
    report = on_progress or (lambda stage, done, total, values: None)
    out.mkdir(parents=True, exist_ok=True)
    folders = [data / folder for folder in settings.photographs]
    photographs = list_photographs(folders, settings.share)
    kept_aside = list_photographs(folders, settings.validation_share)
    require_enough(settings, len(photographs), len(kept_aside), folders)
    inputs = {"photographs": combined(one.sha256 for one in photographs)} | started_from(settings)
    # A run may be made longer, and written of more often.
    require_same_run(settings, inputs, out, ("steps", "log_every", "workers"))
    write_run(settings, inputs, out)
    torch.manual_seed(settings.seed)
    transform = ImageTransform(side=settings.architecture.side)

    teacher = teacher_vectors(photographs, out / "teacher.npz")
    neighbours = nearest_neighbours(teacher, settings.neighbours)
    views_of = EditedPairs(photographs, transform, settings.small_start)
    validation = EditedPairs(kept_aside, transform)
    validation_neighbours = nearest_neighbours(teacher_vectors(kept_aside), 1)
    device = best_device()
    bfloat16 = settings.bfloat16 and has_bfloat16(device)
    target = torch.from_numpy(teacher).to(device)

    run = _Run.start(settings, len(photographs), target.shape[1], device)
    if (out / "checkpoint.pt").exists():
        run.load(out / "checkpoint.pt")
        log.info("resumed at step %d", run.step)
    cut_log(out / "log.csv", run.step)
    started = time.perf_counter()
    while run.step < settings.steps:
        rounds = run.step // settings.evaluate_every + 1
        stop = min(settings.steps, rounds * settings.evaluate_every)
        near = own_neighbours(run.latest.cpu().numpy(), neighbours, settings.own_neighbours)
        batches = LookalikeBatches(
            near, settings.batch_size, settings.cluster_size, run.step, stop, settings.seed
        )
        loader = DataLoader(
            views_of,
            batch_sampler=batches,
            num_workers=settings.workers,
            worker_init_fn=_give_way,
            prefetch_factor=4 if settings.workers else None,
        )
        run.model.train()
        for light, heavy, indices in loader:
            run.model.set_windows(_windows(run.step, settings))
            rate = _learning_rate(run.step, settings)
            views = transform.normalise(torch.cat([light, heavy])).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                # A few at a time, so that what lies between two layers stays in the caches.
                parts = torch.split(views, settings.chunk)
                tokens = torch.cat([run.model(part).tokens for part in parts])
            losses = _losses(run, settings, tokens.float(), indices.to(device), target)
            loss = losses.total(settings)
            run.update(loss, rate)
            report("train", run.step, settings.steps, {"loss": loss.item()})
            if run.step % settings.log_every == 0 or run.step == stop:
                row: dict[str, object] = {
                    "step": run.step,
                    "seconds": round(time.perf_counter() - started, 1),
                    "learning_rate": f"{rate:.2e}",
                    **{name: round(part.item(), 4) for name, part in losses._asdict().items()},
                }
                if run.step == stop:
                    run.average.eval()
                    scores = copy_detection(run.average, validation, validation_neighbours)
                    row |= {name: round(value, 4) for name, value in scores.items()}
                append_row(out / "log.csv", _LOG_COLUMNS, row)
                log.info("%s", row)
                if run.step == stop:
                    run.save(out / "checkpoint.pt")
    run.average.eval()
    save_image_encoder(run.average, settings.architecture, transform, out / "encoder")
    scores = copy_detection(run.average, validation, validation_neighbours)
    metrics = {"step": run.step, **scores}
    write_metrics(out, metrics)
    return metrics


_LOG_COLUMNS = (
    "step", "seconds", "learning_rate", "contrast", "match", "meaning",
    "auc_pooled", "accuracy_pooled", "auc_tokens", "accuracy_tokens",
)  # fmt: skip
