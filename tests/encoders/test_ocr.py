"""Reading text in pictures: an extra, whose absence is one sentence."""

import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from factcheck.encoders.ocr import OcrReader
from factcheck.errors import PrerequisiteError


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(PrerequisiteError, match='extra "ocr": pip install rapidocr'):
        OcrReader.load()


def test_words_in_a_picture_are_read(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr")
    image = Image.new("RGB", (640, 160), "white")
    font = ImageFont.load_default(size=44)
    ImageDraw.Draw(image).text((20, 50), "MAYOR OPENS BRIDGE 1998", "black", font)
    image.save(tmp_path / "text.png")
    assert OcrReader.load().read(tmp_path / "text.png") == "MAYOR OPENS BRIDGE 1998"
