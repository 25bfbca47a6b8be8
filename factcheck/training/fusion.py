"""Training the fusion head on frozen encodings of a folder in Factify 2's format.

Each row is encoded once, into a cache on disk; the epochs read arrays. The loss is the cross
entropy of the text relation plus the binary cross entropy of the image relation where two pictures
and the truth are known. Since the label follows from the two, its own negative log-likelihood is
their sum (on refuted rows the first alone), so it needs no term of its own.

Pictures and OCR texts are hidden at random, so that a missing one is nothing new, and some examples
are read with passages of other documents among their own, as retrieval will give them. Besides the
truth, a head may learn from what others say (`fusion_teachers`).
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from factcheck.datasets import find_splits, read_factify2
from factcheck.encoders import Encoders, EncodingCache
from factcheck.encoders.weights import in_half_precision
from factcheck.errors import InvalidInputError, MissingResourceError, UsageError
from factcheck.evaluation.metrics import classification_metrics
from factcheck.evaluation.splits import Split, encode_split, require_labels
from factcheck.evidence import Reading
from factcheck.fusion.abstention import Conformal
from factcheck.fusion.calibration import Calibration
from factcheck.fusion.checkpoint import (
    Checkpoint,
    CheckpointConfig,
    EncoderIdentity,
    build_head,
    encoder_beside,
    save_checkpoint,
)
from factcheck.fusion.head import FusionHead, Relations
from factcheck.fusion.inputs import FusionBatch, FusionInputs, document_relation_logits
from factcheck.fusion.run import calibrated, relation_logits, relation_probabilities
from factcheck.fusion.trees import Trees, TreesBeside, counted
from factcheck.records import TEXT_RELATIONS, Label, text_relation_of
from factcheck.training.card import fusion_card
from factcheck.training.distractors import with_distractors
from factcheck.training.fusion_teachers import FusionTeachers, taught_loss
from factcheck.training.inputs import inputs_of
from factcheck.training.loop import (
    OnProgress,
    begin_run,
    counter,
    decayed_and_not,
    start_accelerator,
    write_metrics,
)
from factcheck.training.run_log import append_row
from factcheck.training.trees import best_share, grow_trees
from factcheck.training_settings import FusionTraining

if TYPE_CHECKING:
    from accelerate import Accelerator

_COLUMNS = ("epoch", "loss", "weighted_f1", "negative_log_likelihood")


def train_fusion(
    settings: FusionTraining,
    data: Path,
    out: Path,
    on_progress: OnProgress | None = None,
    cache: Path | None = None,
    run: Path | None = None,
) -> dict[str, Any]:
    """Fit a fusion head, calibrate it, and write it with its card.

    Args:
        settings: What to train.
        data: A folder in Factify 2's format with `train` and `val`; a `test` split, if it is there
            and has labels, is measured at the end, once, for the card.
        out: Run folder: `settings.json`, `encodings.sqlite`, `log.csv`, `metrics.json` and
            `checkpoint/`.
        on_progress: Called with a stage, steps done, steps in all (0 if unknown) and figures to
            show.
        cache: A file that holds encodings of other runs, to be used and added to instead of
            `encodings.sqlite`.
        run: A folder that this run is a stage of and that may be moved as a whole: the checkpoint
            names encoders in it by the way there, and takes the place of one made before with other
            settings, as a run of its own does not.

    Returns:
        The metrics that are written.

    Raises:
        FactcheckError: The data are missing or unfit, or a file cannot be written.
    """
    from accelerate.utils import set_seed

    report = on_progress or (lambda stage, done, total, values: None)
    # Encoding takes long, and whether the rows will do is known before.
    rows = require_rows(settings, data)
    accelerator = start_accelerator()
    require_shares(settings, accelerator)
    begin_run(settings, inputs_of(settings, data), out, accelerator, replace=run is not None)
    set_seed(settings.seed)

    def named(encoder: str) -> str:
        inside = run is not None and Path(encoder).resolve().is_relative_to(run.resolve())
        return encoder_beside(encoder, out / "checkpoint") if inside else encoder

    with EncodingCache(cache or out / "encodings.sqlite") as encodings:
        encoders = Encoders.load(
            settings.text_encoder,
            settings.image_encoder,
            encodings,
            settings.relation_encoder,
            settings.precision,
        )
        config = CheckpointConfig(
            head=settings.head,
            passages=settings.passages,
            text_encoder=EncoderIdentity(
                load=named(settings.text_encoder),
                sha256=encoders.text.sha256,
                dimension=encoders.text.dimension,
            ),
            image_encoder=EncoderIdentity(
                load=named(settings.image_encoder),
                sha256=encoders.image.sha256,
                dimension=encoders.image.dimension,
            ),
            relation_encoder=None
            if encoders.relation is None or settings.relation_encoder is None
            else EncoderIdentity(
                load=named(settings.relation_encoder),
                sha256=encoders.relation.sha256,
                dimension=encoders.relation.width,
            ),
            image_tokens=encoders.image.tokens,
        )
        # A folder that holds no teacher is to be named before the work begins.
        teachers = FusionTeachers.load(settings.teachers, config)
        reading = Reading(encoders, settings.passages, settings.head.passages)
        # One process encodes, the others find what it has encoded.
        with accelerator.main_process_first():
            train = encode_split(reading, data, "train", counter(report, "encode train"))
            validation = encode_split(reading, data, "val", counter(report, "encode val"))
        stop, calibrate, kept_back = divide_validation(validation, settings)
        head = build_head(config)
        if encoders.image.copies is not None:
            head.start_from(encoders.image.copies)
        # Twice as many examples have a form with distractors as are read in it in an epoch.
        share = min(1.0, 2 * settings.distractors)
        distracted = with_distractors(train, encoders, settings.seed, share)
        examples = _Collate(train, distracted, settings.distractors / share if share else 0.0)
        best = _fit(head, examples, stop, teachers, settings, out / "log.csv", accelerator, report)
        if accelerator.is_main_process:
            # Weights are kept in half precision: what is calibrated must be what will be used.
            halves = in_half_precision(head.state_dict(), out / "checkpoint" / "model.safetensors")
            head.load_state_dict({key: w.float() for key, w in halves.items()})
            beside = None
            if settings.trees is not None:
                shown = (train.inputs, distracted)
                trees = grow_trees(settings.trees, shown, train.relations, settings.seed)
                beside = _weighed(trees, head, calibrate)
                config = config.model_copy(update={"trees_share": beside.share})
            calibration = _calibrate(head, beside, calibrate, kept_back)
            save = partial(
                save_checkpoint,
                out / "checkpoint",
                head,
                config,
                calibration,
                trees=None if beside is None else beside.trees,
            )
            checkpoint = save("")
            metrics: dict[str, Any] = {
                "rows": {"train": len(train), "val": len(validation)},
                **best,
            }
            measured = {"val (calibration rows)": calibrate}
            if "test" in rows:
                count = counter(report, "encode test")
                measured["test"] = encode_split(reading, data, "test", count)
            for name, split in measured.items():
                metrics[name] = measure(checkpoint, split)
            card = fusion_card(settings, config, metrics)
            save(card)
            write_metrics(out, metrics)
    accelerator.wait_for_everyone()
    found: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return found


def require_rows(settings: FusionTraining, data: Path) -> dict[str, int]:
    """The number of rows of each split that a head is trained or measured on.

    Copies of Factify 2's `test.csv` may have no labels; nothing is measured on these then.

    Args:
        settings: How many rows of `val` are not for early stopping.
        data: A folder in Factify 2's format.

    Raises:
        MissingResourceError: There is no `train` or no `val`.
        InvalidInputError: A row of these has no label, none of `val` is left for early stopping, or
            a table cannot be read, as one of which only some rows have labels.
    """
    splits = find_splits(data)
    for needed in ("train", "val"):
        if needed not in splits:
            raise MissingResourceError(f"{data / f'{needed}.csv'}: training needs this split")
    counts = {}
    for split in ("train", "val", "test"):
        rows = read_factify2(data, split) if split in splits else []
        if split == "test" and all(row.label is None for row in rows):
            continue
        labels = require_labels(data, split, rows)
        if split == "train" and settings.trees is not None:
            _require_each_relation(data / "train.csv", labels)
        counts[split] = len(rows)
    _require_rows_to_stop_by(data / "val.csv", counts["val"], settings)
    return counts


def require_shares(settings: FusionTraining, accelerator: "Accelerator") -> None:
    """Refuse batches that the processes of a run cannot share.

    Raises:
        UsageError: Some would get fewer rows than others.
    """
    if settings.batch_size % accelerator.num_processes:
        raise UsageError(
            f"batch_size: {settings.batch_size} rows cannot be shared out evenly among "
            f"{accelerator.num_processes} processes"
        )


def measure(checkpoint: Checkpoint, split: Split) -> dict[str, Any]:
    """The metrics of a checkpoint on a split (`evaluation.metrics`)."""
    probabilities = relation_probabilities(checkpoint, split.inputs)
    return classification_metrics(
        probabilities.label,
        probabilities.image,
        split.labels,
        split.same_picture,
        groups=split.text_groups,
    )


def relation_loss(
    relations: Relations, truth: Tensor, same_picture: Tensor, settings: FusionTraining
) -> Tensor:
    """The training loss of B examples, a scalar.

    Args:
        relations: What the head gave.
        truth: (B,) true text relations.
        same_picture: (B,) 1, 0, or -1 where it is unknown or a picture is missing.
        settings: Weights of the terms.
    """
    text = F.cross_entropy(relations.text, truth, label_smoothing=settings.label_smoothing)
    known = same_picture >= 0
    if not known.any():
        return text
    image = F.binary_cross_entropy_with_logits(relations.image[known], same_picture[known].float())
    return text + settings.image_weight * image


def hide(batch: FusionBatch, probability: float) -> FusionBatch:
    """Hide pictures and OCR texts, each side's on its own, each with the given probability."""

    def kept(present: Tensor) -> Tensor:
        return present & (torch.rand(present.shape, device=present.device) >= probability)

    return replace(
        batch,
        has_claim_image=kept(batch.has_claim_image),
        has_evidence_image=kept(batch.has_evidence_image),
        has_claim_ocr=kept(batch.has_claim_ocr),
        has_evidence_ocr=kept(batch.has_evidence_ocr),
    )


