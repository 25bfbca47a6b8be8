"""Runs that are cut off, cut into parts, and put together again: the same to the last digit."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from factcheck.errors import InvalidInputError, MissingResourceError, UsageError
from factcheck.evaluation import evaluate_split, merge_runs
from factcheck.evaluation.runs import PARTIAL, Run, Shard, read_run
from factcheck.pipeline import FactChecker

FILES = ("predictions.jsonl", "metrics.json", "report.html")

KILLED_AFTER = """
import os, signal, sys
from pathlib import Path

import factcheck.pipeline
from factcheck.evaluation import evaluate_split
from factcheck.pipeline import FactChecker

checkpoint, folder, out, rows = sys.argv[1:]
factcheck.pipeline.CHUNK = 4

def count(done, of):
    if done >= int(rows):
        os.kill(os.getpid(), signal.SIGKILL)

evaluate_split(FactChecker.load(checkpoint), Path(folder), "test", Path(out), on_progress=count)
"""


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verdicts are put on disk after every eight rows."""
    monkeypatch.setattr("factcheck.pipeline.CHUNK", 4)


def contents(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in FILES]


@pytest.mark.parametrize(("rows", "count"), [(0, 3), (7, 1), (100, 3), (9, 4)])
def test_shards_part_a_split_by_whole_blocks(rows: int, count: int) -> None:
    parts = [Shard(number, count).positions(rows, 4) for number in range(1, count + 1)]
    assert sorted(position for part in parts for position in part) == list(range(rows))
    for part in parts:
        starts = [position for position in part if position % 4 == 0]
        assert part == [i for start in starts for i in range(start, min(start + 4, rows))]


def test_a_killed_run_ends_with_the_same_digits(
    checker: FactChecker, checkpoint_folder: Path, factify2_folder: Path, tmp_path: Path
) -> None:
    evaluate_split(checker, factify2_folder, "test", tmp_path / "whole")
    out = tmp_path / "killed"
    for rows, kept in ((12, 8), (20, 16)):
        line = [sys.executable, "-c", KILLED_AFTER]
        arguments = [checkpoint_folder, factify2_folder, out, rows]
        process = subprocess.run([*line, *map(str, arguments)], check=False, timeout=120)
        assert process.returncode == -signal.SIGKILL
        assert [path.name for path in out.iterdir()] == [PARTIAL]
        assert (out / PARTIAL).read_text().count("\n") == 1 + kept
    told: list[tuple[int, int]] = []
    evaluate_split(checker, factify2_folder, "test", out, on_progress=lambda *n: told.append(n))
    assert (told[0], told[-1]) == ((16, 40), (40, 40))
    assert contents(out) == contents(tmp_path / "whole")
    assert not (out / PARTIAL).exists()


def test_what_was_half_written_is_written_anew(
    checker: FactChecker, factify2_folder: Path, tmp_path: Path
) -> None:
    evaluate_split(checker, factify2_folder, "test", tmp_path / "whole")
    lines = (tmp_path / "whole" / "predictions.jsonl").read_text().splitlines(keepends=True)
    out = tmp_path / "torn"
    out.mkdir()
    header = read_run(tmp_path / "whole").model_dump_json() + "\n"
    # Eleven lines: a part of eight, three of the next, and a half.
    (out / PARTIAL).write_text(header + "".join(lines[:11]) + lines[11][:50])
    told: list[tuple[int, int]] = []
    evaluate_split(checker, factify2_folder, "test", out, on_progress=lambda *n: told.append(n))
    assert told[0] == (8, 40)
    assert contents(out) == contents(tmp_path / "whole")


def test_the_beginning_of_another_run_is_left_alone(
    checker: FactChecker, factify2_folder: Path, tmp_path: Path
) -> None:
    evaluate_split(checker, factify2_folder, "val", tmp_path / "val")
    begun = read_run(tmp_path / "val").model_dump_json() + "\n"
    (tmp_path / PARTIAL).write_text(begun)
    with pytest.raises(UsageError, match="beginning of another run, on the split val"):
        evaluate_split(checker, factify2_folder, "test", tmp_path)
    assert (tmp_path / PARTIAL).read_text() == begun
    (tmp_path / PARTIAL).write_text("{}\n")
    with pytest.raises(InvalidInputError, match="not the beginning of a run"):
        evaluate_split(checker, factify2_folder, "test", tmp_path)


