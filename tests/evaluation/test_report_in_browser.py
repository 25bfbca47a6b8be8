"""The report in Chromium: it fits, asks for nothing, shows its pictures, and its filters filter."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from factcheck.records import Label
from tests.evaluation.conftest import HOSTILE, Run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")

DESKTOP, PHONE = (1280, 800), (390, 844)


@dataclass
class Opened:
    """A report in a browser.

    Attributes:
        page: The page.
        requests: Addresses that were asked for.
        complaints: What was written on the console, and errors of scripts.
    """

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def shown(self) -> list[tuple[str, str]]:
        """True label and label given of each row that is to be seen."""
        found = self.page.evaluate(
            """Array.from(document.querySelectorAll(".card"))
                 .filter((card) => card.checkVisibility())
                 .map((card) => [card.dataset.true, card.dataset.given])"""
        )
        return [(true, given) for true, given in found]

    @property
    def count(self) -> str:
        """How many rows the page says it shows."""
        return self.page.locator("#count").inner_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--no-first-run",
            ],
        )
        yield started
        started.close()


def look(
    browser: Browser, report: Path, size: tuple[int, int] = DESKTOP, **options: Any
) -> Iterator[Opened]:
    """Open a report in a fresh context."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
    opened = Opened(context.new_page())
    opened.page.on("request", lambda request: opened.requests.append(request.url))
    opened.page.on("console", lambda message: opened.complaints.append(message.text))
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.page.goto(report.as_uri())
    yield opened
    context.close()


@pytest.fixture
def opened(browser: Browser, hostile_run: Run) -> Iterator[Opened]:
    yield from look(browser, hostile_run.report)


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def sized(browser: Browser, hostile_run: Run, request: pytest.FixtureRequest) -> Iterator[Opened]:
    yield from look(browser, hostile_run.report, request.param)


def test_it_fits_and_asks_for_nothing(sized: Opened, hostile_run: Run) -> None:
    page = sized.page
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # What is too wide scrolls inside its own box and nothing is cut off beside it.
    assert page.evaluate(
        """Array.from(document.querySelectorAll("main *, header *"))
             .filter((one) => !one.closest(".scroll"))
             .every((one) => one.getBoundingClientRect().right <= innerWidth + 1)"""
    )
    assert [url for url in sized.requests if not url.startswith("data:")] == [
        hostile_run.report.as_uri()
    ]
    assert sized.complaints == []


def test_a_request_would_be_noticed_and_is_forbidden(opened: Opened) -> None:
    outcome = opened.page.evaluate(
        "fetch('https://example.org/').then(() => 'fetched', () => 'refused')"
    )
    assert outcome == "refused"
    assert any("Content Security Policy" in complaint for complaint in opened.complaints)


def test_pictures_are_there(opened: Opened) -> None:
    widths = opened.page.evaluate(
        """Promise.all(Array.from(document.images, (one) =>
             one.decode().then(() => one.naturalWidth)))"""
    )
    assert len(widths) == 78
    assert min(widths) > 0


def test_hostile_text_is_shown_as_text(opened: Opened) -> None:
    card = opened.page.locator("#row-1")
    assert card.locator(".claim").inner_text() == " ".join(HOSTILE.split())
    card.locator("summary").click()
    assert card.locator("dd").first.inner_text() == " ".join(HOSTILE.split())
    assert opened.page.evaluate("'broken' in window") is False
    assert opened.complaints == []


