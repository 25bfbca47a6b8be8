"""Both encoders: each input once, in order, the same whatever the batch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from factcheck.encoders import Encoders, EncodingCache, ImageEncoder, TextEncoder
from factcheck.errors import InvalidInputError, MissingResourceError, PrerequisiteError

TEXTS = ["The cat sat on the mat.", "Parliament voted.", "A cat was sitting on a mat.", "x " * 900]


class CountingText(TextEncoder):
    """Counts what it is asked to encode."""

    counted: list[str]

    def encode(self, texts: Sequence[str], *args: object, **options: object) -> np.ndarray:
        self.counted += texts
        return super().encode(texts, *args, **options)


def test_texts_are_unit_vectors_that_know_meaning(encoders: Encoders) -> None:
    vectors = encoders.texts(TEXTS)
    assert vectors.shape == (4, encoders.text.dimension)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert vectors[0] @ vectors[2] > 0.8 > vectors[0] @ vectors[1] + 0.3


def test_one_by_one_is_the_same_as_together(encoders: Encoders) -> None:
    together = encoders.texts(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        assert np.allclose(encoders.texts([text])[0], vector, atol=1e-5)


def test_no_texts_give_no_vectors(encoders: Encoders) -> None:
    assert encoders.texts([]).shape == (0, encoders.text.dimension)


def test_each_text_is_encoded_once_and_the_cache_spares_the_rest(
    encoders: Encoders, tmp_path: Path
) -> None:
    counting = CountingText("counting", encoders.text.model)
    counting.counted = []
    with EncodingCache(tmp_path / "cache.sqlite") as cache:
        cached = Encoders(counting, encoders.image, cache)
        first = cached.texts([*TEXTS, *TEXTS])
        assert sorted(counting.counted) == sorted(TEXTS)
        again = cached.texts([*reversed(TEXTS), "one more"])
        assert len(counting.counted) == len(TEXTS) + 1
    assert np.array_equal(first[:4], first[4:])
    assert np.array_equal(again[:4], first[3::-1])


def test_pictures_are_encoded_once_by_content(
    encoders: Encoders, photographs: Path, tmp_path: Path
) -> None:
    files = sorted(photographs.iterdir())[:3]
    twin = tmp_path / "twin.jpg"
    twin.write_bytes(files[0].read_bytes())
    progress: list[int] = []
    found = encoders.pictures([files[0], None, files[1], twin, files[2]], progress.append)
    assert found.rows[0] == found.rows[3] >= 0
    assert found.rows[1] == -1
    assert len(found.tokens) == len(found.pooled) == len(found.sha256) == 3 == sum(progress)
    assert np.linalg.norm(found.pooled, axis=1) == pytest.approx(1, abs=1e-5)
    alone = encoders.pictures([files[2]])
    assert np.allclose(alone.tokens[0], found.tokens[found.rows[4]], atol=1e-5)


def test_a_bad_picture_is_a_reported_absence(
    encoders: Encoders, photographs: Path, tmp_path: Path
) -> None:
    good = sorted(photographs.iterdir())[0]
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(good.read_bytes()[:50])
    found = encoders.pictures([bad, good, tmp_path / "none.jpg"])
    assert found.rows.tolist() == [-1, 0, -1]
    assert set(found.problems) == {0, 2}
    assert "bad.jpg" in found.problems[0]
    assert "none.jpg" in found.problems[2]


def test_pictures_come_from_the_cache(
    encoders: Encoders, photographs: Path, tmp_path: Path
) -> None:
    files = sorted(photographs.iterdir())[:4]
    with EncodingCache(tmp_path / "cache.sqlite") as cache:
        first = Encoders(encoders.text, encoders.image, cache).pictures(files)

        class Refusing(ImageEncoder):
            def encode(self, images: Sequence[Image.Image], batch_size: int = 32) -> object:
                assert not images
                return super().encode(images, batch_size)

        refusing = Refusing("refusing", encoders.image.network, encoders.image.transform)
        again = Encoders(encoders.text, refusing, cache).pictures(files)
    assert np.array_equal(first.tokens, again.tokens)


def test_no_pictures_at_all(encoders: Encoders) -> None:
    found = encoders.pictures([None, None])
    assert found.rows.tolist() == [-1, -1]
    assert found.tokens.shape == (0, encoders.image.tokens, encoders.image.dimension)


def test_a_text_encoder_that_is_nowhere_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(PrerequisiteError, match=r"no-such/encoder: no such text encoder"):
        TextEncoder.load("no-such/encoder")


def test_an_image_encoder_that_is_nowhere_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(MissingResourceError, match=r"no image encoder there"):
        ImageEncoder.load(str(tmp_path / "none"))


def test_an_image_encoder_of_another_shape_is_refused(
    tiny_image_encoder_folder: Path, tmp_path: Path
) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((tiny_image_encoder_folder / name).read_bytes())
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"mlp_ratio": ', '"mlp_ratio": 1'))
    with pytest.raises(InvalidInputError, match=r"weights do not fit"):
        ImageEncoder.load(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InvalidInputError, match=r"not an image encoder's configuration"):
        ImageEncoder.load(str(tmp_path))
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "model.safetensors").write_bytes(b"garbage")
    with pytest.raises(InvalidInputError, match=r"model\.safetensors"):
        ImageEncoder.load(str(tmp_path))