@dataclass(frozen=True)
class _Collate:
    """From row numbers to a batch, a share of its examples with distractors."""

    split: Split
    distracted: FusionInputs
    probability: float

    def __call__(self, rows: list[int]) -> dict[str, Any]:
        chosen = np.array(rows)
        batch = self.split.inputs.batch(chosen)
        swap = torch.rand(len(rows)) < self.probability
        changed = {}
        # Only the passages differ; the pictures, by far the larger part, are gathered once.
        for name in ("passages", "has_passage", "signals", "relations"):
            own, other = (
                getattr(batch, name),
                torch.from_numpy(getattr(self.distracted, name)[chosen]),
            )
            changed[name] = torch.where(swap.reshape(-1, *[1] * (own.ndim - 1)), other, own)
        return {
            "batch": replace(batch, **changed),
            "relations": torch.from_numpy(self.split.relations[chosen]),
            "same_picture": torch.from_numpy(self.split.same_picture[chosen]),
        }


def _fit(
    head: FusionHead,
    examples: "_Collate",
    stop: Split,
    teachers: FusionTeachers,
    settings: FusionTraining,
    log: Path,
    accelerator: "Accelerator",
    report: OnProgress,
) -> dict[str, float]:
    """Train in place, leave the averaged weights of the best epoch, and say how good they were."""
    from accelerate.utils import broadcast_object_list
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    train = examples.split
    loader: DataLoader[Any] = DataLoader(
        range(len(train)),  # type: ignore[arg-type]
        batch_size=settings.batch_size,
        shuffle=True,
        collate_fn=examples,
    )
    optimiser = torch.optim.AdamW(
        decayed_and_not(head.parameters(), settings.weight_decay), lr=settings.learning_rate
    )
    steps = settings.epochs * math.ceil(len(train) / settings.batch_size)
    # It divides by the steps that it rises less one.
    rising = 0.1 if steps != 10 else 0.2
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=settings.learning_rate, total_steps=steps, pct_start=rising
    )
    model, optimiser, loader, schedule = accelerator.prepare(head, optimiser, loader, schedule)
    teachers.to(accelerator.device)
    # The running average of the weights is scored and kept: it varies less from step to step.
    average = AveragedModel(
        accelerator.unwrap_model(model),
        multi_avg_fn=get_ema_multi_avg_fn(settings.average_decay),  # type: ignore[no-untyped-call]
    )
    # The likelihood, not the F1, says which epoch is best: on a thousand rows the F1 moves by more
    # than a point by chance alone.
    best: dict[str, float] = {"epoch": -1, "negative_log_likelihood": math.inf}
    best_weights: dict[str, Tensor] = {}
    step = 0
    if accelerator.is_main_process:
        log.unlink(missing_ok=True)
    for epoch in range(settings.epochs):
        model.train()
        losses = []
        for rows in loader:
            batch = hide(rows["batch"], settings.modality_dropout)
            both = batch.has_claim_image & batch.has_evidence_image
            same = torch.where(both, rows["same_picture"], -1)
            relations = model(batch)
            loss = relation_loss(relations, rows["relations"], same, settings)
            if teachers.heads:
                said = taught_loss(relations, *teachers(batch), both, settings.image_weight)
                loss = (1 - settings.taught) * loss + settings.taught * said
            optimiser.zero_grad()
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            average.update_parameters(accelerator.unwrap_model(model))
            losses.append(loss.item())
            step += 1
            report("train", step, steps, {"loss": losses[-1]})
        averaged: FusionHead = average.module  # type: ignore[assignment]
        # All processes stop at the same epoch: the first one's score counts.
        [score] = broadcast_object_list([_uncalibrated(averaged, stop)])
        row = {"epoch": epoch, "loss": float(np.mean(losses)), **score}
        if accelerator.is_main_process:
            append_row(log, _COLUMNS, row)
        if score["negative_log_likelihood"] < best["negative_log_likelihood"]:
            best = row
            weights = averaged.state_dict()
            best_weights = {key: value.detach().cpu().clone() for key, value in weights.items()}
        elif epoch - best["epoch"] >= settings.patience:
            break
    head.cpu()
    head.load_state_dict(best_weights)
    head.eval()
    return {
        f"best_{name}": best[name] for name in ("epoch", "weighted_f1", "negative_log_likelihood")
    }


