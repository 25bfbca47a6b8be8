"""Changing an index: added, deleted, compacted, killed, resumed, with readers and full disks."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stand_ins

from factcheck.encoders import Encoders
from factcheck.errors import InvalidInputError, RunError, UsageError
from factcheck.records import Claim, Document
from factcheck.retrieval import EvidenceIndex, Manifest, verify_index
from factcheck.retrieval.folder import locked
from factcheck.settings import SearchSettings

PLAIN = SearchSettings(rerank=0)


def hits_of(index: EvidenceIndex, claims: list[Claim]) -> list[list[tuple[str, int, float]]]:
    return [
        [(hit.document_id, hit.passage.start, round(hit.score, 4)) for hit in hits]
        for hits in index.search_many(claims, 10, PLAIN)
    ]


def test_parts_find_what_the_whole_finds(
    documents: list[Document],
    encoders: Encoders,
    tmp_path: Path,
    photographs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The same digits are promised in float32: in bfloat16 a vector depends in its last ones on what
    # else is in its batch, and parts and whole are encoded in other batches.
    monkeypatch.setattr("factcheck.encoders.precision.has_bfloat16", lambda device: False)
    index = EvidenceIndex.build(documents[:2], tmp_path / "i", encoders)
    index = index.add(documents[2:3]).add(documents[3:])
    whole = EvidenceIndex.build(documents, tmp_path / "whole", encoders)
    assert index.sha256 == whole.sha256
    assert len(index.manifest.segments) == 3
    claims = [
        Claim("A rocket touched down on a ship at sea.", photographs / "02.jpg"),
        Claim("Frost made coffee dearer.", photographs / "00.jpg"),
        Claim("", photographs / "01.png"),
    ]
    assert hits_of(index, claims) == hits_of(whole, claims)
    for document in documents:
        assert index.document(document.id) == whole.document(document.id)
    rows = [row for row, _ in index.images_of(["election", "cat"])]
    others = [row for row, _ in whole.images_of(["election", "cat"])]
    assert np.array_equal(index.image_tokens(rows), whole.image_tokens(others))
    compacted = index.compact()
    assert len(compacted.manifest.segments) == 1
    assert compacted.sha256 == whole.sha256
    assert hits_of(compacted, claims) == hits_of(whole, claims)
    assert verify_index(compacted.folder)[1] == []


def test_what_is_deleted_is_gone_and_comes_back_with_the_same_hash(
    documents: list[Document], copy: Path, encoders: Encoders
) -> None:
    index = EvidenceIndex.open(copy, encoders)
    before = index.sha256
    after = index.delete(["rocket", "vaccine"])
    assert (after.manifest.documents, len(after), after.manifest.images) == (4, 4, 3)
    found = {hit.document_id for hit in after.search(Claim("Rocket or vaccine"), 10, PLAIN)}
    assert found == {"coffee", "cat", "election", "river"}
    assert after.search(Claim("approving vaccines"), 5, SearchSettings(
        channels=("lexical",), rerank=0)) == []  # fmt: skip
    with pytest.raises(InvalidInputError, match="no document 'rocket'"):
        after.document("rocket")
    with pytest.raises(InvalidInputError, match="no document 'rocket'"):
        after.images_of(["rocket"])
    # Who had it open still has all of it.
    assert index.document("rocket").text == documents[0].text
    with pytest.raises(InvalidInputError, match="no document 'none' in the index; nothing was"):
        after.delete(["cat", "none"])
    assert EvidenceIndex.open(copy, encoders).manifest == after.manifest
    again = after.add([documents[0], documents[5]])
    assert again.sha256 == before
    again = again.delete(["river"]).compact().add([documents[4]])
    assert again.sha256 == before
    assert verify_index(copy)[1] == []


def test_all_may_be_deleted(copy: Path, encoders: Encoders, documents: list[Document]) -> None:
    empty = EvidenceIndex.open(copy, encoders).delete([document.id for document in documents])
    assert len(empty) == 0
    assert empty.search(Claim("Anything."), 5, PLAIN) == []
    assert list((copy / "segments").iterdir()) == []
    assert len(empty.compact().add(documents[:2])) == 2


def test_a_document_is_added_once_or_replaced(
    documents: list[Document], copy: Path, encoders: Encoders
) -> None:
    index = EvidenceIndex.open(copy, encoders)
    with pytest.raises(
        InvalidInputError, match=r"document 2: the index has .*--replace .* with its id, 'coffee'"
    ):
        index.add([Document("new", "New text."), documents[1]])
    assert EvidenceIndex.open(copy, encoders).manifest == index.manifest
    changed = replace(documents[1], text="Coffee became cheaper.")
    after = index.add([Document("new", "New text."), changed], replace=True)
    assert after.manifest.documents == 7
    assert after.document("coffee").text == "Coffee became cheaper."
    assert after.add([documents[1]], replace=True).delete(["new"]).sha256 == index.sha256
    with pytest.raises(InvalidInputError, match="document 2: another one"):
        index.add([changed, changed], replace=True)
    with pytest.raises(InvalidInputError, match="there are no documents to add"):
        index.add([])


def test_a_large_build_has_several_segments_of_one_hash(encoders: Encoders, tmp_path: Path) -> None:
    several = stand_ins.documents(0, 9)
    parts = EvidenceIndex.build(several, tmp_path / "a", encoders, segment_passages=4)
    whole = EvidenceIndex.build(several, tmp_path / "b", encoders)
    assert len(parts.manifest.segments) == 5
    assert parts.sha256 == whole.sha256
    claims = [Claim("Sentence one of document 7."), Claim("Filler words.")]
    assert hits_of(parts, claims[:1])[0][0] == hits_of(whole, claims[:1])[0][0]
    with pytest.raises(InvalidInputError, match="document 10: another one before it has its id"):
        EvidenceIndex.build([*several, several[0]], tmp_path / "c", encoders, segment_passages=4)


def test_a_build_that_was_stopped_is_gone_on_with(
    documents: list[Document], encoders: Encoders, built: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "i"
    calls: list[int] = []

    class Counting(Encoders):
        def passages(self, texts: Any) -> np.ndarray:
            calls.append(len(texts))
            return super().passages(texts)

        def pictures(self, paths: Any, on_progress: Any = None) -> Any:
            calls.append(-len(paths))
            return super().pictures(paths, on_progress)

    counting = Counting(encoders.text, encoders.image)

    def stop_at(wanted: str) -> Any:
        def stop(stage: str, done: int, total: int | None) -> None:
            if stage == wanted and done == total:
                raise KeyboardInterrupt

        return stop

    def build(key: str, stage: str = "") -> EvidenceIndex:
        return EvidenceIndex.build(
            documents, folder, counting, key=key, segment_passages=3, on_progress=stop_at(stage)
        )

    for stage in ("passages", "pictures", "words"):
        with pytest.raises(KeyboardInterrupt):
            build("k", stage)
    assert not folder.exists()
    index = build("k")
    assert index.sha256 == EvidenceIndex.open(built).sha256
    assert len(index.manifest.segments) == 2
    # Three passages and three pictures, then the rest: each batch was encoded once.
    assert calls == [3, -3, 3, -1]
    assert [path.name for path in tmp_path.iterdir()] == ["i"]
    # Another key begins anew.
    other = tmp_path / "j"
    with pytest.raises(KeyboardInterrupt):
        EvidenceIndex.build(documents, other, counting, key="k", on_progress=stop_at("pictures"))
    calls.clear()
    EvidenceIndex.build(documents[:5], other, counting, key="l").close()
    assert calls == [5, -4]
    assert verify_index(other)[1] == []


_CHANGES = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import stand_ins
from factcheck.retrieval import EvidenceIndex

index = EvidenceIndex.open(sys.argv[1], stand_ins.encoders())
print("ready", flush=True)
for turn in range(10_000):
    number = 1000 + turn
    index = index.add(stand_ins.documents(number, 3))
    index = index.delete([f"d{number}", f"d{number + 1}"])
    index = index.delete([f"d{number + 2}"])
    if turn % 3 == 0:
        index = index.compact()
"""


