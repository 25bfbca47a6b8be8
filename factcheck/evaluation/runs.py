"""Run folders: what a run on a split is, and verdicts that outlive the process that gave them.

Verdicts are written as they come, to `predictions.part.jsonl`, whose first line says what run they
are of. A run that was killed goes on from there with the same parts of the split in the same
batches, so it ends with the same digits as one that was not. The shards of a run are made of whole
batches for the same reason. With a cache of encodings, in bfloat16, the last digits can differ:
what is encoded beside what depends on what was cached before.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from factcheck import __version__
from factcheck.datasets import Factify2Row
from factcheck.datasets.json_lines import MAX_LINE_BYTES
from factcheck.errors import InvalidInputError, MissingResourceError, RunError, UsageError
from factcheck.evaluation.shared_texts import text_keys
from factcheck.files import write_whole
from factcheck.records import Verdict

RUN = "run.json"
PREDICTIONS = "predictions.jsonl"
PARTIAL = "predictions.part.jsonl"

_VERDICT = TypeAdapter(Verdict)


class Shard(NamedTuple):
    """A part of a split.

    Attributes:
        number: Which part, from 1.
        total: Of how many.
    """

    number: int
    total: int

    def positions(self, rows: int, block: int) -> list[int]:
        """Positions of its rows: every `total`-th block of `block` neighbouring rows of a split."""
        return [
            position
            for position in range(rows)
            if position // block % self.total == self.number - 1
        ]


WHOLE = Shard(1, 1)


class Run(BaseModel):
    """What a run is: two runs with equal values give equal verdicts.

    Attributes:
        schema_version: Of this record.
        factcheck: Version of the package.
        split: Name of the split.
        data: Hashes of its data (`datasets.doctor.identify`).
        rows: Number of rows of the whole split.
        model: Hash of the checkpoint.
        precision: Number format that the encoders compute in.
        strict: Whether a picture that cannot be read is an error.
        max_error: Error rate that labels are given at, if one was asked for.
        shard: Which part of the split.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    factcheck: str = __version__
    split: str
    data: dict[str, str | None]
    rows: int
    model: str
    precision: Literal["float32", "bfloat16"] = "float32"
    strict: bool
    max_error: float | None = None
    shard: Shard = WHOLE

    def same_as(self, other: "Run") -> bool:
        """Whether two runs are one.

        Of what the doctor leaves beside the data, the hash of all splits is not of this one alone,
        and that of its pictures is known only since it was there.
        """
        pictures = {self.data.get("pictures_sha256"), other.data.get("pictures_sha256")}
        unknown = {"data_sha256", *(["pictures_sha256"] if None in pictures else [])}

        def known(run: Run) -> Run:
            data = {name: value for name, value in run.data.items() if name not in unknown}
            return run.model_copy(update={"data": data})

        return known(self) == known(other)


class PredictionLog:
    """The verdicts of a run that is under way, on disk as far as they are given.

    Attributes:
        verdicts: Those given so far, in order of the rows.
    """

    def __init__(self, out: Path, run: Run, rows: Sequence[Factify2Row], part: int) -> None:
        """Begin a run, or take up one that was cut off.

        Args:
            out: The run folder; made if there is none.
            run: What the run is.
            rows: The rows that it is to give verdicts on.
            part: Verdicts are taken up in whole parts of so many, as they were given.

        Raises:
            UsageError: Another run was cut off there.
            InvalidInputError: What it left is damaged.
            RunError: The folder cannot be written.
        """
        self._path = out / PARTIAL
        self._rows = rows
        self._new_folder = not out.exists()
        self.verdicts: list[Verdict] = []
        try:
            out.mkdir(parents=True, exist_ok=True)
            if self._path.exists():
                self._take_up(run, part)
            else:
                write_whole(self._path, [run.model_dump_json(), "\n"])
            self._file = self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise RunError(f"{out}: the run cannot be written ({error.strerror})") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if not self.verdicts:
            # A run that failed before it gave a verdict leaves nothing to go on from.
            self._path.unlink(missing_ok=True)
            if self._new_folder:
                self._path.parent.rmdir()

    def append(self, verdicts: Sequence[Verdict]) -> None:
        """Add the next verdicts; they are on disk when this returns."""
        rows = self._rows[len(self.verdicts) :]
        try:
            self._file.writelines(_lines(rows[: len(verdicts)], verdicts))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise RunError(f"{self._path}: cannot be written ({error.strerror})") from error
        self.verdicts += verdicts

    def _take_up(self, run: Run, part: int) -> None:
        with self._path.open("rb") as file:
            header = file.readline(MAX_LINE_BYTES)
            try:
                begun = Run.model_validate_json(header)
            except ValidationError as error:
                raise InvalidInputError(
                    f"{self._path}: not the beginning of a run; remove it to begin anew"
                ) from error
            if not begun.same_as(run):
                raise UsageError(
                    f"{self._path.parent}: holds the beginning of another run, on the split "
                    f"{begun.split} with the model {begun.model[:12]}; remove {PARTIAL} there to "
                    "begin anew"
                )
            ends = [file.tell()]
            for number, row in enumerate(self._rows, start=2):
                line = file.readline(MAX_LINE_BYTES)
                # What was being written when the process died has no end.
                if not line.endswith(b"\n"):
                    break
                self.verdicts.append(_verdict(line, row, f"{self._path}, line {number}"))
                ends.append(file.tell())
        kept = len(self.verdicts)
        if kept < len(self._rows):
            kept -= kept % part
        del self.verdicts[kept:]
        os.truncate(self._path, ends[kept])


