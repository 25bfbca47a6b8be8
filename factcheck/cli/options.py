"""Arguments that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

from factcheck.errors import UsageError

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

Ocr = Annotated[
    bool,
    typer.Option("--ocr", help="Read the text in pictures that comes without (the extra 'ocr')."),
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
