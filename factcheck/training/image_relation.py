"""Fine-tuning an image encoder on a data set's own pairs: is it the same picture on both sides?

Factify 2's labels say of each row but the refuted ones whether both pictures are the same. Two
pictures are compared as the fusion head will compare them, by their pooled vectors and by their
token grids (`encoders.image_match`); three numbers turn the similarities into a logit, as SigLIP's
scale and bias do (arXiv:2303.15343, section 3.2). The numbers are thrown away in the end: the head
learns its own reading of the grids.
"""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from factcheck import pictures
from factcheck.datasets import read_factify2
from factcheck.datasets.photo_edits import light_copy
from factcheck.encoders.image import (
    ImageEncoder,
    ImageTransform,
    architecture_of,
    save_image_encoder,
)
from factcheck.encoders.image_match import pooled_cosine, token_match
from factcheck.encoders.precision import has_bfloat16
from factcheck.encoders.twins_svt import TwinsSVT
from factcheck.errors import FactcheckError, InvalidInputError
from factcheck.training.inputs import inputs_of
from factcheck.training.loop import (
    Batch,
    OnProgress,
    begin_run,
    counter,
    fit_in_steps,
    shuffled_batches,
    start_accelerator,
    write_metrics,
)
from factcheck.training_settings import ImageRelationTraining

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class PicturePair:
    """Two pictures of a row.

    Attributes:
        row: Number of the row.
        claim: File of the claim's picture.
        evidence: File of the document's picture.
        same: Whether they are the same picture.
    """

    row: int
    claim: Path
    evidence: Path
    same: bool


class PictureRelation(nn.Module):
    """A Twins-SVT, and what makes a logit of how alike its encodings of two pictures are."""

    def __init__(self, network: TwinsSVT) -> None:
        super().__init__()
        self.network = network
        # Pictures of another story have a cosine of about a half.
        self.scale = nn.Parameter(torch.tensor([5.0, 5.0]))
        self.bias = nn.Parameter(torch.tensor(-7.0))

    def forward(self, claim: Tensor, evidence: Tensor) -> Tensor:
        """(B,) logits of (B, 3, side, side) pictures being the same, both normalised."""
        tokens = self.network(torch.cat([claim, evidence])).tokens.float()
        left, right = tokens.chunk(2)
        alike = torch.stack([pooled_cosine(left, right), token_match(left, right)], dim=-1)
        return alike @ self.scale + self.bias


