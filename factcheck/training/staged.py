"""Training all of a checker on one data set: text relation, image relation, then the head on both.

The stages are those that can be trained alone; each goes on where it was stopped, and one that is
finished is not done again.
"""

from pathlib import Path
from typing import Any

from factcheck.training.fusion import require_rows, require_shares, train_fusion
from factcheck.training.image_relation import (
    picture_pairs,
    require_both_kinds,
    train_image_relation,
)
from factcheck.training.inputs import inputs_of
from factcheck.training.loop import OnProgress, finished, start_accelerator
from factcheck.training.text_relation import train_text_relation
from factcheck.training_settings import StagedTraining


def train_in_stages(
    settings: StagedTraining,
    data: Path,
    out: Path,
    on_progress: OnProgress | None = None,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Train both encoders, then the head.

    Args:
        settings: What to train.
        data: A folder in Factify 2's format with `train` and `val`.
        out: Run folder: `text-relation/`, `image-relation/` and `fusion/`, each as its own kind of
            training writes it.
        on_progress: Called with a stage, steps done, steps in all (0 if unknown) and figures to
            show.
        cache: As for `train_fusion`.

    Returns:
        The metrics of each stage.

    Raises:
        FactcheckError: As the stages do.
    """
    report = on_progress or (lambda stage, done, total, values: None)

    def named(stage: str) -> OnProgress:
        return lambda part, *figures: report(f"{stage}: {part}", *figures)

    # What the last stage needs is to be known before the first.
    require_rows(settings.fusion, data)
    require_shares(settings.fusion, start_accelerator())
    require_both_kinds(picture_pairs(data, "train"), data)
    metrics: dict[str, Any] = {}
    text, image, fusion = (out / name for name in ("text-relation", "image-relation", "fusion"))
    texts, pictures = settings.text_relation, settings.image_relation
    metrics["text_relation"] = finished(texts, inputs_of(texts, data), text) or train_text_relation(
        texts, data, text, named("text relation")
    )
    metrics["image_relation"] = finished(
        pictures, inputs_of(pictures, data), image
    ) or train_image_relation(pictures, data, image, named("image relation"))
    head = settings.fusion.model_copy(
        update={
            "relation_encoder": str(text / "encoder"),
            "image_encoder": str(image / "encoder"),
        }
    )
    metrics["fusion"] = finished(head, inputs_of(head, data), fusion) or train_fusion(
        head, data, fusion, named("fusion"), cache, out
    )
    return metrics
