"""`factcheck index add`: more documents for an index."""

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from factcheck.cli import options
from factcheck.cli.index_shown import engine_for, naming, show_index
from factcheck.cli.output import Report, progress


def add(
    corpus: Annotated[
        Path, typer.Argument(help="JSON Lines file, also gzipped, or folder in Factify 2's format.")
    ],
    index: options.Index,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Put a document in the place of the one with its id."),
    ] = False,
    text_encoder: options.TextEncoder = options.EMBEDDED,
    image_encoder: options.ImageEncoder = options.EMBEDDED,
    faiss: options.Factory = None,
    engine: options.Engine = "local",
    workers: options.Workers = None,
    address: options.Address = None,
    strict: options.Strict = False,
    as_json: options.Json = False,
) -> None:
    """Add the documents of a corpus to an index, all or none of them."""
    from factcheck.datasets import iterate_corpus

    start = perf_counter()
    documents = iterate_corpus(corpus)

    from factcheck.encoders import Encoders
    from factcheck.retrieval import EvidenceIndex

    report = Report("index add", as_json)
    encoders = Encoders.load(text_encoder, image_encoder)
    with (
        naming(corpus),
        engine_for(engine, text_encoder, image_encoder, workers, address) as encoding,
        progress() as show,
        EvidenceIndex.open(index, encoders) as before,
    ):
        after = before.add(
            documents,
            replace=replace,
            engine=encoding,
            factory=faiss,
            strict=strict,
            on_progress=show,
            on_warning=report.warn,
        )
    show_index(report, index, after.manifest, perf_counter() - start)
