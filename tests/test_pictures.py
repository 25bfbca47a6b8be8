"""Pictures from strangers: read upright, RGB and bounded, or refused by name."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from factcheck import pictures
from factcheck.errors import InvalidInputError, MissingResourceError


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def ramp() -> Image.Image:
    """A 60 x 40 picture, red rising to the right and green downwards."""
    across, down = np.meshgrid(np.linspace(0, 255, 60), np.linspace(0, 255, 40))
    return Image.fromarray(np.stack([across, down, across * 0], axis=2).astype(np.uint8))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_formats_decode_as_rgb(ramp: Image.Image, kind: str) -> None:
    image = pictures.decode(encoded(ramp, kind), "ramp")
    assert (image.mode, image.size) == ("RGB", (60, 40))
    assert np.abs(np.asarray(image, int) - np.asarray(ramp, int)).mean() < 4


def test_orientation_is_applied(ramp: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    image = pictures.decode(encoded(ramp, "JPEG", exif=exif), "turned")
    assert image.size == (40, 60)
    assert image.getpixel((2, 2))[1] > 200  # what was at the bottom left is now at the top left


def test_alpha_is_flattened_on_white(ramp: Image.Image) -> None:
    ramp.putalpha(0)
    assert pictures.decode(encoded(ramp, "PNG"), "clear").getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "CMYK", "I;16", "I"])
def test_other_modes_become_rgb(mode: str) -> None:
    grey = Image.fromarray(np.linspace(0, 255, 64, dtype=np.uint8).reshape(8, 8))
    if mode.startswith("I"):
        image = Image.fromarray(np.asarray(grey, np.uint16) * 257)
        image = image.convert("I") if mode == "I" else image
    else:
        image = grey.convert(mode)
    kind = "TIFF" if mode in ("CMYK", "I") else "PNG"
    decoded = pictures.decode(encoded(image, kind), mode)
    assert decoded.mode == "RGB"
    assert decoded.getpixel((7, 7))[0] > 250
    assert decoded.getpixel((0, 0))[0] < 5


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
def test_floating_point_pictures_become_rgb_whatever_their_white(white: float) -> None:
    levels = np.linspace(0, white, 64, dtype=np.float32).reshape(8, 8)
    levels[3, 3], levels[3, 4] = np.nan, np.inf
    decoded = pictures.decode(encoded(Image.fromarray(levels), "TIFF"), "float")
    assert decoded.getpixel((7, 7)) == (255, 255, 255)
    assert 120 < decoded.getpixel((0, 4))[0] < 136
    assert decoded.getpixel((3, 3)) == decoded.getpixel((4, 3)) == (0, 0, 0)


def test_the_first_frame_of_an_animation_is_taken(ramp: Image.Image) -> None:
    data = encoded(ramp, "GIF", save_all=True, append_images=[Image.new("RGB", ramp.size)])
    assert pictures.decode(data, "moving").size == (60, 40)


def test_a_truncated_picture_is_refused_by_name(ramp: Image.Image) -> None:
    for kind in ("JPEG", "PNG", "WEBP"):
        data = encoded(ramp, kind)
        with pytest.raises(InvalidInputError, match=r"^half.x: the image is truncated or damaged"):
            pictures.decode(data[: len(data) * 2 // 3], "half.x")


def test_text_called_a_picture_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"page.jpg: not an image"):
        pictures.decode(b"<html>not found</html>" * 9, "page.jpg")


def bomb() -> bytes:
    """A PNG of a few bytes whose header promises 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_refused_before_decoding() -> None:
    with pytest.raises(InvalidInputError, match=r"bomb.png: the image has .*pixels"):
        pictures.decode(bomb(), "bomb.png")


def test_the_bound_is_ours_and_below_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_PIXELS", 60 * 40 - 1)
    with pytest.raises(InvalidInputError, match=r"60 x 40 pixels"):
        pictures.decode(encoded(Image.new("RGB", (60, 40)), "PNG"), "large.png")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingResourceError, match=r"none.png: the image cannot be read"):
        pictures.read_bytes(tmp_path / "none.png")
    with pytest.raises(MissingResourceError, match=r"the image cannot be read"):
        pictures.read_bytes(tmp_path)
    (tmp_path / "empty.png").touch()
    with pytest.raises(InvalidInputError, match=r"empty.png: the image file is empty"):
        pictures.read_bytes(tmp_path / "empty.png")


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(pictures.MAX_BYTES + 1)
    with pytest.raises(InvalidInputError, match=r"huge.jpg: the image file has"):
        pictures.read_bytes(tmp_path / "huge.jpg")
