import io
import struct
import tracemalloc
import zipfile

import pytest
from PIL import Image

from factcheck import pictures
from factcheck.datasets.picture_files import PictureFiles
from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.records import Label


def encoded(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), colour).save(buffer, "PNG")
    return buffer.getvalue()


def pack(path, names):
    with zipfile.ZipFile(path, "w") as archive:
        for name, colour in names.items():
            archive.writestr(name, encoded(colour))
    return path


@pytest.mark.parametrize(
    ("archive", "name"),
    [
        ("images-val.zip", "images-val/claim/Refute/7.jpg"),
        ("images-val.zip", "images-val/claim/7.PNG"),
        ("images-val.zip", "claim/Refute/7.jpeg"),
        ("images-val.zip", "val/claim/7.webp"),
        ("images.zip", "images/val/claim/7.jpg"),
        ("images.zip", "val/claim/Refute/7.jpg"),
    ],
)
@pytest.mark.parametrize("label", [Label.REFUTE, None])
def test_pictures_in_archives_are_found_and_read(tmp_path, archive, name, label):
    pack(tmp_path / archive, {name: "red", "images-val/claim/notes.txt": "blue"})
    found = PictureFiles(tmp_path, "val").find("claim", 7, label)
    assert found == tmp_path / archive / name
    assert pictures.read_bytes(found) == encoded("red")


def test_an_unpacked_picture_goes_before_one_in_an_archive(tmp_path):
    pack(tmp_path / "images-val.zip", {"claim/7.png": "red", "claim/8.png": "red"})
    (tmp_path / "images-val" / "claim").mkdir(parents=True)
    (tmp_path / "images-val" / "claim" / "7.png").write_bytes(encoded("blue"))
    files = PictureFiles(tmp_path, "val")
    assert files.find("claim", 7, None) == tmp_path / "images-val" / "claim" / "7.png"
    assert files.find("claim", 8, None) == tmp_path / "images-val.zip" / "claim" / "8.png"
    assert files.find("document", 7, None) is None
    assert len(list(files.all())) == 2


def test_files_elsewhere_in_an_archive_are_no_pictures_of_the_split(tmp_path):
    names = ["__MACOSX/claim/7.png", "../claim/7.png", "claim/a/b/7.png", "train/claim/7.png"]
    pack(tmp_path / "images-val.zip", dict.fromkeys(names, "red"))
    assert list(PictureFiles(tmp_path, "val").all()) == []


def test_a_damaged_archive_is_named(tmp_path):
    (tmp_path / "images-val.zip").write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(InvalidInputError, match=r"images-val\.zip: not a whole zip file"):
        PictureFiles(tmp_path, "val").find("claim", 7, None)


def test_a_damaged_member_is_named(tmp_path):
    path = pack(tmp_path / "a.zip", {"claim/7.png": "red"})
    data = bytearray(path.read_bytes())
    place = data.find(b"IDAT") + 8
    data[place] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InvalidInputError, match=r"a\.zip/claim/7\.png: a\.zip is damaged"):
        pictures.read_bytes(path / "claim" / "7.png")


def test_a_member_that_is_missing_or_too_large_is_named(tmp_path, monkeypatch):
    path = pack(tmp_path / "a.zip", {"claim/7.png": "red"})
    with pytest.raises(MissingResourceError, match=r"a\.zip has no such file"):
        pictures.read_bytes(path / "claim" / "8.png")
    monkeypatch.setattr(pictures, "MAX_BYTES", 10)
    with pytest.raises(InvalidInputError, match="more than the 10 allowed"):
        pictures.read_bytes(path / "claim" / "7.png")


def test_an_archive_that_is_replaced_is_read_anew(tmp_path):
    import os

    path = pack(tmp_path / "a.zip", {"claim/7.png": "red"})
    pictures.read_bytes(path / "claim" / "7.png")
    pack(path, {"claim/7.png": "blue"})
    os.utime(path, ns=(1, 1))
    assert pictures.read_bytes(path / "claim" / "7.png") == encoded("blue")


def lying_bomb(path, packing):
    """An archive of a few kilobytes that says it holds 100 bytes and holds 64 MB."""
    with zipfile.ZipFile(path, "w", packing) as archive, archive.open("claim/7.png", "w") as file:
        for _ in range(64):
            file.write(bytes(2**20))
    data = bytearray(path.read_bytes())
    place = data.rfind(b"PK\x01\x02") + 24
    data[place : place + 4] = struct.pack("<I", 100)
    path.write_bytes(data)
    return path / "claim" / "7.png"


@pytest.mark.parametrize(
    ("packing", "complaint"),
    [
        (zipfile.ZIP_DEFLATED, "is damaged"),
        (zipfile.ZIP_BZIP2, "packs it in a way that is not read"),
        (zipfile.ZIP_LZMA, "packs it in a way that is not read"),
    ],
)
def test_no_more_is_unpacked_than_an_archive_says(tmp_path, packing, complaint):
    member = lying_bomb(tmp_path / "a.zip", packing)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInputError, match=rf"a\.zip/claim/7\.png: a\.zip {complaint}"):
            pictures.read_bytes(member)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()
