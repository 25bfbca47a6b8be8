"""The report as a file: what it holds, which rows, and that strangers' texts stay texts."""

import io
import re
from base64 import b64decode
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from factcheck.evaluation.evaluate import score
from factcheck.evaluation.report import write_report
from factcheck.evaluation.report_rows import MAX_ROWS, SIDE, choose_rows, thumbnail
from factcheck.records import LABELS, Evidence, Label, TextRelation, Verdict
from tests.evaluation.conftest import HOSTILE, Run


class _Page(HTMLParser):
    """Tags of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("td", "th"):
            self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, name: str, of: str | None = None) -> list[dict[str, str | None]]:
        return [
            attributes
            for tag, attributes in self.tags
            if tag == name and (of is None or of in (attributes.get("class") or "").split())
        ]


@pytest.fixture(scope="module")
def page(hostile_run: Run) -> _Page:
    return _Page(hostile_run.report.read_text())


def test_scores_and_hashes(page: _Page, hostile_run: Run) -> None:
    metrics = hostile_run.metrics
    text = " ".join(page.text.split())
    low, high = metrics["weighted_f1_interval"]
    score = f"{metrics['weighted_f1']:.4f} {low:.4f} to {high:.4f}"
    assert f"weighted F1, the score of Factify 2 {score}" in text
    for label in LABELS:
        assert f"{metrics['f1'][label]:.4f} {metrics['leaderboard_columns'][label]:.4f}" in text
    for fact in (metrics["model"], metrics["data"]["csv_sha256"], "words of the claim"):
        assert fact in text
    assert f"In this file are 40 of 40 rows: {40 - round(40 * metrics['accuracy'])} of" in text


def test_cells_lead_to_rows_in_them(page: _Page, hostile_run: Run) -> None:
    cards = {card["id"]: card for card in page.all("article", "card")}
    cells = [link for link in page.all("a") if "data-true" in link]
    assert len(cells) == np.count_nonzero(hostile_run.metrics["confusion"])
    for cell in cells:
        card = cards[cell["href"].removeprefix("#")]
        assert (card["data-true"], card["data-given"]) == (cell["data-true"], cell["data-given"])


def test_every_row_is_there_with_its_evidence(page: _Page, hostile_run: Run) -> None:
    cards = {card["id"]: card for card in page.all("article", "card")}
    assert len(cards) == 40
    for row, verdict in zip(hostile_run.rows, hostile_run.verdicts, strict=True):
        card = cards[f"row-{row.index}"]
        assert (card["data-true"], card["data-given"]) == (row.label, verdict.label)
        for cited in verdict.evidence.passages:
            assert cited.passage.text in page.text
            assert f"{cited.passage.document_id}, characters {cited.passage.start} to" in page.text
    wrong = [card["data-true"] != card["data-given"] for card in cards.values()]
    assert wrong == sorted(wrong, reverse=True)
    assert 0 < sum(wrong) < 40


def test_hostile_texts_are_texts(page: _Page) -> None:
    # Its claim, a passage, the texts in both pictures, its source, and that source's slice.
    assert page.text.count(HOSTILE) == 6
    assert len(page.all("script")) == 1
    assert len(page.all("article")) == 40
    assert all((image["src"] or "").startswith("data:") for image in page.all("img"))
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_nothing_outside_may_be_asked_for(page: _Page) -> None:
    (policy,) = (tag["content"] for tag in page.all("meta") if "http-equiv" in tag)
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    for _, attributes in page.tags:
        assert not re.match(r"(https?:)?//", attributes.get("src") or attributes.get("href") or "")
    # What the policy allows by its hash only.
    assert not any("style" in attributes for _, attributes in page.tags)


def test_pictures_are_small_and_missing_ones_are_said_to_be(page: _Page) -> None:
    pictures = page.all("img")
    assert len(pictures) == 78
    for picture in pictures:
        data = b64decode((picture["src"] or "").removeprefix("data:image/jpeg;base64,"))
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == "JPEG"
            assert max(image.size) <= SIDE
            assert image.size == (int(picture["width"] or 0), int(picture["height"] or 0))
        assert picture["alt"]
    assert page.text.count("no picture") == 1
    assert page.text.count("picture cannot be read") == 1


def test_the_same_run_gives_the_same_bytes(hostile_run: Run, tmp_path: Path) -> None:
    again = tmp_path / "again.html"
    write_report(again, hostile_run.metrics, hostile_run.rows, hostile_run.verdicts)
    assert again.read_bytes() == hostile_run.report.read_bytes()
    assert str(hostile_run.report.parent) not in again.read_text()


def test_one_row_without_pictures(hostile_run: Run, tmp_path: Path) -> None:
    rows, verdicts = hostile_run.rows[2:3], hostile_run.verdicts[2:3]
    metrics = {**hostile_run.metrics, **score(rows, verdicts)}
    write_report(tmp_path / "one.html", metrics, rows, verdicts)
    page = _Page((tmp_path / "one.html").read_text())
    assert len(page.all("article")) == 1
    assert "there are not two" in page.text


def test_a_long_text_is_cut(hostile_run: Run, tmp_path: Path) -> None:
    row = hostile_run.rows[0]
    rows = [replace(row, claim=replace(row.claim, text="word " * 10_000))]
    metrics = {**hostile_run.metrics, **score(rows, hostile_run.verdicts[:1])}
    write_report(tmp_path / "long.html", metrics, rows, hostile_run.verdicts[:1])
    assert 300 < _Page((tmp_path / "long.html").read_text()).text.count("word ") < 500


def _verdict(label: Label, confidence: float) -> Verdict:
    rest = (1 - confidence) / 4
    probabilities = {one: confidence if one is label else rest for one in LABELS}
    relation = dict.fromkeys(TextRelation, 1 / 3)
    return Verdict(label, probabilities, relation, None, Evidence())


def test_rare_confusions_are_not_crowded_out() -> None:
    rng = np.random.default_rng(0)
    given = rng.choice(5, size=3000, p=[0.6, 0.3, 0.06, 0.03, 0.01])
    labels = [LABELS[i % 5] for i in range(3000)]
    verdicts = [_verdict(LABELS[one], 0.3 + 0.7 * rng.random()) for one in given]
    chosen = choose_rows(labels, verdicts)
    assert len(chosen) == len(set(chosen)) == MAX_ROWS
    wrong = [labels[p] is not verdicts[p].label for p in chosen]
    assert wrong == sorted(wrong, reverse=True)
    assert sum(wrong) == MAX_ROWS - MAX_ROWS // 10
    confidence = [verdicts[p].confidence for p in chosen]
    assert confidence[: sum(wrong)] == sorted(confidence[: sum(wrong)], reverse=True)
    assert confidence[sum(wrong) :] == sorted(confidence[sum(wrong) :])
    cells = Counter((labels[p], verdicts[p].label) for p in chosen)
    everywhere = Counter((labels[p], verdicts[p].label) for p in range(3000))
    assert set(cells) == set(everywhere)
    most = max(count for (true, given), count in cells.items() if true is not given)
    for cell, count in cells.items():
        of_cell = [p for p in range(3000) if (labels[p], verdicts[p].label) == cell]
        if cell[0] is not cell[1]:
            assert count == len(of_cell) or count >= most - 1
            surest = sorted(of_cell, key=lambda p: -verdicts[p].confidence)[:count]
            assert set(surest) <= set(chosen)


def test_a_small_split_is_there_whole() -> None:
    labels = [LABELS[i % 5] for i in range(50)]
    verdicts = [_verdict(Label.REFUTE, 0.5) for _ in labels]
    assert sorted(choose_rows(labels, verdicts)) == list(range(50))
    # Where nothing is right no place is kept for right ones, and the other way round.
    assert len(choose_rows([Label.SUPPORT_TEXT] * 50, verdicts, 40)) == 40
    assert len(choose_rows([Label.REFUTE] * 50, verdicts, 40)) == 40


def test_a_thumbnail_keeps_the_shape(tmp_path: Path) -> None:
    Image.new("RGBA", (900, 300), (200, 10, 10, 0)).save(tmp_path / "wide.png")
    found = thumbnail(tmp_path / "wide.png")
    assert found is not None
    assert (found.width, found.height) == (SIDE, 67)
    assert thumbnail(tmp_path / "none.png") is None
    assert thumbnail(None) is None
