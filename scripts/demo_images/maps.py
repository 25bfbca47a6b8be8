"""Maps with coarse outlines, drawn from rounded longitudes and latitudes."""

from collections.abc import Callable

from demo_images.canvas import INK, PAPER, Canvas, Point

# Hand-rounded coastlines: enough to tell the continents apart, never to measure on.
_WORLD = [
    "-168 66 -156 71 -125 70 -95 69 -85 68 -94 59 -82 55 -79 52 -77 62 -65 59 -56 52 -66 45 "
    "-74 40 -76 35 -81 31 -80 25 -83 30 -90 30 -97 27 -97 20 -90 21 -88 16 -83 10 -78 8 -86 "
    "12 -95 16 -105 20 -113 30 -117 33 -124 40 -124 48 -133 56 -150 60 -160 56 -165 62",
    "-78 8 -72 12 -60 9 -50 1 -35 -6 -39 -15 -48 -26 -58 -35 -65 -42 -69 -52 -74 -50 -72 -30 "
    "-71 -18 -81 -5",
    "-55 82 -20 82 -22 70 -43 60 -53 66 -70 77",
    "-9 37 -9 43 -2 44 -4 48 2 51 8 54 10 57 12 54 20 55 24 59 29 60 22 61 25 65 22 65 17 61 "
    "18 59 13 56 11 59 6 58 5 62 14 68 25 71 40 67 44 68 60 69 70 73 80 73 100 77 113 74 140 "
    "72 160 70 179 69 178 63 163 60 162 56 157 51 156 57 162 62 155 59 143 59 136 54 140 52 "
    "139 47 132 43 128 40 129 36 126 35 125 39 121 40 118 38 122 37 120 34 122 30 118 24 110 "
    "21 108 16 109 12 105 9 100 13 103 2 99 9 97 17 91 22 87 21 80 15 80 10 77 8 73 17 72 21 "
    "67 25 57 26 50 30 48 29 51 24 56 25 60 22 52 16 44 12 39 21 35 28 34 31 36 36 28 36 26 "
    "40 29 41 41 41 37 45 30 46 28 42 23 40 24 37 20 40 13 45 18 40 16 38 12 42 9 44 3 43 0 "
    "39 -5 36",
    "-6 36 10 37 11 33 20 31 32 31 34 27 37 20 43 12 51 12 40 -3 40 -15 35 -20 33 -26 27 -34 "
    "18 -34 12 -18 13 -8 9 -1 9 4 -7 5 -13 9 -17 15 -17 21 -10 30",
    "114 -22 122 -18 130 -12 136 -12 140 -17 142 -11 146 -19 153 -26 151 -34 146 -39 139 -36 "
    "131 -31 118 -35 115 -33",
    "-5 50 1 51 0 53 -2 57 -5 58 -5 55 -3 54 -5 52",
    "-10 52 -6 52 -6 55 -10 54",
    "-24 65 -14 66 -15 64 -22 64",
    "130 31 136 34 141 36 142 40 145 43 142 45 140 41 137 37 131 34",
    "44 -16 50 -15 47 -25 44 -24",
    "95 5 106 -6 104 -2 98 4",
    "109 1 117 7 119 1 116 -4 110 -3",
    "131 -1 141 -3 150 -10 143 -8 138 -8",
    "173 -35 178 -38 175 -41 173 -39",
    "173 -41 171 -46 167 -46",
]
_AUSTRALIA = (
    "113.5 -22 114.2 -26.5 115.8 -32 115 -34.2 118 -35 120 -34 123.5 -34 126 -32.3 129 -31.6 "
    "131.2 -31.5 134.2 -32.8 135.7 -34.9 137.5 -33 137.8 -35.2 138.5 -35.5 140 -37.5 143.5 "
    "-38.8 145 -38.2 146.4 -39 150 -37.5 151.2 -33.9 153 -31 153.6 -28.5 153.2 -25.5 150.8 "
    "-23.3 149 -20.3 146.3 -19 145.5 -15 143.8 -14.4 142.5 -10.7 141.6 -13 140.8 -17.5 139 "
    "-17.4 135.5 -15 136.8 -12 133 -11.4 131 -12.2 129.5 -15 127 -14 124 -16.3 122.2 -18 119 "
    "-20 116 -20.8"
)
_TASMANIA = "144.7 -40.7 148.3 -40.9 147.9 -43.2 146 -43.5"


def _outline(numbers: str) -> list[Point]:
    values = [float(number) for number in numbers.split()]
    return list(zip(values[::2], values[1::2], strict=True))


