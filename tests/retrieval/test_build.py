"""Building an index: what it says of itself, what it refuses, and that it is whole or not there."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from factcheck.encoders import Encoders
from factcheck.errors import InvalidInputError, RunError, UsageError
from factcheck.records import Claim, Document
from factcheck.retrieval import EvidenceIndex
from factcheck.retrieval.folder import writing
from factcheck.retrieval.vectors import TokenWriter, VectorWriter
from factcheck.retrieval.words import ANALYSER
from factcheck.settings import PassageSettings


def test_the_manifest_says_what_is_in_the_index(built: Path, encoders: Encoders) -> None:
    manifest = json.loads((built / "manifest.json").read_text())
    assert (manifest["format"], manifest["version"]) == ("factcheck-index", 5)
    assert manifest["text"] == {
        "name": "all-MiniLM-L6-v2",
        "sha256": encoders.text.sha256,
        "dimension": 384,
    }
    assert manifest["image"] == {
        "name": "tiny",
        "sha256": encoders.image.sha256,
        "dimension": 32,
        "tokens": 4,
    }
    assert manifest["analyser"] == ANALYSER
    assert manifest["metric"] == "inner_product"
    assert manifest["passage"] == {"max_characters": 480, "overlap_sentences": 1}
    assert (manifest["documents"], manifest["passages"], manifest["images"]) == (6, 6, 4)
    assert {path.name for path in built.iterdir()} == {"manifest.json", "segments"}
    (segment,) = manifest["segments"]
    counts = [segment[name] for name in ("documents", "passages", "images", "deleted")]
    assert (*counts, segment["approximate"]) == (6, 6, 4, 0, None)
    folder = built / "segments" / segment["name"]
    assert set(segment["files"]) == {path.name for path in folder.iterdir()}
    for name, entry in segment["files"].items():
        assert entry["size"] == (folder / name).stat().st_size
    assert manifest["sha256"] == EvidenceIndex.open(built).sha256


def test_the_same_content_gives_the_same_hash(
    documents: list[Document], built: Path, encoders: Encoders, tmp_path: Path
) -> None:
    moved = []
    for i, document in enumerate(reversed(documents)):
        if document.image is not None:
            copy = tmp_path / f"{i}.bin"
            copy.write_bytes(Path(document.image).read_bytes())
            document = replace(document, image=copy)
        moved.append(document)
    with EvidenceIndex.build(moved, tmp_path / "moved", encoders) as index:
        assert index.sha256 == EvidenceIndex.open(built).sha256


@pytest.mark.parametrize("change", [{"title": "Else"}, {"text": "Else."}, {"image": None}])
def test_other_content_gives_another_hash(
    documents: list[Document],
    built: Path,
    encoders: Encoders,
    tmp_path: Path,
    change: dict[str, str],
) -> None:
    changed = [replace(documents[0], **change), *documents[1:]]
    with EvidenceIndex.build(changed, tmp_path / "changed", encoders) as index:
        assert index.sha256 != EvidenceIndex.open(built).sha256


def test_passage_settings_cut_and_name_the_index(encoders: Encoders, tmp_path: Path) -> None:
    document = Document("d", "A sentence of some words stands here. " * 20)
    short = PassageSettings(max_characters=80, overlap_sentences=0)
    default = EvidenceIndex.build([document], tmp_path / "default", encoders)
    cut = EvidenceIndex.build([document], tmp_path / "cut", encoders, passages=short)
    assert len(cut) == 10
    assert len(default) < len(cut)
    assert cut.manifest.passage == short
    assert cut.sha256 != default.sha256


def test_progress_is_told_for_each_stage(
    documents: list[Document], encoders: Encoders, tmp_path: Path
) -> None:
    seen: dict[str, list[tuple[int, int | None]]] = {}

    def on_progress(stage: str, done: int, total: int | None) -> None:
        seen.setdefault(stage, []).append((done, total))

    EvidenceIndex.build(iter(documents), tmp_path / "i", encoders, on_progress=on_progress)
    assert list(seen) == ["documents", "passages", "pictures", "words", "files"]
    assert [stage[-1] for stage in seen.values()] == [(6, None), (6, 6), (4, 4), (1, 1), (9, 9)]


def test_a_picture_that_cannot_be_read_is_a_warning(
    photographs: Path, encoders: Encoders, tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    documents = [
        Document("gone", "First text.", image=tmp_path / "gone.jpg"),
        Document("good", "Second text.", image=photographs / "03.png"),
        Document("bad", "Third text.", image=tmp_path / "bad.jpg"),
    ]
    warnings: list[str] = []
    index = EvidenceIndex.build(documents, tmp_path / "i", encoders, on_warning=warnings.append)
    assert len(warnings) == 2
    assert "document 'gone'" in warnings[0]
    assert "gone.jpg" in warnings[0]
    assert "document 'bad'" in warnings[1]
    assert "bad.jpg: not an image" in warnings[1]
    found = index.images_of(["gone", "good", "bad"])
    assert [image.document_id for _, image in found] == ["good"]
    assert index.document("bad").image is None
    with pytest.raises(InvalidInputError, match=r"document 'gone': .*gone\.jpg"):
        EvidenceIndex.build(documents, tmp_path / "strict", encoders, strict=True)
    assert not (tmp_path / "strict").exists()


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([], "the corpus has no documents"),
        (
            [Document("a", "Text."), Document("b", "Text."), Document("a", "Else.")],
            "document 3: another one before it has its id, 'a'",
        ),
        ([Document("a", "Text."), Document("b", " \n")], r"document 2 \('b'\): its text is empty"),
        ([Document("", "Text.")], "document 1: its id is empty"),
        ([Document("a", "Half \ud83d.")], r"document 1 \('a'\): it holds half of a surrogate"),
        ([Document("a", "Text.", image="\0")], "its image is not the name of a file"),
    ],
)
def test_a_bad_corpus_is_refused_by_document(
    documents: list[Document], message: str, encoders: Encoders, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        EvidenceIndex.build(documents, tmp_path / "i", encoders)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_replaced_only_if_it_is_an_index_and_one_asks(
    documents: list[Document], encoders: Encoders, copy: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="an index is there already"):
        EvidenceIndex.build(documents[:1], copy, encoders)
    with EvidenceIndex.build(documents[:1], copy, encoders, overwrite=True) as index:
        assert len(index) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["copy.index"]

    (copy / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"notes\.txt: not a file of the index"):
        EvidenceIndex.build(documents, copy, encoders, overwrite=True)

    other = tmp_path / "other"
    other.mkdir()
    (other / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match="a folder is there that is not an index"):
        EvidenceIndex.build(documents, other, encoders, overwrite=True)
    assert (other / "manifest.json").read_text() == "{}"

    with pytest.raises(UsageError, match="a file is there already"):
        EvidenceIndex.build(documents, copy / "notes.txt", encoders, overwrite=True)


def test_an_empty_folder_and_missing_parents_are_used(
    documents: list[Document], encoders: Encoders, tmp_path: Path
) -> None:
    EvidenceIndex.build(documents[:1], tmp_path, encoders).close()
    EvidenceIndex.build(documents[:1], tmp_path.parent / "new" / "deep", encoders).close()


@pytest.mark.parametrize("stage", ["documents", "passages", "pictures", "files"])
def test_an_interrupted_build_leaves_what_was_there(
    stage: str, documents: list[Document], encoders: Encoders, copy: Path
) -> None:
    def interrupt(at: str, done: int, total: int | None) -> None:
        if at == stage and done == (total or 3):
            raise KeyboardInterrupt

    for folder in (copy.with_name("new.index"), copy):
        with pytest.raises(KeyboardInterrupt):
            EvidenceIndex.build(
                documents[:3], folder, encoders, overwrite=True, on_progress=interrupt
            )
    assert [path.name for path in copy.parent.iterdir()] == ["copy.index"]
    with EvidenceIndex.open(copy, encoders) as index:
        assert len(index) == 6


_KILLED = """
import os, signal, sys
from types import SimpleNamespace
import numpy as np
from factcheck.records import Document
from factcheck.retrieval import EvidenceIndex

