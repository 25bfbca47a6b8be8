"""What scraping leaves in texts that nobody wrote as a part of them.

Articles of Factify 2 were scraped, and bring menus, calls to subscribe and notes of the web page
with them; claims are posts, and end in shortened links. Such text says nothing of the claim, but it
fills passages, makes unrelated documents look alike, and gives away where a row is from.

A text is cut into lines and sentences, and a sentence goes when it is boilerplate as a whole:
a sentence of an article that only mentions a subscription stays. Each kind has its own pattern
below, and its own test.

Texts are strangers', and no pattern may take time that grows with the square of a run: white space
is taken whole and never given back (`*+`), and is entered at its beginning alone (`(?<!...)`).
"""

import html
import re
from collections.abc import Sequence
from typing import NamedTuple

_WEEKDAY = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_CITIES = "|".join(
    "agra ahmedabad bangalore bengaluru bhopal chandigarh chennai delhi gurgaon hyderabad indore "
    "jaipur kanpur kochi kolkata lucknow mumbai nagpur noida patna pune ranchi surat".split()
)

_HEAD = re.compile(
    # "Sep 08, 2021-Wednesday -° Metro cities - Delhi Mumbai ...": date, weather and menu of a page.
    rf"\A\W*+[A-Za-z]{{3,9}}\.? \d{{1,2}}, \d{{4}}\s*-\s*{_WEEKDAY}\b"
    rf"(?:.{{0,80}}?Metro\s+cities\s*-?(?:[\s,-]*\b(?:{_CITIES})\b)*)?[\s,-]*",
    re.IGNORECASE | re.DOTALL,
)

_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\u00ad]")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,300}>")
_SHORT_LINK = re.compile(
    r"(?:https?://)?\b(?:t\.co|bit\.ly|ow\.ly|buff\.ly|dlvr\.it|tinyurl\.com)/\w+"
    r"|\bpic\.twitter\.com/\w+",
    re.IGNORECASE,
)

# "ALSO READ: Ten dead in ...": on a line of its own the other article's headline goes with it.
_POINTER_LINE = re.compile(
    r"^[^\S\n]*(?:(?:also|must)\s+)?(?:read|watch|see)(?:\s+(?:also|more|next))?\s*[:|][^\n]{1,200}$",
    re.IGNORECASE | re.MULTILINE,
)

# "(Reporting by A. Smith; Editing by B. Jones)"
_CREDITS = re.compile(
    r"\((?:(?:additional\s+)?reporting|writing|editing|with\s+inputs?)\s+(?:by|from)\b[^()\n]{0,200}\)",
    re.IGNORECASE,
)

_LINE_BREAK = re.compile(r"((?<!\s)[^\S\n]*+\n\s*+)")
# A sentence ends at its mark; abbreviations do not matter, as only whole pieces are thrown away.
_SENTENCE_BREAK = re.compile(r"((?<=[.!?…:|])[ \t]++)")

_KINDS = {
    "newsletter": r"""
        (?:please\s+)?(?:subscribe|sign\s+up)\b.{0,60}
        \b(?:newsletters?|channel|updates|alerts|emails?|inbox|free|now|today|here)
        |(?:get|receive)\b.{0,80}\b(?:in|to)\s+your\s+inbox.{0,30}
        |by\s+(?:signing\s+up|subscribing).{0,160}
    """,
    "follow": r"""
        (?:you\s+can\s+)?(?:also\s+)?(?:follow|like|join|find|connect\s+with)\s+us\s+(?:on|at|via)\b.{0,60}
        |(?:click|tap)\s+here\s+to\b.{0,120}
        |download\s+(?:the|our)\b.{0,60}\bapp\b.{0,60}
        |share\s+(?:this\s+(?:article|story|post|page|video)|on\s+\w+|via\s+\w+).{0,30}
    """,
    "pointer": r"""
        (?:also\s+|must\s+)?(?:read|watch|see)(?:\s+(?:also|more|next))?\s*[:|]
        |(?:read|see)\s+(?:more|the\s+full\s+(?:story|article)(?:\s+here)?|all\s+comments)
        |(?:related|recommended|trending|most\s+read)(?:\s+(?:articles?|stories|news|topics|now))?\s*:?
        |story\s+continues(?:\s+below(?:\s+this\s+ad(?:vertisement)?)?)?
        |advertisements?|sponsored(?:\s+content)?|promoted
    """,
    "page": r"""
        (?:all\s+rights\s+reserved|copyright\s*+(?:©|\(c\))?+\s*+\d{4}|©\s*\d{4})\b.{0,120}
        |(?:we|this\s+(?:web)?site)\s+uses?\s+cookies\b.{0,160}
        |(?:please\s+)?(?:enable|turn\s+on)\s+javascript\b.{0,120}
        |(?:last\s+)?(?:updated|published|posted)(?:\s+(?:on|at))?\s*+:?+
            \s*+[\w ,:+|-]{0,16}\d[\w ,:+|-]{0,40}
        |(?:reporting|writing|editing|additional\s+reporting)\s+by\b.{0,160}
        |\d+\s*(?:min(?:ute)?s?)\s+read
        |skip\s+to\s+(?:main\s+)?content
    """,
}

