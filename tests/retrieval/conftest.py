"""One small index that the retrieval tests read, or copy to damage."""

import shutil
from pathlib import Path

import pytest

from factcheck.encoders import Encoders
from factcheck.records import Document
from factcheck.retrieval import EvidenceIndex

_TEXTS = {
    "rocket": "The rocket landed on the drone ship on Sunday. Engineers cheered at the base.",
    "coffee": "Coffee prices rose by 3.5 percent after frost in Brazil. Growers fear for the rest.",
    "cat": "A cat was rescued from a tall tree by firefighters. It was hungry but well.",
    "election": "The senator won the election by two points. Turnout was the highest in decades.",
    "river": "The river flooded the old town after days of rain. Two bridges were closed.",
    "vaccine": "The vaccine was approved for children by the regulator. Doses ship in spring.",
}


@pytest.fixture(scope="session")
def documents(photographs: Path) -> list[Document]:
    """Six documents; the first four have pictures, of which two are the same."""
    pictures = ["00.jpg", "01.png", "02.jpg", "00.jpg"]
    images = [*(photographs / name for name in pictures), None, None]
    return [
        Document(
            id,
            text,
            title=f"On the {id}",
            url=f"https://news.example/{id}",
            date="2024-05-01",
            image=image,
        )
        for (id, text), image in zip(_TEXTS.items(), images, strict=True)
    ]


@pytest.fixture(scope="session")
def built(
    documents: list[Document], encoders: Encoders, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of an index of `documents`, to be read only."""
    folder = tmp_path_factory.mktemp("index") / "news.index"
    EvidenceIndex.build(documents, folder, encoders).close()
    return folder


@pytest.fixture
def index(built: Path, encoders: Encoders) -> EvidenceIndex:
    """The index of `documents`, open."""
    return EvidenceIndex.open(built, encoders)


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    """A copy of the index's folder, to do with as one likes."""
    return Path(shutil.copytree(built, tmp_path / "copy.index"))
