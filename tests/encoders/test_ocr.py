"""Reading text in pictures: an extra, whose absence is one sentence."""

import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from factcheck.encoders.ocr import OcrReader, broadened
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


def test_without_what_computes_its_models_the_error_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("rapidocr")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(PrerequisiteError, match='extra "ocr": pip install rapidocr onnxruntime'):
        OcrReader.load()


@pytest.mark.parametrize("size", [(640, 160), (160, 1280), (1, 8), (2000, 40), (4000, 3000)])
def test_ordinary_pictures_are_read_as_they_are(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size)
    assert broadened(image) is image


@pytest.mark.parametrize("size", [(20, 2000), (1, 60_000), (60_000, 1), (2000, 9), (900, 60_000)])
def test_narrow_pictures_are_put_on_a_ground(size: tuple[int, int]) -> None:
    image = broadened(Image.new("RGB", size, "white"))
    shorter, longer = sorted(image.size)
    assert longer <= 2000
    # RapidOCR makes the shorter side 736 pixels.
    assert longer * 736 / shorter <= 4 * 736
    assert image.getpixel(((image.width - 1) // 2, (image.height - 1) // 2)) == (255, 255, 255)
    assert image.getpixel((0, 0)) == (0, 0, 0)


def test_words_in_a_narrow_picture_are_read(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr")
    image = Image.new("RGB", (150, 1500), "white")
    font = ImageFont.load_default(size=30)
    for line, word in enumerate(("MAYOR", "OPENS", "BRIDGE")):
        ImageDraw.Draw(image).text((15, 100 + 500 * line), word, "black", font)
    image.save(tmp_path / "text.png")
    assert OcrReader.load().read(tmp_path / "text.png") == "MAYOR OPENS BRIDGE"
