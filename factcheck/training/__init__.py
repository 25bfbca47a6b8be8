"""Training: fit the fusion head, fit the image encoder."""

from factcheck.training.train import train

__all__ = ["train"]
