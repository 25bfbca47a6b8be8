"""Reading the text in pictures with RapidOCR, an optional extra."""

import logging
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from factcheck import pictures
from factcheck.errors import PrerequisiteError

LONGEST_SIDE = 2000
"""Side that RapidOCR makes a larger picture have, pixels."""

TALLEST = 8
"""Height over width beyond which a picture is put on a ground of `_GROUND`."""

WIDEST = 64
"""Width over height likewise; up to here RapidOCR does it itself."""

_GROUND = 4


def broadened(image: Image.Image) -> Image.Image:
    """A picture as RapidOCR may be given it, unchanged unless it is very narrow.

    RapidOCR enlarges a picture until its shorter side has 736 pixels: one of 20 x 2,000 would
    become 54 million, and take gigabytes. It puts wide ones on a black ground, and so is done here
    with the others.

    Args:
        image: A picture.

    Returns:
        The same, or one of at most `LONGEST_SIDE` in the middle of a black one that is not narrow.
    """
    width, height = image.size
    if height <= TALLEST * width and width <= WIDEST * height:
        return image
    scale = min(1.0, LONGEST_SIDE / max(width, height))
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    ground = Image.new(
        "RGB", (max(width, -(-height // _GROUND)), max(height, -(-width // _GROUND)))
    )
    place = ((ground.width - width) // 2, (ground.height - height) // 2)
    ground.paste(image.resize((width, height), Image.Resampling.BICUBIC), place)
    return ground


class OcrReader:
    """RapidOCR (PP-OCR models on onnxruntime) behind one method; its package carries the models."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    @classmethod
    def load(cls) -> Self:
        """Load the models.

        Raises:
            PrerequisiteError: The extra is not installed.
        """
        try:
            from rapidocr import RapidOCR

            logging.getLogger("RapidOCR").setLevel(logging.ERROR)
            # It loads what computes its models when it is asked to read: without that, in vain.
            import_module("onnxruntime")
            engine = RapidOCR(params={"Global.log_level": "error"})
        except ImportError as error:
            raise PrerequisiteError(
                'reading text in pictures needs the extra "ocr": pip install rapidocr onnxruntime'
            ) from error
        return cls(engine)

    def read(self, path: str | Path) -> str:
        """The text in a picture, its lines joined by spaces; empty when there is none.

        Raises:
            MissingResourceError: There is no such file.
            InvalidInputError: It is no picture that can be read.
        """
        image = broadened(pictures.decode(pictures.read_bytes(path), path))
        # RapidOCR takes arrays in OpenCV's channel order.
        found = self._engine(np.asarray(image)[:, :, ::-1].copy())
        return " ".join(found.txts or ())