def train_image_relation(
    settings: ImageRelationTraining,
    data: Path,
    out: Path,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Fine-tune an image encoder; go on from a checkpoint in `out`.

    Args:
        settings: What to train.
        data: A folder in Factify 2's format with `train`; if it has `val`, that is measured.
        out: Run folder: `settings.json`, `checkpoint.pt`, `log.csv`, `metrics.json` and `encoder/`,
            as `ImageEncoder.load` reads it.
        on_progress: Called with a stage, steps done, steps in all (0 if unknown) and figures to
            show.

    Returns:
        The metrics: pairs of each kind, and ROC AUC and accuracy on the validation pairs before
        and after.

    Raises:
        UsageError: `out` holds a checkpoint of a run with other settings or on other data.
        InvalidInputError: There are no pairs of both kinds to learn from.
    """
    report = on_progress or (lambda stage, done, total, values: None)
    accelerator = start_accelerator()
    begin_run(settings, inputs_of(settings, data), out, accelerator)
    torch.manual_seed(settings.seed)
    pairs = picture_pairs(data, "train")
    require_both_kinds(pairs, data)
    encoder = ImageEncoder.load(settings.image_encoder)
    transform = replace(encoder.transform, side=settings.side or encoder.transform.side)
    model = PictureRelation(encoder.network.float()).to(accelerator.device)
    model.network.set_gradient_checkpointing(settings.gradient_checkpointing)
    held = picture_pairs(data, "val") if (data / "val.csv").exists() else []
    metrics: dict[str, Any] = {
        "pairs": {"same": sum(p.same for p in pairs), "other": sum(not p.same for p in pairs)}
    }
    with ThreadPoolExecutor(settings.workers) as threads:
        reader = _Reader(transform, settings, threads)
        resuming = (out / "checkpoint.pt").exists()
        if held and accelerator.is_main_process and not resuming:
            before = _measure(model, reader, held, counter(report, "measure"))
            (out / "before.json").write_text(json.dumps(before) + "\n")
        accelerator.wait_for_everyone()
        _fit(model, pairs, reader, settings, out, accelerator, report)
        if accelerator.is_main_process:
            model.eval()
            if held:
                metrics["val_before"] = json.loads((out / "before.json").read_text())
                metrics["val"] = _measure(model, reader, held, counter(report, "measure"))
            network = model.network.cpu()
            architecture = architecture_of(network, transform.side)
            save_image_encoder(network, architecture, transform, out / "encoder")
            write_metrics(out, metrics)
    accelerator.wait_for_everyone()
    found: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return found


def picture_pairs(folder: Path, split: str) -> list[PicturePair]:
    """The pairs of a split of which both pictures have files and the truth is known."""
    return [
        PicturePair(row.index, Path(row.claim.image), Path(row.document.image), row.same_picture)
        for row in read_factify2(folder, split)
        if row.claim.image is not None
        and row.document.image is not None
        and row.same_picture is not None
    ]


def require_both_kinds(pairs: Sequence[PicturePair], folder: Path) -> None:
    """Refuse training pairs from which nothing can be learnt.

    Args:
        pairs: From `picture_pairs`.
        folder: The folder that they are from.

    Raises:
        InvalidInputError: They are all of one kind, or there are none.
    """
    if len({pair.same for pair in pairs}) < 2:
        raise InvalidInputError(
            f"{folder / 'train.csv'}: pairs of the same picture and pairs of two are needed, with "
            "their files"
        )


class _Reader:
    """Decodes pairs of pictures in threads."""

    def __init__(
        self, transform: ImageTransform, settings: ImageRelationTraining, threads: Executor
    ) -> None:
        self._transform = transform
        self._settings = settings
        self._threads = threads

    def read(
        self, pairs: Sequence[PicturePair], epoch: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the network takes of N pairs.

        Args:
            pairs: The pairs.
            epoch: Seeds the edits; without it there are none.

        Returns:
            (N, 3, side, side) pictures of either side, and (N,) whether they are the same: 1, 0, or
            -1 where a picture cannot be read.
        """
        decoded: list[list[Future[Tensor | None]]] = [[], []]
        for pair in pairs:
            for place, path in enumerate((pair.claim, pair.evidence)):
                # By its row: the same data teach the same, in whichever folder they lie.
                seed = f"{self._settings.seed}/{epoch}/{pair.row}/{place}"
                edits = None if epoch is None else Random(seed)
                decoded[place].append(self._threads.submit(self._pixels, path, edits))
        sides = [[future.result() for future in side] for side in decoded]
        same = torch.tensor([float(pair.same) for pair in pairs])
        for side in sides:
            for place, pixels in enumerate(side):
                if pixels is None:
                    same[place] = -1
        blank = torch.zeros(self._transform.side, self._transform.side, 3, dtype=torch.uint8)
        left, right = (
            self._transform.normalise(torch.stack([blank if p is None else p for p in side]))
            for side in sides
        )
        return left, right, same

    def _pixels(self, path: Path, edits: Random | None) -> Tensor | None:
        try:
            image = pictures.decode(pictures.read_bytes(path), path, 2 * self._transform.side)
        except FactcheckError:
            return None
        if edits is not None and edits.random() < self._settings.edited:
            image = _edited(image, edits)
        return self._transform.pixels(image)


def _edited(image: Image.Image, rng: Random) -> Image.Image:
    # The edits are made for photographs, not for strips of a few pixels.
    return light_copy(image, rng) if min(image.size) >= 32 else image


def _fit(
    model: PictureRelation,
    pairs: Sequence[PicturePair],
    reader: _Reader,
    settings: ImageRelationTraining,
    out: Path,
    accelerator: "Accelerator",
    report: OnProgress,
) -> None:
    device = accelerator.device
    bfloat16 = settings.bfloat16 and has_bfloat16(device)

    def chunks(batch: Batch) -> list[list[int]]:
        rows = batch.rows
        return [rows[i : i + settings.chunk] for i in range(0, len(rows), settings.chunk)]

    def loss(wrapped: nn.Module, epoch: int, rows: list[int]) -> Tensor:
        left, right, same = reader.read([pairs[row] for row in rows], epoch)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            logits = wrapped(left.to(device), right.to(device))
        known = (same >= 0).to(device)
        each = F.binary_cross_entropy_with_logits(
            logits.float(), same.clamp(min=0).to(device), reduction="none"
        )
        return (each * known).sum()

    model.train()
    sizes = [len(pairs)] * settings.epochs
    batches = shuffled_batches(sizes, settings.batch_size, settings.seed)
    fit_in_steps(model, batches, chunks, loss, settings, out, accelerator, report)


@torch.inference_mode()
def _measure(
    model: PictureRelation,
    reader: _Reader,
    pairs: Sequence[PicturePair],
    on_progress: Callable[[int], None],
) -> dict[str, float]:
    """ROC AUC, and accuracy at a probability of a half, where there are pairs of both kinds."""
    from sklearn.metrics import accuracy_score, roc_auc_score

    model.eval()
    device = next(model.parameters()).device
    logits, truth = [], []
    for start in range(0, len(pairs), 32):
        left, right, same = reader.read(pairs[start : start + 32])
        logits.append(model(left.to(device), right.to(device)).float().cpu())
        truth.append(same)
        on_progress(len(same))
    scores, labels = torch.cat(logits).numpy(), torch.cat(truth).numpy()
    known = labels >= 0
    scores, labels = scores[known], labels[known]
    measured: dict[str, float] = {"pairs": int(known.sum())}
    if len(np.unique(labels)) == 2:
        measured["auc"] = float(roc_auc_score(labels, scores))
        measured["accuracy"] = float(accuracy_score(labels, scores > 0))
    return measured
