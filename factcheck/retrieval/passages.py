"""Documents cut into overlapping passages on sentence borders, with exact offsets."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from factcheck.errors import UsageError
from factcheck.records import Document, Passage

MAX_CHARACTERS = 480
OVERLAP_SENTENCES = 1

# The sentence splitter's time grows with the square of a run of marks or line breaks. It is shown
# this many characters at a time, and never a paragraph break, so that a document's time grows
# with its length whatever it holds.
_WINDOW = 2000
_PARAGRAPH_BREAK = re.compile(r"(?>\r\n|[\r\n])[^\S\r\n]*+[\r\n]")
_SPACE = re.compile(r"\s+")
# Full stops of Chinese, Japanese, Hindi, Arabic and Urdu, which the splitter does not know.
_STOPS = re.compile(
    "[\u3002\uff01\uff1f\u0964\u0965\u061f\u06d4]+[\u300d\u300f\u201d\u2019)\uff09\u3011]*"
)


class _Span(NamedTuple):
    """Offsets of a run of characters, without white space at either end."""

    start: int
    end: int


def split_passages(
    document: Document,
    max_characters: int = MAX_CHARACTERS,
    overlap_sentences: int = OVERLAP_SENTENCES,
) -> list[Passage]:
    """Cut a document into passages of whole sentences.

    A sentence longer than a passage may be is cut at white space, or anywhere if it has none.
    Passages overlap, so that two sentences that explain each other are together in one of them.

    Args:
        document: What to cut.
        max_characters: Longest passage; at least 1.
        overlap_sentences: Sentences that a passage repeats of the one before, as far as they fit.

    Returns:
        Passages in order, with `document.text[p.start:p.end] == p.text`. Each character that is not
        white space is in at least one; none begins or ends with white space. A text of nothing but
        white space has none.

    Raises:
        UsageError: `max_characters` or `overlap_sentences` is out of range.
    """
    if max_characters < 1 or overlap_sentences < 0:
        raise UsageError(
            f"a passage of {max_characters} characters with an overlap of {overlap_sentences} "
            "sentences cannot be: at least 1 character and 0 sentences are needed"
        )
    text = document.text
    pieces = [
        piece for sentence in _sentences(text) for piece in _pieces(text, sentence, max_characters)
    ]
    passages = []
    first = 0
    while first < len(pieces):
        start = pieces[first].start
        after = first + 1
        while after < len(pieces) and pieces[after].end - start <= max_characters:
            after += 1
        end = pieces[after - 1].end
        passages.append(Passage(document.id, start, end, text[start:end]))
        first = after
        # The next sentence did not fit behind `start`, so what it fits behind lies further on: each
        # passage begins after the one before it.
        for overlap in range(min(overlap_sentences, after), 0, -1):
            if after < len(pieces) and (
                pieces[after].end - pieces[after - overlap].start <= max_characters
            ):
                first = after - overlap
                break
    return passages


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Where the sentences of a text begin and end, as `split_passages` sees them.

    Returns:
        Offsets of the first character and one past the last, in order. Together they hold all of
        the text but white space; a text of nothing but white space has none.
    """
    return [(span.start, span.end) for span in _sentences(text) if span.end > span.start]


def _sentences(text: str) -> Iterator[_Span]:
    """The sentences of a text, which together hold all of it but white space."""
    from nupunkt import sentence_spans

    position = _skip_space(text, 0)
    while position < len(text):
        pause = _PARAGRAPH_BREAK.search(text, position, position + _WINDOW)
        end = pause.start() if pause else min(position + _WINDOW, len(text))
        starts = [position + start for start, _ in sentence_spans(text[position:end])]
        starts[:1] = [position]
        if pause is None and end < len(text):
            # The last sentence goes on behind the window: it is left to the next one, or cut here
            # when it is all there is.
            end = starts.pop() if len(starts) > 1 else _last_space(text, position, end)
        for start, following in zip(starts, [*starts[1:], end], strict=True):
            for stop in _STOPS.finditer(text, start, following):
                yield _tight(text, start, stop.end())
                start = _skip_space(text, stop.end())
            if start < following:
                yield _tight(text, start, following)
        position = _skip_space(text, end)


def _pieces(text: str, sentence: _Span, longest: int) -> Iterator[_Span]:
    """A sentence in pieces of at most `longest` characters."""
    start = sentence.start
    while sentence.end - start > longest:
        # A space just behind the limit lets the whole limit be used.
        end = _last_space(text, start, start + longest + 1)
        end = min(end, start + longest)
        yield _tight(text, start, end)
        start = _skip_space(text, end)
    if start < sentence.end:
        yield _Span(start, sentence.end)


def _last_space(text: str, start: int, end: int) -> int:
    """Offset of the last white space in a run that begins with none; its end if it has none."""
    for i in range(end - 1, start, -1):
        if text[i].isspace():
            return i
    return end


def _skip_space(text: str, position: int) -> int:
    """Offset of the first character from `position` on that is not white space."""
    space = _SPACE.match(text, position)
    return space.end() if space else position


def _tight(text: str, start: int, end: int) -> _Span:
    """The span without white space at its end."""
    while end > start and text[end - 1].isspace():
        end -= 1
    return _Span(start, end)
