"""What counts once: copies of articles, but not what was altered in them."""

import time
from collections.abc import Sequence

import pytest

from factcheck.retrieval.distinct import first_of_each, same_article, sketch

PARTS = (
    "The ferry Aurora sank off the northern coast in the early hours of Monday, the coast guard "
    "said. Rescue boats from three ports searched through the night, and two helicopters came from "
    "the capital. The sea had been calm when the ship left the harbour.",
    "The Aurora was built in a yard on the Baltic and came to the line when its older sister was "
    "scrapped. It had been lengthened once and its engines were replaced after a fire in port.",
    "Hospitals in the region have been told to prepare beds. Officials said in the evening that 12 "
    "people are dead and that 40 had been brought ashore, many of them suffering from cold.",
    "Unions of seafarers had warned of old engines and of crews that are too small for such ships. "
    "The minister promised a law that would make a second officer compulsory at night.",
)
ARTICLE = " ".join(PARTS)


def kept(passages: Sequence[tuple[str, str]], texts: dict[str, str]) -> dict[int, list[int]]:
    sketches = {document_id: sketch(text) for document_id, text in texts.items()}
    ids = [document_id for document_id, _ in passages]
    return first_of_each(
        ids, [text for _, text in passages], [sketches[one] for one in ids], texts.__getitem__
    )


@pytest.mark.parametrize(
    ("part", "was", "now"),
    [
        (2, "that 12 people", "that 112 people"),
        (2, "12 people are", "people are"),
        (0, "had been calm", "had not been calm"),
        (0, "had been calm", "hadn't been calm"),
        (2, "12 people are dead and that 40", "40 people are dead and that 12"),
        (0, "northern coast", "southern coast"),
        (0, "The ferry Aurora sank", "It is untrue that the ferry Aurora sank"),
        (0, "the coast guard said", "the coast guard denied"),
        (2, "many of them suffering", "none of them suffering"),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_what_was_altered_in_a_copy_is_shown(part: int, was: str, now: str, reverse: bool) -> None:
    one, other = ARTICLE, ARTICLE.replace(was, now)
    there, here = (PARTS[part], PARTS[part].replace(was, now))
    if reverse:
        one, other, there, here = other, one, here, there
    assert one != other
    assert same_article(sketch(one), sketch(other))
    texts = {"article": one, "altered": other}
    # Before the passage that it was made of, after it, and without it.
    lead = ("article", PARTS[1])
    assert kept([lead, ("altered", here), ("article", there)], texts) == {0: [], 1: [], 2: []}
    assert kept([lead, ("article", there), ("altered", here)], texts) == {0: [], 1: [], 2: []}
    assert kept([lead, ("altered", here)], texts) == {0: [], 1: []}
    # What was not altered repeats the article.
    assert kept([lead, ("altered", PARTS[3]), ("altered", here)], texts) == {0: [1], 2: []}


def test_a_copy_repeats_the_article_wherever_its_passages_begin() -> None:
    copied = f"BERGEN (Agency) - {ARTICLE} All rights reserved."
    texts = {"article": ARTICLE, "copy": copied}
    lead = ("article", PARTS[1])
    moved = ARTICLE[ARTICLE.index("The sea") : ARTICLE.index(" Officials")]
    # A word more or less that is no detail is no alteration.
    touched = PARTS[2].replace("in the evening", "late in the evening")
    assert kept([lead, ("copy", moved), ("copy", PARTS[2]), ("copy", touched)], texts) == {
        0: [1, 2, 3]
    }
    # Nor is what stands in a copy alone a repetition.
    # Where it was cut off in the middle of a sentence it is a copy still.
    middle = PARTS[2].removeprefix("Hospitals in the region ").removesuffix(" from cold.")
    assert kept([lead, ("copy", middle)], texts) == {0: [1]}
    alone = "The wreck lies at a depth that divers can reach, says the owner of a salvage company."
    assert kept([lead, ("copy", alone)], texts) == {0: [], 1: []}


def test_details_in_another_order_are_other_details() -> None:
    one = "After the fire in the old theatre of Marn officials spoke of 12 dead and of 40 saved."
    other = one.replace("12", "x").replace("40", "12").replace("x", "40")
    texts = {"one": one, "other": other}
    assert kept([("one", one), ("other", other), ("one", one)], texts) == {0: [2], 1: []}


@pytest.mark.parametrize(
    "text",
    [
        "Breaking",
        "政府は月曜日に新しい予算案を承認すると発表した",
        "รัฐบาลอนุมัติงบประมาณใหม่",
        "12",
    ],
)
def test_equal_passages_of_one_word_count_once(text: str) -> None:
    texts = {"one": text, "other": f" {text}.", "third": text}
    assert kept(list(texts.items()), texts) == {0: [1, 2]}
    assert kept([("one", text), ("other", f"{text} not")], texts) == {0: [], 1: []}


def test_of_passages_without_words_only_equal_ones_count_once() -> None:
    texts = {"one": "+++", "other": "***", "third": "+++"}
    assert kept(list(texts.items()), texts) == {0: [2], 1: []}


def test_hostile_passages_take_no_time() -> None:
    repeated = "a b " * 20_000
    mixed = "a1" * 20_000
    texts = {"one": f"{ARTICLE} {repeated} {mixed}", "copy": f"{ARTICLE} {repeated} {mixed}."}
    start = time.perf_counter()
    passages = [("one", PARTS[0]), ("copy", repeated), ("copy", mixed), ("copy", PARTS[1])]
    found = kept(passages, texts)
    assert 0 in found
    assert time.perf_counter() - start < 10


def test_many_passages_that_are_altered_a_little_take_no_time() -> None:
    words = list("abcdefghijklmnopqrst") * 18
    varied = [" ".join([*words[:place], f"x{'y' * place}", *words[place:]]) for place in range(100)]
    texts = {str(place): text for place, text in enumerate(varied)}
    start = time.perf_counter()
    assert len(kept(list(texts.items()), texts)) == 100
    assert time.perf_counter() - start < 20
