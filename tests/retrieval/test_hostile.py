"""Indices from strangers: what they link to is left alone, and what they claim is looked at."""

import hashlib
import io
import json
import sqlite3
import struct
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from factcheck.encoders import Encoders
from factcheck.errors import FactcheckError, InvalidInputError, RunError, UsageError
from factcheck.records import Claim, Document
from factcheck.retrieval import EvidenceIndex, Manifest, SourcePolicy, verify_index
from factcheck.retrieval.distinct import sketch
from factcheck.retrieval.folder import new_segment, remove_strays, writing
from factcheck.retrieval.segment_files import file_entry
from factcheck.retrieval.writer import add_documents, compact_index, delete_documents, plan_for
from factcheck.settings import PassageSettings, SearchSettings

_NEW = [Document("new", "A new document about a bridge that was closed on Monday.")]
_SEGMENT = Path("segments/000001")


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder that is none of an index's business."""
    folder = tmp_path / "victim"
    (folder / "photos").mkdir(parents=True)
    (folder / "photos" / "a.txt").write_text("precious")
    (folder / "metadata.sqlite").write_text("of another program")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def changes_of(folder: Path, encoders: Encoders) -> list[Callable[[], object]]:
    """What writes to an index."""
    plan = plan_for(encoders, PassageSettings())
    return [
        lambda: add_documents(_NEW, folder, plan, replace=False),
        lambda: delete_documents(["cat"], folder, plan),
        lambda: compact_index(folder, plan),
    ]


def refused(folder: Path, encoders: Encoders, message: str) -> None:
    """Neither read nor written to."""
    for act in (lambda: EvidenceIndex.open(folder), *changes_of(folder, encoders)):
        with pytest.raises(InvalidInputError, match=message):
            act()
    assert [message in problem for problem in verify_index(folder)[1]] == [True]


def forge(folder: Path, name: str, data: bytes) -> None:
    """Put other contents in a file of the segment and let the manifest vouch for them."""
    (folder / _SEGMENT / name).write_bytes(data)
    manifest = Manifest.read(folder)
    (segment,) = manifest.segments
    files = {**segment.files, name: file_entry(folder / _SEGMENT / name)}
    segment = segment.model_copy(update={"files": files})
    manifest.model_copy(update={"segments": [segment]}).write(folder)


def with_sql(folder: Path, statement: str, values: Sequence[object] = ()) -> None:
    """Change the tables of the segment, likewise."""
    path = folder / _SEGMENT / "metadata.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement, values)
    forge(folder, "metadata.sqlite", path.read_bytes())


@pytest.mark.parametrize("empty", [True, False])
def test_segments_that_are_a_link_are_refused(
    empty: bool, copy: Path, victim: Path, encoders: Encoders
) -> None:
    if empty:
        manifest = Manifest.read(copy)
        nothing = {"segments": [], "documents": 0, "passages": 0, "images": 0}
        corpus = hashlib.sha256(b"[]").hexdigest()
        manifest.model_copy(update={**nothing, "corpus_sha256": corpus}).write(copy)
    else:
        (copy / _SEGMENT).rename(victim / "000001")
    (copy / _SEGMENT.parent).rename(copy.with_name("aside"))
    (copy / _SEGMENT.parent).symlink_to(victim)
    before = contents(victim)
    refused(copy, encoders, "segments: not an ordinary folder")
    assert contents(victim) == before


def test_a_segment_that_is_a_link_or_a_file_is_refused(
    copy: Path, victim: Path, encoders: Encoders
) -> None:
    for path in (copy / _SEGMENT).iterdir():
        path.rename(victim / path.name)
    (copy / _SEGMENT).rmdir()
    (copy / _SEGMENT).symlink_to(victim)
    before = contents(victim)
    refused(copy, encoders, "000001: not an ordinary folder")
    assert contents(victim) == before
    (copy / _SEGMENT).unlink()
    (copy / _SEGMENT).write_text("a file")
    refused(copy, encoders, "000001: not an ordinary folder")


