"""One door to all training: what a YAML file says decides what is trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from factcheck.training_settings import (
    CopyReadoutTraining,
    FusionTraining,
    ImageRelationTraining,
    QueryTraining,
    RelevanceTraining,
    StagedTraining,
    TextRelationTraining,
    Training,
)


def train(
    settings: Training,
    data: Path,
    out: Path,
    on_progress: Callable[[str, int, int, dict[str, float]], None] | None = None,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Train what the settings describe.

    Args:
        settings: From `settings.read_yaml(path, TrainingSettings)`.
        data: The data folder: for the fusion head, the image relation and all stages together a
            folder in Factify 2's format, else the folder that texts and photographs are named
            relative to.
        out: Run folder.
        on_progress: Called with a stage, steps done, steps in all (0 if unknown) and figures to
            show.
        cache: A file with encodings of other runs, which the fusion head's training uses and adds
            to.

    Returns:
        The run's metrics.
    """
    # Each kind of training loads its own heavy libraries, the teacher's among them.
    if isinstance(settings, FusionTraining):
        from factcheck.training.fusion import train_fusion

        return train_fusion(settings, data, out, on_progress, cache)
    if isinstance(settings, TextRelationTraining):
        from factcheck.training.text_relation import train_text_relation

        return train_text_relation(settings, data, out, on_progress)
    if isinstance(settings, QueryTraining):
        from factcheck.training.query import train_query

        return train_query(settings, data, out, on_progress)
    if isinstance(settings, RelevanceTraining):
        from factcheck.training.relevance import train_relevance

        return train_relevance(settings, data, out, on_progress)
    if isinstance(settings, ImageRelationTraining):
        from factcheck.training.image_relation import train_image_relation

        return train_image_relation(settings, data, out, on_progress)
    if isinstance(settings, CopyReadoutTraining):
        from factcheck.training.copy_readout import train_copy_readout

        return train_copy_readout(settings, data, out, on_progress)
    if isinstance(settings, StagedTraining):
        from factcheck.training.staged import train_in_stages

        return train_in_stages(settings, data, out, on_progress, cache)
    from factcheck.training.image_encoder import train_image_encoder

    return train_image_encoder(settings, data, out, on_progress)
