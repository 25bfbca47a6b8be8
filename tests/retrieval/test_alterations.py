"""What makes another report of a passage, and what is still the same one."""

import time
import unicodedata

import pytest

from factcheck.retrieval.alterations import altered
from factcheck.retrieval.statements import Statement

BASE = (
    "The minister said that the new bridge over the river in the old town would open to all "
    "traffic on Monday."
)
CRASH = (
    "The train crashed near the station of the old town on Monday and killed three people, said "
    "the police of the district, who closed the line."
)
MORE = "Engineers had worked on it for more than a year, and merchants hope for customers."


def differ(one: str, other: str) -> bool:
    """The same from both sides."""
    first, second = Statement.of(one), Statement.of(other)
    found = altered(first, second)
    assert altered(second, first) == found
    return found


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("Monday", "Friday"),
        ("would open", "would not open"),
        ("would open", "would partly open"),
        ("said that", "denied that"),
        ("said that", "said falsely that"),
        ("The minister", "The former minister"),
        ("to all traffic", "to traffic"),
        ("new bridge", "old bridge"),
        ("the river in the old town", "the old town in the river"),
        (" on Monday.", " on Monday without a permit."),
        (" on Monday.", " on Monday, critics fear."),
        (" would open", "s would open"),
        ("The minister said", "FALSE - The minister said"),
        ("The minister said", "It is a hoax that the minister said"),
        (" on Monday.", " on Monday for \u20ac5."),
        (" on Monday.", " on Monday. That was denied."),
        (" on Monday.", " on Monday. It cost 12 million."),
        (" on Monday.", " on Monday \U0001f44e."),
    ],
)
def test_a_changed_word_alters_what_is_said(was: str, now: str) -> None:
    assert was in BASE
    assert differ(BASE, BASE.replace(was, now))
    assert differ(f"{BASE} {MORE}", f"{BASE.replace(was, now)} {MORE}")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (CRASH, CRASH.replace("three", "nine")),
        (CRASH, CRASH.replace("and killed", "and nearly killed")),
        (f"With permits, {BASE}", f"Without permits, {BASE}"),
        (f"Officials in Paris said {BASE}", f"Officials in London said {BASE}"),
        (f"He did {BASE}", f"He didnt {BASE}"),
        (f"They paid $5 for it. {BASE}", f"They paid \u20ac5 for it. {BASE}"),
        (f"It grew by 3.5 percent. {BASE}", f"It grew by 35 percent. {BASE}"),
        (f"It grew by 5 percent. {BASE}", f"It grew by -5 percent. {BASE}"),
        (f"It grew (5 percent). {BASE}", f"It grew (-5 percent). {BASE}"),
        (f"It is {BASE}", f"It was {BASE}"),
        # A piece of a word is one that was cut off only where the passage does not begin or end.
        (f"Man arrested. {BASE}", f"Woman arrested. {BASE}"),
        (f"Male nurses left. {BASE}", f"Female nurses left. {BASE}"),
        (f"{BASE} They came from Niger.", f"{BASE} They came from Nigeria."),
        (f"{BASE} Police held a man.", f"{BASE} Police held a manager."),
        (f"Police attacked. {BASE}", f"Police was attacked. {BASE}"),
        (f"Trains from Ulm stop. {BASE}", f"Trains to Ulm stop. {BASE}"),
        # Vowels of Hindi are marks, which are no letters to Python: "day", "poor".
        ("\u0926\u093f\u0928 " + BASE, "\u0926\u0940\u0928 " + BASE),
        # What a passage has beyond the other's end may be only the word that was altered.
        (
            BASE.removesuffix("Monday.") + "legal days.",
            BASE.removesuffix("Monday.") + "illegal days.",
        ),
    ],
)
def test_passages_that_say_other_things(one: str, other: str) -> None:
    assert one != other
    assert differ(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (BASE, BASE.upper()),
        (BASE, BASE.replace(" ", "\n")),
        (BASE, BASE.replace("said that", "said, that").replace("Monday.", "Monday!")),
        (BASE, f"PARIS (Reuters) - {BASE}"),
        (f"LONDON, June 3 (AP) \u2014 {BASE}", f"PARIS, 4 May (AFP) - {BASE}"),
        (f"NEW YORK - {BASE}", BASE),
        (f"By Jane Doe | {BASE}", f"By John Smith, Reuters\n{BASE}"),
        (BASE, f"{BASE} (Reporting by Jane Doe and 2 others; Editing by John Smith)"),
        (f"{BASE} Copyright 2024 AP. All rights reserved.", f"{BASE} Read more: Bridges"),
        (f"{BASE} So the Courier writes.", f"{BASE} As the Herald reports."),
        (BASE, f"{BASE} {MORE}"),
        (BASE, f"{MORE} {BASE}"),
        (f"{BASE} {MORE}", BASE[BASE.index("that the") :] + " " + MORE),
        (f"{MORE} {BASE}", f"{MORE} {BASE}".removesuffix("traffic on Monday.")),
        (f"{MORE} {BASE}", f"{MORE} {BASE}".removesuffix("day.")),
        (BASE, BASE.replace("said that", "said").replace("on Monday", "late on Monday")),
        (BASE, BASE.replace("the new bridge", "a new bridge").replace("on Mon", "Mon")),
        (
            f"It was an organised labour programme. {BASE}",
            f"It was an organized labor program. {BASE}",
        ),
        (f"She wrote an e-mail. {BASE}", f"She wrote an email. {BASE}"),
        (f"It cost 3,000, or 5%. {BASE}", f"It cost 3000, or 5 per cent. {BASE}"),
        (f"He didn't say it. {BASE}", f"He did not say it. {BASE}"),
        (f"He didn't say it. {BASE}", f"He didn\u2019t say it. {BASE}"),
        (f"Beyonc\u00e9 sang. {BASE}", unicodedata.normalize("NFD", f"Beyonc\u00e9 sang. {BASE}")),
        (f"Beyonc\u00e9 sang. {BASE}", f"Beyonce sang. {BASE}"),
        (f"It cost \u0661\u0662. {BASE}", f"It cost 12. {BASE}"),
        (BASE, BASE.replace("minister", "min\u00adister")),
    ],
)
def test_copies_say_the_same(one: str, other: str) -> None:
    assert one != other
    assert not differ(one, other)


@pytest.mark.parametrize(
    "text",
    [
        "By " + "A" * 100_000,
        "A" * 100_000,
        "A (" * 30_000,
        "Read more " * 10_000,
        "A. " * 30_000,
        "PARIS " * 20_000,
        "\u00a9" * 50_000,
        ". " + " " * 100_000 + "x",
        "1," * 50_000,
        "'" * 100_000,
    ],
)
def test_hostile_texts_are_read_in_no_time(text: str) -> None:
    start = time.perf_counter()
    Statement.of(text)
    assert time.perf_counter() - start < 5