def test_verdicts_that_are_none_are_named(
    checker: FactChecker, factify2_folder: Path, tmp_path: Path
) -> None:
    evaluate_split(checker, factify2_folder, "test", tmp_path / "whole")
    header = read_run(tmp_path / "whole").model_dump_json() + "\n"
    lines = (tmp_path / "whole" / "predictions.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / PARTIAL).write_text(header + lines[0] + '{"index": 1}\n')
    with pytest.raises(InvalidInputError, match=r"part\.jsonl, line 3: not a prediction"):
        evaluate_split(checker, factify2_folder, "test", tmp_path)
    (tmp_path / PARTIAL).write_text(header + lines[1])
    with pytest.raises(InvalidInputError, match="line 2: is of row 1, and row 0 was expected"):
        evaluate_split(checker, factify2_folder, "test", tmp_path)


@pytest.fixture
def parts(checker: FactChecker, factify2_folder: Path, tmp_path: Path) -> list[Path]:
    """Run folders of the three parts of `test`."""
    found = []
    for number in (1, 2, 3):
        out = tmp_path / f"part-{number}"
        result = evaluate_split(checker, factify2_folder, "test", out, shard=Shard(number, 3))
        assert result["part"] == f"{number} of 3"
        assert "weighted_f1" not in result
        assert sorted(path.name for path in out.iterdir()) == ["predictions.jsonl", "run.json"]
        found.append(out)
    return found


def test_parts_put_together_are_the_whole(
    checker: FactChecker, factify2_folder: Path, parts: list[Path], tmp_path: Path
) -> None:
    whole = evaluate_split(checker, factify2_folder, "test", tmp_path / "whole")
    merged = merge_runs(parts[::-1], factify2_folder, tmp_path / "merged", tmp_path / "answer.csv")
    assert merged == whole
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole")
    assert read_run(tmp_path / "merged") == read_run(tmp_path / "whole")
    assert (tmp_path / "answer.csv").read_text().count("\n") == 41


def test_parts_that_do_not_make_a_whole_are_named(
    checker: FactChecker, factify2_folder: Path, parts: list[Path], tmp_path: Path
) -> None:
    one, two, three = parts
    with pytest.raises(InvalidInputError, match="part 2 of 3 is missing"):
        merge_runs([one, three], factify2_folder)
    again = tmp_path / "again"
    evaluate_split(checker, factify2_folder, "test", again, shard=Shard(2, 3))
    with pytest.raises(InvalidInputError, match="again: is the same part as"):
        merge_runs([one, two, three, again], factify2_folder)
    evaluate_split(checker, factify2_folder, "val", tmp_path / "val", shard=Shard(3, 3))
    with pytest.raises(InvalidInputError, match="val: is not of the same run"):
        merge_runs([one, two, tmp_path / "val"], factify2_folder)
    with pytest.raises(MissingResourceError, match=r"run\.json: no finished run"):
        merge_runs([one, tmp_path / "nowhere"], factify2_folder)
    short = (three / "predictions.jsonl").read_text().splitlines(keepends=True)[:-1]
    (three / "predictions.jsonl").write_text("".join(short))
    with pytest.raises(InvalidInputError, match="part-3"):
        merge_runs(parts, factify2_folder)
    run = json.loads((two / "run.json").read_text())
    (two / "run.json").write_text(json.dumps({**run, "shard": "2/3"}))
    with pytest.raises(InvalidInputError, match=r"run\.json: 'shard' does not fit"):
        merge_runs(parts, factify2_folder)


def test_parts_of_other_data_are_refused(
    factify2_folder: Path, parts: list[Path], tmp_path: Path
) -> None:
    changed = tmp_path / "changed"
    changed.mkdir()
    text = (factify2_folder / "test.csv").read_text()
    (changed / "test.csv").write_text(text.replace("bridge", "tunnel"))
    with pytest.raises(InvalidInputError, match="is not the table that the runs are on"):
        merge_runs(parts, changed)


def test_parts_with_other_pictures_are_refused(
    checker: FactChecker, factify2_folder: Path, parts: list[Path], tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(factify2_folder, bare)
    shutil.rmtree(bare / "images-test")
    out = tmp_path / "other"
    evaluate_split(checker, bare, "test", out, shard=Shard(3, 3))
    with pytest.raises(InvalidInputError, match="other: is not of the same run"):
        merge_runs([*parts[:2], out], factify2_folder)


def test_a_part_does_not_keep_the_figures_of_the_whole(
    checker: FactChecker, factify2_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    evaluate_split(checker, factify2_folder, "test", out)
    assert (out / "metrics.json").exists()
    evaluate_split(checker, factify2_folder, "test", out, shard=Shard(1, 3))
    assert not (out / "metrics.json").exists()
    assert not (out / "report.html").exists()


def test_a_doctor_that_looked_meanwhile_makes_no_other_run() -> None:
    before = Run(
        split="test",
        data={"csv_sha256": "a", "pictures_sha256": None, "data_sha256": None},
        rows=3,
        model="m",
        strict=False,
    )
    after = before.model_copy(
        update={"data": {"csv_sha256": "a", "pictures_sha256": "p", "data_sha256": "d"}}
    )
    more = after.model_copy(update={"data": {**after.data, "data_sha256": "e"}})
    assert before.same_as(after)
    assert after.same_as(before)
    assert after.same_as(more)
    for data in ({**after.data, "pictures_sha256": "q"}, {**after.data, "csv_sha256": "b"}):
        assert not after.same_as(after.model_copy(update={"data": data}))
    assert not before.same_as(after.model_copy(update={"model": "n"}))
