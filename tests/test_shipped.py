"""The models in the package: they load without a network, fit each other, and do their job."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from factcheck import Claim, Document, EvidenceIndex, FactChecker
from factcheck.encoders import ImageEncoder
from factcheck.encoders.image import EMBEDDED_FOLDER
from factcheck.encoders.image_match import token_match
from factcheck.encoders.relation import EMBEDDED_FOLDER as RELATION_FOLDER
from factcheck.records import TEXT_RELATIONS, Label, TextRelation

DEMO = Path(__file__).parent.parent / "data" / "demo"
ORIGINALS = ("astronaut", "rocket", "hubble-deep-field", "cat", "coffee", "retina", "grace-hopper")
COPIES = {
    "astronaut-cropped": "astronaut",
    "astronaut-mirrored": "astronaut",
    "rocket-caption": "rocket",
    "hubble-warm": "hubble-deep-field",
    "cat-mirrored": "cat",
    "coffee-sepia": "coffee",
    "retina-small": "retina",
    "grace-hopper-grey": "grace-hopper",
    "grace-hopper-cropped": "grace-hopper",
}


@pytest.fixture(scope="module")
def checker() -> FactChecker:
    return FactChecker.load()


def demo_grids(encoder: ImageEncoder) -> tuple[torch.Tensor, torch.Tensor]:
    """Token grids of the re-posted photographs of the demo and of their originals."""

    def grids(folder: str, names: Iterable[str]) -> torch.Tensor:
        images = [Image.open(DEMO / folder / f"{name}.jpg").convert("RGB") for name in names]
        return torch.from_numpy(encoder.encode(images).tokens)

    return grids("claim-images", COPIES), grids("images", ORIGINALS)


def test_the_image_encoder_is_small_enough_for_a_package() -> None:
    encoder = ImageEncoder.load()
    assert sum(p.numel() for p in encoder.network.parameters()) <= 8_000_000
    assert sum(path.stat().st_size for path in EMBEDDED_FOLDER.iterdir()) <= 16 * 2**20


def test_the_text_relation_encoder_is_small_enough_for_a_package() -> None:
    assert sum(path.stat().st_size for path in RELATION_FOLDER.iterdir()) <= 30 * 2**20


def test_what_decides_a_claim_is_found_more_relevant_than_what_is_only_like_it(
    checker: FactChecker,
) -> None:
    assert checker.encoders.relation is not None
    claim = "The Severn bridge was closed on Monday."
    passages = (
        "Engineers shut the Severn bridge on Monday after cracks were found.",
        "The Severn bridge was opened by the Queen in 1966.",
        "The museum sells postcards.",
    )
    logits = checker.encoders.relation.relevances([(claim, passage) for passage in passages])
    assert logits[0] > logits[1] > logits[2]


def test_a_plain_negation_is_read(checker: FactChecker) -> None:
    """Not that every one is: sentence vectors hardly see any."""
    assert checker.encoders.relation is not None
    passage = "Engineers closed the old bridge on Monday after cracks were found."
    claims = (
        "The bridge was closed on Monday.",
        "The bridge was not closed on Monday.",
        "The museum sells postcards.",
    )
    logits = checker.encoders.relation.encode([(claim, passage) for claim in claims]).logits
    found = [TEXT_RELATIONS[place] for place in logits.argmax(axis=1)]
    assert found == [TextRelation.SUPPORT, TextRelation.REFUTE, TextRelation.INSUFFICIENT]


def test_a_text_on_another_subject_leaves_a_claim_open(checker: FactChecker) -> None:
    assert checker.encoders.relation is not None
    passage = "Engineers closed the old bridge on Monday after cracks were found."
    claims = (
        "The museum sells postcards.",
        "Vaccines cause a rise in deaths among the young.",
        "The minister resigned after the vote.",
        "Sea level has fallen since 1990.",
        "The film won three Academy Awards in 1994.",
        "The president was born in Kenya.",
    )
    logits = checker.encoders.relation.encode([(claim, passage) for claim in claims]).logits
    found = [TEXT_RELATIONS[place] for place in logits.argmax(axis=1)]
    assert found == [TextRelation.INSUFFICIENT] * len(claims)


def test_re_posted_photographs_find_their_originals(checker: FactChecker) -> None:
    copies, originals = demo_grids(checker.encoders.image)
    count = len(ORIGINALS)
    scores = np.stack(
        [token_match(copy[None].expand(count, -1, -1), originals).numpy() for copy in copies]
    )
    found = [ORIGINALS[place] for place in scores.argmax(axis=1)]
    assert found == list(COPIES.values())


def test_the_checker_tells_a_re_posted_photograph_from_another(checker: FactChecker) -> None:
    text = "Grace Hopper retired from the Navy in 1986 as a rear admiral, aged 79."
    claim = "Grace Hopper retired from the US Navy in 1986, at the age of 79."
    document = Document("hopper", text, image=str(DEMO / "images" / "grace-hopper.jpg"))
    same = checker.compare(
        Claim(claim, image=str(DEMO / "claim-images" / "grace-hopper-grey.jpg")), document
    )
    other = checker.compare(Claim(claim, image=str(DEMO / "images" / "cat.jpg")), document)
    assert same.label is Label.SUPPORT_MULTIMODAL
    assert other.label is Label.SUPPORT_TEXT
    assert same.image_relation is not None
    assert other.image_relation is not None
    assert same.image_relation > 0.9 > 0.1 > other.image_relation


def test_the_readout_of_token_grids_knows_re_posted_photographs(checker: FactChecker) -> None:
    readout = checker.encoders.image.copies
    assert readout is not None
    copies, originals = demo_grids(checker.encoders.image)
    for copy, original in zip(copies, COPIES.values(), strict=True):
        with torch.inference_mode():
            logits = readout(copy[None].expand(len(ORIGINALS), -1, -1), originals)
        assert [name for name, logit in zip(ORIGINALS, logits, strict=True) if logit > 0] == [
            original
        ]


def test_heavy_copies_of_a_picture_are_found_behind_many_light_ones(
    checker: FactChecker, tmp_path: Path
) -> None:
    """By pooled vectors the five light ones are nearest, and only three used to be looked at."""
    original = DEMO / "images" / "grace-hopper.jpg"
    documents = [Document("lead", "Grace Hopper retired from the US Navy in 1986.", image=original)]
    with Image.open(original) as image:
        for i in range(5):
            path = tmp_path / f"{i}.jpg"
            image.crop((i, 0, image.width - 2 * i, image.height)).save(path, quality=80 - 5 * i)
            text = f"The market of town {i} sold apples."
            documents.append(Document(f"light-{i}", text, image=path, date=f"2015-01-0{i + 1}"))
    for year, name in ((2010, "grace-hopper-cropped"), (2012, "grace-hopper-grey")):
        path = DEMO / "claim-images" / f"{name}.jpg"
        documents.append(
            Document(name, f"In {year} the river froze.", image=path, date=f"{year}-01-01")
        )
    documents += [
        Document(name, f"A page on the {name}.", image=DEMO / "images" / f"{name}.jpg")
        for name in ("rocket", "cat", "coffee")
    ]
    index = EvidenceIndex.build(documents, tmp_path / "i", checker.encoders)
    evidence = checker.check(Claim("Grace Hopper retired in 1986.", original), index).evidence
    assert evidence.image is not None
    assert evidence.image.document_id == "lead"
    assert [image.document_id for image in evidence.elsewhere] == [
        "grace-hopper-cropped",
        "grace-hopper-grey",
        *[f"light-{i}" for i in range(5)],
    ]


def test_charts_that_look_alike_are_not_shown_as_the_same_picture(
    checker: FactChecker, tmp_path: Path
) -> None:
    """By token grids two of these are as surely the claim's picture as the true one."""
    charts = ("smallpox", "morse", "sprint-record", "thermometer", "olympic-hosts", "flag-of-japan")
    documents = [
        Document(
            name, f"A page on {name.replace('-', ' ')}.", image=DEMO / "images" / f"{name}.png"
        )
        for name in charts
    ]
    documents.append(Document("lead", "In 1977 the last case of smallpox was found in Somalia."))
    index = EvidenceIndex.build(documents, tmp_path / "i", checker.encoders)
    claim = Claim("The last smallpox case was in 1977.", DEMO / "claim-images/smallpox-caption.jpg")
    [found] = checker.check(claim, index).evidence.elsewhere
    assert found.document_id == "smallpox"
    assert found.matched_places is not None
    assert found.matched_places > 50
    # A disk on white has too few points: there it is the grids that tell.
    flag = Claim("Japan has a flag.", DEMO / "claim-images" / "flag-of-japan-caption.jpg")
    evidence = checker.check(flag, index).evidence
    assert evidence.image is not None
    assert (evidence.image.document_id, evidence.image.matched_places) == ("flag-of-japan", None)
    assert evidence.elsewhere == ()