_KIND_OF = re.compile(
    "|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _KINDS.items()),
    re.IGNORECASE | re.VERBOSE,
)
# Python makes no number of more than some thousand digits; Unicode needs seven.
_ENDLESS_REFERENCE = re.compile(r"&#(?:[0-9]{33,}+|[xX][0-9a-fA-F]{33,}+);?")
_EDGE = " \t.!?…:|-\N{EN DASH}—•*>»[]"


class Boilerplate(NamedTuple):
    """A piece of boilerplate.

    Attributes:
        kind: `head`, `markup`, `link`, `newsletter`, `follow`, `pointer` or `page`.
        text: The piece.
    """

    kind: str
    text: str


def clean_text(text: str) -> str:
    """A text without what scraping left in it.

    Character references are read (`&amp;`), tags, invisible characters and shortened links taken
    out, and lines and sentences that are boilerplate as a whole left out. Everything else stays as
    it is, line breaks included.

    Args:
        text: As it was scraped.

    Returns:
        What is left, stripped; `text` itself, stripped, if nothing would be left.
    """
    return _divide(text)[0]


def find_boilerplate(text: str) -> list[Boilerplate]:
    """What `clean_text` takes out of a text, in order of the kinds."""
    return _divide(text)[1]


def _divide(text: str) -> tuple[str, list[Boilerplate]]:
    found: list[Boilerplate] = []

    def take_out(pattern: re.Pattern[str], kind: str, replacement: str, text: str) -> str:
        def note(match: re.Match[str]) -> str:
            found.append(Boilerplate(kind, match.group().strip()))
            return replacement

        return pattern.sub(note, text)

    rest = take_out(_HEAD, "head", "", text)
    if "&" in rest:
        # What html.unescape makes of a number that no character has.
        rest = html.unescape(_ENDLESS_REFERENCE.sub("\N{REPLACEMENT CHARACTER}", rest))
    rest = take_out(_TAG, "markup", " ", rest) if "<" in rest else rest
    rest = _INVISIBLE.sub("", rest)
    rest = take_out(_SHORT_LINK, "link", "", rest)
    rest = take_out(_POINTER_LINE, "pointer", "", rest)
    rest = take_out(_CREDITS, "page", "", rest)

    def keep(text: str, breaks: Sequence[re.Pattern[str]]) -> str:
        """What of a text is no boilerplate: it as a whole, else its lines, else its sentences."""
        kind = _kind_of(text)
        if kind is not None:
            found.append(Boilerplate(kind, text.strip()))
            return ""
        if not breaks:
            return text
        kept: list[str] = []
        pieces = breaks[0].split(text)
        # Between two pieces stands the break that parted them; it goes with the piece before it.
        for piece, gap in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
            left = keep(piece, breaks[1:])
            if left or not piece:
                kept += (left, gap)
        return "".join(kept)

    cleaned = keep(rest, (_LINE_BREAK, _SENTENCE_BREAK)).strip()
    return (cleaned, found) if cleaned else (text.strip(), [])


def _kind_of(piece: str) -> str | None:
    """What kind of boilerplate a line or sentence is as a whole; None for any other."""
    # With the mark that a pointer ends in, and without the marks around anything.
    for text in (piece.strip(), piece.strip(_EDGE)):
        match = _KIND_OF.fullmatch(text)
        if match is not None:
            return match.lastgroup
    return None