def _uncalibrated(head: FusionHead, split: Split) -> dict[str, float]:
    """Weighted F1 and negative log-likelihood of the label, before calibration."""
    probabilities = calibrated(Calibration(), *relation_logits(head, split.inputs), split.inputs)
    metrics = classification_metrics(
        probabilities.label, probabilities.image, split.labels, split.same_picture, resamples=0
    )
    return {key: metrics[key] for key in ("weighted_f1", "negative_log_likelihood")}


def _weighed(trees: Trees, head: FusionHead, split: Split) -> TreesBeside:
    """Trees with what they count for beside a head."""
    ours, _ = relation_logits(head, split.inputs)
    theirs = trees.logits(counted(split.inputs))
    return TreesBeside(trees, best_share(ours, theirs, split.relations))


def _calibrate(
    head: FusionHead, beside: TreesBeside | None, split: Split, kept_back: Split
) -> Calibration:
    text, image = relation_logits(head, split.inputs, beside)
    known = split.same_picture >= 0
    # A head that is to do without pictures is not told of them by their points either.
    places = None if "images" in head.without else split.inputs.matched_places[known]
    fitted = Calibration.fit(
        text,
        split.relations,
        image[known],
        split.same_picture[known] == 1,
        document_relation_logits(split.inputs),
        places,
    )
    if not len(kept_back):
        return fitted
    found = calibrated(fitted, *relation_logits(head, kept_back.inputs, beside), kept_back.inputs)
    conformal = Conformal.of(found.label, kept_back.labels)
    return fitted.model_copy(update={"conformal": conformal})