text = SimpleNamespace(name="text", sha256="0" * 64, dimension=4)
image = SimpleNamespace(name="image", sha256="1" * 64, dimension=4, tokens=1)
# Stand-ins: what is tried here is the disk, and real encoders take seconds to load.
passages = lambda texts: np.eye(1, 4)[[0] * len(texts)]
encoders = SimpleNamespace(text=text, image=image, passages=passages)

def kill(stage, done, total):
    if stage == "files" and done == total:
        os.kill(os.getpid(), signal.SIGKILL)

EvidenceIndex.build(
    [Document("a", "Text.")], sys.argv[1], encoders, overwrite=True, on_progress=kill
)
"""


def test_a_killed_build_leaves_no_index_and_hurts_none(
    documents: list[Document], encoders: Encoders, copy: Path
) -> None:
    new = copy.with_name("new.index")
    for folder in (new, copy):
        killed = subprocess.run([sys.executable, "-c", _KILLED, str(folder)], check=False)
        assert killed.returncode == -signal.SIGKILL
    assert not new.exists()
    EvidenceIndex.open(copy, encoders).close()
    with EvidenceIndex.build(documents[:1], new, encoders) as index:
        assert index.search(Claim(documents[0].text))[0].document_id == documents[0].id


@contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    """A stand-in for a full disk: writing past `size` bytes of any file fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("count", "limit"),
    [pytest.param(6, 4096, id="vectors"), pytest.param(1, 8192, id="metadata")],
)
def test_a_full_disk_is_an_error_that_leaves_nothing(
    count: int, limit: int, documents: list[Document], encoders: Encoders, copy: Path
) -> None:
    with _files_of_at_most(limit), pytest.raises(RunError, match="cannot be written") as caught:
        EvidenceIndex.build(documents[:count], copy, encoders, overwrite=True)
    assert str(copy) in str(caught.value)
    assert [path.name for path in copy.parent.iterdir()] == ["copy.index"]
    EvidenceIndex.open(copy, encoders).close()


def test_vector_and_token_files_tell_of_a_full_disk(tmp_path: Path) -> None:
    for limit in (0, 64, 280):
        with _files_of_at_most(limit), pytest.raises(RunError), writing(tmp_path):
            _write_vectors(tmp_path / "vectors")
    for limit in (0, 130, 5000):
        with _files_of_at_most(limit), pytest.raises(RunError), writing(tmp_path):
            _write_tokens(tmp_path / "tokens")


def _write_vectors(path: Path) -> None:
    with closing(VectorWriter(path, 8)) as writer:
        writer.add(np.eye(8))
        writer.commit()


def _write_tokens(path: Path) -> None:
    with closing(TokenWriter(path, 4, 32)) as writer:
        writer.add(np.ones((40, 4, 32)))
        writer.commit()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_an_error(
    documents: list[Document], encoders: Encoders, tmp_path: Path
) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="cannot be written"):
        EvidenceIndex.build(documents, tmp_path / "i", encoders)
