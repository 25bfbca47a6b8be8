"""Arguments that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

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

Ocr = Annotated[
    bool,
    typer.Option("--ocr", help="Read the text in pictures that comes without (the extra 'ocr')."),
]

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]

EMBEDDED = "embedded"

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
