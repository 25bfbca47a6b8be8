"""Charts of numbers: bars, lines, pies and columns. The figures are those of the documents."""

import math
from collections.abc import Callable

from demo_images.canvas import INK, MUTED, PAPER, Axes, Canvas, Colour


def atmosphere() -> Canvas:
    """What dry air is made of, as a pie."""
    canvas = Canvas(background="#eaf4fb")
    canvas.title("What dry air is made of", "Share of volume, percent")
    parts: list[tuple[str, float, Colour]] = [
        ("Nitrogen 78.08 %", 78.08, "#2f6fb0"),
        ("Oxygen 20.95 %", 20.95, "#e4572e"),
        ("Argon 0.93 %", 0.93, "#f2b134"),
        ("Carbon dioxide 0.04 %", 0.04, "#444444"),
    ]
    start = -90.0
    for row, (label, share, colour) in enumerate(parts):
        end = start + share * 3.6
        canvas.slice((210, 240), 150, start, max(end, start + 0.8), colour)
        start = end
        canvas.rect((400, 150 + row * 48, 424, 174 + row * 48), colour)
        canvas.text((436, 162 + row * 48), label, 16, anchor="lm")
    return canvas


def carbon_dioxide() -> Canvas:
    """Carbon dioxide at Mauna Loa, as a rising line."""
    canvas = Canvas()
    canvas.title("Carbon dioxide at Mauna Loa, Hawaii", "Annual mean, parts per million (ppm)")
    axes = Axes(70, 90, 600, 360, (1955, 2022), (300, 420))
    axes.rules(canvas, range(300, 421, 20), [str(v) for v in range(300, 421, 20)])
    axes.ticks(canvas, range(1960, 2021, 10), [str(v) for v in range(1960, 2021, 10)])
    means = [(1960, 317), (1970, 326), (1980, 339), (1990, 354)]
    means += [(2000, 370), (2010, 390), (2020, 414)]
    points = [axes.point(*pair) for pair in means]
    area = [(points[0][0], axes.bottom), *points, (points[-1][0], axes.bottom)]
    canvas.polygon(area, "#fde3cf")
    canvas.line(points, "#c2410c", 3)
    for (_, value), (x, y) in zip(means, points, strict=True):
        canvas.circle((x, y), 5, "#c2410c", PAPER, 1.5)
        canvas.text((x - 4, y - 10), str(value), 14, anchor="rs", bold=True)
    canvas.text((600, 388), "Year", 13, MUTED, "ra")
    return canvas


def mountains() -> Canvas:
    """The five highest mountains, as peaks."""
    canvas = Canvas(background="#9fc3dd")
    canvas.title("The five highest mountains", "Height above sea level, metres")
    axes = Axes(70, 90, 620, 370, (0, 5), (8000, 9000))
    axes.rules(
        canvas, [8000, 8250, 8500, 8750, 9000], ["8000", "8250", "8500", "8750", "9000"], "#b8d3e6"
    )
    heights = [("Everest", 8849), ("K2", 8611), ("Kangchenjunga", 8586)]
    heights += [("Lhotse", 8516), ("Makalu", 8485)]
    for place, (name, height) in enumerate(heights):
        x, top, foot = axes.x(place + 0.5), axes.y(height), axes.bottom
        canvas.polygon([(x - 58, foot), (x, top), (x + 58, foot)], "#5b7083")
        snow = 0.28 * (foot - top)
        half = 58 * 0.28
        cap = [(x - half, top + snow), (x, top), (x + half, top + snow)]
        jag = [(x + half / 2, top + snow * 1.3), (x, top + snow), (x - half / 2, top + snow * 1.3)]
        canvas.polygon([*cap, *jag], PAPER)
        canvas.text((x, top - 6), str(height), 14, anchor="ms", bold=True)
        canvas.text((x, foot + 10), name, 14, anchor="ma")
    return canvas


