"""What happens to a photograph on its way through social media: re-posting edits.

A re-posted copy is the same picture after cropping, mirroring, recolouring, recompression,
captions, borders or a screenshot. The edits here make such copies, for training the image encoder
and for composing data sets in which the image relation is known.

All functions take and return RGB images of any size and draw only from the generator they are
given.
"""

import io
import math
from collections.abc import Callable
from random import Random

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

Edit = Callable[[Image.Image, Random], Image.Image]

_WORDS = (
    "breaking news watch this before it is gone shared by thousands live from the scene today "
    "officials say photo shows what really happened exclusive first picture crowd gathers after "
    "report the truth about it they do not want you to see share now update city police storm "
    "vote"
).split()


def random_caption(rng: Random, words: int) -> str:
    """A caption of `words` random words, as memes and news cards carry."""
    text = " ".join(rng.choices(_WORDS, k=words))
    return text.upper() if rng.random() < 0.5 else text.capitalize()


def _random_colour(rng: Random) -> tuple[int, int, int]:
    if rng.random() < 0.5:
        return rng.choice([(0, 0, 0), (255, 255, 255), (245, 245, 245), (20, 20, 24)])
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=max(8.0, size))


def crop(image: Image.Image, rng: Random, smallest: float = 0.35) -> Image.Image:
    """Keep a random window of at least `smallest` of the area, its aspect changed by up to 1.5."""
    width, height = image.size
    area = rng.uniform(smallest, 0.95) * width * height
    aspect = width / height * math.exp(rng.uniform(-0.4, 0.4))
    new_width = min(width, max(8, round(math.sqrt(area * aspect))))
    new_height = min(height, max(8, round(math.sqrt(area / aspect))))
    left = rng.randint(0, width - new_width)
    top = rng.randint(0, height - new_height)
    return image.crop((left, top, left + new_width, top + new_height))


def light_crop(image: Image.Image, rng: Random) -> Image.Image:
    """Cut off at most about a fifth of the picture."""
    return crop(image, rng, smallest=0.8)


def mirror(image: Image.Image, rng: Random) -> Image.Image:
    """Flip left and right."""
    return ImageOps.mirror(image)


def recolour(image: Image.Image, rng: Random) -> Image.Image:
    """Change brightness, contrast and saturation; sometimes turn grey, sepia, or shift the hue."""
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhancer(image).enhance(rng.uniform(0.55, 1.5))
    style = rng.random()
    if style < 0.15:
        return ImageOps.grayscale(image).convert("RGB")
    if style < 0.25:
        return ImageOps.colorize(ImageOps.grayscale(image), (40, 22, 8), (255, 240, 205))
    if style < 0.45:
        hue, saturation, value = image.convert("HSV").split()
        shift = rng.randrange(-18, 19)
        hue = hue.point([(level + shift) % 256 for level in range(256)])
        return Image.merge("HSV", (hue, saturation, value)).convert("RGB")
    return image


def light_recolour(image: Image.Image, rng: Random) -> Image.Image:
    """A mild change of brightness, contrast and saturation."""
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhancer(image).enhance(rng.uniform(0.85, 1.15))
    return image


def blur(image: Image.Image, rng: Random) -> Image.Image:
    """Blur, or lose detail by scaling down and up again."""
    if rng.random() < 0.5:
        return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.6, 2.2)))
    factor = rng.uniform(0.3, 0.7)
    small = (max(8, round(image.width * factor)), max(8, round(image.height * factor)))
    return image.resize(small, Image.Resampling.BILINEAR).resize(
        image.size, Image.Resampling.BILINEAR
    )