def kill_repeatedly(folder: Path, kills: int, seed: int) -> list[int]:
    """Kill a process that changes an index, again and again; the generations that were found.

    Between kills the index must be whole, and hold what was there before the first change and at
    most one change more.
    """
    rng = random.Random(seed)
    generations = []
    base = {document.id for document in stand_ins.documents(0, 20)}
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", _CHANGES, str(folder), str(Path(stand_ins.__file__).parent)],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0, 0.25))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        manifest, problems = verify_index(folder)
        assert problems == []
        index = EvidenceIndex.open(folder, stand_ins.encoders())
        ids = {hit.document_id for hit in index.search_vectors(np.eye(1, 8), 1000)[0]}
        assert base <= ids
        assert len(ids - base) in (0, 1, 3)
        assert manifest.documents == len(ids)
        # Nothing is left of the change that was cut off once the next one is made.
        if extra := sorted(ids - base):
            index.delete(extra)
        else:
            index.compact()
        named = {segment.name for segment in Manifest.read(folder).segments}
        assert {path.name for path in (folder / "segments").iterdir()} == named
        generations.append(manifest.generation)
    return generations


def test_a_writer_that_is_killed_leaves_the_old_or_the_new_index(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    EvidenceIndex.build(stand_ins.documents(0, 20), folder, stand_ins.encoders()).close()
    generations = kill_repeatedly(folder, kills=6, seed=0)
    # Changes did happen between the kills.
    assert generations[-1] > generations[0]


@pytest.mark.slow
def test_two_hundred_kills(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    EvidenceIndex.build(stand_ins.documents(0, 20), folder, stand_ins.encoders()).close()
    assert len(kill_repeatedly(folder, kills=200, seed=1)) == 200


_READS = """
import json, sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import numpy as np
import stand_ins
from factcheck.retrieval import EvidenceIndex

stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
print("ready", flush=True)
problems, seen = [], set()
while not stop.is_set():
    try:
        with EvidenceIndex.open(sys.argv[1], stand_ins.encoders()) as reader:
            hits = reader.search_vectors(np.eye(1, 8), 1000)[0]
            count = len({hit.document_id for hit in hits})
            if count != reader.manifest.documents:
                problems.append(f"{count} of {reader.manifest.documents} documents")
            seen.add(reader.manifest.generation)
    except Exception as error:
        problems.append(repr(error))
print(json.dumps([problems, sorted(seen)]))
"""


def change(index: EvidenceIndex, turns: int) -> None:
    """Add, delete and compact."""
    for turn in range(turns):
        index = index.add(stand_ins.documents(100 + 5 * turn, 5))
        index = index.delete([f"d{100 + 5 * turn}"])
        if turn % 2:
            index = index.compact()


def test_reading_processes_see_one_index_or_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    index = EvidenceIndex.build(stand_ins.documents(0, 20), folder, stand_ins.encoders())
    script = [sys.executable, "-c", _READS, str(folder), str(Path(stand_ins.__file__).parent)]
    readers = [
        subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    change(index, turns=6)
    found = [json.loads(reader.communicate()[0]) for reader in readers]
    assert [problems for problems, _ in found] == [[]] * 8
    assert len({generation for _, seen in found for generation in seen}) > 3


def test_reading_threads_see_one_index_or_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    index = EvidenceIndex.build(stand_ins.documents(0, 20), folder, stand_ins.encoders())
    stop = threading.Event()
    problems: list[str] = []
    seen: set[int] = set()

    def read() -> None:
        while not stop.is_set():
            try:
                with EvidenceIndex.open(folder, stand_ins.encoders()) as reader:
                    hits = reader.search_vectors(np.eye(1, 8), 1000)[0]
                    count = len({hit.document_id for hit in hits})
                    if count != reader.manifest.documents:
                        problems.append(f"{count} of {reader.manifest.documents} documents")
                    seen.add(reader.manifest.generation)
            except Exception as error:
                problems.append(repr(error))

    readers = [threading.Thread(target=read) for _ in range(8)]
    for thread in readers:
        thread.start()
    try:
        change(index, turns=6)
    finally:
        stop.set()
        for thread in readers:
            thread.join()
    assert problems == []
    assert len(seen) > 3


def test_one_writer_at_a_time(copy: Path, encoders: Encoders) -> None:
    index = EvidenceIndex.open(copy, encoders)
    with (
        locked(copy, "busy"),
        pytest.raises(UsageError, match="another process is writing to this index"),
    ):
        index.delete(["cat"])
    assert index.delete(["cat"]).manifest.documents == 5


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root may mount a small disk"
)
@pytest.mark.parametrize("change", ["add", "delete", "compact", "build"])
def test_a_disk_that_is_full_leaves_the_index_as_it_was(tmp_path: Path, change: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        folder = disk / "i"
        index = EvidenceIndex.build(stand_ins.documents(0, 20), folder, stand_ins.encoders())
        before = (folder / "manifest.json").read_bytes()
        with suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(4096))
        changes = {
            "add": lambda: index.add(stand_ins.documents(100, 400)),
            "delete": lambda: index.delete([f"d{i}" for i in range(19)]),
            "compact": index.compact,
            "build": lambda: EvidenceIndex.build(
                stand_ins.documents(0, 400), folder, stand_ins.encoders(), overwrite=True
            ),
        }
        with pytest.raises(RunError, match="cannot be written"):
            changes[change]()
        assert (folder / "manifest.json").read_bytes() == before
        assert verify_index(folder)[1] == []
        assert len(EvidenceIndex.open(folder, stand_ins.encoders()).manifest.segments) == 1
        (disk / "ballast").unlink()
        assert index.delete(["d3"]).manifest.documents == 19
        assert sorted(path.name for path in disk.iterdir() if path.name.startswith(".")) == []
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_writer_wants_the_encoders_of_the_index(
    copy: Path, other_encoders: Encoders, encoders: Encoders
) -> None:
    with pytest.raises(InvalidInputError, match="built with the image encoder tiny"):
        EvidenceIndex.open(copy, other_encoders)
    index = EvidenceIndex.open(copy, encoders)
    index._encoders = other_encoders
    with pytest.raises(InvalidInputError, match="built with the image encoder tiny"):
        index.delete(["cat"])


def test_an_index_of_an_unknown_version_is_not_written_to(copy: Path, encoders: Encoders) -> None:
    index = EvidenceIndex.open(copy, encoders)
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "version": 9}))
    with pytest.raises(InvalidInputError, match="format version 9"):
        index.add([Document("n", "Text.")])