def sprint_record() -> Canvas:
    """The world record over 100 metres, as falling steps."""
    canvas = Canvas(background="#fbf3ee")
    canvas.title("Men's 100 metres world record", "Seconds, electronic timing, 1968 to 2009")
    axes = Axes(70, 90, 610, 370, (1966, 2012), (9.5, 10.0))
    values = [9.5, 9.6, 9.7, 9.8, 9.9, 10.0]
    axes.rules(canvas, values, [f"{v:.1f}" for v in values], "#e7d5c9")
    axes.ticks(canvas, range(1970, 2011, 10), [str(v) for v in range(1970, 2011, 10)])
    records = [(1968, 9.95, "Hines"), (1983, 9.93, "Smith"), (1991, 9.86, "Lewis")]
    records += [(1996, 9.84, "Bailey"), (1999, 9.79, "Greene"), (2007, 9.74, "Powell")]
    records += [(2009, 9.58, "Bolt")]
    steps = [axes.point(records[0][0], records[0][1])]
    for year, seconds, _ in records[1:]:
        steps += [(axes.x(year), steps[-1][1]), axes.point(year, seconds)]
    canvas.line([*steps, (axes.right, steps[-1][1])], "#a4243b", 4)
    for year, seconds, name in records:
        x, y = axes.point(year, seconds)
        canvas.circle((x, y), 5, PAPER, "#a4243b", 2)
        # Two records fall so close together that one label has to go above the line.
        above = name == "Bailey"
        side = "la" if year < 1970 else "ls" if above else "ra"
        at = (x + 4, y - 8) if above else (x - 8, y + 8)
        canvas.text(at, f"{name} {seconds:.2f}", 13, anchor=side)
    return canvas


def world_cup() -> Canvas:
    """Men's football World Cups won, as rows of cups."""
    canvas = Canvas(background="#14532d")
    canvas.title("Men's football World Cups won", "Titles, 1930 to 2022", PAPER)
    titles = [("Brazil", 5), ("Germany", 4), ("Italy", 4), ("Argentina", 3)]
    titles += [("France", 2), ("Uruguay", 2), ("England", 1), ("Spain", 1)]
    for row, (country, count) in enumerate(titles):
        y = 92 + row * 39
        canvas.text((150, y), country, 17, PAPER, "rm")
        for cup in range(count):
            _cup(canvas, 190 + cup * 62, y)
        canvas.text((190 + count * 62, y), str(count), 18, "#fde68a", "mm", bold=True)
    return canvas


def _cup(canvas: Canvas, x: float, y: float) -> None:
    gold = "#f5b700"
    canvas.circle((x - 11, y - 6), 5, None, gold, 2)
    canvas.circle((x + 11, y - 6), 5, None, gold, 2)
    canvas.polygon([(x - 11, y - 14), (x + 11, y - 14), (x + 4, y + 5), (x - 4, y + 5)], gold)
    canvas.rect((x - 2, y + 4, x + 2, y + 10), gold)
    canvas.rect((x - 9, y + 10, x + 9, y + 14), gold)


def electoral_college() -> Canvas:
    """The electoral vote of 2020, as a field of squares."""
    canvas = Canvas(background="#f8fafc")
    canvas.title("Electoral votes, US presidential election 2020", "One square is one elector")
    columns, size = 45, 13
    for elector in range(538):
        column, row = divmod(elector, 12)
        colour = "#1d4ed8" if elector < 306 else "#b91c1c"
        x, y = 27.0 + column * size, 150 + row * size
        canvas.rect((x, y, x + size - 2, y + size - 2), colour)
    canvas.text((27, 98), "Biden 306", 26, "#1d4ed8", bold=True)
    canvas.text((27 + columns * size, 98), "Trump 232", 26, "#b91c1c", "ra", bold=True)
    x = 27 + 538 / 2 / 12 * size
    canvas.line([(x, 136), (x, 318)], INK, 2)
    canvas.text((x, 330), "270 electoral votes to win", 15, anchor="ma")
    return canvas


def brexit() -> Canvas:
    """The referendum of 2016, as a ring."""
    canvas = Canvas(background="#fffbea")
    canvas.title("UK referendum on EU membership, 23 June 2016", "Share of valid votes, percent")
    centre = (220, 245)
    turn = 51.9 * 3.6
    canvas.slice(centre, 145, -90, -90 + turn, "#0a6ebd")
    canvas.slice(centre, 145, -90 + turn, 270, "#f4b400")
    canvas.circle(centre, 82, "#fffbea")
    canvas.text(centre, "Turnout 72.2 %", 17, anchor="mm", bold=True)
    rows = [("#0a6ebd", "Leave 51.9 %", "17,410,742 votes")]
    rows += [("#f4b400", "Remain 48.1 %", "16,141,241 votes")]
    for row, (colour, share, votes) in enumerate(rows):
        y = 170 + row * 92
        canvas.rect((400, y, 412, y + 62), colour)
        canvas.text((426, y + 2), share, 24, bold=True)
        canvas.text((426, y + 38), votes, 16, MUTED)
    return canvas


