"""`factcheck index build`: from a corpus to an index."""

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from factcheck.cli import options
from factcheck.cli.output import Report, progress


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
    strict: options.Strict = False,
    as_json: options.Json = False,
) -> None:
    """Build an index of a corpus of evidence.

    A line of a JSON Lines corpus has the keys id and text and, if there are any, title, url, date
    (YYYY-MM-DD), image (a path, relative to the file) and ocr (text in the image). The index
    appears when it is whole: a build that fails or is interrupted leaves nothing.
    """
    from factcheck.datasets import read_corpus

    start = perf_counter()
    documents = read_corpus(corpus)

    from factcheck.encoders import Encoders
    from factcheck.retrieval import EvidenceIndex

    report = Report("index build", as_json)
    encoders = Encoders.load(text_encoder, image_encoder)
    with progress() as show:
        index = EvidenceIndex.build(
            documents,
            out,
            encoders,
            strict=strict,
            overwrite=overwrite,
            on_progress=show,
            on_warning=report.warn,
        )
    manifest = index.manifest
    result = {
        "index": str(out),
        "sha256": index.sha256,
        "documents": manifest.documents,
        "passages": manifest.passages,
        "images": manifest.images,
        "seconds": round(perf_counter() - start, 2),
    }
    report.show(
        lambda console: console.print(
            f"{out}: {manifest.documents:,} documents, {manifest.passages:,} passages, "
            f"{manifest.images:,} images in {result['seconds']} s\nindex {index.sha256}"
        )
    )
    report.finish(result)