def recompress(image: Image.Image, rng: Random, worst: int = 6, best: int = 45) -> Image.Image:
    """Encode as JPEG at a quality between `worst` and `best`, and decode again."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=rng.randint(worst, best))
    with Image.open(buffer) as copy:
        return copy.convert("RGB")


def light_recompress(image: Image.Image, rng: Random) -> Image.Image:
    """Encode as JPEG at quality 50 to 90."""
    return recompress(image, rng, worst=50, best=90)


def caption_bar(image: Image.Image, rng: Random) -> Image.Image:
    """Add a bar of text above or below."""
    width, height = image.size
    bar = round(height * rng.uniform(0.1, 0.28))
    background = _random_colour(rng)
    ink = (0, 0, 0) if sum(background) > 380 else (255, 255, 255)
    above = rng.random() < 0.5
    canvas = Image.new("RGB", (width, height + bar), background)
    canvas.paste(image, (0, bar if above else 0))
    draw = ImageDraw.Draw(canvas)
    top = 0 if above else height
    size = bar * rng.uniform(0.28, 0.55)
    lines = 1 if size > bar * 0.4 else 2
    for line in range(lines):
        text = random_caption(rng, rng.randint(2, 7))
        draw.text((width * 0.03, top + bar * (0.1 + 0.45 * line)), text, ink, _font(size))
    return canvas


def text_bar(image: Image.Image, rng: Random, text: str) -> Image.Image:
    """Add a bar below or above that holds the given text as a whole."""
    width, height = image.size
    margin = width * 0.03
    size = max(10.0, width * rng.uniform(0.05, 0.075))
    background = _random_colour(rng)
    ink = (0, 0, 0) if sum(background) > 380 else (255, 255, 255)
    above = rng.random() < 0.5
    font = _font(size)
    draw = ImageDraw.Draw(image)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and draw.textlength(longer, font) > width - 2 * margin:
            lines.append(word)
        else:
            lines[-1] = longer
    bar = round(size * (1.3 * len(lines) + 0.6))
    canvas = Image.new("RGB", (width, height + bar), background)
    canvas.paste(image, (0, bar if above else 0))
    draw = ImageDraw.Draw(canvas)
    top = (0 if above else height) + size * 0.3
    for line, words in enumerate(lines):
        draw.text((margin, top + 1.3 * size * line), words, ink, font)
    return canvas


def caption_over(image: Image.Image, rng: Random) -> Image.Image:
    """Write outlined text across the picture, as memes do."""
    image = image.copy()
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randint(1, 2)):
        size = image.height * rng.uniform(0.06, 0.16)
        place = (image.width * rng.uniform(0, 0.3), image.height * rng.uniform(0.02, 0.85))
        ink = rng.choice([(255, 255, 255), (255, 230, 0), (230, 20, 20)])
        text = random_caption(rng, rng.randint(1, 5))
        draw.text(place, text, ink, _font(size), stroke_width=max(1, int(size / 12)), stroke_fill=0)
    return image


def sticker(image: Image.Image, rng: Random) -> Image.Image:
    """Cover a part: a logo block, a circle drawn around something, or a blurred patch."""
    image = image.copy()
    width, height = image.size
    box_width, box_height = width * rng.uniform(0.1, 0.35), height * rng.uniform(0.1, 0.35)
    left, top = rng.uniform(0, width - box_width), rng.uniform(0, height - box_height)
    box = (int(left), int(top), int(left + box_width), int(top + box_height))
    style = rng.random()
    if style < 0.35:
        ImageDraw.Draw(image).rectangle(box, fill=_random_colour(rng))
    elif style < 0.7:
        ImageDraw.Draw(image).ellipse(
            box, outline=(230, 20, 20), width=max(2, round(min(width, height) * 0.02))
        )
    else:
        image.paste(image.crop(box).filter(ImageFilter.GaussianBlur(6)), box)
    return image


def border(image: Image.Image, rng: Random) -> Image.Image:
    """Put a frame of one colour around the picture, each side its own width."""
    width, height = image.size
    left, top, right, bottom = (
        round(min(width, height) * rng.uniform(0.0, 0.22)) for _ in range(4)
    )
    return ImageOps.expand(image, (left, top, right, bottom), _random_colour(rng))


def screenshot(image: Image.Image, rng: Random) -> Image.Image:
    """Place the picture in a page as a phone or a browser shows it: bars, text and empty space."""
    width, height = image.size
    page_width = round(width * rng.uniform(1.02, 1.35))
    page_height = round(height * rng.uniform(1.2, 1.8))
    dark = rng.random() < 0.4
    paper = (22, 24, 28) if dark else (250, 250, 250)
    ink = (210, 210, 210) if dark else (40, 40, 40)
    page = Image.new("RGB", (page_width, page_height), paper)
    draw = ImageDraw.Draw(page)
    left = rng.randint(0, page_width - width)
    top = rng.randint(round((page_height - height) * 0.3), page_height - height)
    draw.rectangle((0, 0, page_width, page_height * 0.05), fill=_random_colour(rng))
    size = page_height * 0.035
    line = page_height * 0.07
    while line < page_height:
        if line + size < top or line > top + height:
            draw.text((page_width * 0.04, line), random_caption(rng, 6), ink, _font(size))
        line += size * 1.6
    page.paste(image, (left, top))
    return page


def rotate(image: Image.Image, rng: Random) -> Image.Image:
    """Tilt by up to eight degrees and cut off the corners that come to lie outside."""
    angle = rng.uniform(-8, 8)
    turned = image.rotate(angle, Image.Resampling.BILINEAR, fillcolor=_random_colour(rng))
    inset = 0.5 * math.sin(math.radians(abs(angle)))
    left, top = round(turned.width * inset * 0.8), round(turned.height * inset * 0.8)
    return turned.crop((left, top, turned.width - left, turned.height - top))


LIGHT_EDITS: tuple[Edit, ...] = (light_crop, light_recolour, light_recompress)
HEAVY_EDITS: tuple[Edit, ...] = (
    crop,
    crop,
    mirror,
    recolour,
    recolour,
    blur,
    recompress,
    caption_bar,
    caption_over,
    sticker,
    border,
    screenshot,
    rotate,
)


def light_copy(image: Image.Image, rng: Random) -> Image.Image:
    """A copy that a person would call unchanged: one or two mild edits."""
    for edit in rng.sample(LIGHT_EDITS, k=rng.randint(1, 2)):
        image = edit(image, rng)
    return image


def heavy_copy(image: Image.Image, rng: Random) -> Image.Image:
    """A copy that has been through several hands: two to four of `HEAVY_EDITS`, in random order."""
    for edit in dict.fromkeys(rng.sample(HEAVY_EDITS, k=rng.randint(2, 4))):
        image = edit(image, rng)
    return image
