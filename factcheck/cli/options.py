"""Arguments that several commands take."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factcheck.errors import UsageError

if TYPE_CHECKING:
    from factcheck.retrieval import SourcePolicy
    from factcheck.settings import Precision as NumberFormat
    from factcheck.settings import SearchSettings

Index = Annotated[Path, typer.Option("--index", help="Folder of the index.", metavar="DIR")]

Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint", help="Folder of a checkpoint; by default the packaged one.", metavar="DIR"
    ),
]

Cache = Annotated[
    Path | None,
    typer.Option("--cache", help="Keep encodings in this file and reuse them.", metavar="FILE"),
]

Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        help="Number format of the encoders: auto is the fastest that the processor has; with "
        "float32 figures do not depend on whether it has bfloat16.",
        metavar="auto|float32|bfloat16",
    ),
]

Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Fail on a picture that cannot be read instead of leaving it out."
    ),
]

MaxError = Annotated[
    float | None,
    typer.Option(
        "--max-error",
        help="Say 'cannot tell' unless the chance of a wrong label is at most this; for claims "
        "like those that the checkpoint was calibrated on.",
        metavar="RATE",
    ),
]

Explain = Annotated[
    bool,
    typer.Option(
        "--explain/--no-explain",
        help="Say what the verdict rests on, by leaving evidence out and asking again.",
    ),
]

Channels = Annotated[
    str | None,
    typer.Option(
        "--channels",
        help="Which channels look for evidence, with commas between: dense, lexical, image; by "
        "default all.",
        metavar="LIST",
    ),
]

Rerank = Annotated[
    int | None,
    typer.Option(
        "--rerank",
        min=0,
        max=1000,  # as in SearchSettings
        help="Passages that the text relation encoder puts in order; 0 for none.",
        metavar="N",
    ),
]

Exact = Annotated[
    bool,
    typer.Option(
        "--exact",
        help="Look at all vectors, not at likely ones; for an index that a stranger made, too.",
    ),
]

AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        help="Find nothing that was published after this day (YYYY-MM-DD).",
        metavar="DATE",
    ),
]

Undated = Annotated[
    str,
    typer.Option(
        "--undated",
        help="With --as-of, what becomes of documents without a date: drop or keep.",
        metavar="drop|keep",
    ),
]

BlockDomains = Annotated[
    str | None,
    typer.Option(
        "--block-domains",
        help="Find nothing from these domains and their subdomains: a file with one a line, or "
        "'fact-checkers' for the list in the package.",
        metavar="FILE",
    ),
]

Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        help="Where passages and pictures are encoded: local, or ray (the extra 'ray').",
        metavar="local|ray",
    ),
]

Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="With --engine ray, how many encode.", metavar="N"),
]

Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="With --engine ray, an existing cluster; by default one is started here.",
        metavar="ADDRESS",
    ),
]

Factory = Annotated[
    str | None,
    typer.Option(
        "--faiss",
        help="What large parts of the index are searched by, as FAISS's index factory writes it; "
        "by default by their size.",
        metavar="FACTORY",
    ),
]

Ocr = Annotated[
    bool,
    typer.Option(
        "--ocr",
        help="Read the text in the pictures that are compared, where none is given for them (the "
        "extra 'ocr').",
    ),
]

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]

EMBEDDED = "embedded"


def require_rate(max_error: float | None) -> None:
    """Refuse an error rate that is none, before anything is loaded.

    Raises:
        UsageError: It is not between 0 and 1.
    """
    if max_error is not None and not 0 < max_error < 1:
        raise UsageError(f"--max-error: {max_error:g} is not between 0 and 1")


def number_format(precision: str) -> "NumberFormat":
    """The number format that is asked for, before anything is loaded.

    Raises:
        UsageError: It is none of those there are.
    """
    if precision not in ("auto", "float32", "bfloat16"):
        raise UsageError(f"--precision: {precision[:40]!r} is none of auto, float32, bfloat16")
    return precision  # type: ignore[return-value]


def search_settings(channels: str | None, rerank: int | None) -> "SearchSettings":
    """How an index is to be searched.

    Raises:
        UsageError: A channel is none.
    """
    from factcheck.settings import CHANNELS, SearchSettings

    changes: dict[str, Any] = {} if rerank is None else {"rerank": rerank}
    if channels is not None:
        named = [name.strip() for name in channels.split(",") if name.strip()]
        for name in named:
            if name not in CHANNELS:
                raise UsageError(f"--channels: {name[:40]!r} is none of {', '.join(CHANNELS)}")
        if not named:
            raise UsageError("--channels: names none")
        changes["channels"] = tuple(name for name in CHANNELS if name in named)
    return SearchSettings(**changes)


def require_findable(search: "SearchSettings", text: bool, picture: bool) -> None:
    """Refuse channels that have nothing to look for, which would find nothing in any index.

    Args:
        search: Names the channels.
        text: Whether there are words to look for.
        picture: Whether there is a picture.

    Raises:
        UsageError: All of the channels look for what is not there.
    """
    if search.channels == ("image",) and not picture:
        raise UsageError("--channels image: looks only for pictures, and there is none")
    if "image" not in search.channels and not text:
        named = ",".join(search.channels)
        raise UsageError(f"--channels {named}: looks only for words, and there are none")


def source_policy(as_of: str | None, undated: str, block: str | None) -> "SourcePolicy":
    """Which documents may be found.

    Raises:
        UsageError: A date or a word is none.
        MissingResourceError: The list of domains cannot be read.
        InvalidInputError: It is none.
    """
    from factcheck.retrieval import SourcePolicy

    if as_of is not None:
        try:
            as_of = date.fromisoformat(as_of).isoformat()
        except ValueError:
            raise UsageError(f"--as-of: {as_of[:40]!r} is not a date as YYYY-MM-DD") from None
    if undated not in ("drop", "keep"):
        raise UsageError(f"--undated: {undated[:40]!r} is neither 'drop' nor 'keep'")
    return SourcePolicy.of(as_of, "keep" if undated == "keep" else "drop", block)


TextEncoder = Annotated[
    str,
    typer.Option(
        "--text-encoder",
        help="'embedded', a folder, or a sentence-transformers model of the hub.",
        metavar="NAME",
    ),
]

ImageEncoder = Annotated[
    str,
    typer.Option(
        "--image-encoder",
        help="'embedded', a folder, or a Twins-SVT of timm with its tag.",
        metavar="NAME",
    ),
]
