"""`factcheck index build`: from a corpus to an index."""

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from factcheck.cli import options
from factcheck.cli.index_shown import engine_for, naming, show_index
from factcheck.cli.output import Report, progress
from factcheck.errors import MissingResourceError


def build(
    corpus: Annotated[
        Path, typer.Argument(help="JSON Lines file, also gzipped, or folder in Factify 2's format.")
    ],
    out: Annotated[Path, typer.Option(help="Where the index is to be.", metavar="DIR")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an index that is there.")
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
    """Build an index of a corpus of evidence.

    A line of a JSON Lines corpus has the keys id and text and, if there are any, title, url, date
    (YYYY-MM-DD), image (a path, relative to the file) and ocr (text in the image). The index
    appears when it is whole. A build that was interrupted is gone on with by the same command; what
    it has done lies beside the index, as .NAME.partial.
    """
    from factcheck.datasets import corpus_key, iterate_corpus

    start = perf_counter()
    documents = iterate_corpus(corpus)
    if not corpus.exists():
        # What an interrupted build has done is not to be lost to a mistyped name.
        raise MissingResourceError(f"{corpus}: cannot be read (No such file or directory)")
    # A pipe can be read only once.
    key = corpus_key(corpus) if corpus.is_file() or corpus.is_dir() else None

    from factcheck.encoders import Encoders
    from factcheck.retrieval import EvidenceIndex

    report = Report("index build", as_json)
    encoders = Encoders.load(text_encoder, image_encoder)
    with (
        naming(corpus),
        engine_for(engine, text_encoder, image_encoder, workers, address) as encoding,
        progress() as show,
    ):
        index = EvidenceIndex.build(
            documents,
            out,
            encoders,
            engine=encoding,
            factory=faiss,
            strict=strict,
            overwrite=overwrite,
            key=key,
            on_progress=show,
            on_warning=report.warn,
        )
    show_index(report, out, index.manifest, perf_counter() - start)
