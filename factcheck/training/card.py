"""The model card that a trained fusion head carries."""

from typing import Any

from factcheck.fusion.checkpoint import CheckpointConfig
from factcheck.training_settings import FusionTraining

_CARD = """\
# Fusion head

Support of a claim by its evidence, as Factify 2 labels it, from frozen encodings of texts and
pictures. Made by `factcheck train`; `config.json` names the encoders by hash and the head is
refused with others.

## What it was trained on

{rows} rows of a folder in Factify 2's format, seed {seed}. Early stopping chose epoch {epoch} by
likelihood on one part of the validation rows; calibration (a temperature and biases for each
factor, and for the text relation a power of how far its logits lie apart) was fitted on that and a
second part, and a third is kept back for `--max-error`. Pairs of pictures that the image encoder
leaves in doubt are compared point by point, too, and calibrated by how many places match.{learnt}

| | |
| --- | --- |
| text encoder | {text_encoder} (`{text_hash}`) |
| image encoder | {image_encoder} (`{image_hash}`) |
| text relation encoder | {relation_encoder} |
| passages read | {passages}, of at most {characters} characters |
| width, layers, heads | {width}, {layers}, {heads} |

## How well it does

On the splits of the same folder, whose texts and pictures training has not seen:

| split | rows | weighted F1 | 95% interval | macro F1 | text relation | image relation | ECE |
| --- | --- | --- | --- | --- | --- | --- | --- |
{table}

F1 by label on the last of these:

| label | F1 |
| --- | --- |
{by_label}

## What to know before relying on it

- The numbers above hold for data like these. On sources that training never saw the text relation
  is worse, and its confidence may be too high.
- {reading}
- `--max-error` promises its error rate for claims like the rows kept back, and for no others.
- Support means that the evidence given says the same as the claim, not that the claim is true.
- The image relation says whether two pictures are the same, not whether they show what the claim
  says. The image encoder has learnt from photographs: two drawn charts it may take for one.
- The training texts are English.
"""


_WITH_RELATIONS = """\
Each passage is read word by word beside the claim, but by a small network: a changed number, name
  or negation can still pass unseen."""
_WITHOUT_RELATIONS = """\
It compares sentence vectors and counts of words, names and numbers. It does not read a passage
  word by word: a changed number or a negation can pass unseen."""


_TAUGHT = """ Beside the
truth it learnt from the mean of {heads} such heads."""


_TREES = """

Beside the head {trees} boosted trees for each text relation, grown on the same rows from what can
be counted of the passages, are asked for the text relation; their share in its log-probabilities,
chosen on the validation rows of calibration, is {share:g}."""


def fusion_card(settings: FusionTraining, config: CheckpointConfig, metrics: dict[str, Any]) -> str:
    """The card of a trained head.

    Args:
        settings: What was trained.
        config: The checkpoint's configuration.
        metrics: As `train_fusion` writes them: `rows`, `best_epoch`, and metrics by split.
    """
    taught = _TAUGHT.format(heads=len(settings.teachers)) if settings.teachers else ""
    beside = ""
    if settings.trees is not None and config.trees_share is not None:
        beside = _TREES.format(share=config.trees_share, trees=settings.trees.trees)
    splits = {name: value for name, value in metrics.items() if _is_split(value)}
    return _CARD.format(
        rows=f"{metrics['rows']['train']:,}",
        seed=settings.seed,
        epoch=metrics["best_epoch"],
        learnt=taught + beside,
        text_encoder=config.text_encoder.load,
        text_hash=config.text_encoder.sha256[:12],
        image_encoder=config.image_encoder.load,
        image_hash=config.image_encoder.sha256[:12],
        relation_encoder="none"
        if config.relation_encoder is None
        else f"{config.relation_encoder.load} (`{config.relation_encoder.sha256[:12]}`)",
        reading=_WITHOUT_RELATIONS if config.relation_encoder is None else _WITH_RELATIONS,
        passages=config.head.passages,
        characters=config.passages.max_characters,
        width=config.head.width,
        layers=config.head.layers,
        heads=config.head.heads,
        table="\n".join(_row(name, value) for name, value in splits.items()),
        by_label="\n".join(
            f"| {label} | {f1:.3f} |" for label, f1 in list(splits.values())[-1]["f1"].items()
        ),
    )


def _is_split(value: object) -> bool:
    return isinstance(value, dict) and "weighted_f1" in value


def _row(name: str, metrics: dict[str, Any]) -> str:
    bounds = metrics["weighted_f1_interval"]
    interval = "none" if bounds is None else f"{bounds[0]:.3f} to {bounds[1]:.3f}"
    image = metrics["image_relation_accuracy"]
    return (
        f"| {name} | {metrics['rows']:,} | {metrics['weighted_f1']:.3f} | {interval} "
        f"| {metrics['macro_f1']:.3f} | {metrics['text_relation_accuracy']:.3f} "
        f"| {'unknown' if image is None else format(image, '.3f')} "
        f"| {metrics['expected_calibration_error']:.3f} |"
    )
