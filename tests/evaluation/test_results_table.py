"""The results table: its files, its figures, and its place in a page."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from factcheck.errors import InvalidInputError, MissingResourceError
from factcheck.evaluation.metrics import weighted_f1
from factcheck.evaluation.results_table import (
    BEGIN,
    END,
    Answers,
    ResultRow,
    markdown_table,
    read_rows,
    replace_table,
    run_baseline,
    score_systems,
)
from factcheck.evaluation.splits import Split

ROOT = Path(__file__).parents[2]


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(f"kind: result-row\n{text}")
    return folder


HEAD = "name: head\nreference: true\ncheckpoint: embedded\n"


def test_the_files_of_the_project_are_read_in_order() -> None:
    rows = read_rows(ROOT / "configs" / "reproduce")
    assert rows[0].reference
    assert [row.baseline for row in rows[1:3]] == ["majority", "similarity + random forest"]
    # Each row of the README's table has a file, and each file a row.
    page = (ROOT / "README.md").read_text()
    table = page[page.index(BEGIN) : page.index(END)]
    named = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert named[2:] == [row.name for row in rows]


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"a": HEAD, "b": HEAD.replace("head", "other")}, "head, other is the reference"),
        ({"a": "name: m\nbaseline: majority\n"}, "no row is the reference"),
        ({"a": HEAD, "b": "name: x\nbaseline: magic\n"}, r"b.yaml: no baseline is called 'magic'"),
        ({"a": HEAD, "b": "name: head\nbaseline: majority\n"}, r"b.yaml: another row is called"),
        ({"a": HEAD + "baseline: majority\n"}, r"a.yaml: .*exactly one of checkpoint"),
        ({"a": "name: head\nreference: true\n"}, r"a.yaml: .*exactly one of checkpoint"),
        ({"a": HEAD + "colour: red\n"}, r"a.yaml: colour"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, files: dict[str, str], complaint: str) -> None:
    with pytest.raises(InvalidInputError, match=complaint):
        read_rows(write(tmp_path / "rows", **files))


def test_a_folder_without_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingResourceError, match="holds no YAML file"):
        read_rows(tmp_path)


def test_figures_and_table(splits: tuple[Split, Split]) -> None:
    train, test = splits
    right = np.full((len(test), 5), 0.05)
    right[np.arange(len(test)), test.labels] = 0.8
    majority = ResultRow(kind="result-row", name="majority", baseline="majority")
    none = np.full(len(test), np.nan)
    answers = {
        "oracle": Answers(right, none, "abc"),
        "majority": run_baseline(majority, train, test),
    }
    scored = score_systems(test, answers, "oracle")
    assert scored["oracle"]["weighted_f1"] == 1.0
    assert scored["oracle"]["model"] == "abc"
    assert "reference_ahead_by" not in scored["oracle"]
    other = answers["majority"].label.argmax(axis=1)
    expected = weighted_f1(test.labels, other)
    assert scored["majority"]["reference_ahead_by"] == pytest.approx(1 - expected)
    low, high = scored["majority"]["reference_ahead_by_interval"]
    assert low <= 1 - expected <= high
    assert sum(s["rows"] for s in scored["majority"]["by_source"].values()) == len(test)
    lines = markdown_table(scored, "oracle").splitlines()
    assert lines[0].startswith("| | weighted F1 | the oracle is ahead by |")
    assert lines[2].startswith("| oracle | 1.000 (1.000 to 1.000) |  |")
    assert lines[3].startswith(f"| majority | {expected:.3f} (")
    assert all(line.count("|") == 6 for line in lines)


def test_a_table_takes_the_place_of_the_old_one() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    new = replace_table(page, "| new |\n", "page.md")
    assert new == f"before\n{BEGIN}\n\n| new |\n\n{END}\nafter\n"
    assert replace_table(new, "| new |\n", "page.md") == new
    for wrong in ("no marks", f"{END}\n{BEGIN}", f"{BEGIN} {BEGIN} {END}"):
        with pytest.raises(InvalidInputError, match=r"page.md: has no place for the table"):
            replace_table(wrong, "", "page.md")


def test_one_command_makes_it(
    factify2_folder: Path,
    checkpoint_folder: Path,
    tiny_image_encoder_folder: Path,
    relation_encoder_folder: Path,
    tmp_path: Path,
) -> None:
    rows = write(
        tmp_path / "rows",
        **{
            "1": f"name: head\nreference: true\ncheckpoint: {checkpoint_folder}\n",
            "2": "name: majority\nbaseline: majority\n",
            "3": "name: forest\nbaseline: all signals and text relation + random forest\n",
            "4": "name: trained\ntraining:\n  kind: fusion\n  epochs: 1\n"
            f"  image_encoder: {tiny_image_encoder_folder}\n"
            f"  relation_encoder: {relation_encoder_folder}\n"
            "  head: {width: 32, layers: 1, passages: 2}\n",
        },
    )
    page = tmp_path / "page.md"
    page.write_text(f"# Results\n{BEGIN}\n{END}\n")
    command = [sys.executable, "scripts/reproduce_results.py", str(rows)]
    command += ["--data", str(factify2_folder), "--work", str(tmp_path / "work")]
    command += ["--readme", str(page), "--out", str(tmp_path / "out.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    systems = json.loads((tmp_path / "out.json").read_text())["systems"]
    assert list(systems) == ["head", "majority", "forest", "trained"]
    assert systems["trained"]["model"] != systems["head"]["model"]
    assert systems["head"]["text_groups"] <= systems["head"]["rows"]
    decisions = systems["head"]["decisions"]
    assert [one["max_error"] for one in decisions] == [0.05, 0.1, 0.2]
    assert decisions[0]["answered"] <= decisions[2]["answered"]
    assert decisions[0]["mean_possible_labels"] >= decisions[2]["mean_possible_labels"]
    assert "decisions" not in systems["trained"]
    assert done.stdout in page.read_text()
    page.write_text("no marks")
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 5
    assert again.stderr.count("\n") == 1
    assert "page.md: has no place for the table" in again.stderr
