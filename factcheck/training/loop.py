"""What the training loops share: processes, learning rate, weight decay, checkpoints, logs.

A run is one process, or as many as `accelerate launch` starts; each passes its own part of every
batch, and gradients are averaged over them. The run folder must lie where all of them see it.
"""

import json
import logging
import math
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from factcheck.encoders.precision import best_device
from factcheck.errors import RunError, UsageError
from factcheck.files import write_whole
from factcheck.settings import Settings
from factcheck.training.inputs import INPUTS, unchanged
from factcheck.training.run_log import append_row, cut_log

if TYPE_CHECKING:
    from accelerate import Accelerator

log = logging.getLogger(__name__)

T = TypeVar("T")

OnProgress = Callable[[str, int, int, dict[str, float]], None]
"""Called with a stage, steps done, steps in all (0 if unknown) and figures to show."""

# The others wait while one process encodes or scores; 10 minutes, PyTorch's default, is too short.
_LONGEST_WAIT = timedelta(hours=12)


def start_accelerator() -> "Accelerator":
    """What knows of the other processes of this run, and of the device of this one.

    Raises:
        UsageError: A launcher started several processes that do not find each other; each would
            train alone, into the same folder.
    """
    from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
    from accelerate.utils import DataLoaderConfiguration

    accelerator = Accelerator(
        # Processes on processors find each other only if they are told that there is nothing else.
        cpu=best_device().type == "cpu",
        # A batch is shared out among the processes; it does not grow with their number.
        dataloader_config=DataLoaderConfiguration(split_batches=True),
        kwargs_handlers=[
            # A Transformer's pooler, for one, is there and not used.
            DistributedDataParallelKwargs(find_unused_parameters=True),
            InitProcessGroupKwargs(timeout=_LONGEST_WAIT),
        ],
    )
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != started:
        raise UsageError(
            f"{started} processes were started, but Accelerate joined {accelerator.num_processes} "
            "of them; see accelerate config"
        )
    return accelerator


def begin_run(
    settings: Settings,
    inputs: Mapping[str, str],
    out: Path,
    accelerator: "Accelerator",
    replace: bool = False,
) -> None:
    """Make a run folder and write into it what the run is.

    Args:
        settings: Of the run.
        inputs: What it reads, as `inputs.inputs_of` tells it.
        out: The folder.
        accelerator: Of the run.
        replace: Take the place of a finished run with other settings or on other data.

    Raises:
        UsageError: It holds a checkpoint of a run with other settings or on other data: its batches
            would be other ones, and the run a mixture that no settings describe. Or it holds such a
            run that is finished, which would be lost.
    """
    out.mkdir(parents=True, exist_ok=True)
    require_same_run(settings, inputs, out)
    if not replace:
        require_no_other(settings, inputs, out)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        write_run(settings, inputs, out)


def require_same_run(
    settings: Settings, inputs: Mapping[str, str], out: Path, may_differ: Collection[str] = ()
) -> None:
    """Refuse a folder with a checkpoint of another run, as `begin_run` does.

    Args:
        settings: Of the run.
        inputs: What it reads.
        out: Its folder.
        may_differ: Settings that do not make it another run.

    Raises:
        UsageError: It holds a checkpoint of a run with other settings or on other data.
    """
    if not (out / "checkpoint.pt").exists():
        return
    known = _settings_of(out, type(settings))
    same = {name: getattr(settings, name) for name in may_differ}
    if known is None or known.model_copy(update=same) != settings:
        raise UsageError(f"{out}: holds a checkpoint of a run with other settings")
    if not unchanged(out, inputs):
        raise UsageError(f"{out}: holds a checkpoint of a run on other data")


def require_no_other(settings: Settings, inputs: Mapping[str, str], out: Path) -> None:
    """Refuse a folder with a finished run with other settings or on other data.

    Args:
        settings: Of the run that is to take its place.
        inputs: What that reads.
        out: The folder.

    Raises:
        UsageError: It holds one.
    """
    if not (out / "metrics.json").exists():
        return
    if _settings_of(out, type(settings)) != settings:
        what = "with other settings"
    elif not unchanged(out, inputs):
        what = "on other data"
    else:
        return
    raise UsageError(
        f"{out}: holds a finished run {what}, which would be lost; give another folder, or remove "
        "this one"
    )


def write_run(settings: Settings, inputs: Mapping[str, str], out: Path) -> None:
    """Write into a run folder what the run is, and remove the metrics of an earlier one."""
    (out / "metrics.json").unlink(missing_ok=True)
    write_whole(out / "settings.json", [settings.model_dump_json(indent=2), "\n"])
    write_whole(out / INPUTS, [json.dumps(inputs, indent=2), "\n"])


