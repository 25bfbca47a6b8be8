"""Pictures from strangers: read upright, RGB and bounded, or refused by name."""

import io
import os
import struct
import threading
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


def test_devices_and_pipes_are_refused_unread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zeros.jpg").symlink_to("/dev/zero")
    (tmp_path / "linked-pipe.jpg").symlink_to("pipe.jpg")
    refused: list[str] = []

    def read() -> None:
        for name in ("pipe.jpg", "zeros.jpg", "linked-pipe.jpg"):
            with pytest.raises(InvalidInputError, match="not an image file but a device or a pipe"):
                pictures.read_bytes(tmp_path / name)
            refused.append(name)

    # In a thread, for nothing would end a reader that waits for a pipe.
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(20)
    assert len(refused) == 3


def test_no_more_is_read_than_may_be_whatever_size_a_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that grows, as one of the kernel's without a size, is not followed."""
    path = tmp_path / "growing.jpg"
    path.write_bytes(b"x" * 100)
    monkeypatch.setattr(pictures, "MAX_BYTES", 10)
    monkeypatch.setattr(pictures, "_require_regular", lambda path, found: None)
    with pytest.raises(InvalidInputError, match="the image file has 11 bytes, more than the 10"):
        pictures.read_bytes(path)


def jpeg_of_scans(more: int) -> bytes:
    """A progressive JPEG, its last scan repeated."""
    noise = Image.effect_noise((64, 64), 60)
    data = encoded(noise, "JPEG", progressive=True)
    last = data.rfind(b"\xff\xda")
    return data[:-2] + data[last:-2] * more + b"\xff\xd9"


def test_scans_without_number_are_refused_and_many_are_not() -> None:
    assert pictures.decode(jpeg_of_scans(100), "many").size == (64, 64)
    with pytest.raises(InvalidInputError, match=r"^more\.jpg: the image has more than 200 scans"):
        pictures.decode(jpeg_of_scans(300), "more.jpg")


def test_a_large_picture_may_have_fewer_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_MAX_SCANNED_PIXELS", 64 * 64 * 50)
    with pytest.raises(InvalidInputError, match=r"more than 50 scans, too many for its 64 x 64"):
        pictures.decode(jpeg_of_scans(60), "more.jpg")


def test_scans_in_thumbnails_and_behind_the_picture_do_not_count(ramp: Image.Image) -> None:
    data = encoded(ramp, "JPEG")
    comment = b"\xff\xfe" + struct.pack(">H", 2 + 60_000) + b"\xff\xda" * 30_000
    film = b"\xff\xda\x00\x08" * 1000
    found = pictures.decode(data[:2] + comment + data[2:] + film, "with a film")
    assert found.tobytes() == pictures.decode(data, "without").tobytes()


def tiled_tiff(side: int, tile: tuple[int, int], packed_rows: int = 0) -> bytes:
    """A TIFF of `side` squared black pixels in tiles, all of them the same deflated data."""
    width, length = tile
    packer = zlib.compressobj(9)
    rows = packed_rows or length
    data = b"".join(packer.compress(bytes(width * 3)) for _ in range(rows)) + packer.flush()
    count = -(-side // width) * -(-side // length)
    entries = [
        (256, 4, 1, side),
        (257, 4, 1, side),
        (258, 3, 3, None),
        (259, 3, 1, 8),
        (262, 3, 1, 2),
        (277, 3, 1, 3),
        (322, 4, 1, width),
        (323, 4, 1, length),
        (324, 4, count, None),
        (325, 4, count, None),
    ]
    bits = 8 + 2 + 12 * len(entries) + 4
    offsets, counts = bits + 6, bits + 6 + 4 * count
    start = counts + 4 * count
    places = {258: bits, 324: start if count == 1 else offsets, 325: counts}
    if count == 1:
        places[325] = len(data)
    out = b"II*\0" + struct.pack("<IH", 8, len(entries))
    for tag, kind, number, value in entries:
        out += struct.pack("<HHI", tag, kind, number)
        held = places[tag] if value is None else value
        out += struct.pack("<HH", held, 0) if kind == 3 and number == 1 else struct.pack("<I", held)
    out += struct.pack("<IHHH", 0, 8, 8, 8)
    return (
        out
        + struct.pack(f"<{count}I", *[start] * count)
        + (struct.pack(f"<{count}I", *[len(data)] * count) + data)
    )


def test_tiles_are_read_and_giant_ones_refused() -> None:
    assert pictures.decode(tiled_tiff(64, (32, 48)), "tiled").size == (64, 64)
    for tile in ((16_384, 16_384), (16, 8_000_000)):
        with pytest.raises(InvalidInputError, match=r"tiles of \d+ x \d+ pixels, more than"):
            pictures.decode(tiled_tiff(64, tile, packed_rows=4), "giant.tif")


def exif_of(*entries: tuple[int, int, int, bytes]) -> bytes:
    body = b"".join(
        struct.pack("<HHI", tag, kind, count) + value for tag, kind, count, value in entries
    )
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)


@pytest.mark.parametrize(
    ("odd", "value"),
    [
        ((34665, 2, 4), b"abc\0"),  # where the camera's own tags are, as text
        ((34853, 2, 4), b"abc\0"),
        ((258, 8, 1), struct.pack("<hH", -5, 0)),
        ((256, 2, 4), b"abc\0"),
        ((513, 4, 1), struct.pack("<I", 8)),
        ((305, 1, 4), b"abcd"),
        ((40965, 4, 1), struct.pack("<I", 8)),
    ],
)
def test_odd_tags_do_not_make_a_photograph_damaged(
    ramp: Image.Image, odd: tuple[int, int, int], value: bytes
) -> None:
    turned = (274, 3, 1, struct.pack("<HH", 6, 0))
    exif = exif_of(*sorted([turned, (*odd, value)]))
    assert pictures.decode(encoded(ramp, "JPEG", exif=exif), "odd.jpg").size == (40, 60)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbagegarbage", b"Exif\0\0II*\0", b"Exif\0\0"])
def test_exif_that_cannot_be_read_turns_nothing(ramp: Image.Image, exif: bytes) -> None:
    assert pictures.decode(encoded(ramp, "JPEG", exif=exif), "odd.jpg").size == (60, 40)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_that_of_pillow(
    ramp: Image.Image, kind: str, orientation: int
) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(ramp, kind, exif=exif)
    with Image.open(io.BytesIO(data)) as opened:
        expected = ImageOps.exif_transpose(opened).convert("RGB")
    assert pictures.decode(data, "turned").tobytes() == expected.tobytes()