def olympic_hosts() -> Canvas:
    """The host cities of the Summer Games from 2000 to 2024."""
    canvas = Canvas(760, 420, "#cfe6f3")
    canvas.rect((0, 0, 760, 62), PAPER)
    canvas.title("Host cities of the Summer Olympics 2000 to 2024")

    def place(lon: float, lat: float) -> Point:
        return 360 + lon * 2, 250 - lat * 2.25

    for land in _WORLD:
        canvas.polygon([place(*point) for point in _outline(land)], "#f3ead0", "#a8a08a", 1)
    cities = [("Sydney 2000", 151.2, -33.9, "rt"), ("Athens 2004", 23.7, 38.0, "la")]
    cities += [("Beijing 2008", 116.4, 39.9, "rs"), ("London 2012", -0.1, 51.5, "rs")]
    cities += [("Rio 2016", -43.2, -22.9, "lt"), ("Tokyo 2020", 139.7, 35.7, "la")]
    cities += [("Paris 2024", 2.35, 48.9, "ra")]
    colours = ["#0081c8", "#fcb131", "#ee334e", "#00a651", "#7b2d8b", "#e76f00", "#222222"]
    for (name, lon, lat, anchor), colour in zip(cities, colours, strict=True):
        x, y = place(lon, lat)
        canvas.circle((x, y), 6, colour, PAPER, 1.5)
        dx = 9 if anchor[0] == "l" else -9
        dy = -3 if anchor[1] == "s" else 2
        canvas.text((x + dx, y + dy), name, 14, anchor=anchor, bold=True)
    return canvas


def australia() -> Canvas:
    """Australia with the capitals of its states and territories."""
    canvas = Canvas(600, 520, "#a9d3e8")
    canvas.title("Australia and its capital cities")

    def place(lon: float, lat: float) -> Point:
        return 40 + (lon - 112) * 12, 80 + (-10 - lat) * 12.6

    for land in (_AUSTRALIA, _TASMANIA):
        canvas.polygon([place(*point) for point in _outline(land)], "#e7b876", "#8a5a1c", 2)
    cities = [("Perth", 115.86, -31.95, "lm"), ("Darwin", 130.84, -12.46, "lt")]
    cities += [("Adelaide", 138.60, -34.93, "rt"), ("Brisbane", 153.03, -27.47, "rm")]
    cities += [("Melbourne", 144.96, -37.81, "rt"), ("Hobart", 147.33, -42.88, "lm")]
    cities += [("Sydney", 151.21, -33.87, "lm")]
    for name, lon, lat, anchor in cities:
        x, y = place(lon, lat)
        canvas.circle((x, y), 5, INK)
        dx = 9 if anchor[0] == "l" else -9
        canvas.text((x + dx, y + (8 if anchor[1] == "t" else 0)), name, 15, anchor=anchor)
    x, y = place(149.13, -35.28)
    canvas.circle((x, y), 9, "#b91c1c", PAPER, 2)
    canvas.text((x - 14, y), "CANBERRA", 16, "#b91c1c", "rm", bold=True)
    return canvas


def panama_canal() -> Canvas:
    """The Panama Canal from the side: locks up to Gatun Lake and down again."""
    canvas = Canvas(720, 340, "#fef9ec")
    canvas.title("Panama Canal in profile", "Gatun Lake lies 26 metres above the sea")
    steps = [(30, 270), (120, 270), (120, 236), (145, 236), (145, 202), (170, 202), (170, 168)]
    steps += [(520, 168), (520, 202), (550, 202), (580, 202), (580, 236), (608, 236), (608, 270)]
    steps += [(690, 270)]
    ground = [(x, y + 22) for x, y in steps]
    canvas.polygon([*ground, (690, 320), (30, 320)], "#9a7b4f")
    canvas.polygon([*steps, *reversed(ground)], "#4aa3df")
    canvas.text((34, 250), "Caribbean Sea", 13, anchor="lm")
    canvas.text((690, 250), "Pacific Ocean", 13, anchor="rm")
    canvas.text((160, 150), "Gatun Locks", 14, anchor="mm", bold=True)
    canvas.text((345, 140), "Gatun Lake and Culebra Cut", 16, anchor="mm", bold=True)
    canvas.text((520, 148), "Pedro Miguel", 14, anchor="lm", bold=True)
    canvas.text((625, 206), "Miraflores", 14, anchor="lm", bold=True)
    canvas.polygon([(290, 168), (300, 184), (370, 184), (384, 168)], "#7f1d1d")
    for box in range(4):
        canvas.rect((304 + box * 17, 157, 319 + box * 17, 168), ["#f59e0b", "#10b981"][box % 2])
    return canvas


MAPS: dict[str, Callable[[], Canvas]] = {
    "olympic-hosts": olympic_hosts,
    "australia": australia,
    "panama-canal": panama_canal,
}