def write_metrics(out: Path, metrics: Mapping[str, Any]) -> None:
    """Write into a run folder how well the run did, whole or not at all."""
    write_whole(out / "metrics.json", [json.dumps(metrics, indent=2), "\n"])


def finished(settings: Settings, inputs: Mapping[str, str], out: Path) -> dict[str, Any] | None:
    """The metrics of a run that is done, or None.

    Args:
        settings: Of the run; one with other settings is not this run.
        inputs: What it reads; nor is one on other data.
        out: Its folder.
    """
    done = out / "metrics.json"
    if not done.exists() or _settings_of(out, type(settings)) != settings:
        return None
    if not unchanged(out, inputs):
        return None
    try:
        metrics: dict[str, Any] = json.loads(done.read_text())
    except ValueError:
        return None
    return metrics


def _settings_of(out: Path, kind: type[Settings]) -> Settings | None:
    """The settings of the run in a folder; None if there are none that can be read."""
    try:
        return kind.model_validate_json((out / "settings.json").read_text())
    except (OSError, ValidationError):
        return None


def counter(report: OnProgress, stage: str) -> Callable[[int], None]:
    """What is called with how much has been done since the last call, and reports the sum."""
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        report(stage, done, 0, {})

    return count


def decayed_and_not(
    parameters: Iterable[nn.Parameter], weight_decay: float
) -> list[dict[str, Any]]:
    """Parameter groups of AdamW: matrices decay, biases and scales do not."""
    every = [parameter for parameter in parameters if parameter.requires_grad]
    return [
        {"params": [p for p in every if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in every if p.ndim <= 1], "weight_decay": 0.0},
    ]


@dataclass(frozen=True)
class Resumable:
    """The checkpoint file of a run.

    Attributes:
        path: Where it is.
    """

    path: Path

    def save(self, network: nn.Module, optimiser: Any, step: int) -> None:
        """Write the state after a step, whole or not at all."""
        temporary = self.path.with_suffix(".tmp")
        torch.save(
            {
                "network": network.state_dict(),
                "optimiser": optimiser.state_dict(),
                **_random_state(next(network.parameters()).device),
                "step": step,
            },
            temporary,
        )
        temporary.replace(self.path)

    def load(self, network: nn.Module, optimiser: Any) -> int:
        """Put a saved state in place, if there is one, and say how many steps are done."""
        if not self.path.exists():
            return 0
        device = next(network.parameters()).device
        state = torch.load(self.path, weights_only=True, map_location=device)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        _set_random_state(state, device)
        step: int = state["step"]
        return step


