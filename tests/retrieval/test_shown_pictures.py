"""Whether a hit's document shows the picture that was looked for, and what is said of others."""

import shutil
from pathlib import Path

import pytest

from factcheck.encoders import Encoders
from factcheck.records import Claim, Document
from factcheck.retrieval import EvidenceIndex, Hit
from factcheck.retrieval import shown_pictures as module

DEMO = Path(__file__).parents[2] / "data" / "demo"
NAMES = {
    "launch": "rocket.jpg",
    "pet": "cat.jpg",
    "record": "sprint-record.png",
    "hosts": "olympic-hosts.png",
    # Two disks and a cross have too few points to be compared by.
    "flag": "flag-of-japan.png",
}


@pytest.fixture(scope="module")
def embedded() -> Encoders:
    return Encoders.load()


@pytest.fixture
def shown(embedded: Encoders, tmp_path: Path) -> EvidenceIndex:
    """An index of five pictures that lie in `tmp_path`, by the encoder that ships."""
    documents = [
        Document(
            name, f"This is on the {name}.", image=shutil.copy(DEMO / "images" / own, tmp_path)
        )
        for name, own in NAMES.items()
    ]
    documents.append(Document("plain", "This is on the pet, too, and shows nothing."))
    return EvidenceIndex.build(documents, tmp_path / "i", embedded)


def search(index: EvidenceIndex, name: str, text: str = "") -> dict[str, Hit]:
    hits = index.search(Claim(text, DEMO / "claim-images" / name))
    return {hit.document_id: hit for hit in hits}


def told(hits: dict[str, Hit]) -> dict[str, bool | None]:
    return {name: hit.picture.same for name, hit in hits.items() if hit.picture is not None}


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("rocket-caption.jpg", "launch"),
        ("cat-mirrored.jpg", "pet"),
        ("olympic-hosts-cropped.jpg", "hosts"),
    ],
)
def test_of_all_that_are_found_one_is_the_same(
    name: str, own: str, shown: EvidenceIndex, tmp_path: Path
) -> None:
    hits = search(shown, name)
    assert next(iter(hits)) == own
    assert told(hits).keys() == NAMES.keys()
    assert {found for found, same in told(hits).items() if same} == {own}
    picture = hits[own].picture
    assert picture is not None
    assert picture.path == str(tmp_path / NAMES[own])


def test_what_grids_leave_in_doubt_is_compared_point_by_point(shown: EvidenceIndex) -> None:
    hits = search(shown, "olympic-hosts-cropped.jpg")
    # Two charts of one kind, which token grids take for one picture.
    record = hits["record"].picture
    assert record is not None
    assert record.matched_places is not None
    assert record.matched_places < 20
    assert record.same is False


def test_what_cannot_be_compared_is_not_told(shown: EvidenceIndex, tmp_path: Path) -> None:
    (tmp_path / "sprint-record.png").unlink()
    assert told(search(shown, "olympic-hosts-cropped.jpg"))["record"] is None
    assert told(search(shown, "flag-of-japan-caption.jpg"))["flag"] is True
    # Those are the bytes that were indexed, whatever has become of the file.
    (tmp_path / "flag-of-japan.png").write_bytes(b"another")
    found = shown.search(Claim("", DEMO / "images" / "flag-of-japan.png"))
    assert found[0].document_id == "flag"
    assert found[0].picture is not None
    assert found[0].picture.same is True


def test_only_the_image_channel_is_asked_of_pictures(shown: EvidenceIndex) -> None:
    hits = search(shown, "cat-mirrored.jpg", "Is it on the pet?")
    assert hits["pet"].channels.keys() >= {"dense", "image"}
    assert told(hits)["pet"] is True
    assert hits["plain"].picture is None
    assert {hit.picture for hit in shown.search(Claim("Is it on the pet?"))} == {None}


def test_no_more_are_looked_at_than_is_worth_waiting_for(
    shown: EvidenceIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_COMPARED", 2)
    hits = search(shown, "rocket-caption.jpg")
    assert list(told(hits)) == list(hits)[:2]
    assert len(hits) == 5


def test_without_a_readout_points_alone_tell(encoders: Encoders, tmp_path: Path) -> None:
    assert encoders.image.copies is None
    documents = [
        Document(name, f"This is on the {name}.", image=DEMO / "images" / NAMES[name])
        for name in ("launch", "hosts", "flag")
    ]
    index = EvidenceIndex.build(documents, tmp_path / "i", encoders)
    hits = search(index, "rocket-caption.jpg")
    assert told(hits) == {"launch": True, "hosts": False, "flag": None}
    found = hits["launch"].picture
    assert found is not None
    assert found.matched_places is not None
    assert found.matched_places > 100
