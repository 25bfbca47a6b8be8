"""Diagrams, timelines and flags: pictures of how something is built rather than of a series."""

import math
from collections.abc import Callable
from itertools import pairwise

from demo_images.canvas import INK, MUTED, PAPER, Canvas, Colour

BASE_PAIRS = ["AT", "GC", "TA", "CG", "GC", "AT", "CG", "TA", "GC", "AT", "CG"]


def planets() -> Canvas:
    """The eight planets with their true proportions."""
    canvas = Canvas(700, 360, "#05060f")
    canvas.title("The planets to scale", "Equatorial diameter, kilometres", "#e5e7eb")
    sizes: list[tuple[str, int, Colour]] = [
        ("Mercury", 4_879, "#9ca3af"),
        ("Venus", 12_104, "#eab676"),
        ("Earth", 12_756, "#3b82f6"),
        ("Mars", 6_792, "#c1440e"),
        ("Jupiter", 142_984, "#d6a77a"),
        ("Saturn", 120_536, "#ead6a6"),
        ("Uranus", 51_118, "#8ee3e8"),
        ("Neptune", 49_528, "#3f54ba"),
    ]
    centres = [45, 105, 165, 215, 310, 480, 595, 660]
    for x, (name, diameter, colour) in zip(centres, sizes, strict=True):
        radius = diameter / 142_984 * 76
        if name == "Saturn":
            canvas.polygon([(x - 86, 212), (x, 202), (x + 86, 168), (x, 182)], "#a8946a")
        canvas.circle((x, 190), radius, colour)
        canvas.text((x, 300), name, 14, PAPER, "mm")
        canvas.text((x, 320), f"{diameter:,}", 12, "#cbd5e1", "mm")
    return canvas


def gold() -> Canvas:
    """The tile of gold in the periodic table."""
    canvas = Canvas(420, 460, "#1f1f1f")
    canvas.rect((50, 40, 370, 420), "#f2c230", "#8a6d0b", 6)
    canvas.text((76, 62), "79", 44, bold=True)
    canvas.text((210, 225), "Au", 150, anchor="mm", bold=True)
    canvas.text((210, 328), "Gold", 40, anchor="mm", bold=True)
    canvas.text((210, 378), "196.97", 30, anchor="mm")
    return canvas


def eras() -> Canvas:
    """The eras of the last 539 million years, as a column of rock."""
    canvas = Canvas(480, 560, "#f7f3e8")
    canvas.title("Eras of the Phanerozoic", "Million years before present")
    layers: list[tuple[str, str, float, float, Colour]] = [
        ("Cenozoic", "Age of mammals", 0, 66.0, "#f2e06b"),
        ("Mesozoic", "Age of dinosaurs", 66.0, 251.9, "#67c5ca"),
        ("Paleozoic", "Trilobites, fish, first forests", 251.9, 538.8, "#99c08d"),
    ]
    scale = 440 / 538.8
    for name, life, top, bottom, colour in layers:
        upper, lower = 90 + top * scale, 90 + bottom * scale
        canvas.rect((110, upper, 300, lower), colour, INK, 1)
        canvas.text((205, (upper + lower) / 2), name, 20, anchor="mm", bold=True)
        canvas.text((312, (upper + lower) / 2), life, 12, MUTED, "lm")
        canvas.text((100, lower), f"{bottom:g}", 15, anchor="rm")
    canvas.text((100, 90), "0", 15, anchor="rm")
    return canvas


def double_helix() -> Canvas:
    """Two strands of DNA and the pairs of bases between them."""
    canvas = Canvas(640, 380, "#fdf2f8")
    canvas.title("The double helix of DNA", "Adenine pairs with thymine, guanine with cytosine")
    colours = {"A": "#16a34a", "T": "#dc2626", "G": "#2563eb", "C": "#ca8a04"}
    for place, pair in enumerate(BASE_PAIRS):
        x = 60 + place * 52
        reach = 90 * math.sin((x - 34) / 90)
        for side, base in zip((1, -1), pair, strict=True):
            canvas.line([(x, 225), (x, 225 + side * reach)], colours[base], 7)
            canvas.text((x, 225 + side * reach * 0.5), base, 15, anchor="mm", bold=True)
    for side in (1, -1):
        wave = [(float(x), 225 + side * 90 * math.sin((x - 34) / 90)) for x in range(24, 617, 4)]
        canvas.line(wave, "#7e22ce" if side == 1 else "#be185d", 8)
    return canvas


