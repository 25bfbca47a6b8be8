"""What the training loops share."""

import pytest

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
