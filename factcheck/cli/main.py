"""Entry point: runs a command and turns whatever goes wrong into one sentence and an exit code.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 2 | usage: an option, an argument or their combination |
| 3 | prerequisite: an extra, a hub |
| 4 | missing resource: a file or folder that is not there or cannot be reached |
| 5 | validation: a row, an image, an index, a checkpoint |
| 6 | run time: a full disk, or a fault of ours |
| 7 | partial result |
| 130 | interrupted |
| 141 | whoever read standard output has gone |
"""

import errno
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from factcheck.cli.allocator import keep_freed_memory
from factcheck.errors import FactcheckError

INTERRUPTED = 130
_NOT_INSTALLED = 3
_MISSING = 4
_UNEXPECTED = 6
# Of a path that nothing can be told of; where files are written it is said that they cannot be.
_UNREACHABLE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ENAMETOOLONG, errno.ELOOP)
_LONGEST_SENTENCE = 1000


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Args:
        arguments: What follows the program's name; those of the process if None.
    """
    _open_standard_streams()
    keep_freed_memory()
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def _open_standard_streams() -> None:
    """Let what a caller has closed lead nowhere.

    Python has no stream then, and the next file that is opened, an index it may be, gets the number
    of standard output, which libraries write to.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def run(arguments: Sequence[str]) -> int:
    """Run the command line.

    Args:
        arguments: What follows the program's name.

    Returns:
        The exit code.
    """
    interruption = _Interruption()
    try:
        with interruption:
            code = _run(arguments)
            sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = _reader_gone()
    except Exception as error:
        if os.environ.get("FACTCHECK_DEBUG", "0") not in ("", "0"):
            import traceback

            traceback.print_exc()
        sentence, code = _explain(error)
        if interruption.happened:
            code = INTERRUPTED
        else:
            _complain(sentence)
    if code == INTERRUPTED:
        _complain("interrupted")
    return code


class _Interruption:
    """Notes that Ctrl-C was pressed: compiled code may turn its exception into one of another kind.

    Attributes:
        happened: Whether it was.
    """

    def __init__(self) -> None:
        self.happened = False

    def __enter__(self) -> None:
        self._before = signal.getsignal(signal.SIGINT)
        # A process that is to ignore Ctrl-C, as behind nohup, goes on ignoring it.
        if self._before is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _note(self, _: int, __: object) -> NoReturn:
        self.happened = True
        raise KeyboardInterrupt


def _run(arguments: Sequence[str]) -> int:
    # Imported here, so that Ctrl-C or a broken installation at this point ends in a sentence too.
    from typer.exceptions import TyperException

    from factcheck.cli.app import app

    try:
        code = app(list(arguments) or ["--help"], prog_name="factcheck", standalone_mode=False)
    except TyperException as error:
        _complain(f"{error.format_message().rstrip('.')}; see 'factcheck --help'")
        return error.exit_code
    except SystemExit as error:
        # How typer answers a broken pipe.
        if isinstance(error.__context__, BrokenPipeError):
            raise error.__context__ from None
        raise
    return code if isinstance(code, int) else 0


def _explain(error: Exception) -> tuple[str, int]:
    """One sentence for an error, and its exit code."""
    if isinstance(error, FactcheckError):
        return str(error), error.exit_code
    if isinstance(error, ModuleNotFoundError):
        return f"the package {error.name} is needed and not installed", _NOT_INSTALLED
    if isinstance(error, MemoryError):
        return "there is not enough memory for this", _UNEXPECTED
    if isinstance(error, OSError) and error.strerror:
        place = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        return f"{place}{reason}", _MISSING if error.errno in _UNREACHABLE else _UNEXPECTED
    return (
        f"unexpected {type(error).__name__}: {error} (FACTCHECK_DEBUG=1 shows where)",
        _UNEXPECTED,
    )


def _complain(sentence: str) -> None:
    """Write one line to standard error, whatever the sentence holds."""
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in _folded(sentence))
    if len(line) > _LONGEST_SENTENCE:
        line = f"{line[:_LONGEST_SENTENCE]} ..."
    try:
        sys.stderr.write(f"factcheck: {line}\n")
        sys.stderr.flush()
    except OSError:
        pass


def _folded(text: str) -> str:
    return " ".join(text.split())


def _reader_gone() -> int:
    """Let nothing more be written to standard output, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141