def write_run(
    out: Path, run: Run, rows: Sequence[Factify2Row], verdicts: Sequence[Verdict]
) -> None:
    """Write a finished run's verdicts, and what run they are of, to its folder.

    Raises:
        RunError: It cannot be written.
    """
    write_whole(out / PREDICTIONS, _lines(rows, verdicts))
    write_whole(out / RUN, [run.model_dump_json(indent=2), "\n"])
    (out / PARTIAL).unlink(missing_ok=True)


def read_run(folder: Path) -> Run:
    """What run a folder holds.

    Raises:
        MissingResourceError: It holds no finished run.
        InvalidInputError: Its `run.json` is wrong.
    """
    path = folder / RUN
    try:
        return Run.model_validate_json(path.read_bytes())
    except OSError as error:
        raise MissingResourceError(f"{path}: no finished run can be read there") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise InvalidInputError(f"{path}: {place!r} does not fit ({first['msg']})") from error


def read_verdicts(folder: Path, rows: Sequence[Factify2Row]) -> list[Verdict]:
    """The verdicts of a finished run.

    Args:
        folder: The run folder.
        rows: The rows that they must be on, in order.

    Raises:
        MissingResourceError: There are none.
        InvalidInputError: They are damaged, or not on these rows.
    """
    path = folder / PREDICTIONS
    try:
        with path.open("rb") as file:
            verdicts = [
                _verdict(file.readline(MAX_LINE_BYTES), row, f"{path}, line {number}")
                for number, row in enumerate(rows, start=1)
            ]
            if file.read(1):
                raise InvalidInputError(f"{path}: has more than the {len(rows):,} rows expected")
    except OSError as error:
        raise MissingResourceError(f"{path}: cannot be read ({error.strerror})") from error
    return verdicts


def _lines(rows: Sequence[Factify2Row], verdicts: Sequence[Verdict]) -> Iterator[str]:
    for row, verdict in zip(rows, verdicts, strict=True):
        yield json.dumps(
            {
                # A verdict's own `index` is the hash of an evidence index; here there is none.
                **verdict.to_dict(),
                "index": row.index,
                "true_label": None if row.label is None else str(row.label),
                # By which runs are compared: rows that share a text are not independent.
                "text_keys": text_keys(row),
            },
            ensure_ascii=False,
        )
        yield "\n"


def _verdict(line: bytes, row: Factify2Row, place: str) -> Verdict:
    """The verdict that `_lines` wrote for a row."""
    try:
        data: dict[str, Any] = json.loads(line)
        index = data.pop("index")
        data.pop("true_label")
        data.pop("text_keys", None)
        verdict = _VERDICT.validate_python(data)
    except (ValueError, RecursionError, AttributeError, KeyError) as error:
        raise InvalidInputError(f"{place}: not a prediction of factcheck evaluate") from error
    if index != row.index:
        raise InvalidInputError(f"{place}: is of row {index}, and row {row.index} was expected")
    return verdict
