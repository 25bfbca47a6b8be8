"""What the training loops share."""

import pytest
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader

from factcheck.errors import UsageError
from factcheck.training.loop import shuffled_batches, start_accelerator


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
