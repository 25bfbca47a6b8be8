"""Reading the text in pictures with RapidOCR, an optional extra."""

import logging
from pathlib import Path
from typing import Any, Self

import numpy as np

from factcheck import pictures
from factcheck.errors import PrerequisiteError


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
        except ImportError as error:
            raise PrerequisiteError(
                'reading text in pictures needs the extra "ocr": pip install rapidocr onnxruntime'
            ) from error
        logging.getLogger("RapidOCR").setLevel(logging.ERROR)
        return cls(RapidOCR(params={"Global.log_level": "error"}))

    def read(self, path: str | Path) -> str:
        """The text in a picture, its lines joined by spaces; empty when there is none.

        Raises:
            MissingResourceError: There is no such file.
            InvalidInputError: It is no picture that can be read.
        """
        image = pictures.decode(pictures.read_bytes(path), path)
        # RapidOCR takes arrays in OpenCV's channel order.
        found = self._engine(np.asarray(image)[:, :, ::-1].copy())
        return " ".join(found.txts or ())
