"""Opening an index that is not what it says: each refused by file and reason."""

import hashlib
import json
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factcheck.encoders import Encoders
from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.records import Claim
from factcheck.retrieval import EvidenceIndex, verify_index

_FILES = (
    "passages.faiss",
    "images.faiss",
    "image_tokens.npy",
    "metadata.sqlite",
    "lexical_counts.npy",
    "lexical_lengths.npy",
    "lexical_passages.npy",
    "lexical_starts.npy",
    "lexical_vocabulary.json",
)
_SEGMENT = Path("segments/000001")


def _refused(folder: Path, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as caught:
        EvidenceIndex.open(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def _rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _forge(folder: Path, name: str, data: bytes) -> None:
    """Put other contents in a file and let the manifest vouch for them."""
    (folder / _SEGMENT / name).write_bytes(data)
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    _rewrite(folder, lambda manifest: manifest["segments"][0]["files"].update({name: entry}))


def test_no_folder_is_a_missing_resource(tmp_path: Path) -> None:
    with pytest.raises(MissingResourceError, match="there is no such index"):
        EvidenceIndex.open(tmp_path / "none")


def test_another_folder_is_not_an_index(tmp_path: Path) -> None:
    _refused(tmp_path, r"not an index: it has no manifest\.json")
    (tmp_path / "manifest.json").write_text('{"name": "A web app"}')
    _refused(tmp_path, r"manifest\.json: not an index")


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, "\xff", "null", '{"version": 1' + "1" * 9999]
)
def test_a_manifest_of_garbage_is_refused(copy: Path, text: str) -> None:
    (copy / "manifest.json").write_bytes(text.encode("latin-1"))
    _refused(copy, r"manifest\.json: damaged, not (a )?JSON")


def test_a_manifest_of_a_gigabyte_is_not_read(copy: Path) -> None:
    with (copy / "manifest.json").open("r+b") as file:
        file.truncate(2**30)
    _refused(copy, r"manifest\.json: not a file of at most 16,777,216 bytes")


def test_another_version_is_refused_with_both(copy: Path) -> None:
    _rewrite(copy, lambda manifest: manifest.update(version=4))
    _refused(copy, "format version 4, and this release reads version 5: build it again")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(extra=1), "extra: Extra inputs"),
        (lambda m: m.pop("corpus_sha256"), "corpus_sha256: Field required"),
        (lambda m: m.update(passages=-1), "passages: Input should be greater"),
        (lambda m: m.update(passages="6"), "passages: Input should be a valid integer"),
        (
            lambda m: m["segments"][0].update(approximate={"factory": "X", "recall_at_10": 1.0}),
            "factory: String should match",
        ),
        (lambda m: m["segments"][0].update(name="../000001"), "name: String should match"),
        (lambda m: m["segments"].append(m["segments"][0]), "a segment is named twice"),
        (lambda m: m["segments"][0].update(deleted=2), "deleted does not fit"),
        (
            lambda m: m["segments"][0]["files"].update({"../x": {"sha256": "0" * 64, "size": 1}}),
            "the files must be",
        ),
        (lambda m: m.update(corpus_sha256="0" * 64), "does not give its sha256"),
        (lambda m: m["passage"].update(max_characters=100), "does not give its sha256"),
        (lambda m: m["text"].update(sha256="0" * 64), "does not give its sha256"),
    ],
)
def test_a_manifest_that_was_changed_is_refused(
    copy: Path,
    change: Callable[[dict[str, Any]], object],
    message: str,
) -> None:
    _rewrite(copy, change)
    _refused(copy, rf"manifest\.json: .*{message}")


@pytest.mark.parametrize("name", _FILES)
def test_a_flipped_bit_is_refused(copy: Path, name: str) -> None:
    data = bytearray((copy / _SEGMENT / name).read_bytes())
    data[len(data) * 2 // 3] ^= 1
    (copy / _SEGMENT / name).write_bytes(data)
    _refused(copy, rf"{name}: damaged: its sha256 is not the one in the manifest")
    _, (problem,) = verify_index(copy)
    assert f"{name}: damaged: its sha256" in problem


@pytest.mark.parametrize("name", _FILES)
def test_a_truncated_file_is_refused(copy: Path, name: str) -> None:
    data = (copy / _SEGMENT / name).read_bytes()
    (copy / _SEGMENT / name).write_bytes(data[:-1])
    _refused(copy, rf"{name}: damaged: [\d,]+ bytes, and the manifest says [\d,]+")
    _forge(copy, name, data[:-1])
    _refused(copy, name)
    _forge(copy, name, b"")
    _refused(copy, name)


@pytest.mark.parametrize("name", _FILES)
def test_a_missing_file_or_a_link_is_refused(copy: Path, built: Path, name: str) -> None:
    (copy / _SEGMENT / name).unlink()
    _refused(copy, rf"{name}: missing from the index")
    (copy / _SEGMENT / name).symlink_to(built / _SEGMENT / name)
    _refused(copy, rf"{name}: not an ordinary file")


@pytest.mark.parametrize("name", ["passages.faiss", "images.faiss"])
def test_a_vector_file_that_lies_is_refused_before_faiss_reads_it(copy: Path, name: str) -> None:
    data = (copy / _SEGMENT / name).read_bytes()
    for letters in (b"IxF2", b"IwFl", b"IxPT"):
        _forge(copy, name, letters + data[4:])
        _refused(copy, rf"{name}: not a flat inner-product index")
    for offset, value in ((4, 2**31 - 1), (8, 2**40), (8, 2**63 - 1), (37, 2**62), (33, 1)):
        size = 4 if offset in (4, 33) else 8
        _forge(copy, name, data[:offset] + value.to_bytes(size, "little") + data[offset + size :])
        _refused(copy, rf"{name}: its header is not that of")
    _forge(copy, name, data + bytes(4))
    _refused(copy, rf"{name}: [\d,]+ bytes are not")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3.0])
