"""What a run is made from: any change of it is seen, and nothing else is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from factcheck.errors import UsageError
from factcheck.settings import read_yaml
from factcheck.training.inputs import INPUTS, inputs_of, unchanged
from factcheck.training.loop import finished, require_same_run, write_metrics, write_run
from factcheck.training_settings import FusionTraining, ImageRelationTraining, RelevanceTraining

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in Factify 2's format, as far as it is looked at here."""
    data = tmp_path / "data"
    for name in ("train.csv", "val.csv", "provenance-train.jsonl"):
        data.mkdir(exist_ok=True)
        (data / name).write_text(f"claim,document\n{name},text\n")
    for side in ("claim", "document"):
        (data / "images-train" / side).mkdir(parents=True)
        (data / "images-train" / side / "0.jpg").write_bytes(b"picture")
    return data


@pytest.fixture
def head(tmp_path: Path) -> FusionTraining:
    """A head upon a text relation encoder in a folder, with a teacher in another."""
    for name in ("relation", "teacher"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"weights")
    return read_yaml(CONFIGS / "fusion-default.yaml", FusionTraining).model_copy(
        update={
            "relation_encoder": str(tmp_path / "relation"),
            "teachers": [tmp_path / "teacher"],
        }
    )


CHANGES: dict[str, Callable[[Path], object]] = {
    "a table": lambda data: (data / "val.csv").write_text("claim,document\nmended,text\n"),
    "what is known of rows": lambda data: (data / "provenance-train.jsonl").write_text("{}\n"),
    "a picture": lambda data: (data / "images-train" / "claim" / "0.jpg").write_bytes(b"another"),
    "a picture more": lambda data: (data / "images-train" / "claim" / "1.jpg").write_bytes(b"new"),
    "the weights": lambda data: (data.parent / "relation" / "model.safetensors").write_bytes(
        b"others"
    ),
    "a teacher": lambda data: (data.parent / "teacher" / "model.safetensors").write_bytes(
        b"others"
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_seen(what: str, folder: Path, head: FusionTraining, tmp_path: Path) -> None:
    out = tmp_path / "run"
    write_run(head, inputs_of(head, folder), out)
    (out / "checkpoint.pt").touch()
    (out / "metrics.json").write_text('{"loss": 1}')
    assert finished(head, inputs_of(head, folder), out) == {"loss": 1}
    require_same_run(head, inputs_of(head, folder), out)
    before = (folder / "images-train" / "claim" / "0.jpg").stat().st_size
    CHANGES[what](folder)
    if what == "a picture":
        # Names and sizes are looked at, so that another picture of the same size is not seen.
        assert (folder / "images-train" / "claim" / "0.jpg").stat().st_size == before
        assert unchanged(out, inputs_of(head, folder))
        (folder / "images-train" / "claim" / "0.jpg").write_bytes(b"a larger one")
    assert finished(head, inputs_of(head, folder), out) is None
    with pytest.raises(UsageError, match=r"run: holds a checkpoint of a run on other data"):
        require_same_run(head, inputs_of(head, folder), out)


def test_what_a_run_read_may_be_gone(folder: Path, head: FusionTraining, tmp_path: Path) -> None:
    write_run(head, inputs_of(head, folder), tmp_path / "run")
    (tmp_path / "relation" / "model.safetensors").unlink()
    assert unchanged(tmp_path / "run", inputs_of(head, folder))


def test_text_files_are_read_relative_to_the_data_folder(tmp_path: Path) -> None:
    settings = read_yaml(CONFIGS / "relevance.yaml", RelevanceTraining)
    [name] = settings.text
    assert str(name) not in inputs_of(settings, tmp_path)
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_bytes(b"rows")
    first = inputs_of(settings, tmp_path)
    (tmp_path / name).write_bytes(b"more rows")
    second = inputs_of(settings, tmp_path)
    assert first.keys() == second.keys() == {str(name), "relation_encoder"}
    assert first[str(name)] != second[str(name)]
    assert first["relation_encoder"] == second["relation_encoder"]


@pytest.mark.parametrize("left", [None, "", "[1]", '{"text": '])
def test_a_folder_that_does_not_say_is_another_run(left: str | None, tmp_path: Path) -> None:
    if left is not None:
        (tmp_path / INPUTS).write_text(left)
    assert not unchanged(tmp_path, {"text": "0" * 64})


def test_settings_that_were_cut_off_are_other_settings(
    folder: Path, head: FusionTraining, tmp_path: Path
) -> None:
    inputs = inputs_of(head, folder)
    write_run(head, inputs, tmp_path)
    assert json.loads((tmp_path / INPUTS).read_text()) == inputs
    (tmp_path / "checkpoint.pt").touch()
    (tmp_path / "settings.json").write_text('{"kind": "fus')
    with pytest.raises(UsageError, match="holds a checkpoint of a run with other settings"):
        require_same_run(head, inputs, tmp_path)


def test_what_an_encoder_does_not_read_is_no_input_of_it(
    folder: Path, head: FusionTraining, tmp_path: Path
) -> None:
    pictures = ImageRelationTraining(kind="image-relation", image_encoder="embedded")
    before, of_head = inputs_of(pictures, folder), inputs_of(head, folder)
    (folder / "test.csv").write_text("claim,document\none,text\n")
    assert inputs_of(pictures, folder) == before
    assert inputs_of(head, folder) != of_head
    (folder / "pilot.csv").write_text("claim,document\none,text\n")
    assert inputs_of(head, folder).keys() == {*of_head, "test.csv", "pictures of test"}


def test_metrics_that_were_cut_off_are_none(
    folder: Path, head: FusionTraining, tmp_path: Path
) -> None:
    inputs = inputs_of(head, folder)
    write_run(head, inputs, tmp_path)
    write_metrics(tmp_path, {"rows": 3})
    assert finished(head, inputs, tmp_path) == {"rows": 3}
    (tmp_path / "metrics.json").write_text("")
    assert finished(head, inputs, tmp_path) is None
