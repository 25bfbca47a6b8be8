"""The words of a text: the same however it is written, and some in every script."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from factcheck.records import Document
from factcheck.retrieval import EvidenceIndex
from factcheck.retrieval.words import words_of
from tests import stand_ins


def words(text: str) -> list[str]:
    [found] = words_of([text])
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "Beyoncé in Zürich, São Paulo",
            unicodedata.normalize("NFD", "Beyoncé in Zürich, São Paulo"),
        ),
        ("Beyoncé in Zürich, São Paulo", "BEYONCE IN ZURICH, SAO PAULO"),
        ("the finance of NATO", "the \ufb01nance of \uff2e\uff21\uff34\uff2f"),
        ("Straße des Friedens", "STRASSE DES FRIEDENS"),
        ("the international treaty", "the inter\u00adna\u00adtional trea\u2060ty"),
        ("the \u2764\ufe0f heart charity", "the \u2764 heart char\u200dity"),
        ("two words", "two\u200bwords"),
        ("محمد رسول كتاب", "مُحَمَّدٌ رَسُولُ كِتَـــاب"),
        ("שלום עולם", "שָׁלוֹם עוֹלָם"),
        ("パリの写真", "ﾊﾟﾘの写真"),
    ],
)
def test_a_name_is_found_however_its_characters_are_written(one: str, other: str) -> None:
    assert one != other
    assert words(one) == words(other)
    assert len(words(one)) >= 2


@pytest.mark.parametrize(
    "text",
    [
        "हिन्दी भाषा में समाचार",
        "বাংলা ভাষা সংবাদ",
        "தமிழ் மொழி செய்தி",
        "ёлка й москва",
    ],
)
def test_the_marks_of_a_script_do_not_part_its_words(text: str) -> None:
    assert words(text) == [word for word in text.split() if len(word) > 1]


def test_what_is_written_without_spaces_is_found_by_pairs() -> None:
    assert words("艾菲尔铁塔") == ["艾菲", "菲尔", "尔铁", "铁塔"]
    assert words("塔") == ["塔"]
    assert words("2024年。iPhone手机") == ["2024", "年", "iphon", "手机"]
    assert words("アパートの中") == ["アパ", "パー", "ート", "トの", "の中"]
    # A vowel or a tone that stands above its consonant belongs to it.
    assert words("ท่วม ๒๕๖๗") == ["ท่ว", "วม", "๒๕๖๗"]
    assert set(words("ข่าวน้ำท่วมกรุงเทพ")) >= set(words("น้ำท่วม"))
    assert set(words("서울에서")) & set(words("서울은")) == {"서울"}


def test_english_is_stemmed_and_its_stop_words_do_not_count() -> None:
    assert words("The senators voted on x_y, b1 and a U.S. treaty") == (
        ["senat", "vote", "x_i", "b1", "treati"]
    )
    assert words("") == words("?! . a") == []


class _Engine:
    """Encodes nothing, for words need no vectors."""

    def passages(self, batches: Any) -> Any:
        return map(stand_ins.passages, batches)

    def pictures(self, batches: Any) -> Any:
        return (None for _ in batches)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("दिल्ली में बाढ़", "hindi"),
        ("น้ำท่วมกรุงเทพ", "thai"),
        ("فيضانات القاهرة", "arabic"),
        ("东京洪水", "japanese"),
        ("flood in Zurich", "english"),
    ],
)
def test_a_document_is_found_in_its_own_script(tmp_path: Path, query: str, wanted: str) -> None:
    documents = [
        Document("hindi", "कल दिल्ली में भारी बाढ़ आई।"),
        Document("thai", "เมื่อวานนี้เกิดน้ำท่วมในกรุงเทพมหานคร"),
        Document("arabic", "وَقَعَتْ فَيَضَانَاتٌ فِي القَاهِرَةِ أمس."),
        Document("japanese", "昨日、东京で洪水がありました。"),
        Document("english", "Yesterday the inter\u00adnational quarter of Zürich was flooded."),
    ]
    encoders = stand_ins.encoders()
    with EvidenceIndex.build(documents, tmp_path / "index", encoders, engine=_Engine()) as index:
        found = index.by_words(words(query), 5)
        [first] = index.passages_at([found[0][0]]).values()
    assert first.passage.document_id == wanted