def test_filters(opened: Opened, hostile_run: Run) -> None:
    pairs = [
        (str(row.label), str(verdict.label))
        for row, verdict in zip(hostile_run.rows, hostile_run.verdicts, strict=True)
    ]
    page = opened.page
    assert sorted(opened.shown) == sorted(pairs)
    assert opened.count == "Showing 40 of the 40 rows in this file"

    page.get_by_label("True label").select_option("Refute")
    of_refute = sorted(pair for pair in pairs if pair[0] == "Refute")
    assert len(of_refute) == 8
    assert sorted(opened.shown) == of_refute
    assert opened.count == "Showing 8 of the 40 rows in this file"

    page.get_by_role("button", name="Show all").click()
    assert len(opened.shown) == 40
    page.get_by_label("Only wrong ones").check()
    wrong = sorted(pair for pair in pairs if pair[0] != pair[1])
    assert 0 < len(wrong) < 40
    assert sorted(opened.shown) == wrong

    given = wrong[0][1]
    page.get_by_label("Label given").select_option(given)
    assert sorted(opened.shown) == [pair for pair in wrong if pair[1] == given]

    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Words in the texts").fill("  WINDOW.broken ")
    assert opened.shown == [pairs[1]]
    assert opened.count == "Showing 1 of the 40 rows in this file"
    page.get_by_label("Words in the texts").fill("nowhere to be found")
    assert opened.shown == []
    assert page.get_by_text("None of the rows in this file is like that.").is_visible()
    page.keyboard.press("Enter")
    assert opened.complaints == []


def test_a_cell_filters(sized: Opened, hostile_run: Run) -> None:
    page = sized.page
    page.get_by_label("Words in the texts").fill("nowhere to be found")
    cell = page.locator(".confusion .wrong a").first
    wanted = (cell.get_attribute("data-true"), cell.get_attribute("data-given"))
    count = hostile_run.metrics["confusion"][list(Label).index(Label(wanted[0]))][
        list(Label).index(Label(wanted[1]))
    ]
    assert cell.locator("b").inner_text() == str(count)
    # By the keyboard; what is focused next says what has happened.
    cell.press("Enter")
    assert sized.shown == [wanted] * count
    assert sized.count == f"Showing {count} of the 40 rows in this file"
    assert page.evaluate("document.activeElement.id") == "count"
    assert page.get_by_label("True label").input_value() == wanted[0]
    assert page.locator("#count").bounding_box()["y"] < page.viewport_size["height"]


def test_without_a_script_it_is_a_list(browser: Browser, hostile_run: Run) -> None:
    for opened in look(browser, hostile_run.report, java_script_enabled=False):
        page = opened.page
        assert len(opened.shown) == 40
        assert not page.locator("#filter").is_visible()
        cell = page.locator(".confusion .wrong a").first
        target = page.locator(cell.get_attribute("href"))
        assert target.get_attribute("data-given") == cell.get_attribute("data-given")
        cell.click()
        assert page.url.endswith(cell.get_attribute("href"))
        passages = target.locator("details dl")
        assert not passages.is_visible()
        target.locator("summary").click()
        assert passages.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_there_is_enough_contrast(browser: Browser, hostile_run: Run, scheme: str) -> None:
    """4.5 to 1 between a text and what is behind it (WCAG 2.2, 1.4.3), wherever there is text."""
    for opened in look(browser, hostile_run.report, color_scheme=scheme):
        found = opened.page.evaluate(_CONTRASTS)
        assert len(found) > 10
        assert min(found.values()) >= 4.5, found
        dark = opened.page.evaluate(
            "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every((c) => c < 60)"
        )
        assert dark == (scheme == "dark")


# Colours are painted on a canvas, which makes of any notation what is seen.
_CONTRASTS = """() => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  const luminance = (layers) => {
    brush.clearRect(0, 0, 1, 1);
    for (const layer of layers) { brush.fillStyle = layer; brush.fillRect(0, 0, 1, 1); }
    const [r, g, b] = Array.from(brush.getImageData(0, 0, 1, 1).data, (level) => {
      const part = level / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = {};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || parent.closest("script, title")) continue;
    const layers = [];
    for (let at = parent; at; at = at.parentElement) {
      layers.unshift(getComputedStyle(at).backgroundColor);
    }
    const style = getComputedStyle(parent);
    const ink = parent.closest("svg") ? style.fill : style.color;
    const pair = [luminance(layers), luminance([...layers, ink])].sort((a, b) => b - a);
    const name = `${layers.filter((one) => one !== "rgba(0, 0, 0, 0)").join(" ")} ${ink}`;
    found[name] = (pair[0] + 0.05) / (pair[1] + 0.05);
  }
  return found;
}"""
