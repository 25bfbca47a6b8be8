"""The folder of an index, replaced, written to and read at once; and builds that were cut short."""

import fcntl
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stand_ins

from factcheck.encoders import Encoders
from factcheck.errors import InvalidInputError, MissingResourceError, RunError, UsageError
from factcheck.records import Document
from factcheck.retrieval import EvidenceIndex, Manifest, verify_index
from factcheck.retrieval.engine import LocalEngine
from factcheck.retrieval.folder import locked
from factcheck.retrieval.reader import open_segments
from factcheck.settings import PassageSettings

_BUSY = "another process is writing to this index"


class Failing(LocalEngine):
    """Encodes, and notes how many; fails at one of the batches."""

    def __init__(self, at: int | None = None) -> None:
        super().__init__(stand_ins.encoders())
        self.encoded: list[int] = []
        self.at = at

    def passages(self, batches: Iterable[list[str]]) -> Iterator[np.ndarray]:
        """See `Engine`."""
        for batch in batches:
            if len(self.encoded) == self.at:
                raise RunError("the Ray cluster could not encode a batch (a worker died)")
            self.encoded.append(len(batch))
            yield stand_ins.passages(batch)


def build(folder: Path, documents: Iterable[Document], engine: Failing, **options: Any) -> Manifest:
    """Build with four passages a segment."""
    options = {"key": "k", "segment_passages": 4, **options}
    with EvidenceIndex.build(
        documents, folder, stand_ins.encoders(), engine=engine, **options
    ) as index:
        return index.manifest


def test_a_build_whose_engine_failed_is_gone_on_with(tmp_path: Path) -> None:
    documents, folder = stand_ins.documents(0, 6), tmp_path / "i"
    with pytest.raises(RunError, match="a worker died"):
        build(folder, documents, Failing(at=2))
    assert [path.name for path in tmp_path.iterdir()] == [".i.partial"]
    engine = Failing()
    whole = build(tmp_path / "whole", documents, Failing())
    assert build(folder, documents, engine).sha256 == whole.sha256
    assert engine.encoded == [4]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["i", "whole"]
    # Without a key nobody could go on with it, and a corpus that is wrong stays wrong.
    with pytest.raises(RunError):
        build(tmp_path / "j", documents, Failing(at=2), key=None)
    with pytest.raises(InvalidInputError):
        build(tmp_path / "j", [*documents, documents[0]], Failing())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["i", "whole"]


def test_a_build_whose_corpus_went_away_is_gone_on_with(tmp_path: Path) -> None:
    documents, folder = stand_ins.documents(0, 6), tmp_path / "i"

    def cut_off() -> Iterator[Document]:
        yield from documents[:5]
        raise MissingResourceError("corpus.jsonl: cannot be read (Input/output error)")

    with pytest.raises(MissingResourceError):
        build(folder, cut_off(), Failing())
    assert [path.name for path in tmp_path.iterdir()] == [".i.partial"]
    again, anew = Failing(), Failing()
    whole = build(tmp_path / "whole", documents, anew)
    assert build(folder, documents, again).sha256 == whole.sha256
    assert len(again.encoded) < len(anew.encoded)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_index_that_is_written_to_is_not_replaced(tmp_path: Path) -> None:
    documents, folder = stand_ins.documents(0, 6), tmp_path / "i"
    before = build(folder, documents[:2], Failing())
    with locked(folder, "held"), pytest.raises(UsageError, match=_BUSY):
        build(folder, documents, Failing(), overwrite=True)
    assert Manifest.read(folder) == before
    # All of it is there, and goes in its place once that is free.
    engine = Failing()
    assert build(folder, documents, engine, overwrite=True).documents == 6
    assert engine.encoded == []
    assert [path.name for path in tmp_path.iterdir()] == ["i"]


def test_a_change_during_a_build_is_a_change_before_or_after_it(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    encoders = stand_ins.encoders()
    index = EvidenceIndex.build(stand_ins.documents(0, 6), folder, encoders)

    def overwrite(stage: str, done: int, total: int | None) -> None:
        if stage == "files" and done == total:
            EvidenceIndex.build(stand_ins.documents(50, 3), folder, encoders, overwrite=True)

    with pytest.raises(UsageError, match=_BUSY):
        index.add(stand_ins.documents(10, 1), on_progress=overwrite)
    assert EvidenceIndex.open(folder, encoders).manifest == index.manifest
    assert verify_index(folder)[1] == []


def test_what_is_locked_is_the_folder_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other = tmp_path / "i", tmp_path / "other"
    build(folder, stand_ins.documents(0, 2), Failing())
    build(other, stand_ins.documents(5, 4), Failing())
    lock = fcntl.flock

    def replaced_before(descriptor: int, how: int) -> None:
        if other.exists():
            folder.rename(tmp_path / "old")
            other.rename(folder)
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", replaced_before)
    with locked(folder, "held"):
        monkeypatch.undo()
        with pytest.raises(UsageError, match="held too"), locked(folder, "held too"):
            pass
        with locked(tmp_path / "old", "held"):
            pass


def test_who_has_an_index_open_for_long_writes_to_the_one_that_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    encoders = stand_ins.encoders()
    long_open = EvidenceIndex.build(stand_ins.documents(0, 3), folder, encoders)
    cut = PassageSettings(max_characters=100)
    EvidenceIndex.build(
        stand_ins.documents(0, 3), folder, encoders, overwrite=True, passages=cut
    ).close()
    after = long_open.add(stand_ins.documents(3, 2))
    assert after.manifest.passage == cut
    whole = EvidenceIndex.build(
        stand_ins.documents(0, 5), tmp_path / "whole", encoders, passages=cut
    )
    assert after.sha256 == whole.sha256


def test_a_reader_opens_what_has_been_put_in_place_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "i"
    encoders = stand_ins.encoders()
    EvidenceIndex.build(stand_ins.documents(0, 2), folder, encoders).close()

    def after_a_build(*arguments: Any) -> Any:
        monkeypatch.undo()
        # Its generation is the first, as that of the one before it.
        EvidenceIndex.build(stand_ins.documents(10, 5), folder, encoders, overwrite=True).close()
        return open_segments(*arguments)

    monkeypatch.setattr("factcheck.retrieval.index.open_segments", after_a_build)
    with EvidenceIndex.open(folder, encoders) as index:
        assert index.manifest.documents == 5


def test_a_reader_waits_while_a_folder_takes_the_place_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, new = tmp_path / "i", tmp_path / ".i.partial"
    encoders = stand_ins.encoders()
    for one, count in ((folder, 2), (new, 4)):
        EvidenceIndex.build(stand_ins.documents(0, count), one, encoders).close()
    folder.rename(tmp_path / ".i.0123456789ab.old")
    # The build goes on while the reader waits.
    monkeypatch.setattr("time.sleep", lambda _: new.rename(folder))
    with EvidenceIndex.open(folder, encoders) as index:
        assert index.manifest.documents == 4
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("nothing is to be waited for"))
    with pytest.raises(MissingResourceError, match="there is no such index"):
        EvidenceIndex.open(tmp_path / "none", encoders)


