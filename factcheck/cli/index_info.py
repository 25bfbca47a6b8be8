"""`factcheck index info`: what an index holds and what made it."""

from typing import TYPE_CHECKING

from factcheck.cli import options
from factcheck.cli.index_shown import described
from factcheck.cli.output import Report, visible

if TYPE_CHECKING:
    from rich.console import Console

    from factcheck.retrieval import Manifest


def info(index: options.Index, as_json: options.Json = False) -> None:
    """Say what an index holds and what made it; only its manifest is read."""
    from factcheck.retrieval import Manifest

    report = Report("index info", as_json)
    manifest = Manifest.read(index)
    report.show(lambda console: _write(console, manifest))
    report.finish({**described(index, manifest), "manifest": manifest.model_dump(mode="json")})


def _write(console: "Console", manifest: "Manifest") -> None:
    def line(name: str, text: str) -> None:
        console.print(f"{name:<11}{visible(text)}", soft_wrap=True)

    line("index", manifest.sha256)
    line(
        "holds",
        f"{manifest.documents:,} documents, {manifest.passages:,} passages, "
        f"{manifest.images:,} images",
    )
    line("text", f"{manifest.text.name} ({manifest.text.sha256[:12]})")
    line("image", f"{manifest.image.name} ({manifest.image.sha256[:12]})")
    line(
        "passages",
        f"at most {manifest.passage.max_characters} characters, "
        f"{manifest.passage.overlap_sentences} sentence of overlap",
    )
    for segment in manifest.segments:
        size = sum(file.size for file in segment.files.values()) / 2**20
        found = "exact"
        if segment.approximate is not None:
            found = (
                f"{segment.approximate.factory}, recall@10 {segment.approximate.recall_at_10:.3f}"
            )
        gone = f", {segment.deleted:,} deleted" if segment.deleted else ""
        line(
            f"  {segment.name}",
            f"{segment.documents:,} documents{gone}, {segment.passages:,} passages, "
            f"{size:,.1f} MiB, {found}",
        )