def thermometer() -> Canvas:
    """Celsius and Fahrenheit on one tube."""
    canvas = Canvas(380, 540, "#f5f7fa")
    canvas.title("Celsius and Fahrenheit")
    canvas.text((120, 66), "°C", 22, "#b91c1c", "mm", bold=True)
    canvas.text((260, 66), "°F", 22, "#1d4ed8", "mm", bold=True)
    canvas.rect((174, 84, 206, 470), PAPER, INK, 2)
    canvas.circle((190, 484), 30, "#dc2626", INK, 2)
    canvas.rect((181, 240, 199, 480), "#dc2626")
    marks = [(100, 212, "Water boils"), (37, 98.6, "Body heat"), (0, 32, "Water freezes")]
    marks += [(-40, -40, "Scales meet")]
    for celsius, fahrenheit, note in marks:
        y = 350 - celsius * 2.4
        canvas.line([(150, y), (230, y)], INK, 2)
        canvas.text((142, y), f"{celsius:g}", 20, "#b91c1c", "rm", bold=True)
        canvas.text((238, y), f"{fahrenheit:g}", 20, "#1d4ed8", "lm", bold=True)
        canvas.text((238, y + 20), note, 12, MUTED, "lm")
    return canvas


def chess() -> Canvas:
    """A chessboard set up for the start of a game, with letters for the pieces."""
    canvas = Canvas(480, 500, "#3b2f2a")
    back = ["R", "N", "B", "Q", "K", "B", "N", "R"]
    for row in range(8):
        canvas.text((22, 66 + row * 54), str(8 - row), 16, "#f0d9b5", "mm")
        for column in range(8):
            x, y = 40 + column * 54, 40 + row * 54
            canvas.rect((x, y, x + 54, y + 54), "#f0d9b5" if (row + column) % 2 == 0 else "#b58863")
            if row in (2, 3, 4, 5):
                continue
            white = row > 3
            canvas.circle((x + 27, y + 27), 20, PAPER if white else "#1c1917", "#1c1917", 2)
            piece = back[column] if row in (0, 7) else "P"
            canvas.text((x + 27, y + 27), piece, 20, "#1c1917" if white else PAPER, "mm", bold=True)
    for column, letter in enumerate("abcdefgh"):
        canvas.text((67 + column * 54, 486), letter, 16, "#f0d9b5", "mm")
    canvas.text((240, 20), "Chess: the starting position", 18, "#f0d9b5", "mm", bold=True)
    return canvas


def pythagoras() -> Canvas:
    """The squares on the sides of a triangle of 3, 4 and 5."""
    canvas = Canvas(520, 520, "#fffdf5")
    canvas.title("Pythagoras: 3 x 3 + 4 x 4 = 5 x 5")
    unit, x, y = 36, 190, 330
    a, b, c = (x, y), (x, y - 3 * unit), (x + 4 * unit, y)
    canvas.polygon([a, (x - 3 * unit, y), (x - 3 * unit, b[1]), b], "#fca5a5", INK, 2)
    canvas.polygon([a, c, (c[0], y + 4 * unit), (x, y + 4 * unit)], "#93c5fd", INK, 2)
    far = [(px + 3 * unit, py - 4 * unit) for px, py in (b, c)]
    canvas.polygon([b, *far, c], "#86efac", INK, 2)
    canvas.polygon([a, b, c], "#fde68a", INK, 3)
    canvas.text((x - 1.5 * unit, y - 1.5 * unit), "9", 34, anchor="mm", bold=True)
    canvas.text((x + 2 * unit, y + 2 * unit), "16", 34, anchor="mm", bold=True)
    canvas.text((x + 3.5 * unit, y - 3.5 * unit), "25", 34, anchor="mm", bold=True)
    return canvas


def morse() -> Canvas:
    """The letters of International Morse code."""
    canvas = Canvas(620, 460, "#efe6d2")
    canvas.title("International Morse code", "A dash lasts as long as three dots", "#3f2d13")
    code = "A.- B-... C-.-. D-.. E. F..-. G--. H.... I.. J.--- K-.- L.-.. M-- N-. O---"
    code += " P.--. Q--.- R.-. S... T- U..- V...- W.-- X-..- Y-.-- Z--.."
    for place, entry in enumerate(code.split()):
        column, row = divmod(place, 7)
        x, y = 40.0 + column * 148, 96 + row * 50
        canvas.text((x, y), entry[0], 26, "#3f2d13", "lm", bold=True)
        x += 34
        for mark in entry[1:]:
            length = 24 if mark == "-" else 8
            canvas.rect((x, y - 4, x + length, y + 4), "#8b1e1e")
            x += length + 5
    return canvas


