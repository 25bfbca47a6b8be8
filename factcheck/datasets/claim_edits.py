"""Claims made false: a number, a name or a "not" changed, the rest left as it was.

What a passage supports, it refutes once such a detail is changed. Sources of news and of
encyclopaedia claims hold few refuted pairs, and those of some others are written in a style that
gives them away; these are written in the style of the supported ones.
"""

import re
from collections.abc import Callable
from random import Random

_NUMBER = re.compile(r"(?<![\w.,-])\d{1,3}(?:,\d{3})+(?![\w])|(?<![\w.,-])\d+(?:\.\d+)?(?![\w])")
_NAME = re.compile(
    r"(?<![.!?]\s)(?<!^)\b[A-Z][a-z'\u2019-]{2,}(?:\s[A-Z][a-z'\u2019-]{2,})*\b", re.UNICODE
)
_AUXILIARY = re.compile(
    r"\b(?:is|are|was|were|has been|have been|had been|will|can|could|would|should|does|did)\b"
    r"(?! not)"
)
_NEGATED = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|nor|cannot)\b|n['\u2019]t\b", re.IGNORECASE
)
_YEARS = range(1000, 2100)

Edit = Callable[[str, str, Random], str | None]


def change_number(claim: str, evidence: str, rng: Random) -> str | None:
    """The claim with another number, or None.

    Only a number that the evidence has too is changed, so that the evidence speaks of it, and not
    to one that the evidence has.
    """
    there = set(_NUMBER.findall(evidence))
    matches = [match for match in _NUMBER.finditer(claim) if match.group() in there]
    if not matches:
        return None
    match = rng.choice(matches)
    for _ in range(8):
        other = _another(match.group(), rng)
        if other != match.group() and other not in there:
            return claim[: match.start()] + other + claim[match.end() :]
    return None


def _another(number: str, rng: Random) -> str:
    plain = number.replace(",", "")
    if "." in plain:
        digits = len(plain.split(".")[1])
        return f"{max(0.0, float(plain) * rng.choice([0.3, 0.5, 0.7, 1.4, 2.0, 3.0])):.{digits}f}"
    value = int(plain)
    if len(plain) == 4 and value in _YEARS and "," not in number:
        return str(value + rng.choice([-1, 1]) * rng.choice([1, 2, 3, 5, 8, 10, 12, 20, 34]))
    if value <= 12:
        return str(rng.choice([other for other in range(1, 13) if other != value]))
    other = max(1, round(value * rng.choice([0.2, 0.4, 0.6, 0.8, 1.3, 1.7, 2.5, 4.0])))
    return f"{other:,}" if "," in number else str(other)


def change_name(claim: str, evidence: str, rng: Random) -> str | None:
    """The claim with a name that it shares with the evidence put in place of another, or None.

    The other name is one of the evidence that the claim does not have, of as many words.
    """
    ours = list(_NAME.finditer(claim))
    shared = [match for match in ours if match.group() in evidence]
    if not shared:
        return None
    match = rng.choice(shared)
    words = set(re.findall(r"\w+", claim.lower()))
    others = sorted(
        {
            name
            for name in _NAME.findall(evidence)
            if len(name.split()) == len(match.group().split())
            and not words & set(re.findall(r"\w+", name.lower()))
        }
    )
    if not others:
        return None
    other: str = rng.choice(others)
    return claim[: match.start()] + other + claim[match.end() :]


def negate(claim: str, evidence: str, rng: Random) -> str | None:
    """The claim with its first auxiliary verb negated, or None where it has none.

    A claim that is negated already is left alone.
    """
    match = _AUXILIARY.search(claim)
    if match is None or _NEGATED.search(claim):
        return None
    verb, *rest = match.group().split(" ", 1)
    negated = " ".join([verb, rng.choice(["not", "not", "never"]), *rest])
    return claim[: match.start()] + negated + claim[match.end() :]


EDITS: dict[str, Edit] = {"number": change_number, "name": change_name, "negation": negate}
"""The edits by name, each of claim and evidence."""


def make_false(claim: str, evidence: str, rng: Random) -> str | None:
    """A claim that the evidence supports, changed so that it refutes it, or None.

    A number is changed where there is one, or else a name, or else the claim is negated; not always
    in this order, so that each is seen.
    """
    names = list(EDITS)
    if rng.random() < 0.4:
        rng.shuffle(names)
    for name in names:
        changed = EDITS[name](claim, evidence, rng)
        if changed is not None:
            return changed
    return None
