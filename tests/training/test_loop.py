"""What the training loops share."""

from pathlib import Path

import pytest
import torch
from accelerate.data_loader import prepare_data_loader
from torch import Tensor, nn
from torch.utils.data import DataLoader

from factcheck.errors import RunError, UsageError
from factcheck.training import loop
from factcheck.training.loop import (
    Resumable,
    fit_in_steps,
    shuffled_batches,
    start_accelerator,
)
from factcheck.training.run_log import append_row, cut_log
from factcheck.training_settings import TextRelationTraining


def test_processes_that_do_not_find_each_other_do_not_train(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert start_accelerator().num_processes == 1
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="2 processes were started, but Accelerate joined 1"):
        start_accelerator()


def test_every_example_is_in_one_batch_of_its_epoch() -> None:
    batches = shuffled_batches([10, 7], 4, seed=3)
    for epoch, size in enumerate([10, 7]):
        rows = [row for batch in batches if batch.epoch == epoch for row in batch.rows]
        assert sorted(rows) == list(range(size))
        assert rows != sorted(rows)
    assert [len(batch.rows) for batch in batches] == [4, 4, 2, 4, 3]
    assert shuffled_batches([10, 7], 4, seed=3) == batches
    assert shuffled_batches([10, 7], 4, seed=4) != batches


def test_processes_share_the_rows_of_a_loader_s_batch() -> None:
    loader: DataLoader[int] = DataLoader(range(24), batch_size=8)  # type: ignore[arg-type]
    shared = start_accelerator().split_batches
    seen: list[list[list[int]]] = []
    for process in range(2):
        own = prepare_data_loader(
            loader, num_processes=2, process_index=process, split_batches=shared
        )
        seen.append([batch.tolist() for batch in own.base_dataloader])
    batches = [sorted(one + other) for one, other in zip(*seen, strict=True)]
    assert batches == [list(range(start, start + 8)) for start in (0, 8, 16)]


def test_a_log_is_cut_back_to_what_is_done(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    cut_log(path, 3)
    assert not path.exists()
    for step in (2, 4, 6):
        append_row(path, ("step", "loss"), {"step": step, "loss": 0.5})
    with path.open("a") as file:
        file.write("8,0")  # killed within a row
    cut_log(path, 9)
    assert path.read_bytes() == b"step,loss\r\n2,0.5\r\n4,0.5\r\n6,0.5\r\n"
    cut_log(path, 4)
    append_row(path, ("step", "loss"), {"step": 6, "loss": 0.25})
    assert path.read_bytes() == b"step,loss\r\n2,0.5\r\n4,0.5\r\n6,0.25\r\n"
    cut_log(path, 0)
    assert not path.exists()


@pytest.mark.parametrize("killed", ["before the checkpoint", "after it"])
def test_a_log_has_each_step_once_wherever_a_run_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    settings = TextRelationTraining.model_validate(
        {
            "kind": "text-relation",
            "text": ["t"],
            "sources": {"s": {"members": ["s"], "weight": 1}},
            "checkpoint_every": 2,
        }
    )

    class KilledError(Exception):
        pass

    def fit() -> None:
        fit_in_steps(
            nn.Linear(2, 1),
            shuffled_batches([12], 2, seed=0),
            lambda batch: [batch.rows],
            lambda model, epoch, rows: model(torch.ones(len(rows), 2)).square().sum(),
            settings,
            tmp_path,
            start_accelerator(),
            lambda *_: None,
        )

    save = Resumable.save

    def killed_at_four(self: Resumable, network: nn.Module, optimiser: object, step: int) -> None:
        if step == 4 and killed == "before the checkpoint":
            raise KilledError
        save(self, network, optimiser, step)
        if step == 4:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Resumable, "save", killed_at_four)
        with pytest.raises(KilledError):
            fit()
    fit()
    steps = [line.split(",")[0] for line in (tmp_path / "log.csv").read_text().splitlines()]
    assert steps == ["step", "2", "4", "6"]


def test_what_a_card_draws_from_is_kept_with_a_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dropout on a card draws from the card's own state, which a stand-in keeps here."""
    card = {"state": torch.tensor([1, 2], dtype=torch.uint8)}
    device = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda of: card["state"].clone())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, of: card.update(state=state))
    state = loop._random_state(device)
    drawn = torch.rand(3)
    card["state"] = torch.tensor([9, 9], dtype=torch.uint8)
    loop._set_random_state(state, device)
    assert card["state"].tolist() == [1, 2]
    assert torch.equal(torch.rand(3), drawn)
    # A run that began on a processor goes on on a card, and the reverse.
    on_processor = loop._random_state(torch.device("cpu"))
    assert set(on_processor) == {"random"}
    loop._set_random_state(on_processor, device)
    loop._set_random_state(state, torch.device("cpu"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a graphics card")
def test_a_resumed_run_draws_on_a_card_what_an_uninterrupted_one_draws(tmp_path: Path) -> None:
    network = nn.Linear(2, 2).cuda()
    optimiser = torch.optim.AdamW(network.parameters())
    checkpoint = Resumable(tmp_path / "checkpoint.pt")
    torch.rand(5, device="cuda")
    checkpoint.save(network, optimiser, 1)

    def draw() -> Tensor:
        return torch.rand(8, device="cuda")

    whole = draw()
    torch.cuda.manual_seed(99)
    assert checkpoint.load(network, optimiser) == 1
    assert torch.equal(draw(), whole)


def test_gradients_that_are_no_numbers_stop_a_run_before_they_are_kept(tmp_path: Path) -> None:
    settings = TextRelationTraining.model_validate(
        {
            "kind": "text-relation",
            "text": ["t"],
            "sources": {"s": {"members": ["s"], "weight": 1}},
            "checkpoint_every": 1,
        }
    )
    network = nn.Linear(2, 1)
    steps: list[int] = []

    def loss(model: nn.Module, epoch: int, rows: list[int]) -> torch.Tensor:
        steps.append(len(steps) + 1)
        found: torch.Tensor = model(torch.ones(len(rows), 2)).square().sum()
        return found * (float("nan") if len(steps) == 3 else 1.0)

    with pytest.raises(RunError, match="at step 3 the gradients are not finite numbers"):
        fit_in_steps(
            network,
            shuffled_batches([12], 2, seed=0),
            lambda batch: [batch.rows],
            loss,
            settings,
            tmp_path,
            start_accelerator(),
            lambda *_: None,
        )
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert kept["step"] == 2
    assert all(bool(value.isfinite().all()) for value in kept["network"].values())
