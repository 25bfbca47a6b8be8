"""`factcheck index compact`: an index without what was deleted, in few segments."""

from time import perf_counter

from factcheck.cli import options
from factcheck.cli.index_shown import show_index
from factcheck.cli.output import Report, progress


def compact(
    index: options.Index,
    text_encoder: options.TextEncoder = options.EMBEDDED,
    image_encoder: options.ImageEncoder = options.EMBEDDED,
    faiss: options.Factory = None,
    as_json: options.Json = False,
) -> None:
    """Write an index anew without what was deleted. Nothing is encoded; its hash stays."""
    start = perf_counter()

    from factcheck.encoders import Encoders
    from factcheck.retrieval import EvidenceIndex

    report = Report("index compact", as_json)
    encoders = Encoders.load(text_encoder, image_encoder)
    with progress() as show, EvidenceIndex.open(index, encoders) as before:
        after = before.compact(factory=faiss, on_progress=show)
    show_index(report, index, after.manifest, perf_counter() - start)