def ocean_zones() -> Canvas:
    """The depth zones of the ocean, down to its deepest point."""
    canvas = Canvas(520, 600, "#bfe3f5")
    canvas.title("Zones of the ocean", "Depth in metres")
    zones: list[tuple[str, int, int, Colour]] = [
        ("Sunlight zone", 0, 200, "#5cc3e8"),
        ("Twilight zone", 200, 1_000, "#2f86c1"),
        ("Midnight zone", 1_000, 4_000, "#1b4f8a"),
        ("Abyssal zone", 4_000, 6_000, "#122f5c"),
        ("Hadal zone", 6_000, 11_000, "#081530"),
    ]
    edges = [80, 130, 195, 325, 425, 575]
    for (name, top, bottom, colour), upper, lower in zip(zones, edges, edges[1:], strict=False):
        canvas.rect((90, upper, 520, lower), colour)
        middle = (370, (upper + lower) / 2) if bottom < 11_000 else (210, 500)
        canvas.text((82, upper), f"{top:,}", 14, anchor="rm")
        if bottom == 11_000:
            floor = [(90, 300), (140, 330), (180, 405), (300, 430), (330, 573), (365, 440)]
            canvas.polygon([*floor, (520, 432), (520, 600), (90, 600)], "#4a3b2a")
            canvas.text((82, lower), f"{bottom:,}", 14, anchor="rm")
        canvas.text(middle, name, 18, PAPER, "mm", bold=True)
    canvas.line([(334, 570), (380, 545)], PAPER, 1)
    canvas.text((384, 530), "Challenger Deep", 14, PAPER, "lm")
    canvas.text((384, 550), "about 10,935", 14, PAPER, "lm")
    return canvas


def blood_groups() -> Canvas:
    """Which red cells each blood group can receive, as a grid."""
    canvas = Canvas(520, 500, "#fff5f5")
    canvas.title("Who can receive whose red cells?", "Rows: recipient. Columns: donor.")
    groups = ["O-", "O+", "A-", "A+", "B-", "B+", "AB-", "AB+"]
    for row, recipient in enumerate(groups):
        y = 112 + row * 46
        canvas.text((60, y + 20), recipient, 17, anchor="mm", bold=True)
        canvas.text((116 + row * 48, 92), recipient, 17, anchor="mm", bold=True)
        for column, donor in enumerate(groups):
            # Every antigen on the donor's cells must be one that the recipient carries too.
            fits = set(donor) - set("O-") <= set(recipient)
            x = 94 + column * 48
            canvas.rect((x, y, x + 44, y + 42), "#b91c1c" if fits else "#f3d6d6")
            if fits:
                tick = [(x + 12, y + 22), (x + 19, y + 30), (x + 32, y + 12)]
                canvas.line(tick, PAPER, 4)
    return canvas


def smallpox() -> Canvas:
    """The end of smallpox, as a timeline."""
    canvas = Canvas(700, 320, "#f4f1fb")
    canvas.title("The end of smallpox", "From the first vaccine to eradication")
    events = [("1796", "Jenner's vaccine"), ("1959", "WHO programme")]
    events += [("1967", "Intensified campaign"), ("1977", "Last natural case")]
    events.append(("1980", "Eradicated"))
    canvas.line([(50, 190), (650, 190)], "#5b21b6", 6)
    for place, (year, words) in enumerate(events):
        x, up = 80 + place * 135, place % 2 == 0
        end = 140 if up else 240
        canvas.line([(x, 190), (x, end)], "#5b21b6", 2)
        canvas.circle((x, 190), 12, "#fbbf24", "#5b21b6", 3)
        canvas.text((x, end + (-26 if up else 14)), year, 22, anchor="mm", bold=True)
        canvas.text((x, end + (-8 if up else 34)), words, 14, MUTED, "mm")
    return canvas


