"""Passages: exact offsets, full cover, sentence borders, and time that grows with length."""

import random
import time
from itertools import pairwise

import pytest

from factcheck.errors import UsageError
from factcheck.records import Document
from factcheck.retrieval import split_passages, split_sentences

_PARTS = [
    *"ab AB.!?\"'()[]\t,;:-1\u201c\u201d\u2018\u2019\u00e9\U0001f600\u6587\u3002\u0964\u200b\0",
    *("\n", "\r", "\r\n", "\n\n", "\u2028", "\u0085", "\u00a0", "\x1c", "\v", "\f", "\ud800"),
    *("Dr. ", "U.S. ", "...", "word ", "A sentence. ", "3.5 "),
]


def _sentences(count: int) -> str:
    return " ".join(f"Sentence number {i} says that river {i} is long." for i in range(count))


def _check(text: str, max_characters: int, overlap: int) -> None:
    passages = split_passages(Document("d", text), max_characters, overlap)
    covered = bytearray(len(text))
    for passage in passages:
        assert passage.text == text[passage.start : passage.end]
        assert passage.text == passage.text.strip() != ""
        assert len(passage.text) <= max_characters
        covered[passage.start : passage.end] = b"\1" * len(passage.text)
    for before, after in pairwise(passages):
        assert before.start < after.start
        assert before.end < after.end
    assert all(covered[i] or text[i].isspace() for i in range(len(text)))


def test_any_text_is_covered_by_passages_with_exact_offsets() -> None:
    rng = random.Random(0)
    for _ in range(1500):
        text = "".join(rng.choice(_PARTS) for _ in range(rng.randint(0, 150)))
        _check(text, rng.choice([1, 2, 7, 40, 480]), rng.randint(0, 3))


def test_long_texts_are_covered_across_the_splitter_s_windows() -> None:
    rng = random.Random(1)
    for length in (1999, 2000, 2001, 9000):
        _check(_sentences(300)[:length], 480, 1)
        _check("x" * length, 480, 1)
        _check("".join(rng.choice(_PARTS) for _ in range(length)), 480, 2)


def test_whole_sentences_are_kept_and_overlap_by_one() -> None:
    passages = split_passages(Document("d", _sentences(40)), max_characters=200)
    assert len(passages) > 5
    for passage in passages:
        assert passage.text.startswith("Sentence number")
        assert passage.text.endswith("is long.")
    for before, after in pairwise(passages):
        shared = before.text[after.start - before.start :]
        assert shared.count("Sentence") == 1


def test_without_overlap_passages_do_not_meet() -> None:
    passages = split_passages(Document("d", _sentences(40)), 200, overlap_sentences=0)
    for before, after in pairwise(passages):
        assert before.end < after.start


def test_a_short_text_is_one_passage() -> None:
    (passage,) = split_passages(Document("d", "  Only this.\n"))
    assert (passage.document_id, passage.start, passage.end) == ("d", 2, 12)


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith met Gov. Doe in Washington, D.C. on Jan. 5.",
        "The U.S. economy grew by 3.1 percent, i.e. more than before.",
        '"Why would I?" she asked.',
    ],
)
def test_abbreviations_decimals_and_quotes_do_not_end_a_sentence(text: str) -> None:
    passages = split_passages(Document("d", f"{text} Then it ended."), max_characters=len(text))
    assert [passage.text for passage in passages] == [text, "Then it ended."]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("\u662f\u7684\u3002\u5730\u9707\uff01\u771f\u7684\uff1f", 3),
        ("\u300c\u662f\u7684\u3002\u300d\u5730\u9707\u3002", 2),
        ("\u0926\u093f\u0932\u094d\u0932\u0940 \u092e\u0947\u0902\u0964 \u0915\u0932\u0964", 2),
        ("\u0647\u0644\u061f \u0646\u0639\u0645.", 2),
    ],
)
def test_the_full_stops_of_other_scripts_end_a_sentence(text: str, sentences: int) -> None:
    spans = split_sentences(text)
    assert len(spans) == sentences
    together = "".join(text[start:end] for start, end in spans)
    assert together.replace(" ", "") == text.replace(" ", "")
    passages = split_passages(Document("d", text * 40), 30, 0)
    assert all(passage.text[-1] in "\u3002\uff01\uff1f\u300d\u0964\u061f." for passage in passages)


def test_a_wrapped_line_does_not_end_a_sentence_and_a_blank_line_does() -> None:
    text = "A headline without a stop\r\n\r\nThe sentence goes on\r\nin the next line."
    passages = split_passages(Document("d", text), max_characters=42)
    assert [passage.text for passage in passages] == [
        "A headline without a stop",
        "The sentence goes on\r\nin the next line.",
    ]


def test_a_long_sentence_is_cut_at_white_space_or_else_anywhere() -> None:
    words = split_passages(Document("d", "word " * 50), max_characters=24, overlap_sentences=0)
    assert {passage.text for passage in words} == {"word word word word word"[:24]}
    solid = split_passages(Document("d", "x" * 50), max_characters=24, overlap_sentences=0)
    assert [len(passage.text) for passage in solid] == [24, 24, 2]


def test_white_space_alone_has_no_passage() -> None:
    assert split_passages(Document("d", " \n\u00a0\t")) == []
    assert split_passages(Document("d", "")) == []


@pytest.mark.parametrize(("max_characters", "overlap"), [(0, 1), (480, -1)])
def test_settings_out_of_range_are_refused(max_characters: int, overlap: int) -> None:
    with pytest.raises(UsageError, match="cannot be"):
        split_passages(Document("d", "Text."), max_characters, overlap)


@pytest.mark.parametrize(
    "unit", ["!", "a\n\n", '."', "U.S. ", "a" + "\n" * 1900, "\u201ca.\u201d "]
)
def test_time_grows_with_length_whatever_the_text(unit: str) -> None:
    """Bare, the splitter takes minutes for 100,000 of some of these."""
    text = (unit * (100_000 // len(unit) + 1))[:100_000]
    split_passages(Document("d", "Warm."))
    start = time.process_time()
    split_passages(Document("d", text))
    assert time.process_time() - start < 5