def transistors() -> Canvas:
    """Transistors on Intel processors, on a logarithmic scale."""
    canvas = Canvas(background="#0f172a")
    canvas.title("Transistors on a processor", "Logarithmic scale, Intel chips", "#a7f3d0")
    axes = Axes(110, 90, 600, 365, (1968, 2010), (3, 9))
    labels = ["1 thousand", "10 thousand", "100 thousand", "1 million", "10 million"]
    labels += ["100 million", "1 billion"]
    axes.rules(canvas, range(3, 10), labels, "#26354d")
    axes.ticks(canvas, range(1970, 2011, 10), [str(v) for v in range(1970, 2011, 10)])
    chips = [(1971, 2_300, "4004"), (1978, 29_000, "8086"), (1985, 275_000, "386")]
    chips += [(1993, 3_100_000, "Pentium"), (2000, 42_000_000, "Pentium 4")]
    chips += [(2006, 291_000_000, "Core 2 Duo")]
    points = [axes.point(year, math.log10(count)) for year, count, _ in chips]
    canvas.line(points, "#34d399", 2)
    for (_, _, name), (x, y) in zip(chips, points, strict=True):
        canvas.rect((x - 6, y - 6, x + 6, y + 6), "#0f172a", "#34d399", 2)
        canvas.text((x - 12, y - 8), name, 14, "#e2e8f0", "rs")
    return canvas


def earthquakes() -> Canvas:
    """The strongest earthquakes measured, as lollipops."""
    canvas = Canvas(background="#fdf6f0")
    canvas.title("Strongest earthquakes since 1900", "Moment magnitude, US Geological Survey")
    axes = Axes(230, 100, 590, 370, (8.5, 9.6), (0, 5))
    for tenth in (8.6, 8.8, 9.0, 9.2, 9.4, 9.6):
        canvas.line([(axes.x(tenth), 90), (axes.x(tenth), 370)], "#e5d5c8")
        canvas.text((axes.x(tenth), 380), f"{tenth:.1f}", 13, MUTED, "ma")
    quakes = [("Valdivia, Chile, 1960", 9.5), ("Prince William Sound, 1964", 9.2)]
    quakes += [("Sumatra, 2004", 9.1), ("Tohoku, Japan, 2011", 9.1), ("Kamchatka, 1952", 9.0)]
    for row, (place, magnitude) in enumerate(quakes):
        x, y = axes.point(magnitude, 4.5 - row)
        canvas.text((218, y), place, 15, anchor="rm")
        canvas.line([(axes.left, y), (x, y)], "#7c2d12", 3)
        canvas.circle((x, y), 18, "#ea580c")
        canvas.text((x, y), f"{magnitude:.1f}", 15, PAPER, "mm", bold=True)
    return canvas


def skyscrapers() -> Canvas:
    """The tallest buildings, as outlines against the evening sky."""
    canvas = Canvas(560, 480, "#1e1b4b")
    canvas.title("The tallest buildings of 2023", "Height in metres", "#fef3c7")
    axes = Axes(60, 90, 540, 420, (0, 5), (0, 850))
    axes.rules(canvas, [0, 200, 400, 600, 800], ["0", "200", "400", "600", "800"], "#37336e")
    towers = [("Burj Khalifa", 828.0, "#c7d2fe"), ("Merdeka 118", 678.9, "#99f6e4")]
    towers += [("Shanghai Tower", 632.0, "#fecaca"), ("Clock Tower", 601.0, "#fde68a")]
    towers += [("Ping An", 599.1, "#ddd6fe")]
    for place, (name, height, colour) in enumerate(towers):
        x, top, foot = axes.x(place + 0.5), axes.y(height), axes.bottom
        tall = foot - top
        left = [(x - 26, foot), (x - 22, foot - tall * 0.5), (x - 12, foot - tall * 0.78)]
        right = [(2 * x - px, py) for px, py in reversed(left)]
        canvas.polygon([*left, (x - 4, foot - tall * 0.85), (x, top), *right], colour)
        canvas.text((x, top - 8), f"{height:g}", 15, PAPER, "ms", bold=True)
        canvas.text((x, foot + 10 + 16 * (place % 2)), name, 13, PAPER, "ma")
    return canvas