def test_an_add_that_fails_leaves_no_files(copy: Path, encoders: Encoders) -> None:
    index = EvidenceIndex.open(copy, encoders)
    with pytest.raises(InvalidInputError, match="another one before it has its id"):
        index.add([Document("new", "New text."), Document("new", "Else.")])
    (segment,) = index.manifest.segments
    assert [path.name for path in (copy / "segments").iterdir()] == [segment.name]
    assert {path.name for path in (copy / "segments" / segment.name).iterdir()} == set(
        segment.files
    )


def test_a_change_that_fails_behind_its_manifest_keeps_what_that_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "i"
    encoders = stand_ins.encoders()
    index = EvidenceIndex.build(stand_ins.documents(0, 2), folder, encoders)
    write = Manifest.write

    def fail_behind(self: Manifest, folder: Path) -> None:
        write(self, folder)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Manifest, "write", fail_behind)
    with pytest.raises(RunError, match="Input/output error"):
        index.add(stand_ins.documents(2, 2))
    assert verify_index(folder)[1] == []
    assert EvidenceIndex.open(folder, encoders).manifest.documents == 4


def test_half_a_manifest_of_a_killed_writer_is_in_nobodys_way(
    copy: Path, documents: list[Document], encoders: Encoders
) -> None:
    (copy / ".manifest.json.tmp").write_text("{")
    shutil.copytree(copy, copy.with_name("other.index"))
    with EvidenceIndex.build(documents[:1], copy, encoders, overwrite=True) as index:
        assert len(index) == 1
    EvidenceIndex.open(copy.with_name("other.index"), encoders).delete(["cat"]).close()
    for folder in (copy, copy.with_name("other.index")):
        assert {path.name for path in folder.iterdir()} == {"manifest.json", "segments"}


def test_a_manifest_that_would_not_be_read_is_not_written(copy: Path) -> None:
    before = (copy / "manifest.json").read_bytes()
    manifest = Manifest.read(copy).model_copy(update={"libraries": {"x": "y" * 2**24}})
    with pytest.raises(UsageError, match=r"with 1 segments it takes more than 16,777,216 bytes"):
        manifest.write(copy)
    assert (copy / "manifest.json").read_bytes() == before


def test_pictures_that_cannot_be_read_are_told_when_a_build_goes_on(
    photographs: Path, encoders: Encoders, tmp_path: Path
) -> None:
    lost = tmp_path / "lost.jpg"
    documents = [
        Document("a", "A text about a bridge.", image=photographs / "00.jpg"),
        Document("b", "A text about a tower.", image=lost),
        Document("c", "A text about a mill."),
        Document("d", "A text about a river."),
    ]

    def stop(stage: str, done: int, total: int | None) -> None:
        if stage == "words" and len(list((tmp_path / ".i.partial/segments").iterdir())) == 2:
            raise KeyboardInterrupt

    def go_on(**options: Any) -> tuple[EvidenceIndex, list[str]]:
        warnings: list[str] = []
        index = EvidenceIndex.build(
            documents,
            tmp_path / "i",
            encoders,
            key="k",
            segment_passages=2,
            on_warning=warnings.append,
            **options,
        )
        return index, warnings

    with pytest.raises(KeyboardInterrupt):
        go_on(on_progress=stop)
    kept = tmp_path / "kept"
    shutil.copytree(tmp_path / ".i.partial", kept)
    with pytest.raises(InvalidInputError, match=r"document 'b': .*lost\.jpg"):
        go_on(strict=True)
    kept.rename(tmp_path / ".i.partial")
    index, warnings = go_on()
    assert len(warnings) == 1
    assert "document 'b'" in warnings[0]
    assert warnings[0].endswith("it goes in without its picture")
    assert index.manifest.images == 1
    fresh = EvidenceIndex.build(
        [documents[0], replace(documents[1], image=None), *documents[2:]],
        tmp_path / "fresh",
        encoders,
    )
    assert index.sha256 == fresh.sha256