def test_of_strays_that_are_links_the_links_go(
    copy: Path, victim: Path, encoders: Encoders
) -> None:
    before = contents(victim)
    (copy / "segments" / "000002").symlink_to(victim)
    (copy / "segments" / "notes").symlink_to(victim / "metadata.sqlite")
    (copy / _SEGMENT / "photos").symlink_to(victim / "photos")
    (copy / _SEGMENT / "more").mkdir()
    (copy / _SEGMENT / "deleted-000003.npy").symlink_to(victim / "photos" / "a.txt")
    index = EvidenceIndex.open(copy, encoders).add(_NEW)
    assert index.manifest.documents == 7
    assert index.delete(["cat"]).manifest.documents == 6
    assert contents(victim) == before
    assert not any(path.is_symlink() for path in copy.rglob("*"))
    assert {path.name for path in (copy / "segments").iterdir()} == {"000001", "000002"}
    assert not (copy / _SEGMENT / "more").exists()
    assert verify_index(copy)[1] == []


def test_strays_are_not_looked_for_behind_a_link(copy: Path, victim: Path) -> None:
    manifest = Manifest.read(copy)
    (copy / "segments").rename(copy.with_name("aside"))
    (copy / "segments").symlink_to(victim)
    before = contents(victim)
    remove_strays(copy, manifest)
    assert contents(victim) == before


def test_a_manifest_is_not_written_through_a_link(
    copy: Path, victim: Path, encoders: Encoders
) -> None:
    before = contents(victim)
    (copy / ".manifest.json.tmp").symlink_to(victim / "photos" / "a.txt")
    EvidenceIndex.open(copy, encoders).delete(["cat"])
    assert contents(victim) == before
    assert not (copy / "manifest.json").is_symlink()
    assert EvidenceIndex.open(copy).manifest.documents == 5
    # What a writer that died has left is written anew.
    (copy / ".manifest.json.tmp").write_text("{" * 10_000)
    EvidenceIndex.open(copy, encoders).delete(["river"])
    assert EvidenceIndex.open(copy).manifest.documents == 4
    assert not (copy / ".manifest.json.tmp").exists()


def test_a_build_does_not_use_a_link_for_its_temporary_folder(
    documents: list[Document], encoders: Encoders, tmp_path: Path, victim: Path
) -> None:
    before = contents(victim)
    partial = tmp_path / ".new.index.partial"
    for target in (victim, victim / "metadata.sqlite", tmp_path / "nowhere"):
        partial.symlink_to(target)
        with pytest.raises(UsageError, match=r"\.new\.index\.partial: not an ordinary folder"):
            EvidenceIndex.build(documents[:1], tmp_path / "new.index", encoders, key="k")
        assert partial.is_symlink()
        partial.unlink()
    assert contents(victim) == before
    EvidenceIndex.build(documents[:1], tmp_path / "new.index", encoders, key="k").close()


def test_a_new_segment_goes_into_a_folder_of_its_own(tmp_path: Path, victim: Path) -> None:
    before = contents(victim)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "000001").symlink_to(victim)
    (tmp_path / "b").symlink_to(victim)
    for name in ("a", "b"):
        with pytest.raises(RunError, match="is a link, not a folder"), writing(tmp_path):
            new_segment(tmp_path / name / "000001")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "passages.faiss").symlink_to(victim / "metadata.sqlite")
    (tmp_path / "c" / "photos").symlink_to(victim / "photos")
    (tmp_path / "c" / "image_tokens.npy").write_text("of an earlier try")
    new_segment(tmp_path / "c")
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["image_tokens.npy"]
    assert contents(victim) == before


def _npy(header: str, version: bytes = b"\x01\x00") -> bytes:
    size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(header))
    return b"\x93NUMPY" + version + size + header.encode() + bytes(256)


def _archive() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.zeros(3))
    return file.getvalue()


_HEADERS = [
    _npy("{[]: 1}"),
    _npy("(" * 10),
    _npy("-" * 8000 + "1"),
    _npy("{1: 2, 'a': 3}"),
    _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,)}"),
    _npy("{'descr': '<i8', 'fortran_order': False, 'shape': (-1,)}"),
    _npy("{'descr': '<f2', 'fortran_order': False, 'shape': (4, 4, 32)}", b"\x02\x00"),
    _npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"),
    _npy("")[:10],
    b"PK\3\4" + bytes(200),
    b"\x80\x04K\x01.",
    _archive(),
]


@pytest.mark.parametrize("name", ["image_tokens.npy", "lexical_counts.npy", "deleted-000003.npy"])
def test_an_array_file_with_another_header_is_refused(
    name: str, copy: Path, encoders: Encoders
) -> None:
    EvidenceIndex.open(copy, encoders).delete(["cat"])
    for data in _HEADERS:
        forge(copy, name, data)
        with pytest.raises(InvalidInputError, match=name) as caught:
            EvidenceIndex.open(copy)
        assert "\n" not in str(caught.value)
        assert [name in problem for problem in verify_index(copy)[1]] == [True]