def divide_validation(validation: Split, settings: FusionTraining) -> tuple[Split, Split, Split]:
    """The validation rows for early stopping, for calibration, and those kept back.

    They are the same ones whatever the seed, so that runs can be compared by them. Calibration has
    those of early stopping too: that one epoch of a few is chosen by them spoils them little, and
    of a thousand rows alone it learns chance.

    Args:
        validation: All of them.
        settings: How many are for what.
    """
    order = np.random.default_rng(0).permutation(len(validation))
    kept_back, own = _not_to_stop_by(len(order), settings)
    parts = (order[own:], order[kept_back:], order[:kept_back])
    stop, calibration, kept = (validation.take(np.sort(part)) for part in parts)
    return stop, calibration, kept


def _not_to_stop_by(rows: int, settings: FusionTraining) -> tuple[int, int]:
    """Of so many validation rows how many are kept back, and how many with those of calibration."""
    kept_back = round(rows * settings.conformal_share)
    return kept_back, kept_back + round(rows * settings.calibration_share)


def _require_each_relation(path: Path, labels: Sequence[Label]) -> None:
    missing = set(TEXT_RELATIONS) - set(map(text_relation_of, labels))
    if missing:
        raise InvalidInputError(
            f"{path}: no row is of the text relation {min(missing)}, of which trees need some"
        )


def _require_rows_to_stop_by(path: Path, rows: int, settings: FusionTraining) -> None:
    if _not_to_stop_by(rows, settings)[1] >= rows:
        raise InvalidInputError(
            f"{path}: of {rows} rows, calibration_share {settings.calibration_share:g} and "
            f"conformal_share {settings.conformal_share:g} leave none for early stopping"
        )
