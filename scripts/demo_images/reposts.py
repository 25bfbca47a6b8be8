"""Re-posted copies of the corpus pictures: the same picture after a trip through social media."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from demo_images.canvas import font, write_atomically
from demo_images.photographs import jpeg

Edit = Callable[[Image.Image], Image.Image]


def crop(left: float, top: float, right: float, bottom: float) -> Edit:
    """Keeps a part of the picture, given as fractions of its sides."""

    def edit(image: Image.Image) -> Image.Image:
        width, height = image.size
        corners = (left * width, top * height, right * width, bottom * height)
        a, b, c, d = (round(corner) for corner in corners)
        return image.crop((a, b, c, d))

    return edit


def mirror(image: Image.Image) -> Image.Image:
    """Swaps left and right."""
    return ImageOps.mirror(image)


def recolour(saturation: float = 1.0, brightness: float = 1.0, contrast: float = 1.0) -> Edit:
    """Changes saturation, brightness and contrast, as photo filters do."""

    def edit(image: Image.Image) -> Image.Image:
        image = ImageEnhance.Color(image).enhance(saturation)
        image = ImageEnhance.Brightness(image).enhance(brightness)
        return ImageEnhance.Contrast(image).enhance(contrast)

    return edit


def tint(dark: str, light: str) -> Edit:
    """Replaces the colours by a scale between two, as sepia does."""

    def edit(image: Image.Image) -> Image.Image:
        return ImageOps.colorize(image.convert("L"), dark, light)

    return edit


def caption(words: str, top: bool = False) -> Edit:
    """Adds a bar with a caption above or below the picture."""

    def edit(image: Image.Image) -> Image.Image:
        bar = max(36, image.height // 9)
        size = max(12, min(bar // 2, int(image.width * 1.7 / len(words))))
        framed = Image.new("RGB", (image.width, image.height + bar), "black")
        framed.paste(image, (0, bar if top else 0))
        middle = bar / 2 if top else image.height + bar / 2
        place = (image.width / 2, middle)
        ImageDraw.Draw(framed).text(place, words, "white", font(size), "mm")
        return framed

    return edit


def border(colour: str, share: float = 0.06) -> Edit:
    """Adds a frame of one colour."""

    def edit(image: Image.Image) -> Image.Image:
        return ImageOps.expand(image, round(share * max(image.size)), colour)

    return edit


def shrink(share: float) -> Edit:
    """Makes the picture smaller."""

    def edit(image: Image.Image) -> Image.Image:
        size = (round(image.width * share), round(image.height * share))
        return image.resize(size, Image.Resampling.BICUBIC)

    return edit


@dataclass(frozen=True)
class Repost:
    """A re-posted copy.

    Attributes:
        name: Name of the copy below the folder of claim images, without suffix.
        source: Name of the corpus picture.
        edits: What happened to it, in order.
        quality: JPEG quality of the copy.
    """

    name: str
    source: str
    edits: tuple[Edit, ...]
    quality: int = 70


REPOSTS = [
    Repost("astronaut-cropped", "astronaut.jpg", (crop(0.08, 0, 0.92, 0.84), recolour(1.25, 1.06))),
    Repost("astronaut-mirrored", "astronaut.jpg", (mirror, recolour(0.8, 0.95)), 55),
    Repost("rocket-caption", "rocket.jpg", (caption("Ready to fly!"), shrink(0.85)), 60),
    Repost("hubble-warm", "hubble-deep-field.jpg", (crop(0.06, 0.06, 0.96, 0.94), recolour(1.4))),
    Repost("cat-mirrored", "cat.jpg", (mirror, recolour(1.15, 1.05), border("white"))),
    Repost("coffee-sepia", "coffee.jpg", (tint("#2b1a0d", "#ffe9c7"), crop(0.05, 0, 1, 0.95))),
    Repost("retina-small", "retina.jpg", (shrink(0.5), recolour(0.7, 1.1)), 50),
    Repost("grace-hopper-grey", "grace-hopper.jpg", (tint("black", "white"), border("black"))),
    Repost("grace-hopper-cropped", "grace-hopper.jpg", (crop(0.1, 0, 0.9, 0.8), recolour(0.85))),
    Repost("horse-caption", "horse.jpg", (caption("Did you know?", top=True),), 60),
    Repost("carbon-dioxide-grey", "carbon-dioxide.png", (tint("black", "white"), shrink(0.8)), 60),
    Repost("earthquakes-caption", "earthquakes.png", (caption("The big ones"),), 60),
    Repost("moon-phases-bright", "moon-phases.png", (recolour(1.2, 1.25), shrink(0.9)), 60),
    Repost("flag-of-japan-caption", "flag-of-japan.png", (caption("Hinomaru", top=True),), 60),
    Repost("olympic-hosts-cropped", "olympic-hosts.png", (crop(0.0, 0.15, 0.98, 0.97),), 60),
    Repost("skyscrapers-recoloured", "skyscrapers.png", (recolour(0.5, 1.2), border("white")), 60),
    Repost("australia-small", "australia.png", (shrink(0.7), recolour(1.2)), 55),
    Repost("smallpox-caption", "smallpox.png", (caption("How we beat smallpox"), shrink(0.8)), 60),
]


def write_reposts(out: Path) -> list[Path]:
    """Makes every re-posted copy from the corpus pictures already written.

    Args:
        out: The demo folder.

    Returns:
        The files written.
    """
    written = []
    for repost in REPOSTS:
        with Image.open(out / "images" / repost.source) as opened:
            image = opened.convert("RGB")
        for edit in repost.edits:
            image = edit(image)
        path = out / "claim-images" / f"{repost.name}.jpg"
        write_atomically(path, jpeg(image, repost.quality))
        written.append(path)
    return written