@pytest.mark.parametrize(
    "name", ["image_tokens.npy", "lexical_passages.npy", "lexical_starts.npy", "deleted-000003.npy"]
)
def test_any_flipped_bit_in_a_header_is_refused(name: str, copy: Path, encoders: Encoders) -> None:
    EvidenceIndex.open(copy, encoders).delete(["cat"])
    path = copy / _SEGMENT / name
    data = path.read_bytes()
    for place in (0, 6, 8, 9, *range(10, 74)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(InvalidInputError, match=name):
            EvidenceIndex.open(copy)
    path.write_bytes(data)
    EvidenceIndex.open(copy).close()


_AS_OF = SourcePolicy(as_of="2024-06-01")
_PLAIN = SearchSettings(rerank=0)


@pytest.mark.parametrize("document", [9999, -1, 6, 2**40])
@pytest.mark.parametrize("table", ["passages", "images"])
def test_rows_of_documents_that_are_not_there_are_told(
    table: str, document: int, copy: Path, encoders: Encoders, photographs: Path
) -> None:
    with_sql(copy, f"UPDATE {table} SET document = ? WHERE row = 0", [document])
    message = rf"metadata\.sqlite: damaged: there is no document {document}"
    (problem,) = verify_index(copy)[1]
    assert f"metadata.sqlite: damaged: there is no document {document}" in problem
    claim = Claim("Rocket.", photographs / "00.jpg")
    for thorough in (True, False):
        with (
            EvidenceIndex.open(copy, encoders, thorough=thorough) as index,
            pytest.raises(InvalidInputError, match=message),
        ):
            index.search(claim, 5, _PLAIN, _AS_OF)
    for act in changes_of(copy, encoders):
        with pytest.raises(InvalidInputError, match=message):
            act()


def test_a_document_without_a_passage_is_told(
    copy: Path, encoders: Encoders, photographs: Path
) -> None:
    with_sql(copy, "UPDATE passages SET document = 1 WHERE document = 0")
    message = "damaged: document 0 has no passage"
    assert [message in problem for problem in verify_index(copy)[1]] == [True]
    with (
        EvidenceIndex.open(copy, encoders) as index,
        pytest.raises(InvalidInputError, match=message),
    ):
        index.search(Claim("", photographs / "00.jpg"), 5, _PLAIN)


@pytest.mark.parametrize("size", [1, 5, 252, 257, 512])
def test_a_sketch_that_is_none_is_refused(size: int, copy: Path, encoders: Encoders) -> None:
    with_sql(copy, "UPDATE documents SET sketch = ? WHERE id = 'rocket'", [bytes(size)])
    with pytest.raises(InvalidInputError, match="damaged: the sketch of document 'rocket'"):
        EvidenceIndex.open(copy)
    with (
        EvidenceIndex.open(copy, encoders, thorough=False) as index,
        pytest.raises(InvalidInputError, match="damaged: the sketch of document 'rocket'"),
    ):
        index.search(Claim("Rocket."), 5, _PLAIN)


def test_the_sketches_that_are_made_are_taken(copy: Path) -> None:
    for made in (sketch("Few words."), sketch("Many words make a longer article of news. " * 9)):
        with_sql(copy, "UPDATE documents SET sketch = ?", [made])
        EvidenceIndex.open(copy).close()


@pytest.mark.parametrize("day", ["", "soon", "2024-5-1", "20240501", "2024-05-01T10:00", " "])
def test_a_date_that_is_none_is_refused(day: str, copy: Path) -> None:
    with_sql(copy, "UPDATE documents SET date = NULL WHERE id = 'coffee'")
    EvidenceIndex.open(copy).close()
    with_sql(copy, "UPDATE documents SET date = ? WHERE id = 'cat'", [day])
    with pytest.raises(InvalidInputError, match="damaged: the date of document 'cat'"):
        EvidenceIndex.open(copy)


def test_errors_of_a_forged_index_are_those_of_the_package(copy: Path) -> None:
    (copy / "manifest.json").write_text(json.dumps({"format": "factcheck-index", "version": 5}))
    with pytest.raises(FactcheckError):
        EvidenceIndex.open(copy)
