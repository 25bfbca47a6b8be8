"""`factcheck index search`: what would be retrieved."""

from typing import TYPE_CHECKING, Annotated

import typer

from factcheck.cli import options
from factcheck.cli.claims import STANDARD_INPUT, read_text
from factcheck.cli.output import Report, visible

if TYPE_CHECKING:
    from rich.console import Console

    from factcheck.retrieval import Hit


def search(
    query: Annotated[str, typer.Argument(help="What to look for; - for standard input.")],
    index: options.Index,
    k: Annotated[int, typer.Option("-k", min=1, help="Passages to show.")] = 10,
    text_encoder: options.TextEncoder = options.EMBEDDED,
    image_encoder: options.ImageEncoder = options.EMBEDDED,
    as_json: options.Json = False,
) -> None:
    """Show the passages of an index that are most like a text.

    The encoders are those that the index was built with.
    """
    text = read_text(query).strip() if query == STANDARD_INPUT else query

    from factcheck.encoders import Encoders
    from factcheck.records import Claim
    from factcheck.retrieval import EvidenceIndex

    report = Report("index search", as_json)
    encoders = Encoders.load(text_encoder, image_encoder)
    hits = EvidenceIndex.open(index, encoders).search(Claim(text), k)
    report.show(lambda console: _write_hits(console, hits))
    report.finish([hit.to_dict() for hit in hits])


def _write_hits(console: "Console", hits: "list[Hit]") -> None:
    from rich.padding import Padding

    for number, hit in enumerate(hits, start=1):
        place = f"[{hit.document_id}], characters {hit.passage.start}-{hit.passage.end}"
        parts = [place, f"score {hit.score:.3f}", hit.date, hit.url]
        known = ", ".join(visible(part) for part in parts if part)
        title = f"{visible(hit.title)} " if hit.title else ""
        console.print(f"{number}. {title}{known}")
        console.print(Padding(visible(hit.passage.text), (0, 0, 0, 3)))
