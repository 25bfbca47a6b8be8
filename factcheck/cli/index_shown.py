"""What the commands that change or describe an index have in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factcheck.cli.output import Report
from factcheck.errors import InvalidInputError, UsageError

if TYPE_CHECKING:
    from factcheck.retrieval import Manifest
    from factcheck.retrieval.engine import Engine


@contextmanager
def engine_for(
    name: str, text_encoder: str, image_encoder: str, workers: int | None, address: str | None
) -> "Iterator[Engine | None]":
    """Where passages and pictures are encoded; None for this process.

    Raises:
        UsageError: There is no engine of that name, or it has no workers.
        PrerequisiteError: Ray is not installed or cannot be reached.
    """
    if name not in ("local", "ray"):
        raise UsageError(f"--engine: {name[:40]!r} is neither 'local' nor 'ray'")
    if name == "local":
        if workers is not None or address is not None:
            raise UsageError("--workers and --address go with --engine ray")
        yield None
        return
    from factcheck.retrieval.ray_engine import RayEngine

    with RayEngine.start(text_encoder, image_encoder, workers, address) as engine:
        yield engine


@contextmanager
def naming(corpus: Path) -> Iterator[None]:
    """Lets a sentence about a document of a corpus begin with the corpus."""
    try:
        yield
    except InvalidInputError as error:
        if not str(error).startswith("document "):
            raise
        raise InvalidInputError(f"{corpus}: {error}") from error


def described(folder: Path, manifest: "Manifest") -> dict[str, Any]:
    """What an index holds, in plain types."""
    return {
        "index": str(folder),
        "sha256": manifest.sha256,
        "documents": manifest.documents,
        "passages": manifest.passages,
        "images": manifest.images,
        "segments": len(manifest.segments),
        "deleted": sum(segment.deleted for segment in manifest.segments),
    }


def show_index(report: Report, folder: Path, manifest: "Manifest", seconds: float) -> None:
    """Print what an index holds after a change, and how long that took."""
    result = {**described(folder, manifest), "seconds": round(seconds, 2)}
    report.show(
        lambda console: console.print(
            f"{folder}: {manifest.documents:,} documents, {manifest.passages:,} passages, "
            f"{manifest.images:,} images in {result['seconds']} s\nindex {manifest.sha256}",
            soft_wrap=True,
        )
    )
    report.finish(result)
