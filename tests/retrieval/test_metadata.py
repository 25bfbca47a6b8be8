"""The tables of a segment, read without looking through all of them again and again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stand_ins

from factcheck.encoders import Encoders
from factcheck.records import Claim, Document
from factcheck.retrieval import EvidenceIndex
from factcheck.retrieval.metadata_reader import MetadataReader
from factcheck.retrieval.metadata_writer import MetadataWriter
from factcheck.settings import SearchSettings


def open_tables(folder: Path, documents: int, passages: list[int]) -> MetadataReader:
    """Tables of documents, with the document of each passage."""
    path = folder / "metadata.sqlite"
    writer = MetadataWriter(path)
    for document in stand_ins.documents(0, documents):
        writer.add_document(document, [], None, bytes(32), b"")
    writer._connection.executemany(
        "INSERT INTO passages VALUES (?, ?, 0, 8)", list(enumerate(passages))
    )
    writer.commit()
    return MetadataReader(path, documents, len(passages), 0)


def test_passages_of_documents_are_found_in_whatever_order_they_lie(tmp_path: Path) -> None:
    owners = [int(owner) for owner in np.random.default_rng(0).permutation([*range(40)] * 3)]
    reader = open_tables(tmp_path, 40, owners)
    expected = {
        document: [row for row, owner in enumerate(owners) if owner == document]
        for document in (39, 0, 7)
    }
    assert reader.passages_of([39, 0, 7, 0]) == expected
    assert all(type(row) is int for rows in reader.passages_of([3]).values() for row in rows)
    reader.check_references()
    reader.close()


def test_the_table_of_passages_is_read_once_for_all_documents(tmp_path: Path) -> None:
    reader = open_tables(tmp_path, 300, [*range(300)] * 2)
    statements: list[str] = []
    reader._connection.set_trace_callback(statements.append)
    for document in range(300):
        assert reader.passages_of([document]) == {document: [document, document + 300]}
    assert len(statements) == 1
    reader.close()


def test_compaction_and_picture_queries_read_the_table_once(
    copy: Path, encoders: Encoders, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    rows = MetadataReader._rows

    def counted(self: MetadataReader, statement: str, values: Any = ()) -> Any:
        statements.append(statement)
        return rows(self, statement, values)

    monkeypatch.setattr(MetadataReader, "_rows", counted)
    index = EvidenceIndex.open(copy, encoders)
    statements.clear()
    for name in ("00.jpg", "01.png", "02.jpg"):
        assert index.search(Claim("", photographs / name), 5, SearchSettings(rerank=0))
    assert statements.count("SELECT document FROM passages ORDER BY row") == 1
    assert statements.count("SELECT document FROM images ORDER BY row") == 1
    statements.clear()
    index.compact()
    assert not [one for one in statements if "FROM passages WHERE document = ?" in one]


def test_passages_are_read_back_by_reading_each_document_once(tmp_path: Path) -> None:
    writer = MetadataWriter(tmp_path / "metadata.sqlite")
    texts = ["An \u00e9t\u00e9. It was hot.", "Three sentences. Of which two. Are short."]
    borders = [[(0, 7), (8, 19)], [(0, 16), (17, 30), (31, 41)]]
    for number, (text, own) in enumerate(zip(texts, borders, strict=True)):
        title = "A title" if number else None
        writer.add_document(Document(f"d{number}", text, title=title), own, None, bytes(32), b"")
    statements: list[str] = []
    writer._connection.set_trace_callback(statements.append)
    assert list(writer.titled_passages()) == [
        *((None, texts[0][start:end]) for start, end in borders[0]),
        *(("A title", texts[1][start:end]) for start, end in borders[1]),
    ]
    assert [one for one in statements if "text" in one] == [
        "SELECT row, title, text FROM documents ORDER BY row"
    ]
    assert list(writer.passage_texts())[1] == "It was hot."
    writer.close()
