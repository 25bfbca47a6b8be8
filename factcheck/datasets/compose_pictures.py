"""Making the pictures of a composed data set, in as many processes as wanted."""

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random

from PIL import Image

from factcheck.datasets.photo_edits import heavy_copy, light_copy, text_bar
from factcheck.datasets.photographs import Photograph

Progress = Callable[[int, int], None]
"""Called with the number of pictures made and of all pictures."""

_CHUNK = 64


@dataclass(frozen=True)
class Picture:
    """A picture to be made, with all that a worker process needs.

    Attributes:
        source: The photograph's file.
        target: The JPEG file to write.
        heavy: Whether it is to go through several hands, or to stay all but unchanged.
        caption: Text to put on it.
        seed: Of everything random in it.
        long_side: Pixels of its longer side without the caption, at most.
        quality: Range of the JPEG quality.
    """

    source: Path
    target: Path
    heavy: bool
    caption: str | None
    seed: str
    long_side: int
    quality: tuple[int, int]


def read_picture(path: Path) -> Image.Image:
    """Read a photograph that may be damaged."""
    # Its package loads torch, which reading texts alone should not wait for.
    from factcheck.pictures import decode, read_bytes

    return decode(read_bytes(path), path)


def open_photograph(photograph: Photograph) -> Image.Image:
    """Read a photograph, RGB; see `read_picture`."""
    return read_picture(photograph.path)


def make_pictures(pictures: Sequence[Picture], workers: int, on_progress: Progress | None) -> None:
    """Make pictures, each from its own seed, so that order and number of processes do not matter.

    Raises:
        MissingResourceError: A photograph is gone.
        InvalidInputError: A photograph is damaged.
        BrokenProcessPool: A process died.
        OSError: A picture cannot be written.
    """
    chunks = [pictures[start : start + _CHUNK] for start in range(0, len(pictures), _CHUNK)]
    done = 0
    for made in _run(chunks, workers):
        done += made
        if on_progress is not None:
            on_progress(done, len(pictures))


def _make(pictures: Sequence[Picture]) -> int:
    for picture in pictures:
        rng = Random(picture.seed)
        image = read_picture(picture.source)
        image = heavy_copy(image, rng) if picture.heavy else light_copy(image, rng)
        image.thumbnail((picture.long_side, picture.long_side), Image.Resampling.BICUBIC)
        if picture.caption is not None:
            # Last, so that it is on the picture as the OCR column says.
            image = text_bar(image, rng, picture.caption)
        image.save(picture.target, "JPEG", quality=rng.randint(*picture.quality))
    return len(pictures)


def _run(chunks: Sequence[Sequence[Picture]], workers: int) -> Iterator[int]:
    if workers == 1:
        yield from map(_make, chunks)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _leave_interrupts) as pool:
        try:
            for future in as_completed([pool.submit(_make, chunk) for chunk in chunks]):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of the terminal; the first one stops the others itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
