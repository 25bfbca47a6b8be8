"""The encoding cache: by content, shared, and safe against a crash."""

import multiprocessing
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from factcheck.encoders import EncodingCache
from factcheck.encoders import cache as cache_module
from factcheck.errors import FactcheckError, InvalidInputError, RunError


def test_what_is_put_is_got(tmp_path: Path) -> None:
    with EncodingCache(tmp_path / "cache.sqlite") as cache:
        values = {bytes([i]): np.full(5, i, np.float32) for i in range(20)}
        cache.put(values.items())
        found = cache.get([*values, b"unknown"])
    assert set(found) == set(values)
    assert all(np.array_equal(found[key], value) for key, value in values.items())


def test_it_is_there_when_opened_again(tmp_path: Path) -> None:
    with EncodingCache(tmp_path / "cache.sqlite") as cache:
        cache.put([(b"a", np.ones(3))])
    with EncodingCache(tmp_path / "cache.sqlite") as cache:
        assert cache.get([b"a"])[b"a"].tolist() == [1, 1, 1]


def test_more_keys_than_sqlite_takes_at_once(tmp_path: Path) -> None:
    keys = [i.to_bytes(4) for i in range(3000)]
    with EncodingCache(tmp_path / "cache.sqlite") as cache:
        cache.put((key, np.zeros(1)) for key in keys)
        assert len(cache.get(keys)) == 3000


def write_many(path: Path, first: int) -> None:
    with EncodingCache(path) as cache:
        for i in range(first, first + 50):
            cache.put([(i.to_bytes(4), np.full(8, i, np.float32))])


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(path, start)) for start in (0, 25, 100)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    with EncodingCache(path) as cache:
        found = cache.get([i.to_bytes(4) for i in [*range(75), *range(100, 150)]])
    assert len(found) == 125
    assert all(int.from_bytes(key) == value[0] for key, value in found.items())


BATCH = 40


def write_on_and_on(path: Path, first: int) -> None:
    """Put batches of one value each until killed, and say so after each."""
    with EncodingCache(path) as cache:
        for number in range(first, first + 10_000):
            keys = [number.to_bytes(4) + bytes([place]) for place in range(BATCH)]
            cache.put((key, np.full(512, number, np.float32)) for key in keys)
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()


def test_a_killed_writer_leaves_whole_batches(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    told = 0
    for round_ in range(4):
        first = 20_000 * round_
        code = f"from test_cache import *; write_on_and_on(Path({str(path)!r}), {first})"
        writer = subprocess.Popen(
            [sys.executable, "-c", code], cwd=Path(__file__).parent, stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        # Somewhere in a batch, no two times at the same place.
        for _ in range(5 + 7 * round_):
            last = int(writer.stdout.readline())
        writer.kill()
        writer.wait()
        writer.stdout.close()
        told += last - first + 1
        with EncodingCache(path) as cache:
            numbers = range(first, first + 10_000)
            whole = 0
            for number in numbers:
                keys = [number.to_bytes(4) + bytes([place]) for place in range(BATCH)]
                found = cache.get(keys)
                assert len(found) in (0, BATCH)
                assert all((value == number).all() for value in found.values())
                if not found:
                    break
                whole += 1
            # What was told to be there is there; a batch more may be.
            assert whole >= last - first + 1
    assert told >= 5 + 12 + 19 + 26
    with EncodingCache(path) as cache:
        cache.put([(b"after", np.ones(3))])
        assert cache.get([b"after"])[b"after"].tolist() == [1, 1, 1]


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a cache " * 100)
    with pytest.raises(InvalidInputError, match=r"notes.txt: not an encoding cache"):
        EncodingCache(tmp_path / "notes.txt")


def test_a_place_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FactcheckError, match=r"cache"):
        EncodingCache(tmp_path / "file" / "cache.sqlite")


def test_processes_may_make_it_at_the_same_time(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    together = context.Barrier(2)
    failed = context.Value("i", 0)

    def make_some() -> None:
        for number in range(40):
            together.wait()
            try:
                EncodingCache(tmp_path / f"{number}.sqlite").close()
            except InvalidInputError:
                failed.value += 1

    makers = [context.Process(target=make_some) for _ in range(2)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(60)
    assert [maker.exitcode for maker in makers] == [0, 0]
    assert failed.value == 0


def test_a_value_of_another_length_gives_way(tmp_path: Path) -> None:
    with EncodingCache(tmp_path / "cache.sqlite") as cache:
        cache.put([(b"a", np.ones(3)), (b"b", np.ones(2))])
        cache.put([(b"a", np.zeros(3)), (b"b", np.zeros(3))])
        found = cache.get([b"a", b"b"])
    assert (found[b"a"].tolist(), found[b"b"].tolist()) == ([1, 1, 1], [0, 0, 0])


def test_what_is_no_array_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    EncodingCache(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = [(b"a", b"abc"), (b"b", "text"), (b"c", 5), (b"d", None)]
        connection.executemany("INSERT INTO encodings VALUES (?, ?)", rows)
    with EncodingCache(path) as cache:
        assert cache.get([b"a", b"b", b"c", b"d"]) == {}
        cache.put([(key, np.ones(2)) for key in (b"a", b"b", b"c", b"d")])
        assert len(cache.get([b"a", b"b", b"c", b"d"])) == 4


def test_a_damaged_cache_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    with EncodingCache(path) as cache:
        cache.put([(i.to_bytes(4), np.ones(64)) for i in range(200)])
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    complaint = r"cache\.sqlite: not an encoding cache, or damaged"
    with EncodingCache(path) as cache:
        with pytest.raises(InvalidInputError, match=complaint):
            cache.get([b"a"])
        with pytest.raises(InvalidInputError, match=complaint):
            cache.put([(b"a", np.ones(3))])


def test_a_table_of_another_shape_is_no_cache(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE encodings (name TEXT)")
    with EncodingCache(path) as cache, pytest.raises(InvalidInputError, match="not an encoding ca"):
        cache.get([b"a"])


def test_a_locked_cache_is_still_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cache.sqlite"
    EncodingCache(path).close()
    monkeypatch.setattr(cache_module, "_PATIENCE", 0.05)
    complaint = r"cache\.sqlite: an encoding cache that cannot be read or written \(.*locked"
    with closing(sqlite3.connect(path, isolation_level=None)) as other, EncodingCache(path) as one:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RunError, match=complaint):
            one.put([(b"a", np.ones(3))])
        other.execute("ROLLBACK")
        one.put([(b"a", np.ones(3))])


def test_a_cache_that_may_only_be_read_is_still_a_cache(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    with EncodingCache(path) as cache:
        cache._connection.execute("PRAGMA query_only=ON")
        with pytest.raises(RunError, match=r"an encoding cache that cannot be read or written"):
            cache.put([(b"a", np.ones(3))])