def population() -> Canvas:
    """The billions of people, each with its year."""
    canvas = Canvas(background="#f0fdf4")
    canvas.title("World population by billions", "Year in which each billion was reached")
    axes = Axes(60, 90, 600, 365, (1795, 2030), (0, 8))
    axes.rules(canvas, range(0, 9, 2), ["0", "2", "4", "6", "8"], "#cfe8d6")
    axes.ticks(canvas, range(1800, 2001, 50), [str(v) for v in range(1800, 2001, 50)])
    years = [1804, 1927, 1960, 1974, 1987, 1999, 2011, 2022]
    points = [axes.point(year, count + 1) for count, year in enumerate(years)]
    area = [(points[0][0], axes.bottom), *points, (points[-1][0], axes.bottom)]
    canvas.polygon(area, "#a7e0b9")
    canvas.line(points, "#166534", 3)
    for year, (x, y) in zip(years, points, strict=True):
        canvas.circle((x, y), 5, "#166534")
        canvas.text((x - 10, y - 4), str(year), 14, anchor="rs", bold=True)
    canvas.text((60, 78), "Billion people", 13, MUTED, "lm")
    return canvas


def euro_members() -> Canvas:
    """Countries that use the euro, as columns of stars."""
    canvas = Canvas(background="#003399")
    canvas.title("Countries in the euro area", "Number of members, 1999 to 2023", "#ffcc00")
    members = [(1999, 11), (2001, 12), (2007, 13), (2008, 15), (2009, 16)]
    members += [(2011, 17), (2014, 18), (2015, 19), (2023, 20)]
    for column, (year, count) in enumerate(members):
        x = 70 + column * 63
        for place in range(count):
            _star(canvas, x, 372 - place * 13.6, 7.5, "#ffcc00")
        canvas.text((x, 372 - count * 13.6 - 4), str(count), 16, PAPER, "ms", bold=True)
        canvas.text((x, 390), str(year), 14, PAPER, "ma")
    return canvas


def _star(canvas: Canvas, x: float, y: float, radius: float, colour: Colour) -> None:
    points = []
    for corner in range(10):
        reach = radius if corner % 2 == 0 else radius * 0.382
        angle = math.radians(corner * 36 - 90)
        points.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    canvas.polygon(points, colour)


def rockets() -> Canvas:
    """Launch vehicles side by side, to scale."""
    canvas = Canvas(560, 480, "#0b1026")
    canvas.title("Rockets to scale", "Height in metres", "#e0e7ff")
    axes = Axes(60, 90, 540, 420, (0, 4), (0, 120))
    axes.rules(canvas, range(0, 121, 20), [str(v) for v in range(0, 121, 20)], "#252c4f")
    vehicles = [("Space Shuttle", 56.1, 8.4, "#f59e0b"), ("Falcon 9", 70.0, 3.7, "#e5e7eb")]
    vehicles += [("SLS Block 1", 98.1, 8.4, "#fb923c"), ("Saturn V", 110.6, 10.1, "#f8fafc")]
    scale = (axes.bottom - axes.top) / 120
    for place, (name, height, across, colour) in enumerate(vehicles):
        x, top, foot, half = axes.x(place + 0.5), axes.y(height), axes.bottom, across * scale / 2
        canvas.rect((x - half, top + 40, x + half, foot), colour)
        canvas.polygon([(x - half, top + 40), (x, top), (x + half, top + 40)], colour)
        canvas.polygon([(x - half - 8, foot), (x, foot - 30), (x + half + 8, foot)], "#64748b")
        if place in (0, 2):
            for side in (-1, 1):
                edge = x + side * (half + 7)
                canvas.rect((edge - 5, foot - 45 * scale, edge + 5, foot), PAPER)
        canvas.text((x, top - 8), f"{height:g}", 16, "#fde68a", "ms", bold=True)
        canvas.text((x, foot + 12), name, 15, PAPER, "ma")
    return canvas


CHARTS: dict[str, Callable[[], Canvas]] = {
    "atmosphere": atmosphere,
    "carbon-dioxide": carbon_dioxide,
    "mountains": mountains,
    "sprint-record": sprint_record,
    "world-cup": world_cup,
    "electoral-college": electoral_college,
    "brexit": brexit,
    "transistors": transistors,
    "earthquakes": earthquakes,
    "skyscrapers": skyscrapers,
    "population": population,
    "euro-members": euro_members,
    "rockets": rockets,
}