def test_vectors_that_are_not_of_unit_length_are_refused(copy: Path, value: float) -> None:
    data = (copy / _SEGMENT / "passages.faiss").read_bytes()
    _forge(copy, "passages.faiss", data[:-4] + struct.pack("<f", value))
    _refused(copy, r"passages\.faiss: vector 5 is not of unit length")


def test_a_token_file_of_another_kind_is_refused(copy: Path, tmp_path: Path) -> None:
    name = "image_tokens.npy"
    for array in (
        np.zeros((4, 4, 31), np.float16),
        np.zeros((5, 4, 32), np.float16),
        np.zeros((4, 4, 32), np.float32),
        np.zeros((32, 4, 4), np.float16).T,
        np.array([{"run": "code"}], dtype=object),
    ):
        np.save(tmp_path / "other.npy", array, allow_pickle=True)
        _forge(copy, name, (tmp_path / "other.npy").read_bytes())
        _refused(copy, rf"{name}: not a float16 array of shape \(4, 4, 32\)")
    _forge(copy, name, b"PK\3\4" + bytes(200))
    _refused(copy, rf"{name}: not an array file of numpy")


def test_tokens_that_are_no_numbers_are_refused_when_read(copy: Path, encoders: Encoders) -> None:
    data = (copy / _SEGMENT / "image_tokens.npy").read_bytes()
    _forge(copy, "image_tokens.npy", data[:-2] + struct.pack("<e", float("nan")))
    with EvidenceIndex.open(copy, encoders) as index:
        index.image_tokens([0])
        with pytest.raises(InvalidInputError, match="not a finite number"):
            index.image_tokens([3])


def _with_sql(folder: Path, statement: str) -> None:
    path = folder / _SEGMENT / "metadata.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()
    _forge(folder, "metadata.sqlite", path.read_bytes())


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("CREATE TABLE more (a)", "its tables are not those of an index"),
        ("CREATE VIEW more AS SELECT 1", "its tables are not those of an index"),
        ("DROP TABLE images", "its tables are not those of an index"),
        ("DELETE FROM passages WHERE row = 2", "the table passages has 5 rows, .* says 6"),
        ("UPDATE documents SET row = 9 WHERE row = 5", "the table documents has 6 rows"),
    ],
)
def test_an_unknown_database_is_refused(copy: Path, statement: str, message: str) -> None:
    _with_sql(copy, statement)
    _refused(copy, rf"metadata\.sqlite: {message}")


def test_a_database_that_is_none_is_refused(copy: Path) -> None:
    _forge(copy, "metadata.sqlite", b"SQLite format 3\0" + bytes(5000))
    _refused(copy, r"metadata\.sqlite: ")
    _forge(copy, "metadata.sqlite", b"garbage" * 1000)
    _refused(copy, r"metadata\.sqlite: damaged")


def test_rows_that_point_nowhere_are_refused_when_read(copy: Path, encoders: Encoders) -> None:
    _with_sql(copy, 'UPDATE passages SET "end" = 100000 WHERE row = 0')
    with (
        EvidenceIndex.open(copy, encoders) as index,
        pytest.raises(InvalidInputError, match="passage 0 lies outside document 'rocket'"),
    ):
        index.search(Claim("Rocket."), k=6)
    _with_sql(copy, "UPDATE passages SET document = 77 WHERE row = 0")
    with (
        EvidenceIndex.open(copy, encoders) as index,
        pytest.raises(InvalidInputError, match="there is no document 77"),
    ):
        index.search(Claim("Rocket."), k=6)


def test_another_encoder_is_refused_by_name(
    built: Path, encoders: Encoders, other_encoders: Encoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = (
        rf"built with the image encoder tiny \({encoders.image.sha256[:12]}\.\.\.\), and other "
        rf"\({other_encoders.image.sha256[:12]}\.\.\.\) is given"
    )
    with pytest.raises(InvalidInputError, match=message):
        EvidenceIndex.open(built, other_encoders)
    monkeypatch.setattr(Encoders, "load", lambda: other_encoders)
    with EvidenceIndex.open(built) as index:
        index.verify_encoders(encoders)
        with pytest.raises(InvalidInputError, match=message):
            index.verify_encoders(other_encoders)
        # None were given, and the embedded ones are not those of the index.
        with pytest.raises(InvalidInputError, match="give the encoders it was built with"):
            index.search(Claim("Rocket."))


def test_an_index_is_opened_from_where_nothing_may_be_written(
    copy: Path, encoders: Encoders
) -> None:
    folders = [copy, *(path for path in copy.rglob("*") if path.is_dir())]
    for path in (*copy.rglob("*"), copy):
        path.chmod(path.stat().st_mode & ~0o222)
    before = sorted(copy.rglob("*"))
    with EvidenceIndex.open(copy, encoders) as index:
        assert index.search(Claim("Rocket."))
    assert sorted(copy.rglob("*")) == before
    for folder in folders:
        folder.chmod(0o700)
