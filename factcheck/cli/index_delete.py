"""`factcheck index delete`: documents that count no longer."""

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from factcheck.cli import options
from factcheck.cli.index_shown import show_index
from factcheck.cli.output import Report
from factcheck.errors import UsageError


def delete(
    index: options.Index,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of documents.")] = None,
    ids_file: Annotated[
        Path | None, typer.Option("--file", help="A file with an id a line.", metavar="FILE")
    ] = None,
    text_encoder: options.TextEncoder = options.EMBEDDED,
    image_encoder: options.ImageEncoder = options.EMBEDDED,
    as_json: options.Json = False,
) -> None:
    """Delete documents from an index, all of those named or none.

    The room that they take is freed by `index compact`.
    """
    from factcheck.datasets import read_ids

    start = perf_counter()
    named = [*(ids or ()), *(read_ids(ids_file) if ids_file is not None else ())]
    if not named:
        raise UsageError("name documents, or a file of ids with --file")

    from factcheck.encoders import Encoders
    from factcheck.retrieval import EvidenceIndex

    report = Report("index delete", as_json)
    with EvidenceIndex.open(index, Encoders.load(text_encoder, image_encoder)) as before:
        after = before.delete(named)
    show_index(report, index, after.manifest, perf_counter() - start)
