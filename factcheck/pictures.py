"""Reading pictures that come from strangers: bounded, upright, RGB."""

import os
import re
import stat
import warnings
import zipfile
import zlib
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from factcheck.errors import InvalidInputError, MissingResourceError

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 64 * 10**6
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")

MAX_SCANS = 200
"""Most scans of a JPEG, where encoders write about ten; large ones may have fewer."""

# Each scan costs a pass over all pixels.
_MAX_SCANNED_PIXELS = 32 * MAX_PIXELS

# What a TIFF's tiles stick out beyond the picture is decoded, too.
_MAX_TILED_PIXELS = 2 * MAX_PIXELS
_TILE_WIDTH, _TILE_LENGTH = 322, 323

# Within the data of a scan 0xFF stands before a zero, before the number of a restart, or before
# another 0xFF; before anything else it begins the next segment.
_NEXT_SEGMENT = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9

_TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How a picture is put upright, by its EXIF orientation."""

# Others (bzip2, LZMA) unpack all of what they are given, however little of it is asked for.
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a picture file, refused by name when it is missing, empty or too large.

    Args:
        path: A file, or one in a zip archive, its name going on behind the archive's:
            `images-val.zip/claim/5.jpg`. It is read without unpacking the archive.

    Raises:
        MissingResourceError: There is no such file, or it cannot be read.
        InvalidInputError: It is empty, larger than `MAX_BYTES`, or no file but a device or a pipe;
            or the archive is damaged or packs it in another way than zip files do.
    """
    path = Path(path)
    try:
        data = _read_file(path)
    except NotADirectoryError as error:
        archive = next((parent for parent in path.parents if parent.is_file()), None)
        if archive is None:
            raise MissingResourceError(
                f"{path}: the image cannot be read (no such file)"
            ) from error
        data = _read_member(path, archive)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise MissingResourceError(f"{path}: the image cannot be read ({reason})") from error
    except ValueError as error:
        # A path that no file can have: with a zero byte, or with half of a surrogate pair.
        raise MissingResourceError(f"{path}: the image cannot be read (no such file)") from error
    if not data:
        raise InvalidInputError(f"{path}: the image file is empty")
    return data


def _read_file(path: Path) -> bytes:
    # A device may act on being opened, so it is looked at before, too.
    _require_regular(path, path.stat())
    with open(path, "rb", opener=_without_waiting) as file:
        _require_regular(path, os.fstat(file.fileno()))
        # A file may grow, and some of those of the kernel have no size.
        data = file.read(MAX_BYTES + 1)
    _check_size(path, len(data))
    return data


def _without_waiting(path: str, flags: int) -> int:
    # A pipe would else be waited for until somebody writes to it.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _require_regular(path: Path, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise MissingResourceError(f"{path}: the image cannot be read (a folder)")
    if not stat.S_ISREG(found.st_mode):
        raise InvalidInputError(f"{path}: not an image file but a device or a pipe")
    _check_size(path, found.st_size)


def _read_member(path: Path, archive: Path) -> bytes:
    name = path.relative_to(archive).as_posix()
    try:
        packed = _open_archive(archive, archive.stat().st_mtime_ns, os.getpid())
        member = packed.getinfo(name)
        _check_size(path, member.file_size)
        if member.compress_type not in _PACKINGS:
            raise InvalidInputError(
                f"{path}: {archive.name} packs it in a way that is not read; pack it as zip files "
                "usually are (deflate)"
            )
        with packed.open(member) as file:
            # No further than the archive says: a few bytes may unpack to gigabytes.
            return file.read(member.file_size + 1)
    except KeyError as error:
        raise MissingResourceError(f"{path}: {archive.name} has no such file") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise MissingResourceError(f"{path}: the image cannot be read ({reason})") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
        # The last two: names that are no text, and an encrypted archive.
        raise InvalidInputError(f"{path}: {archive.name} is damaged ({error})") from error


@lru_cache(maxsize=8)
def _open_archive(archive: Path, _modified: int, _process: int) -> zipfile.ZipFile:
    """An archive, whose list of files is read once.

    A file that has been replaced is opened anew, and so is one that was opened before a fork: the
    two processes would move one another's place in it.
    """
    return zipfile.ZipFile(archive)


def _check_size(path: Path, size: int) -> None:
    if size > MAX_BYTES:
        raise InvalidInputError(
            f"{path}: the image file has {size:,} bytes, more than the {MAX_BYTES:,} allowed"
        )


