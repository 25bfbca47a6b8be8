"""Encoding on a Ray cluster: the batches of an index as tasks of Ray Data.

Each worker loads the encoders once and does to its batches what `engine` does in one process.
Pictures are read where the worker is, so their files must be found there under the same names.
"""

import json
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from factcheck.encoders import Encoders
from factcheck.errors import FactcheckError, InvalidInputError, PrerequisiteError, RunError
from factcheck.retrieval.engine import EncodedPictures, encode_passages, encode_pictures

Row = dict[str, Any]

# Seconds in which a cluster must take a connection.
_ANSWERS_WITHIN = 10.0


class RayEngine:
    """Encodes batches on the workers of a cluster; see `engine.Engine`."""

    def __init__(self, text_encoder: str, image_encoder: str, workers: int) -> None:
        """Use the cluster that this process is connected to.

        Args:
            text_encoder: Name of the text encoder, as `Encoders.load` takes it.
            image_encoder: Name of the image encoder, likewise.
            workers: How many workers encode at once.
        """
        self._names = (text_encoder, image_encoder)
        self._workers = workers

    @classmethod
    @contextmanager
    def start(
        cls, text_encoder: str, image_encoder: str, workers: int | None, address: str | None
    ) -> Iterator[Self]:
        """Connect to a cluster, or start one on this machine for as long as the block lasts.

        Args:
            text_encoder: As for `RayEngine`.
            image_encoder: As for `RayEngine`.
            workers: As for `RayEngine`; without a number one for
                each processor of the cluster but one.
            address: Of a cluster; None starts one.

        Raises:
            PrerequisiteError: Ray is not installed, or there is no cluster at the address.
        """
        try:
            import ray
            import ray.data
        except ImportError as error:
            raise PrerequisiteError(
                "--engine ray needs Ray: pip install 'factcheck[ray]'"
            ) from error
        if address is not None and address != "auto":
            _refuse_unreachable(address)
        try:
            # One more than encode: Ray Data moves batches in tasks of its own, and waits for ever
            # where the encoding workers hold every processor.
            local: dict[str, Any] = {"num_cpus": workers and workers + 1} if address is None else {}
            ray.init(
                address or "local",
                include_dashboard=None if address else False,
                configure_logging=False,
                log_to_driver=False,
                **local,
            )
        except (ConnectionError, RuntimeError, ValueError, SystemExit) as error:
            # Ray ends the process where what answers is no cluster of its own.
            raise PrerequisiteError(f"--address {address}: no Ray cluster answers there") from error
        try:
            context = ray.data.DataContext.get_current()
            context.execution_options.preserve_order = True
            context.enable_progress_bars = False
            resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
            count = workers or max(1, int(resources.get("CPU", 1)) - 1)
            yield cls(text_encoder, image_encoder, count)
        finally:
            ray.shutdown()

    def passages(self, batches: Iterable[list[str]]) -> Iterator[np.ndarray]:
        """See `engine.Engine`."""
        rows = [{"number": i, "batch": json.dumps(batch)} for i, batch in enumerate(batches)]
        for row in self._run(_PassageWorker, rows):
            yield _array(row, "vectors")

    def pictures(self, batches: Iterable[list[Path]]) -> Iterator[EncodedPictures]:
        """See `engine.Engine`."""
        rows = [
            {"number": i, "batch": json.dumps([str(path) for path in batch])}
            for i, batch in enumerate(batches)
        ]
        for row in self._run(_PictureWorker, rows):
            yield EncodedPictures(
                _array(row, "vectors"), _array(row, "tokens"), *json.loads(row["facts"])
            )

    def _run(self, worker: type, rows: list[Row]) -> Iterator[Row]:
        """What the workers make of rows, in order."""
        import ray.data
        from ray.exceptions import RayError

        if not rows:
            return
        data = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            worker,
            fn_constructor_args=self._names,
            compute=ray.data.ActorPoolStrategy(size=min(self._workers, len(rows))),
            num_cpus=1,
        )
        expected = 0
        try:
            for row in data.iter_rows():
                if row["number"] != expected:
                    raise RunError("Ray gave back the batches of the index in another order")
                expected += 1
                if row["problem"]:
                    raise InvalidInputError(row["problem"])
                yield row
        except RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise RunError(f"the Ray cluster could not encode a batch ({reason})") from error


def _refuse_unreachable(address: str) -> None:
    """Find out in seconds what Ray finds out in five minutes.

    Raises:
        PrerequisiteError: Nothing answers at the address.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWERS_WITHIN).close()
    except (OSError, ValueError, OverflowError) as error:
        raise PrerequisiteError(f"--address {address}: no Ray cluster answers there") from error


class _Worker:
    """Holds the encoders on a worker; what goes wrong with a batch comes back as a sentence."""

    def __init__(self, text_encoder: str, image_encoder: str) -> None:
        self.encoders = Encoders.load(text_encoder, image_encoder)

    def reply(self, row: Row, encode: Callable[[list[str]], Row]) -> Row:
        """A row with what a batch gives, or with why it gives nothing."""
        reply: Row = {"number": row["number"], "problem": ""}
        try:
            return {**reply, **encode(json.loads(row["batch"]))}
        except FactcheckError as error:
            return {**reply, "problem": str(error)}


class _PassageWorker(_Worker):
    def __call__(self, row: Row) -> Row:
        return self.reply(
            row, lambda texts: _packed("vectors", encode_passages(self.encoders, texts))
        )


class _PictureWorker(_Worker):
    def __call__(self, row: Row) -> Row:
        def encode(paths: list[str]) -> Row:
            encoded = encode_pictures(self.encoders, [Path(path) for path in paths])
            facts = [encoded.sha256, encoded.fingerprints, encoded.problems]
            return {
                **_packed("vectors", encoded.vectors),
                **_packed("tokens", encoded.tokens),
                "facts": json.dumps(facts),
            }

        return self.reply(row, encode)


def _packed(name: str, array: np.ndarray) -> Row:
    """An array as bytes: Arrow has no column of arrays of different lengths and three axes."""
    return {name: array.tobytes(), f"{name}_as": json.dumps([array.dtype.str, array.shape])}


def _array(row: Row, name: str) -> np.ndarray:
    dtype, shape = json.loads(row[f"{name}_as"])
    return np.frombuffer(row[name], dtype=dtype).reshape(shape)