def moon_phases() -> Canvas:
    """Eight phases of the Moon on the dark sky, as seen from the northern half of the Earth."""
    canvas = Canvas(680, 300, "#0a0f24")
    canvas.title("Phases of the Moon", "One cycle lasts about 29.5 days", "#f1f5f9")
    names = ["New", "Crescent", "First quarter", "Gibbous", "Full", "Gibbous", "Last quarter"]
    names.append("Crescent")
    for place, name in enumerate(names):
        x, y, radius = 48 + place * 83.5, 165.0, 34
        canvas.circle((x, y), radius, "#2b314a")
        canvas.polygon(_lit(x, y, radius, place), "#f5efd5")
        canvas.text((x, 228), name, 13, "#cbd5e1", "mm")
    return canvas


def _lit(x: float, y: float, radius: float, phase: int) -> list[tuple[float, float]]:
    """The sunlit part of the disc: an outer half circle and the bulging edge of the shadow."""
    side = 1 if phase <= 4 else -1
    bulge = math.cos(phase * math.pi / 4)
    angles = [math.radians(step) for step in range(-90, 91, 5)]
    rim = [(x + side * radius * math.cos(a), y + radius * math.sin(a)) for a in angles]
    inner = [(x + side * bulge * radius * math.cos(a), y + radius * math.sin(a)) for a in angles]
    return rim + inner[::-1]


def spectrum() -> Canvas:
    """Visible light from violet to red."""
    canvas = Canvas(680, 300, "#111111")
    canvas.title("The visible spectrum", "Wavelength in nanometres", PAPER)
    for x in range(30, 650):
        wavelength = 380 + (x - 30) / 620 * 370
        canvas.rect((x, 90, x + 1, 220), _hue(wavelength))
    for wavelength in range(400, 751, 50):
        x = round(30 + (wavelength - 380) / 370 * 620)
        canvas.line([(x, 220), (x, 230)], PAPER, 2)
        canvas.text((x, 236), str(wavelength), 15, PAPER, "ma")
    for name, wavelength in [("violet", 410), ("blue", 465), ("green", 530), ("yellow", 580)]:
        canvas.text((30 + (wavelength - 380) / 370 * 620, 278), name, 14, PAPER, "mm")
    canvas.text((30 + (680 - 380) / 370 * 620, 278), "red", 14, PAPER, "mm")
    return canvas


def _hue(wavelength: float) -> tuple[int, int, int]:
    """A screen colour near that of a wavelength; straight lines between six fixed colours."""
    stops = [(380, (60, 0, 90)), (440, (40, 0, 255)), (490, (0, 230, 255)), (520, (0, 255, 0))]
    stops += [(580, (255, 255, 0)), (640, (255, 0, 0)), (750, (90, 0, 0))]
    for (low, start), (high, end) in pairwise(stops):
        if wavelength <= high:
            part = (wavelength - low) / (high - low)
            red, green, blue = (round(s + (e - s) * part) for s, e in zip(start, end, strict=True))
            return red, green, blue
    return stops[-1][1]


def flag_of_japan() -> Canvas:
    """The flag of Japan: two by three, a disc of three fifths of the height."""
    canvas = Canvas(640, 460, "#c9d6df")
    left, top, height = 50, 50, 360
    canvas.rect((left, top, left + 540, top + height), PAPER)
    canvas.circle((left + 270, top + 180), height * 3 / 10, "#bc002d")
    return canvas


def flag_of_switzerland() -> Canvas:
    """The flag of Switzerland: a square, arms of the cross one sixth longer than wide."""
    canvas = Canvas(480, 480, "#d7e3d4")
    canvas.rect((40, 40, 440, 440), "#da291c")
    width = 80.0
    reach = width / 2 + width * 7 / 6
    canvas.rect((240 - reach, 200, 240 + reach, 280), PAPER)
    canvas.rect((200, 240 - reach, 280, 240 + reach), PAPER)
    return canvas


DIAGRAMS: dict[str, Callable[[], Canvas]] = {
    "planets": planets,
    "gold": gold,
    "eras": eras,
    "double-helix": double_helix,
    "thermometer": thermometer,
    "chess": chess,
    "pythagoras": pythagoras,
    "morse": morse,
    "ocean-zones": ocean_zones,
    "blood-groups": blood_groups,
    "smallpox": smallpox,
    "moon-phases": moon_phases,
    "spectrum": spectrum,
    "flag-of-japan": flag_of_japan,
    "flag-of-switzerland": flag_of_switzerland,
}
