"""Heads that another fusion head learns from.

Heads with different seeds err differently, and the mean of their logits is better and more honestly
calibrated than any of them, but takes the time of all. One head that learns from that mean, beside
the truth, keeps part of the gain at the price of one (knowledge distillation from an ensemble,
arXiv:1503.02531, section 2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from factcheck.errors import InvalidInputError
from factcheck.fusion.checkpoint import CheckpointConfig, load_checkpoint
from factcheck.fusion.head import FusionHead, Relations
from factcheck.fusion.inputs import FusionBatch


@dataclass(frozen=True)
class FusionTeachers:
    """Trained heads that are asked together.

    Attributes:
        heads: The heads, in evaluation mode.
    """

    heads: Sequence[FusionHead]

    @classmethod
    def load(cls, folders: Sequence[Path], pupil: CheckpointConfig) -> Self:
        """Load checkpoints whose heads read what the pupil reads.

        Args:
            folders: Checkpoint folders.
            pupil: Configuration of the head that is to learn from them.

        Raises:
            MissingResourceError: There is no checkpoint.
            InvalidInputError: One is damaged, or reads other encoders, passages cut otherwise, or
                another number of them.
        """
        heads = []
        for folder in folders:
            checkpoint = load_checkpoint(folder)
            if _reads(checkpoint.config) != _reads(pupil):
                raise InvalidInputError(
                    f"{folder}: cannot be a teacher: it reads other encoders or other passages"
                )
            heads.append(checkpoint.head)
        return cls(heads)

    def to(self, device: torch.device) -> Self:
        """The same heads, moved to a device."""
        for head in self.heads:
            head.to(device)
        return self

    @torch.no_grad()
    def __call__(self, batch: FusionBatch) -> tuple[Tensor, Tensor]:
        """The means of their logits: (B, 3) of the text relation, (B,) of the image relation."""
        said = [head(batch) for head in self.heads]
        text = torch.stack([relations.text for relations in said]).mean(dim=0)
        image = torch.stack([relations.image for relations in said]).mean(dim=0)
        return text, image


def taught_loss(
    relations: Relations, text: Tensor, image: Tensor, both: Tensor, image_weight: float
) -> Tensor:
    """How far B examples are from what the teachers say of them; a scalar.

    Args:
        relations: What the pupil gave.
        text: (B, 3) the teachers' logits of the text relation.
        image: (B,) theirs of the image relation.
        both: (B,) bool, where there are two pictures.
        image_weight: Weight of the image relation.
    """
    loss = F.cross_entropy(relations.text, text.softmax(dim=-1))
    if not both.any():
        return loss
    same = image[both].sigmoid()
    return loss + image_weight * F.binary_cross_entropy_with_logits(relations.image[both], same)


def _reads(config: CheckpointConfig) -> tuple[object, ...]:
    """What a head's inputs depend on."""
    encoders = (config.text_encoder, config.image_encoder, config.relation_encoder)
    # Their names and places may differ.
    read = [
        None if encoder is None else (encoder.sha256, encoder.dimension) for encoder in encoders
    ]
    return (*read, config.passages, config.head.passages, config.image_tokens)
