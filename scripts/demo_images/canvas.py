"""A small drawing surface on Pillow that smooths its edges and remembers the text it carries."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

Point = tuple[float, float]
Colour = str | tuple[int, int, int]

INK = "#222831"
MUTED = "#6b7280"
GRID = "#d9dee5"
PAPER = "#ffffff"

# Pillow draws hard edges, so everything is drawn at twice its size and scaled down.
_SCALE = 2
_PALETTE = 224


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's built-in font, which is the same on every machine (it holds ASCII and little else).

    Args:
        size: Height in pixels.

    Returns:
        The font.
    """
    return ImageFont.load_default(size=size)


class Canvas:
    """A picture under construction.

    Attributes:
        width: Width of the finished picture in pixels.
        height: Height of the finished picture in pixels.
        words: Every piece of text drawn so far, in drawing order.
    """

    def __init__(self, width: int = 640, height: int = 420, background: Colour = PAPER) -> None:
        """Starts a picture filled with one colour.

        Args:
            width: Width in pixels.
            height: Height in pixels.
            background: Colour of the empty picture.
        """
        self.width = width
        self.height = height
        self.words: list[str] = []
        self._image = Image.new("RGB", (width * _SCALE, height * _SCALE), background)
        self._draw = ImageDraw.Draw(self._image)

    def rect(
        self,
        box: tuple[float, float, float, float],
        fill: Colour | None = None,
        outline: Colour | None = None,
        width: float = 1,
    ) -> None:
        """Draws a rectangle given as left, top, right, bottom."""
        # Pillow includes the right and bottom edge; leaving them out makes tiles meet exactly.
        left, top, right, bottom = (value * _SCALE for value in box)
        self._draw.rectangle(
            (left, top, max(left, right - 1), max(top, bottom - 1)),
            fill,
            outline,
            round(width * _SCALE),
        )

    def line(self, points: Sequence[Point], fill: Colour = INK, width: float = 1) -> None:
        """Draws a line through the points."""
        self._draw.line(_scaled(points), fill, round(width * _SCALE), joint="curve")

    def polygon(
        self,
        points: Sequence[Point],
        fill: Colour | None = None,
        outline: Colour | None = None,
        width: float = 1,
    ) -> None:
        """Draws a closed shape through the points."""
        self._draw.polygon(_scaled(points), fill, outline, round(width * _SCALE))

    def circle(
        self,
        centre: Point,
        radius: float,
        fill: Colour | None = None,
        outline: Colour | None = None,
        width: float = 1,
    ) -> None:
        """Draws a circle."""
        x, y = centre
        box = [v * _SCALE for v in (x - radius, y - radius, x + radius, y + radius)]
        self._draw.ellipse(box, fill, outline, round(width * _SCALE))

    def slice(self, centre: Point, radius: float, start: float, end: float, fill: Colour) -> None:
        """Draws a slice of a circle between two angles, clockwise in degrees from three o'clock."""
        x, y = centre
        box = [v * _SCALE for v in (x - radius, y - radius, x + radius, y + radius)]
        self._draw.pieslice(box, start, end, fill, PAPER, _SCALE)

    def text(
        self,
        at: Point,
        words: str,
        size: int = 14,
        fill: Colour = INK,
        anchor: str = "la",
        bold: bool = False,
    ) -> None:
        """Writes one line of text and remembers it.

        Args:
            at: Where the anchor goes.
            words: The text; characters outside ASCII and the degree sign have no glyph.
            size: Height of the letters in pixels.
            fill: Colour.
            anchor: Pillow's text anchor, two letters.
            bold: Thicken the letters (the built-in font has no bold cut).
        """
        self.words.append(words)
        self._draw.text(
            (at[0] * _SCALE, at[1] * _SCALE),
            words,
            fill,
            font(size * _SCALE),
            anchor,
            stroke_width=1 if bold else 0,
        )

    def title(self, words: str, note: str = "", fill: Colour = INK) -> None:
        """Writes the heading of a chart, with a smaller line under it."""
        self.text((24, 18), words, 21, fill, bold=True)
        if note:
            self.text((24, 46), note, 13, MUTED if fill == INK else fill)

    def finish(self) -> Image.Image:
        """Returns the finished picture, with few colours so that it packs small."""
        small = self._image.resize((self.width, self.height), Image.Resampling.LANCZOS)
        return small.quantize(_PALETTE, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


@dataclass(frozen=True)
class Axes:
    """Maps numbers to places on a canvas.

    Attributes:
        left: Left edge of the plot in pixels.
        top: Top edge.
        right: Right edge.
        bottom: Bottom edge.
        x_range: Numbers at the left and right edge.
        y_range: Numbers at the bottom and top edge.
    """

    left: float
    top: float
    right: float
    bottom: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def x(self, value: float) -> float:
        """The horizontal place of a number."""
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        """The vertical place of a number."""
        low, high = self.y_range
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)

    def point(self, x: float, y: float) -> Point:
        """The place of a pair of numbers."""
        return self.x(x), self.y(y)

    def rules(
        self, canvas: Canvas, values: Sequence[float], labels: Sequence[str], colour: Colour = GRID
    ) -> None:
        """Draws horizontal rules, each with its label left of the plot."""
        for value, label in zip(values, labels, strict=True):
            y = self.y(value)
            canvas.line([(self.left, y), (self.right, y)], colour)
            canvas.text((self.left - 8, y), label, 13, MUTED, "rm")

    def ticks(self, canvas: Canvas, values: Sequence[float], labels: Sequence[str]) -> None:
        """Writes labels under the plot."""
        for value, label in zip(values, labels, strict=True):
            canvas.text((self.x(value), self.bottom + 8), label, 13, MUTED, "ma")


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file so that a reader sees the old one or the new one, never half of one.

    Args:
        path: Where the file goes; missing folders are made.
        data: Its content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _scaled(points: Sequence[Point]) -> list[Point]:
    return [(x * _SCALE, y * _SCALE) for x, y in points]
