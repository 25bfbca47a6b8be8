"""Training the text relation encoder: it learns, and a stop changes nothing."""

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from factcheck.cli.main import run as run_command
from factcheck.datasets.text_relations import TextRelationRow
from factcheck.encoders import TextEncoder
from factcheck.encoders.relation import RelationEncoder
from factcheck.errors import InvalidInputError, MissingResourceError, UsageError
from factcheck.records import TEXT_RELATIONS, TextRelation
from factcheck.training import text_relation as module
from factcheck.training import train
from factcheck.training.distillation import teacher_probabilities
from factcheck.training.relation_examples import UNKNOWN, ExampleReader, RelationExample
from factcheck.training.text_relation import relation_scores
from factcheck.training_settings import TextRelationTraining

# Words of one length: batches are of texts of like lengths, and length is to tell nothing.
COLOURS = ("green", "white", "black", "brown", "beige", "olive")


def write_pairs(path: Path, count: int, seed: int) -> Path:
    """Claims about the colour of a thing beside texts that give it, another, or none."""
    rng = Random(seed)
    lines = []
    for number in range(count):
        colour, other = rng.sample(COLOURS, 2)
        thing = f"{rng.choice(['door', 'car', 'flag', 'boat'])} number {rng.randint(1, 99)}"
        relation = ("support", "insufficient", "refute")[number % 3]
        said = {
            "support": f"Everyone could see that the {thing} is {colour}.",
            "refute": f"Everyone could see that the {thing} is {other}.",
            "insufficient": f"Everyone could see that the {thing} is large.",
        }[relation]
        lines.append(
            json.dumps(
                {
                    "id": f"{seed}-{number}",
                    "source": ("one", "two")[number % 2],
                    "claim": f"The {thing} is {colour}.",
                    "evidence": [said, *["It was a fine day in the old town by the sea."] * 3],
                    "relation": relation,
                    "unit": "passage",
                }
            )
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    write_pairs(folder / "train.jsonl", 480, 0)
    write_pairs(folder / "dev.jsonl", 60, 1)
    return folder


def settings(**changes: Any) -> TextRelationTraining:
    return TextRelationTraining.model_validate(
        {
            "kind": "text-relation",
            "text": ["train.jsonl"],
            "development": ["dev.jsonl"],
            "sources": {name: {"members": [name], "weight": 1} for name in ("one", "two")},
            "made_insufficient": False,
            "made_false": False,
            "passages": {"max_characters": 150},
            "layers": 2,
            "rows": 480,
            "batch_size": 16,
            "learning_rate": 5e-4,
            "checkpoint_every": 10,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "relation"
    # Two layers learn what is open and stop there; three learn contradiction too.
    train(settings(layers=3, epochs=4, learning_rate=8e-4), data, out)
    return out


def test_it_learns_what_a_word_changes(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["development_macro_f1"] > 0.9
    # Some pairs are made twice, and kept once.
    assert all(75 <= count <= 80 for count in metrics["rows"]["one"].values())
    losses = [float(line.split(",")[3]) for line in (run / "log.csv").read_text().splitlines()[1:]]
    assert losses[-1] < 0.8 * losses[0]


def test_what_it_writes_loads_and_agrees_with_its_metrics(run: Path) -> None:
    encoder = RelationEncoder.load(str(run / "encoder"))
    assert encoder.config.layers == 3
    colour = "The door number 7 is white."
    supports = "Everyone could see that the door number 7 is white."
    large = "Everyone could see that the door number 7 is large."
    logits = encoder.encode([(colour, supports), (colour, large)]).logits
    insufficient = TEXT_RELATIONS.index(TextRelation.INSUFFICIENT)
    assert logits[1].argmax() == insufficient
    assert logits[0].argmax() != insufficient


def test_a_run_that_was_cut_off_ends_with_the_same_weights(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A shallow teacher will do: what it says must come out the same both times.
    train(settings(rows=32, layers=1), data, tmp_path / "teacher")
    taught = {"teacher": tmp_path / "teacher" / "encoder", "unlabelled": 0.1}
    short = settings(rows=112, batch_size=8, debias=0.5, **taught)
    train(short, data, tmp_path / "whole")

    class StoppedError(Exception):
        pass

    def report(stage: str, done: int, total: int, figures: dict[str, float]) -> None:
        if stage == "train" and done == 12:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(short, data, tmp_path / "cut", report)
    assert torch.load(tmp_path / "cut" / "checkpoint.pt", weights_only=True)["step"] == 10
    train(short, data, tmp_path / "cut")
    whole, cut = (
        load_file(tmp_path / name / "encoder" / "model.safetensors") for name in ("whole", "cut")
    )
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    with pytest.raises(UsageError, match="cut: holds a checkpoint of a run with other settings"):
        train(settings(rows=96, batch_size=8, debias=0.5, **taught), data, tmp_path / "cut")


def test_training_goes_on_from_another_encoder(data: Path, run: Path, tmp_path: Path) -> None:
    further = settings(layers=3, initial=run / "encoder", rows=16, learning_rate=1e-9)
    train(further, data, tmp_path / "further")
    first, second = (
        load_file(folder / "encoder" / "model.safetensors")
        for folder in (run, tmp_path / "further")
    )
    assert first.keys() == second.keys()
    assert all(torch.allclose(first[name], second[name], atol=1e-3) for name in first)


def test_sources_held_out_are_scored_in_the_end(data: Path, tmp_path: Path) -> None:
    metrics = train(settings(rows=64, held_out=["two"]), data, tmp_path / "run")
    assert set(metrics["held_out_by_source"]) == {"two"}
    assert metrics["held_out_by_source"]["two"]["rows"] == 240
    assert set(metrics["rows"]) == {"one"}


def test_only_long_documents_are_compared_passage_by_passage(text_encoder: TextEncoder) -> None:
    long = "The bridge is red and high. " * 3 + "Cats sleep all day long in the warm sun. " * 40
    rows = [
        TextRelationRow(
            "a", "one", "The bridge is red.", ("Short.",), TEXT_RELATIONS[0], "passage"
        ),
        TextRelationRow("b", "one", "Cats sleep.", (long,), TEXT_RELATIONS[2], "document"),
    ]
    short, cut = ExampleReader(settings(passages_read=2), text_encoder).read(rows)
    assert short.passages == ("Short.",)
    assert len(cut.passages) == 2
    assert all("Cats" in passage for passage in cut.passages)
    assert cut.relation == 2
    [_, whole] = ExampleReader(settings(passages_read=0), text_encoder).read(rows)
    assert whole.passages == (long,)


def test_claims_are_set_beside_texts_like_them(text_encoder: TextEncoder) -> None:
    subjects = ("The bridge over the river", "The mayor of the town", "The museum of modern art")
    rows = [
        TextRelationRow(
            f"{n}-{k}", "one", f"{s} {said}.", (f"{s} {told}.",), TEXT_RELATIONS[0], "passage"
        )
        for n, s in enumerate(subjects)
        for k, (said, told) in enumerate([("is old", "was new once"), ("closed", "stays open")])
    ]
    reader = ExampleReader(settings(), text_encoder)
    pairs = reader.pair_with_neighbours(rows, 12, "seed")
    assert len(set(pairs)) == len(pairs) == 12
    assert {pair.relation for pair in pairs} == {UNKNOWN}
    assert all(pair.passages[0] != pair.claim for pair in pairs)
    texts = {text for row in rows for text in (row.claim, row.evidence_text)}
    assert {pair.passages[0] for pair in pairs} <= texts
    assert reader.pair_with_neighbours(rows, 12, "seed") == pairs
    assert reader.pair_with_neighbours(rows, 12, "other") != pairs
    assert reader.pair_with_neighbours([], 12, "seed") == []


def test_only_near_neighbours_are_set_beside_a_claim(
    text_encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("factcheck.training.relation_examples.NEIGHBOURS", 3)
    rows = [
        TextRelationRow(f"{s}{k}", "one", f"{s} {k}.", (f"{s} was {k}.",), TEXT_RELATIONS[0], "x")
        for s in ("The bridge", "A famous singer")
        for k in ("old", "white", "large")
    ]
    pairs = ExampleReader(settings(), text_encoder).pair_with_neighbours(rows, 12, "seed")
    assert len(pairs) == 12
    assert all(pair.claim.split()[1] in pair.passages[0] for pair in pairs)


def test_a_pupil_learns_of_its_teacher_and_not_of_the_labels(
    run: Path, data: Path, tmp_path: Path
) -> None:
    # Labels that say the same of every row: whoever heeds them gives one relation.
    rows = [json.loads(line) for line in (data / "train.jsonl").read_text().splitlines()]
    for row in rows:
        row["relation"] = "support"
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "dev.jsonl").write_text((data / "dev.jsonl").read_text())
    pupil = {"layers": 3, "epochs": 4, "learning_rate": 8e-4, "edited": 0.0, "debias": 0.0}
    taught = {"teacher": run / "encoder", "taught": 1.0, "unlabelled": 0.2}
    metrics = train(settings(**pupil, **taught), tmp_path, tmp_path / "pupil")
    assert metrics["development_macro_f1"] > 0.85
    drawn = sum(sum(counts.values()) for counts in metrics["rows"].values())
    assert metrics["unlabelled"] == [round(0.2 * drawn)] * 4


def test_unlabelled_rows_need_a_teacher() -> None:
    with pytest.raises(ValueError, match="unlabelled rows need a teacher to say what they are"):
        settings(unlabelled=0.5)


def test_a_teacher_that_is_not_there_is_named_before_the_work_begins(
    data: Path, tmp_path: Path
) -> None:
    stages: list[str] = []
    wrong = settings(teacher=tmp_path / "nobody")
    with pytest.raises(MissingResourceError, match="nobody"):
        train(wrong, data, tmp_path / "run", lambda stage, *_: stages.append(stage))
    assert not stages


def test_the_teacher_is_asked_once(run: Path, tmp_path: Path) -> None:
    teacher = RelationEncoder.load(str(run / "encoder"))
    near = "Everyone could see that the door number 7 is white."
    other = "It was a fine day."
    claim = "The door number 7 is white."
    examples = [RelationExample(claim, (near, other), 0), RelationExample(claim, (other,), UNKNOWN)]
    read: list[int] = []
    first = teacher_probabilities(teacher, examples, tmp_path, "float32", read.append)
    assert sum(read) == 3
    assert first.shape == (2, 3)
    assert first.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    # A document of one passage is that passage.
    alone = torch.from_numpy(teacher.encode([(claim, other)]).logits).softmax(dim=-1)
    assert first[1] == pytest.approx(alone[0].numpy(), abs=1e-4)
    again = teacher_probabilities(teacher, examples, tmp_path, "float32", read.append)
    assert sum(read) == 3
    assert np.array_equal(first, again)
    turned = teacher_probabilities(teacher, examples[::-1], tmp_path, "float32", read.append)
    assert turned == pytest.approx(first[::-1], abs=1e-4)
    assert not list(tmp_path.glob("*.tmp"))


def test_a_teacher_that_reads_less_far_is_asked_again(
    relation_encoder_folder: Path, tmp_path: Path
) -> None:
    """The same weights say something else of the beginning of a text."""
    teacher = RelationEncoder.load(str(relation_encoder_folder))
    long = "It was a fine day in the old town by the sea. " * 4
    examples = [RelationExample("The door number 7 is white.", (long,), 0)]
    whole = teacher_probabilities(teacher, examples, tmp_path, "float32")
    teacher.config = teacher.config.model_copy(update={"max_tokens": 16})
    cut = teacher_probabilities(teacher, examples, tmp_path, "float32")
    assert np.abs(cut - whole).max() > 1e-4
    assert np.array_equal(teacher_probabilities(teacher, examples, tmp_path, "float32"), cut)


def test_scores_by_source() -> None:
    rows = [
        TextRelationRow(str(n), source, "c", ("e",), relation, "passage")
        for n, (source, relation) in enumerate(
            [
                ("a", TextRelation.SUPPORT),
                ("a", TextRelation.REFUTE),
                ("b", TextRelation.SUPPORT),
                ("b", TextRelation.INSUFFICIENT),
            ]
        )
    ]
    predicted = np.eye(3)[[0, 2, 0, 2]]
    scores = relation_scores(rows, predicted)
    assert scores["accuracy"] == 0.75
    assert scores["by_source"]["a"]["macro_f1"] == 1.0
    # Of b's two relations the one is right and the other never given.
    assert scores["by_source"]["b"]["macro_f1"] == 0.5
    assert scores["mean_macro_f1"] == 0.75
    assert scores["by_source"]["b"]["given_support"] == 0.5
    assert scores["by_source"]["b"]["given_insufficient"] == 0


def test_the_claim_only_expert_knows_what_claims_give_away() -> None:
    rng = Random(0)
    rows = [
        TextRelationRow(
            str(n),
            "one",
            f"{'It is a hoax that' if n % 2 else 'Officials say that'} word{rng.randint(0, 99)}",
            ("e",),
            TextRelation.REFUTE if n % 2 else TEXT_RELATIONS[n // 2 % 2],
            "passage",
        )
        for n in range(200)
    ]
    [expert] = module._claim_only_expert([rows], settings(debias=1.0)) or []
    refuted = np.exp(expert[:, TEXT_RELATIONS.index(TextRelation.REFUTE)])
    assert refuted[1::2].mean() > 0.8
    assert refuted[::2].mean() < 0.2
    assert module._claim_only_expert([rows], settings(debias=0.0)) is None


@pytest.mark.parametrize("missing", TEXT_RELATIONS)
def test_the_claim_only_expert_of_two_relations_has_three_columns(missing: TextRelation) -> None:
    """It is added to logits of all three."""
    two = [relation for relation in TEXT_RELATIONS if relation is not missing]
    rows = [
        TextRelationRow(
            str(n),
            "one",
            f"{'It is a hoax that' if n % 2 else 'Officials say that'} word{n % 40}",
            ("e",),
            two[n % 2],
            "passage",
        )
        for n in range(200)
    ]
    [expert] = module._claim_only_expert([rows], settings(debias=0.3)) or []
    assert expert.shape == (200, 3)
    shares = np.exp(expert)
    assert shares[:, TEXT_RELATIONS.index(missing)] == pytest.approx(1e-3)
    for place, relation in enumerate(two):
        assert shares[place::2, TEXT_RELATIONS.index(relation)].mean() > 0.8


def test_more_tokens_than_there_are_places_are_refused_before_the_work_begins(
    data: Path, tmp_path: Path
) -> None:
    stages: list[str] = []
    with pytest.raises(InvalidInputError, match="max_tokens: 513, but its text encoder reads 512"):
        module.train_text_relation(
            settings(max_tokens=513), data, tmp_path, lambda stage, *_: stages.append(stage)
        )
    assert stages == []


def test_claims_that_no_expert_can_be_fitted_on_are_told_in_one_sentence() -> None:
    row = TextRelationRow("a", "one", "A claim.", ("e",), TextRelation.SUPPORT, "passage")
    with pytest.raises(InvalidInputError, match=r"debias: no claim-only expert .* of 1 claims"):
        module._claim_only_expert([[row] * 30], settings(debias=0.3))


def test_a_run_without_rows_is_refused(data: Path, tmp_path: Path) -> None:
    nothing = settings(sources={"three": {"members": ["three"], "weight": 1}})
    with pytest.raises(InvalidInputError, match=r"train.jsonl: no rows of the sources named"):
        train(nothing, data, tmp_path / "run")


def test_the_command_trains_it(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(settings(rows=32, layers=1).model_dump_json())
    out = tmp_path / "run"
    assert run_command(["train", str(config), "--data", str(data), "--out", str(out)]) == 0
    assert "macro f1" in capsys.readouterr().out
    assert (out / "encoder" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("changes", "error", "problem"),
    [
        ({"development": ["none.jsonl"]}, MissingResourceError, r"none\.jsonl"),
        ({"held_out": ["three"]}, InvalidInputError, "held_out: no rows of three to be scored on"),
    ],
)
def test_what_is_to_be_scored_on_is_looked_for_before_training(
    changes: dict[str, Any], error: type[Exception], problem: str, data: Path, tmp_path: Path
) -> None:
    sources = {name: {"members": [name], "weight": 1} for name in ("one", "two", "three")}
    stages: list[str] = []
    with pytest.raises(error, match=problem):
        train(
            settings(rows=64, sources=sources, **changes),
            data,
            tmp_path / "run",
            lambda stage, *_: stages.append(stage),
        )
    assert stages == []
