import pytest

from factcheck.datasets.boilerplate import clean_text, find_boilerplate

ARTICLE = "The bridge over the river was closed on Monday. Engineers had found cracks."

MENU = "Sep 08, 2021-Wednesday\n-° \n Metro cities - \n Delhi \n Mumbai \n Chennai \n"


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("head", MENU, ""),
        ("head", "Sep 08, 2021-Wednesday - ", ""),
        ("newsletter", "", " Subscribe to our newsletter."),
        ("newsletter", "Sign up for our daily email alerts now!\n", ""),
        ("newsletter", "", "\nGet the day's top stories delivered straight to your inbox."),
        ("follow", "", " Follow us on Twitter."),
        ("follow", "", "\nClick here to watch the video."),
        ("follow", "", "\nShare on Facebook"),
        ("follow", "Download the NDTV app for more\n", ""),
        ("pointer", "", "\nALSO READ: Ten dead in fire"),
        ("pointer", "", " Read more."),
        ("pointer", "", "\nStory continues below this ad\n"),
        ("pointer", "Advertisement\n", ""),
        ("page", "", " All rights reserved."),
        ("page", "Updated: Sep 8, 2021 10:20 IST\n", ""),
        ("page", "", " (Reporting by A. Smith; Editing by B. Jones)"),
        ("page", "", "\nWe use cookies to give you the best experience."),
        ("page", "4 min read\n", ""),
        ("link", "", " https://t.co/abcDEF1234"),
        ("link", "", " pic.twitter.com/xyz987"),
        ("markup", "<p>", "</p>"),
    ],
)
def test_each_kind_is_taken_out_and_named(kind, before, after):
    text = before + ARTICLE + after
    assert clean_text(text) == ARTICLE
    assert {piece.kind for piece in find_boilerplate(text)} == {kind}


@pytest.mark.parametrize(
    "text",
    [
        ARTICLE,
        "He subscribed to a newsletter in May, officials said.",
        "Like our ancestors, we eat bread. Register to vote today.",
        "They follow us everywhere, she said.",
        "The report was updated on 4 May 2020 after officials had complained about its first page.",
        "Reporters read: the figures were wrong, and more is to come from the ministry tomorrow.",
        "Prices rose by 5 < 6 per cent, and 7 > 6.",
        "First line.\n\nSecond paragraph.",
        "See https://www.example.org/article for the text.",
    ],
)
def test_what_somebody_wrote_stays(text):
    assert clean_text(text) == text
    assert find_boilerplate(text) == []


def test_lines_stay_apart_where_one_between_them_goes():
    assert clean_text("One came.\nAdvertisement\nTwo went.") == "One came.\nTwo went."


def test_character_references_and_invisible_characters_are_read():
    assert clean_text("Smith &amp; Sons\u200b said &quot;no&quot;") == 'Smith & Sons said "no"'


@pytest.mark.parametrize("text", ["Subscribe now", "ALSO READ: Ten dead in fire", " \n"])
def test_a_text_that_is_nothing_else_stays_whole(text):
    assert clean_text(text) == text.strip()
    assert find_boilerplate(text) == []


def test_a_long_text_takes_time_in_proportion():
    import time

    def seconds(text):
        began = time.process_time()
        clean_text(text)
        return time.process_time() - began

    # A pattern that backtracks from every place would take a hundred times as long.
    once = seconds("subscribe updated: 1 read see <a " * 2_000)
    tenfold = seconds("subscribe updated: 1 read see <a " * 20_000)
    assert tenfold < 60 * max(once, 0.01)


RUNS = (
    " ",
    "\t",
    "\n",
    "\r",
    "\u00a0",
    "\u2003",
    " \n",
    ": ",
    "- ",
    "9",
    "x",
    ".",
    "<",
    "<a ",
    "&",
    "&#1",
)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(
    "before",
    [
        "a",
        "Updated",
        "Published on",
        "Copyright",
        "Read",
        "Also",
        "Get it to",
        "Subscribe",
        "Follow us on",
        "Share on",
        "Sep 08, 2021 -",
        "Sep 08, 2021-Wednesday Metro",
        "Sep 08, 2021-Wednesday Metro cities",
        "(reporting",
        "4 min",
    ],
)
def test_a_run_of_anything_is_passed_in_one_go(before, run):
    # What takes the square of its length would take minutes for this.
    text = before + run * (100_000 // len(run)) + "x"
    assert clean_text(text).endswith("x")


def test_a_reference_to_no_character_is_one_replacement_character():
    for digits in ("1" * 40, "1" * 5000, "x" + "f" * 40, "X" + "0" * 5000):
        assert clean_text(f"It is &#{digits}; here &amp; there.") == "It is \ufffd here & there."


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("One. \n \t\n Two.", "One. \n \t\n Two."),
        ("One.\r\nAdvertisement\r\nTwo.", "One.\r\nTwo."),
        ("One.  \n\u00a0Advertisement \x0b\n Two.", "One.  \n\u00a0Two."),
        ("One.\nUpdated :  : Sep 8, 2021\nTwo.", "One.\nTwo."),
        ("One.\nCopyright  (c)  2021 A\nTwo.", "One.\nTwo."),
        ("One.\nCopyright\u00a02021\nTwo.", "One.\nTwo."),
    ],
)
def test_white_space_of_every_kind_parts_lines_and_words(text, left):
    assert clean_text(text) == left
