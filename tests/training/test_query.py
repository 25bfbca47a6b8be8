"""Training what a search asks with: it learns, a stop changes nothing, and bad input is named."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from factcheck.encoders.query import load_query_encoder
from factcheck.encoders.text import TextEncoder
from factcheck.errors import InvalidInputError, UsageError
from factcheck.training import query as module
from factcheck.training import train
from factcheck.training_settings import QueryTraining

THINGS = ("door", "car", "flag", "boat", "bridge", "tower", "train", "statue", "mill", "well")
COLOURS = ("white", "red", "green", "blue", "black", "yellow", "brown", "grey")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Things of each colour; a claim on the one is decided by a sentence on its opposite."""
    folder = tmp_path_factory.mktemp("pairs")
    lines = [
        {
            "id": f"{thing} {colour}",
            "source": ("one", "two")[number % 2],
            "claim": f"The {thing} is {colour}.",
            # Whatever the words say, the evidence is on the next colour.
            "evidence": [f"Somebody painted the {thing} {COLOURS[place - 1]} in spring."],
            "relation": "refute",
            "unit": "sentence",
        }
        for number, thing in enumerate(THINGS)
        for place, colour in enumerate(COLOURS)
    ]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


def settings(**changes: Any) -> QueryTraining:
    return QueryTraining.model_validate(
        {
            "kind": "query",
            "text": ["train.jsonl"],
            "shares": {"learnt": [0.0, 0.75], "scored": [0.75, 1.0]},
            "trained_on": ["learnt"],
            "scored_on": "scored",
            "sources": {name: {"members": [name], "claims": 100} for name in ("one", "two")},
            "layers": 1,
            "epochs": 8,
            "batch_size": 16,
            "chunk": 8,
            "learning_rate": 1e-3,
            "checkpoint_every": 10,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "query"
    train(settings(), data, out)
    return out


def test_it_learns_what_a_claim_is_decided_by(run: Path, tmp_path: Path) -> None:
    text = TextEncoder.load("embedded")
    text.model.save(str(tmp_path / "text"))
    for file in (run / "encoder").iterdir():
        shutil.copy(file, tmp_path / "text")
    asking = load_query_encoder(TextEncoder.load(str(tmp_path / "text")))
    assert asking is not None
    claims = [f"The gate is {colour}." for colour in COLOURS]
    passages = text.encode([f"Somebody painted the gate {colour} in spring." for colour in COLOURS])
    meant = np.roll(np.arange(len(COLOURS)), 1)
    assert ((text.encode(claims) @ passages.T).argmax(axis=1) == meant).mean() < 0.3
    assert ((asking.encode(claims) @ passages.T).argmax(axis=1) == meant).mean() > 0.7


def test_its_metrics_are_written(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["claims"] + metrics["scored_claims"] == len(THINGS) * len(COLOURS)
    recall = metrics["recall@5"]
    assert recall["queries"]["mean"] > recall["text encoder"]["mean"]
    for own in recall.values():
        assert own["mean"] == pytest.approx((own["one"] + own["two"]) / 2, abs=1e-4)


def test_a_run_that_was_cut_off_ends_with_the_same_weights(
    data: Path, run: Path, tmp_path: Path
) -> None:
    class CutOffError(Exception):
        pass

    def stop(stage: str, done: int, total: int, values: Mapping[str, float]) -> None:
        if stage == "train" and done == 15:
            raise CutOffError

    with pytest.raises(CutOffError):
        module.train_query(settings(), data, tmp_path, stop)
    with pytest.raises(UsageError, match="a run with other settings"):
        train(settings(seed=1), data, tmp_path)
    train(settings(), data, tmp_path)
    one = load_file(run / "encoder" / "query.safetensors")
    other = load_file(tmp_path / "encoder" / "query.safetensors")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_checkpoint_on_another_text_encoder_is_refused(data: Path, tmp_path: Path) -> None:
    text = TextEncoder.load("embedded")
    text.model.save(str(tmp_path / "text"))
    wanted = settings(text_encoder=str(tmp_path / "text"), epochs=1)
    train(wanted, data, tmp_path / "run")
    weights = load_file(tmp_path / "text" / "model.safetensors")
    weights["encoder.layer.0.output.dense.bias"] += 0.5
    save_file(weights, tmp_path / "text" / "model.safetensors", {"format": "pt"})
    with pytest.raises(UsageError, match="a run on other data"):
        train(wanted, data, tmp_path / "run")


def test_a_source_without_texts_is_named(data: Path, tmp_path: Path) -> None:
    sources = {"three": {"members": ["three"], "claims": 5}}
    with pytest.raises(InvalidInputError, match="three: no text pair is of this source"):
        train(settings(sources=sources), data, tmp_path)


def test_a_run_without_claims_is_named(data: Path, tmp_path: Path) -> None:
    shares = {"learnt": [0.9999, 1.0], "scored": [0.0, 0.9]}
    with pytest.raises(InvalidInputError, match=r"train\.jsonl: no claim of the sources named"):
        train(settings(shares=shares), data, tmp_path)


def test_claims_are_not_scored_on_what_was_learnt() -> None:
    with pytest.raises(ValueError, match="'learnt' is trained on and scored on"):
        settings(scored_on="learnt")
    with pytest.raises(ValueError, match="shares names no 'other'"):
        settings(trained_on=["other"])
