"""Reading pictures that come from strangers: bounded, upright, RGB."""

import os
import warnings
import zipfile
import zlib
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from factcheck.errors import InvalidInputError, MissingResourceError

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 64 * 10**6
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a picture file, refused by name when it is missing, empty or too large.

    Args:
        path: A file, or one in a zip archive, its name going on behind the archive's:
            `images-val.zip/claim/5.jpg`. It is read without unpacking the archive.

    Raises:
        MissingResourceError: There is no such file, or it cannot be read.
        InvalidInputError: It is empty, or larger than `MAX_BYTES`; or the archive is damaged.
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
    if not data:
        raise InvalidInputError(f"{path}: the image file is empty")
    return data


def _read_file(path: Path) -> bytes:
    _check_size(path, path.stat().st_size)
    return path.read_bytes()


def _read_member(path: Path, archive: Path) -> bytes:
    name = path.relative_to(archive).as_posix()
    try:
        packed = _open_archive(archive, archive.stat().st_mtime_ns, os.getpid())
        member = packed.getinfo(name)
        _check_size(path, member.file_size)
        return packed.read(member)
    except KeyError as error:
        raise MissingResourceError(f"{path}: {archive.name} has no such file") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise MissingResourceError(f"{path}: the image cannot be read ({reason})") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        # The last two: a compression that this Python does not know, and an encrypted archive.
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
            `MAX_PIXELS` pixels, which is known from the header, before anything is decoded.
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
                if side is not None:
                    image.draft(None, (2 * side, 2 * side))
                image.load()
                ImageOps.exif_transpose(image, in_place=True)
                return _to_rgb(image)
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
