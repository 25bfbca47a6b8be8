"""`factcheck index search`: what would be retrieved."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from factcheck.cli import options
from factcheck.cli.claims import STANDARD_INPUT, read_text, require_picture
from factcheck.cli.output import Report, visible
from factcheck.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from factcheck.retrieval import Hit, ShownPicture


def search(
    index: options.Index,
    query: Annotated[
        str | None, typer.Argument(help="What to look for; - for standard input.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="A picture to look for.", metavar="FILE")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Passages to show.")] = 10,
    channels: options.Channels = None,
    rerank: options.Rerank = None,
    as_of: options.AsOf = None,
    undated: options.Undated = "drop",
    block_domains: options.BlockDomains = None,
    text_encoder: options.TextEncoder = options.EMBEDDED,
    image_encoder: options.ImageEncoder = options.EMBEDDED,
    exact: options.Exact = False,
    precision: options.Precision = "auto",
    as_json: options.Json = False,
) -> None:
    """Show the passages of an index that have most to say of a text, a picture or both.

    With a picture alone, the documents that show it come first, each by its first passage. The
    encoders are those that the index was built with.
    """
    if query is None and image is None:
        raise UsageError("name what to look for: a text, or a picture with --image")
    text = read_text(query).strip() if query == STANDARD_INPUT else (query or "")
    settings = options.search_settings(channels, rerank)
    options.require_findable(settings, bool(text.strip()), image is not None)
    policy = options.source_policy(as_of, undated, block_domains)
    number_format = options.number_format(precision)
    require_picture(image)

    from factcheck.encoders import EMBEDDED_RELATION, Encoders
    from factcheck.records import Claim
    from factcheck.retrieval import EvidenceIndex

    report = Report("index search", as_json)
    relation = EMBEDDED_RELATION if settings.rerank and text.strip() else None
    encoders = Encoders.load(
        text_encoder, image_encoder, relation=relation, precision=number_format
    )
    with EvidenceIndex.open(index, encoders, exact=exact) as opened:
        hits = opened.search(Claim(text, image), k, settings, policy)
        nothing = None if hits else opened.nothing_left(policy)
    if nothing is not None:
        report.warn(nothing)
    report.show(lambda console: _write_hits(console, hits))
    report.finish([hit.to_dict() for hit in hits])


def _write_hits(console: "Console", hits: "list[Hit]") -> None:
    from rich.padding import Padding

    if not hits:
        console.print("nothing was found")
    for number, hit in enumerate(hits, start=1):
        place = f"[{hit.document_id}], characters {hit.passage.start}-{hit.passage.end}"
        parts = [place, f"score {hit.score:.3f}", hit.date, hit.url]
        known = ", ".join(visible(part) for part in parts if part)
        title = f"{visible(hit.title)} " if hit.title else ""
        console.print(f"{number}. {title}{known}")
        found = [
            f"{channel} {found.rank} ({found.score:.3f})" for channel, found in hit.channels.items()
        ]
        if hit.bearing is not None:
            found.append(f"bears on it {hit.bearing:.1%}")
        if hit.picture is not None:
            found.append(_told(hit.picture))
        if hit.copies:
            found.append(f"also in {', '.join(map(visible, hit.copies))}")
        console.print(Padding(visible(hit.passage.text), (0, 0, 0, 3)))
        console.print(Padding(", ".join(found), (0, 0, 0, 3)), style="dim")


def _told(picture: "ShownPicture") -> str:
    """Whether a document shows the picture that was looked for."""
    if picture.same is None:
        return "it cannot be told whether the picture is the same"
    if not picture.same:
        return "another picture"
    places = picture.matched_places
    return "the same picture" + ("" if places is None else f", {places} places match")
