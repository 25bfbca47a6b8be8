"""Looking at every byte of an index: what a manifest vouches for is looked at too."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from factcheck.encoders import Encoders
from factcheck.retrieval import EvidenceIndex, Manifest, verify_index
from factcheck.retrieval.segment_files import file_entry


def rewrite(folder: Path, statement: str) -> None:
    """Change the tables of an index, and the hash of their file in the manifest."""
    path = folder / "segments" / "000001" / "metadata.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)
    manifest = Manifest.read(folder)
    (segment,) = manifest.segments
    files = {**segment.files, path.name: file_entry(path)}
    segment = segment.model_copy(update={"files": files})
    manifest.model_copy(update={"segments": [segment]}).write(folder)


def test_an_index_that_was_changed_and_compacted_is_whole(copy: Path, encoders: Encoders) -> None:
    assert verify_index(copy)[1] == []
    index = EvidenceIndex.open(copy, encoders).delete(["cat", "rocket"])
    assert verify_index(copy)[1] == []
    index.compact()
    assert verify_index(copy)[1] == []
    index.delete(["coffee", "election", "river", "vaccine"])
    assert verify_index(copy)[1] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"documents": 5}, "it says 5 documents, and the segments hold 6"),
        ({"passages": 7}, "it says 7 passages, and the segments hold 6"),
        ({"images": 999}, "it says 999 images, and the segments hold 4"),
        ({"corpus_sha256": "0" * 64}, "its corpus_sha256 is not that of the documents"),
    ],
)
def test_a_manifest_that_says_what_is_not_so_is_told(
    copy: Path, change: dict[str, Any], message: str
) -> None:
    Manifest.read(copy).model_copy(update=change).write(copy)
    (problem,) = verify_index(copy)[1]
    assert problem.startswith(f"{copy / 'manifest.json'}: {message}")


def test_all_that_is_not_so_is_told(copy: Path) -> None:
    Manifest.read(copy).model_copy(update={"documents": 5, "images": 999}).write(copy)
    assert len(verify_index(copy)[1]) == 2


@pytest.mark.parametrize(
    "change",
    [
        "text = replace(text, 'Sunday', 'Monday')",
        "title = 'Else'",
        "url = NULL",
        "date = '2023-01-01'",
        "ocr = 'words'",
        "digest = zeroblob(32)",
    ],
)
def test_a_document_that_was_changed_is_told(copy: Path, change: str) -> None:
    rewrite(copy, f"UPDATE documents SET {change} WHERE id = 'rocket'")
    (problem,) = verify_index(copy)[1]
    assert "metadata.sqlite: damaged: document 'rocket' is not the one that its digest" in problem


def test_passages_that_were_moved_are_told(copy: Path) -> None:
    rewrite(copy, "UPDATE passages SET start = start + 1 WHERE row = 2")
    (problem,) = verify_index(copy)[1]
    assert "document 'cat' is not the one that its digest was made of" in problem
    rewrite(copy, 'UPDATE passages SET "end" = 100000 WHERE row = 1')
    (problem,) = verify_index(copy)[1]
    assert "document 'coffee' has a passage that lies outside of it" in problem


def test_a_picture_with_another_hash_is_told(copy: Path) -> None:
    rewrite(copy, f"UPDATE images SET sha256 = '{'0' * 64}' WHERE row = 0")
    (problem,) = verify_index(copy)[1]
    assert "manifest.json: its corpus_sha256 is not that of the documents" in problem
