"""Small real encoders and pictures that the tests share; nothing here needs a network."""

from pathlib import Path

import numpy as np
import pytest
import torch
from factify2_folder import write_factify2_folder
from news import COMET, HARBOUR, LIBRARY
from PIL import Image

from factcheck import Document, EvidenceIndex
from factcheck.encoders import Encoders, ImageEncoder, TextEncoder
from factcheck.encoders.bearing import Bearing
from factcheck.encoders.image import ImageTransform, build_twins_svt, save_image_encoder
from factcheck.encoders.relation import (
    RelationConfig,
    RelationEncoder,
    build_relation_network,
    save_relation_encoder,
)
from factcheck.encoders.relevance import RelevanceConfig, RelevanceNetwork, save_relevance
from factcheck.fusion.abstention import Conformal
from factcheck.fusion.calibration import Calibration
from factcheck.fusion.checkpoint import (
    CheckpointConfig,
    EncoderIdentity,
    build_head,
    load_checkpoint,
    save_checkpoint,
)
from factcheck.pipeline import FactChecker
from factcheck.settings import FusionHeadSettings, PassageSettings, TwinsSvtSettings

TINY = TwinsSvtSettings(
    side=64,
    dims=(32, 32, 32, 32),
    heads=(1, 1, 1, 1),
    depths=(1, 1, 1, 1),
    windows=(4, 4, 2, 1),
    sub_windows=(4, 2, 1, 1),
)
"""A Twins-SVT of 4 tokens of width 32 with fresh weights: it tells pictures apart, no more."""


def save_tiny_image_encoder(folder: Path, seed: int) -> Path:
    """Write a `TINY` image encoder whose weights come from a seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_twins_svt(TINY)
    save_image_encoder(network, TINY, ImageTransform(TINY.side), folder)
    return folder


def save_photograph(path: Path, seed: int, size: tuple[int, int] = (160, 120)) -> Path:
    """Write a picture of soft coloured blotches with fine grain, in the format its name says."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.float32)
    grain = rng.normal(0, 12, smooth.shape)
    Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="session")
def tiny_image_encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `ImageEncoder.load` reads."""
    return save_tiny_image_encoder(tmp_path_factory.mktemp("encoder") / "tiny", seed=0)


@pytest.fixture(scope="session")
def text_encoder() -> TextEncoder:
    """The embedded text encoder, all-MiniLM-L6-v2."""
    return TextEncoder.load("embedded")


@pytest.fixture(scope="session")
def relation_encoder_folder(
    text_encoder: TextEncoder,
    tiny_image_encoder_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A text relation encoder of two layers of the text encoder's, its readouts fresh.

    One of the layers is there twice, and tells relevance.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network, _ = build_relation_network(text_encoder, layers=2)
        relevance = RelevanceNetwork(network.body, layers=1)
        # Fresh readouts hardly differ from one passage to another; these do.
        for readout in (network.relation, network.salience, relevance.relevance):
            torch.nn.init.normal_(readout.weight, std=0.1)
    folder = tmp_path_factory.mktemp("encoder") / "relation"
    config = RelationConfig(base_sha256=text_encoder.sha256, max_tokens=64, layers=2)
    save_relation_encoder(folder, config, network)
    written = RelationEncoder.load(str(folder), text_encoder)
    image = ImageEncoder.load(str(tiny_image_encoder_folder))
    save_relevance(
        folder,
        RelevanceConfig(
            relation_sha256=written.sha256,
            layers=1,
            weights=(1.0, 1.0, 1.0, 0.5),
            # So nearly flat that all that is found is read.
            bearing=Bearing(
                bias=0.0,
                relevance=0.05,
                cosine=0.5,
                search_sha256=Encoders(text_encoder, image).search_sha256,
            ),
        ),
        relevance,
    )
    return folder


@pytest.fixture(scope="session")
def encoders(
    text_encoder: TextEncoder, tiny_image_encoder_folder: Path, relation_encoder_folder: Path
) -> Encoders:
    """The embedded text encoder beside the tiny image and text relation encoders."""
    image = ImageEncoder.load(str(tiny_image_encoder_folder))
    relation = RelationEncoder.load(str(relation_encoder_folder), text_encoder)
    return Encoders(text_encoder, image, relation=relation)


@pytest.fixture(scope="session")
def other_encoders(encoders: Encoders, tmp_path_factory: pytest.TempPathFactory) -> Encoders:
    """The same text encoder beside an image encoder with other weights."""
    folder = save_tiny_image_encoder(tmp_path_factory.mktemp("encoder") / "other", seed=1)
    return Encoders(encoders.text, ImageEncoder.load(str(folder)), relation=encoders.relation)


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of twelve different pictures: `00.jpg`, `01.png`, `02.jpg` and so on."""
    folder = tmp_path_factory.mktemp("photographs")
    for i in range(12):
        save_photograph(folder / f"{i:02}.{'png' if i % 2 else 'jpg'}", seed=i)
    return folder


@pytest.fixture(scope="session")
def checkpoint_folder(
    encoders: Encoders,
    tiny_image_encoder_folder: Path,
    relation_encoder_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A small fusion head with fresh weights on `encoders`: its verdicts are valid, not good."""
    assert encoders.relation is not None
    config = CheckpointConfig(
        head=FusionHeadSettings(width=32, heads=4, layers=1, passages=3),
        passages=PassageSettings(max_characters=200),
        text_encoder=EncoderIdentity(
            load="embedded", sha256=encoders.text.sha256, dimension=encoders.text.dimension
        ),
        image_encoder=EncoderIdentity(
            load=str(tiny_image_encoder_folder),
            sha256=encoders.image.sha256,
            dimension=encoders.image.dimension,
        ),
        relation_encoder=EncoderIdentity(
            load=str(relation_encoder_folder),
            sha256=encoders.relation.sha256,
            dimension=encoders.relation.width,
        ),
        image_tokens=encoders.image.tokens,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = build_head(config)
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    confidence = tuple(np.linspace(0.2, 0.9, 99).tolist())
    correct = tuple(place % 3 > 0 for place in range(99))
    conformal = Conformal(confidence=confidence, correct=correct, truth=confidence)
    calibration = Calibration(conformal=conformal)
    save_checkpoint(folder, head, config, calibration, "A head for tests.\n")
    return folder


@pytest.fixture(scope="session")
def checker(encoders: Encoders, checkpoint_folder: Path) -> FactChecker:
    """A checker of that head and `encoders`."""
    return FactChecker(load_checkpoint(checkpoint_folder), encoders)


@pytest.fixture(scope="session")
def factify2_folder(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled data set with `train`, `val` and `test`."""
    return write_factify2_folder(
        tmp_path_factory.mktemp("data") / "factify2",
        sorted(path for path in photographs.iterdir() if path.suffix in (".jpg", ".png")),
        {"train": 200, "val": 60, "test": 40},
    )


@pytest.fixture(scope="session")
def documents(photographs: Path) -> list[Document]:
    """The reports of `news`, two of them with pictures."""
    return [
        Document(
            "harbour", HARBOUR, "Harbour closed", image=photographs / "00.jpg", date="2024-05-06"
        ),
        Document(
            "library", LIBRARY, "Library report", image=photographs / "01.png", ocr="1.2 million"
        ),
        Document("comet", COMET, "Comet seen"),
    ]


@pytest.fixture(scope="session")
def index(
    documents: list[Document], encoders: Encoders, tmp_path_factory: pytest.TempPathFactory
) -> EvidenceIndex:
    """Their index."""
    return EvidenceIndex.build(documents, tmp_path_factory.mktemp("index") / "i", encoders)