def decode(data: bytes, name: str | Path, side: int | None = None) -> Image.Image:
    """Decode a picture: upright by its EXIF orientation, alpha flattened on white, RGB, 8 bit.

    Args:
        data: The file's bytes.
        name: What to call it in an error.
        side: Where given, a JPEG is decoded at a half, a quarter or an eighth of its size, as long
            as both sides stay twice as long as this. What is thrown away is never computed, which
            makes the decoding of a photograph several times as fast (libjpeg's scaled inverse
            transform).

    Returns:
        An RGB image; of an animation the first frame.

    Raises:
        InvalidInputError: Not a picture in one of `FORMATS`, truncated, or of more than
            `MAX_PIXELS` pixels, which is known from the header, before anything is decoded; or
            made to cost more than its pixels do, by scans without number or by giant tiles.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures; the bound below is ours and is an error.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise InvalidInputError(
                        f"{name}: the image has {image.width} x {image.height} pixels, more than "
                        f"the {MAX_PIXELS:,} allowed"
                    )
                _refuse_costly(data, image, name)
                if side is not None:
                    image.draft(None, (2 * side, 2 * side))
                image.load()
                turned = _TURNED.get(_orientation(image))
                return _to_rgb(image if turned is None else image.transpose(turned))
    except UnidentifiedImageError as error:
        raise InvalidInputError(f"{name}: not an image in a known format") from error
    except Image.DecompressionBombError as error:
        raise InvalidInputError(f"{name}: the image has too many pixels") from error
    except InvalidInputError:
        raise
    except Exception as error:
        # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and others on
        # damaged files; whatever they raise, the file is at fault and is named.
        raise InvalidInputError(
            f"{name}: the image is truncated or damaged ({str(error) or type(error).__name__})"
        ) from error


def _refuse_costly(data: bytes, image: Image.Image, name: str | Path) -> None:
    """Refuse a small picture whose decoding takes as much as that of a very large one."""
    if image.format in ("JPEG", "MPO"):
        # Counted by the byte first: a thumbnail and what lies behind the picture have scans, too.
        most = min(MAX_SCANS, _MAX_SCANNED_PIXELS // (image.width * image.height))
        if data.count(b"\xff\xda") > most and _scans(data, most) > most:
            raise InvalidInputError(
                f"{name}: the image has more than {most} scans, too many for its "
                f"{image.width} x {image.height} pixels"
            )
    elif image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        width, length = (_largest(tags.get(tag, 0)) for tag in (_TILE_WIDTH, _TILE_LENGTH))
        if width < 1 or length < 1:
            return
        tiles = -(-image.width // width) * -(-image.height // length)
        if width * length > MAX_PIXELS or tiles * width * length > _MAX_TILED_PIXELS:
            raise InvalidInputError(
                f"{name}: the image has tiles of {width} x {length} pixels, more than the "
                f"{MAX_PIXELS:,} allowed"
            )


def _largest(value: Any) -> int:
    """The largest of a tag's numbers: one is usual, but nothing hinders a file to have more."""
    return int(max(value, default=0) if isinstance(value, tuple) else value)


def _scans(data: bytes, most: int) -> int:
    """How many scans the first picture of a JPEG file has; no more than one too many are counted.

    Segments are gone through as libjpeg does: each says how long it is, and what comes behind the
    header of a scan is searched for the next.
    """
    place, scans = 2, 0
    while scans <= most and (found := _NEXT_SEGMENT.search(data, place)):
        marker, place = found[1][0], found.end()
        if marker == _END_OF_IMAGE:
            break
        scans += marker == _START_OF_SCAN
        # The length counts its own two bytes.
        place += max(2, int.from_bytes(data[place : place + 2]))
    return scans


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 (upright) if it is not said or cannot be made out.

    What else stands beside it is never looked at: cameras and programs write odd tags into good
    photographs.
    """
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        # Pillow's readers of tags raise whatever damaged ones lead them to; the picture is whole.
        return 1
    return found if isinstance(found, int) else 1


FINGERPRINT_SIDE = 64
"""Side that a picture may be decoded for (`decode`) when only its fingerprint is wanted."""

_LEAST_CONTRAST = 4.0


def fingerprint(image: Image.Image) -> int | None:
    """64-bit difference hash of a picture, the same for recompressed copies but for a few bits.

    Args:
        image: A picture, as `decode` gives it.

    Returns:
        The hash; None for a picture of a single colour, which has nothing to compare.
    """
    import imagehash

    small = image.convert("L").resize((FINGERPRINT_SIDE, FINGERPRINT_SIDE))
    if float(np.asarray(small).std()) < _LEAST_CONTRAST:
        return None
    return int(str(imagehash.dhash(image)), 16)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "I;16", "I;16B", "I;16L", "F"):
        levels = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0, neginf=0)
        # White is the least of these that nothing is brighter than; 1 in floating point alone.
        whites = (1, 255, 65535) if image.mode == "F" else (255, 65535)
        highest = levels.max(initial=0)
        top = next((white for white in whites if highest <= white), whites[-1])
        image = Image.fromarray(np.clip(levels / top * 255, 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        canvas = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(canvas, layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
