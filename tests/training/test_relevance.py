"""Training what tells relevance: it learns, a stop changes nothing, and bad input is named."""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from factcheck.encoders.relation import RelationEncoder
from factcheck.errors import InvalidInputError, UsageError
from factcheck.training import relevance as module
from factcheck.training import train
from factcheck.training.relevance import Choice, InParts, choice_loss, choose
from factcheck.training_settings import RelevanceTraining

THINGS = ("door", "car", "flag", "boat", "bridge", "tower", "train", "statue")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two texts on each thing, of which a word in a claim says which is its evidence."""
    folder = tmp_path_factory.mktemp("pairs")
    lines = []
    for number in range(200):
        thing = f"{THINGS[number % len(THINGS)]} number {number}"
        for claim, evidence in (
            (f"It is certain that the {thing} is white.", f"A report speaks of the {thing}."),
            (f"It is doubted that the {thing} is white.", f"A rumour speaks of the {thing}."),
        ):
            row = {
                "id": f"{len(lines)}",
                "source": ("one", "two")[number % 2],
                "claim": claim,
                "evidence": [evidence],
                "relation": "support",
                "unit": "sentence",
            }
            lines.append(json.dumps(row))
    (folder / "train.jsonl").write_text("\n".join(lines))
    return folder


def settings(encoder: Path, **changes: Any) -> RelevanceTraining:
    return RelevanceTraining.model_validate(
        {
            "kind": "relevance",
            "relation_encoder": str(encoder),
            "text": ["train.jsonl"],
            "shares": {"learnt": [0.0, 0.7], "weighed": [0.7, 1.0]},
            "trained_on": ["learnt"],
            "weighed_on": "weighed",
            "sources": {
                name: {"members": [name], "claims": 120, "passages": 6} for name in ("one", "two")
            },
            "layers": 1,
            "depth": 12,
            "epochs": 3,
            "learning_rate": 1e-3,
            "checkpoint_every": 5,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def run(
    data: Path, relation_encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("run") / "relevance"
    train(settings(relation_encoder_folder), data, out)
    return out


def test_it_learns_which_of_two_texts_is_meant(run: Path) -> None:
    encoder = RelationEncoder.load(str(run / "encoder"))
    texts = ("A report speaks of the mill number 812.", "A rumour speaks of the mill number 812.")
    for word, meant in (("certain", 0), ("doubted", 1)):
        claim = f"It is {word} that the mill number 812 is white."
        assert encoder.relevances([(claim, text) for text in texts]).argmax() == meant
    losses = [float(line.split(",")[3]) for line in (run / "log.csv").read_text().splitlines()[1:]]
    assert losses[-1] < 0.5 * losses[0]


def test_its_metrics_and_its_weights_are_written(run: Path, relation_encoder_folder: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    encoder = RelationEncoder.load(str(run / "encoder"))
    assert encoder.relevance is not None
    assert list(encoder.relevance.config.weights) == metrics["weights"]
    assert encoder.relevance.config.weights[3] > 0.1
    assert encoder.sha256 == RelationEncoder.load(str(relation_encoder_folder)).sha256
    assert encoder.relevance.config.bearing is not None
    assert encoder.relevance.config.bearing.model_dump() == metrics["bearing"]
    told = metrics["mean_bearing"]
    assert told["evidence_found"] > told["none_found"] + 0.2
    recalls = metrics["recall@5"]
    assert recalls["reranked"]["mean"] >= recalls["fused"]["mean"] > 0.5
    assert recalls["fused"]["mean"] == pytest.approx(
        (recalls["fused"]["one"] + recalls["fused"]["two"]) / 2
    )


def test_a_run_that_was_cut_off_ends_with_the_same_weights(
    data: Path,
    run: Path,
    relation_encoder_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class CutOffError(Exception):
        pass

    def stop(stage: str, done: int, total: int, values: Mapping[str, float]) -> None:
        if stage == "train" and done == 8:
            raise CutOffError

    wanted = settings(relation_encoder_folder)
    with pytest.raises(CutOffError):
        module.train_relevance(wanted, data, tmp_path, stop)
    with pytest.raises(UsageError, match="a run with other settings"):
        train(settings(relation_encoder_folder, seed=1), data, tmp_path)
    others = tmp_path / "others"
    others.mkdir()
    rows = (data / "train.jsonl").read_text().splitlines()
    (others / "train.jsonl").write_text("\n".join(rows[2:]))
    with pytest.raises(UsageError, match="a run on other data"):
        train(wanted, others, tmp_path)
    train(wanted, data, tmp_path)
    one = load_file(run / "encoder" / "relevance.safetensors")
    other = load_file(tmp_path / "encoder" / "relevance.safetensors")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_source_without_texts_is_named(
    data: Path, relation_encoder_folder: Path, tmp_path: Path
) -> None:
    sources = {"three": {"members": ["three"], "claims": 5, "passages": 4}}
    with pytest.raises(InvalidInputError, match="three: no text pair is of this source"):
        train(settings(relation_encoder_folder, sources=sources), data, tmp_path)


def test_what_it_stands_on_is_not_written_over(
    data: Path, relation_encoder_folder: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(relation_encoder_folder, tmp_path / "run" / "encoder"))
    before = (own / "relevance.json").read_bytes()
    with pytest.raises(UsageError, match="the run stands on this text relation encoder"):
        train(settings(own), data, tmp_path / "run")
    assert (own / "relevance.json").read_bytes() == before


def test_too_few_claims_to_weigh_on_are_named_before_training(
    data: Path, relation_encoder_folder: Path, tmp_path: Path
) -> None:
    shares = {"learnt": [0.0, 0.7], "weighed": [0.999, 1.0]}
    stages: list[str] = []
    with pytest.raises(InvalidInputError, match="weighed_on: weighed has fewer than two claims"):
        train(
            settings(relation_encoder_folder, shares=shares),
            data,
            tmp_path,
            lambda stage, *_: stages.append(stage),
        )
    assert "train" not in stages


def test_claims_are_not_weighed_on_what_was_learnt(relation_encoder_folder: Path) -> None:
    with pytest.raises(ValueError, match="'learnt' is trained on and weighed on"):
        settings(relation_encoder_folder, weighed_on="learnt")
    with pytest.raises(ValueError, match="shares names no 'other'"):
        settings(relation_encoder_folder, trained_on=["other"])


def test_a_choice_has_the_first_wrong_passages_and_some_others() -> None:
    passages = [f"p{number}" for number in range(12)]
    evidence = [f"d{number}" if number in (1, 4, 7, 9) else None for number in range(12)]
    found = choose("a claim", passages, evidence, 6, Random(0))
    assert found is not None
    assert found.evidence == ("d1", "d4", "d7", None, None, None)
    assert found.passages[:5] == ("p1", "p4", "p7", "p0", "p2")
    assert found.passages[5] in {"p3", "p5", "p6", "p8", "p10", "p11"}
    assert choose("a claim", passages, [None] * 12, 6, Random(0)) is None
    assert choose("a claim", passages, ["d"] * 12, 6, Random(0)) is None


class _Lengths(nn.Module):
    """A logit for each pair: how many tokens it has, times a factor."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.5))

    def forward(self, tokens: dict[str, Tensor]) -> Tensor:
        return self.factor * tokens["attention_mask"].sum(dim=1)


def test_the_loss_is_that_of_every_right_document(relation_encoder_folder: Path) -> None:
    tokenizer = RelationEncoder.load(str(relation_encoder_folder)).tokenizer
    words = ("dog", "dog dog", "dog dog dog", "dog dog dog dog")
    # A document of two passages and one of a single passage, and a document of a single one.
    one = Choice("cat", words, ("a", None, "a", "b"))
    two = Choice("cat", words[:2], (None, "c"))
    w1, w2, w3, w4 = (math.exp(0.5 * count) for count in (1, 2, 3, 4))
    first = -(math.log((w1 + w3) / (w1 + w3 + w2)) + math.log(w4 / (w4 + w2))) / 2
    second = -math.log(w2 / (w1 + w2))
    loss = choice_loss(InParts(_Lengths()), tokenizer, [one, two], 64)
    assert loss.item() == pytest.approx(first + second, abs=1e-5)
