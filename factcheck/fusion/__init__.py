"""Fusion: encodings of claim and evidence in, calibrated relations out."""

from factcheck.fusion.calibration import Calibration
from factcheck.fusion.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from factcheck.fusion.head import FusionHead
from factcheck.fusion.inputs import FusionInputs

__all__ = [
    "Calibration",
    "Checkpoint",
    "FusionHead",
    "FusionInputs",
    "load_checkpoint",
    "save_checkpoint",
]
