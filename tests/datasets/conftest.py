"""Small text pairs and photographs, made up here: the data folder may be absent."""

import gzip
import json
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from factcheck.datasets.compose_settings import ComposeSettings

SETTINGS = {
    "text": ["text/pairs.jsonl.gz"],
    "photographs": ["photos"],
    "rows": {"train": 60, "val": 20, "test": 20},
    "text_shares": {"train": [0.0, 0.6], "val": [0.6, 0.8], "test": [0.8, 1.0]},
    "photograph_shares": {"train": [0.0, 0.5], "val": [0.5, 0.75], "test": [0.75, 1.0]},
    "sources": {
        "articles": {"members": ["articles"], "weight": 2},
        "claims": {"members": ["claims-a", "claims-b"], "weight": 2},
        "sentences": {"members": ["sentences"], "weight": 1, "sentence_pairs": True},
    },
    "missing_image": 0.2,
    "caption": 0.5,
    "workers": 1,
}


def word(rng: Random) -> str:
    return "".join(rng.choice("bdfgklmnprst") + rng.choice("aeiou") for _ in range(3))


def text_rows() -> list[dict[str, object]]:
    """Three sources: whole articles, claims that are never left open, and sentence pairs."""
    rng = Random(7)
    topics = [[word(rng) for _ in range(12)] for _ in range(12)]

    def sentence(topic: list[str], length: int) -> str:
        words = [rng.choice(topic) if rng.random() < 0.4 else word(rng) for _ in range(length)]
        return " ".join(words).capitalize() + "."

    rows: list[dict[str, object]] = []

    def add(source: str, claim: str, evidence: list[str], relation: str, unit: str) -> None:
        rows.append(
            {
                "id": f"{source}-{len(rows)}",
                "source": source,
                "claim": claim,
                "evidence": evidence,
                "relation": relation,
                "unit": unit,
            }
        )

    for number in range(330):
        topic = topics[number % len(topics)]
        relation = ("support", "insufficient", "refute")[number % 3]
        article = [sentence(topic, 12) for _ in range(8)]
        add("articles", sentence(topic, 6), article, relation, "document")
        side = "claims-a" if number % 2 else "claims-b"
        truth = "support" if number % 3 else "refute"
        add(side, sentence(topic, 6), [sentence(topic, 15)], truth, "passage")
        if number % 3 == 0:
            shared = sentence(topic, 9)
            for each in ("support", "insufficient", "refute"):
                add("sentences", sentence(topic, 5), [shared], each, "sentence")
    return rows


def texture(seed: int) -> Image.Image:
    """Coloured noise of several scales, unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((72, 96, 3))
    for side, weight in ((3, 1.0), (8, 0.6), (24, 0.3)):
        patch = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        picture += weight * np.asarray(patch.resize((96, 72), Image.Resampling.BICUBIC))
    return Image.fromarray((picture / 1.9).astype(np.uint8))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with text pairs and photographs."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "text").mkdir()
    with gzip.open(folder / "text" / "pairs.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in text_rows())
    (folder / "photos").mkdir()
    for seed in range(60):
        texture(seed).save(folder / "photos" / f"{seed}.png")
    return folder


@pytest.fixture(scope="session")
def compose_settings() -> ComposeSettings:
    return ComposeSettings.model_validate(SETTINGS)
