"""What commands write: results on standard output, progress and warnings on standard error."""

import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA_VERSION = 1
"""Version of the JSON envelope; grows when a key changes its meaning."""

_WIDEST = 100

# Soft hyphens, marks of direction and the like: nothing is to be seen of them.
_UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u200e\u200f\ufeff"))
# They join and part letters: Persian is spelt with them, and emoji are put together.
_JOINERS = "\u200c\u200d"
_NOT_ASCII = re.compile(r"[^ -~\n]")


class ShowProgress(Protocol):
    """Takes word of progress."""

    def __call__(
        self, stage: str, done: int, total: int | None, figures: dict[str, float] | None = None, /
    ) -> None:
        """Show it.

        Args:
            stage: What is being done.
            done: How much of it is.
            total: How much there is; None if that is not known.
            figures: What was last measured.
        """


class Report:
    """The outcome of one command, printed for a person or as the JSON envelope.

    Attributes:
        command: Name of the command, such as `index build`.
        as_json: Whether the outcome is printed as JSON.
    """

    def __init__(self, command: str, as_json: bool) -> None:
        self.command = command
        self.as_json = as_json
        self._warnings: list[str] = []

    def warn(self, sentence: str) -> None:
        """Write a warning to standard error at once, and keep it for the envelope."""
        self._warnings.append(sentence)
        sys.stdout.flush()
        sys.stderr.write(f"warning: {visible(sentence)}\n")

    def show(self, write: "Callable[[Console], None]") -> None:
        """Print for a person; nothing if the outcome is printed as JSON."""
        if not self.as_json:
            from rich.console import Console

            console = Console(highlight=False, markup=False, emoji=False)
            console.width = min(console.width, _WIDEST)
            with console.capture() as captured:
                write(console)
            # rich fills lines up with spaces, which get in the way of whoever copies them.
            lines = (line.rstrip() for line in captured.get().splitlines())
            _write("".join(f"{line}\n" for line in lines))
            sys.stdout.flush()

    def finish(self, result: object) -> None:
        """Print the JSON envelope, if it is wanted.

        Args:
            result: Plain types; a number that is not finite becomes null.
        """
        if self.as_json:
            envelope = {
                "schema_version": SCHEMA_VERSION,
                "command": self.command,
                "result": _finite(result),
                "warnings": self._warnings,
            }
            text = json.dumps(envelope, ensure_ascii=False, indent=2, allow_nan=False)
            sys.stdout.buffer.write(_NOT_ASCII.sub(_spelt, text).encode() + b"\n")
            sys.stdout.flush()


@contextmanager
def progress() -> Iterator[ShowProgress]:
    """Progress bars on standard error, one a stage; none where that is not a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        Task,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(TextColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.1f}/s" if speed else "")

    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        Rate(""),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[figures]}", markup=False),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal, expand=True) as bars:

        def show(
            stage: str, done: int, total: int | None, figures: dict[str, float] | None = None, /
        ) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, figures="")
            known = "  ".join(f"{name} {value:.4g}" for name, value in (figures or {}).items())
            bars.update(tasks[stage], completed=done, total=total)
            if known:
                bars.update(tasks[stage], figures=known)

        yield show


def count_up(show: ShowProgress, stage: str, total: int | None) -> Callable[[int], None]:
    """Progress by how many more are done, for one stage."""
    done = 0

    def more(count: int) -> None:
        nonlocal done
        done += count
        show(stage, done, total)

    show(stage, 0, total)
    return more


def visible(text: str) -> str:
    """`text` on one line without anything that a terminal would obey: it may be a stranger's."""
    line = " ".join(text.translate(_UNSEEN).split())
    return "".join(
        c if c.isprintable() or c in _JOINERS else "\N{REPLACEMENT CHARACTER}" for c in line
    )


def quiet_libraries() -> None:
    """Keep the libraries below us off standard error; they are imported after this."""
    import logging
    import warnings

    os.environ |= {
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONWARNINGS": "ignore",
        "TOKENIZERS_PARALLELISM": "false",
        "TQDM_DISABLE": "1",
        "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)


def _write(text: str) -> None:
    """Write to standard output, `?` for what its encoding does not have."""
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))


def _spelt(found: re.Match[str]) -> str:
    """A character as JSON spells it, if a terminal might obey it or it cannot be written.

    It may be a stranger's, and a lone surrogate, which a file name may hold, has no encoding.
    """
    character = found[0]
    return character if character.isprintable() else json.dumps(character)[1:-1]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