def _random_state(device: torch.device) -> dict[str, Tensor]:
    """The state of what dropout and the like are drawn from on a device, and on the processor."""
    state = {"random": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda_random"] = torch.cuda.get_rng_state(device)
    return state


def _set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Draw from here on as `_random_state` found it; a run may go on on another kind of device."""
    torch.set_rng_state(state["random"].cpu())
    if device.type == "cuda" and "cuda_random" in state:
        torch.cuda.set_rng_state(state["cuda_random"].cpu(), device)


_STEP_COLUMNS = ("step", "seconds", "learning_rate", "loss")
"""Columns of the log of a run in steps."""


class SteppedSettings(Protocol):
    """What a run in steps is told, whatever it trains."""

    @property
    def learning_rate(self) -> float:
        """Of AdamW, at its highest."""

    @property
    def warmup(self) -> float:
        """Part of the run until it is reached."""

    @property
    def weight_decay(self) -> float:
        """Of AdamW, on matrices."""

    @property
    def checkpoint_every(self) -> int:
        """Steps between checkpoints."""


@dataclass(frozen=True)
class Batch:
    """Examples of one step.

    Attributes:
        epoch: Which.
        rows: Positions of the examples in their epoch.
    """

    epoch: int
    rows: list[int]


def shuffled_batches(sizes: Iterable[int], batch_size: int, seed: int) -> list[Batch]:
    """The batches of a run, each epoch in a random order of its own.

    Args:
        sizes: Examples of each epoch.
        batch_size: Examples a batch; the last of an epoch may have fewer.
        seed: Of the orders.
    """
    batches = []
    for epoch, size in enumerate(sizes):
        order = Random(f"{seed}/batches/{epoch}").sample(range(size), size)
        batches += [
            Batch(epoch, order[start : start + batch_size]) for start in range(0, size, batch_size)
        ]
    return batches


def in_chunks(size: int) -> Callable[[Batch], list[list[int]]]:
    """What divides the rows of a batch, in their order, into parts of so many."""

    def divide(batch: Batch) -> list[list[int]]:
        return [batch.rows[i : i + size] for i in range(0, len(batch.rows), size)]

    return divide


def fit_in_steps(
    network: nn.Module,
    batches: Sequence[Batch],
    chunks: Callable[[Batch], Sequence[list[int]]],
    loss: Callable[[nn.Module, int, list[int]], Tensor],
    settings: SteppedSettings,
    out: Path,
    accelerator: "Accelerator",
    report: OnProgress,
) -> None:
    """Train in place by AdamW; a run that was cut off goes on from its checkpoint.

    Args:
        network: What is trained, in training mode.
        batches: One for each step.
        chunks: Divides the rows of a batch into parts that pass through the network at once.
        loss: The loss of some rows of an epoch, summed over them, by the network that it is given.
        settings: The run.
        out: Run folder: `checkpoint.pt` and `log.csv`.
        accelerator: Of the run.
        report: Told of each step.
    """
    groups = decayed_and_not(network.parameters(), settings.weight_decay)
    optimiser: Any = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
    model, optimiser = accelerator.prepare(network, optimiser)
    checkpoint = Resumable(out / "checkpoint.pt")
    first = checkpoint.load(network, optimiser)
    if first:
        log.info("resumed at step %d", first)
    if accelerator.is_main_process:
        cut_log(out / "log.csv", first)
    started = time.perf_counter()
    losses: list[float] = []
    for step in range(first, len(batches)):
        batch = batches[step]
        rate = _rising_and_falling(step, len(batches), settings.learning_rate, settings.warmup)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad(set_to_none=True)
        own, factor = _own_part(batch.rows, accelerator)
        parts = chunks(Batch(batch.epoch, own))
        total = 0.0
        for place, rows in enumerate(parts):
            # Gradients go to the other processes once a batch.
            last_part = place + 1 == len(parts)
            with nullcontext() if last_part else accelerator.no_sync(model):
                part = factor * loss(model, batch.epoch, rows) / len(batch.rows)
                accelerator.backward(part)
            total += part.item()
        norm = float(accelerator.clip_grad_norm_(model.parameters(), 1.0))
        # All processes know it, and no checkpoint is written of weights that are none.
        if not math.isfinite(norm):
            raise RunError(
                f"{out}: at step {step + 1} the gradients are not finite numbers; a lower "
                "learning_rate or bfloat16: false may help"
            )
        optimiser.step()
        losses.append(total)
        report("train", step + 1, len(batches), {"loss": total})
        last = step + 1 == len(batches)
        if accelerator.is_main_process and ((step + 1) % settings.checkpoint_every == 0 or last):
            row = _step_row(step + 1, time.perf_counter() - started, rate, losses)
            # The row first: one that the checkpoint does not know is cut away and written again,
            # one that it knows of already would be missing.
            append_row(out / "log.csv", _STEP_COLUMNS, row)
            checkpoint.save(network, optimiser, step + 1)
            losses.clear()


def _own_part(batch: Sequence[T], accelerator: "Accelerator") -> tuple[list[T], float]:
    """What this process passes of a batch, and the factor of its loss.

    Gradients are averaged over the processes: with the factor, the sum over a part divided by the
    size of the whole batch becomes the mean over the batch.

    Args:
        batch: At least one example.
        accelerator: Of the run.

    Returns:
        At least one example, since every process must pass something, and the number of
        processes; 0 if the example is another process's.
    """
    own = list(batch[accelerator.process_index :: accelerator.num_processes])
    return (own, float(accelerator.num_processes)) if own else (list(batch[:1]), 0.0)


def _rising_and_falling(step: int, steps: int, highest: float, warmup: float) -> float:
    """A learning rate that rises to its highest over a part of the run and falls from there."""
    rising = (step + 1) / max(1.0, warmup * steps)
    falling = (steps - step) / ((1 - warmup) * steps)
    return highest * min(1.0, rising, falling)


def _step_row(step: int, seconds: float, rate: float, losses: Sequence[float]) -> dict[str, object]:
    """A row of such a log.

    Args:
        step: Steps done.
        seconds: Since the run began or was taken up.
        rate: The learning rate.
        losses: Of the steps since the last row; their mean is written.
    """
    return {
        "step": step,
        "seconds": round(seconds, 1),
        "learning_rate": f"{rate:.2e}",
        "loss": round(sum(losses) / len(losses), 4),
    }
