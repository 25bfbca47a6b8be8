"""Leaving one source out: what is done is not done again, and what is gone is."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from factcheck.settings import Settings
from factcheck.training.inputs import inputs_of
from factcheck.training.loop import write_run
from factcheck.training_settings import TextRelationTraining

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    path = SCRIPTS / "leave_one_source_out.py"
    spec = importlib.util.spec_from_file_location("leave_one_source_out", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def settings(**changes: Any) -> TextRelationTraining:
    return TextRelationTraining.model_validate(
        {
            "kind": "text-relation",
            "text": ["train.jsonl"],
            "sources": {name: {"members": [name], "weight": 1} for name in ("one", "two")},
            **changes,
        }
    )


def test_a_teacher_whose_weights_are_gone_is_trained_again_for_another_pupil(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train.jsonl").write_text("texts")
    trained: list[Path] = []

    def train(run: Settings, data: Path, out: Path) -> dict[str, Any]:
        """Leave what a training leaves, without the training."""
        assert isinstance(run, TextRelationTraining)
        assert run.teacher is None or (run.teacher / "model.safetensors").exists()
        trained.append(out)
        (out / "encoder").mkdir(parents=True, exist_ok=True)
        write_run(run, inputs_of(run, data), out)
        (out / "encoder" / "model.safetensors").write_bytes(b"weights")
        metrics = {"held_out_macro_f1": 0.5, "held_out_by_source": {}, "rows": {}}
        (out / "metrics.json").write_text(json.dumps(metrics))
        return metrics

    monkeypatch.setattr(script, "train", train)
    out = tmp_path / "fold"
    first = script.fold(settings(), settings(layers=2), "one", tmp_path, out)
    assert first["teacher_macro_f1"] == 0.5
    assert trained == [out / "teacher", out]
    assert not list(out.glob("**/*.safetensors"))
    assert script.fold(settings(), settings(layers=2), "one", tmp_path, out) == first
    assert trained == [out / "teacher", out]
    script.fold(settings(epochs=2), settings(layers=2), "one", tmp_path, out)
    assert trained == [out / "teacher", out] * 2
