"""`factcheck data hydrate`: the pictures of a data set that has only their URLs."""

from pathlib import Path
from typing import Annotated

import typer

from factcheck.cli import options
from factcheck.cli.figures import write_figures
from factcheck.cli.output import Report, progress
from factcheck.errors import PartialResultError


def hydrate(
    folder: Annotated[Path, typer.Argument(help="Folder in Factify 2's format.")],
    split: Annotated[
        list[str] | None, typer.Option(help="Only this split; may be given several times.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Most requests at a time.")] = 16,
    per_host: Annotated[int, typer.Option(min=1, help="Most requests at a time to one host.")] = 2,
    pause: Annotated[
        float,
        typer.Option(min=0, help="Seconds between the starts of two requests to one host."),
    ] = 0.25,
    max_size: Annotated[
        float, typer.Option(min=0.001, max=64, help="Largest picture, in MiB.")
    ] = 32,
    time_limit: Annotated[
        float, typer.Option(min=0.1, help="Seconds for one attempt at a picture.")
    ] = 60,
    attempts: Annotated[int, typer.Option(min=1, help="Most attempts at a picture.")] = 3,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try again also what failed for good before.")
    ] = False,
    allow_private: Annotated[
        bool,
        typer.Option(
            "--allow-private",
            help="Fetch from private and loopback addresses too, as in an intranet.",
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Download the pictures that a data set in Factify 2's format has only the URLs of.

    What is there is left as it is, so a run that was interrupted goes on where it stopped. What
    cannot be had is written to hydrate-SPLIT.jsonl with the reason; a link that is dead, or leads
    to no picture or to one above the largest size, is not tried again unless --retry is given.
    Exits with 7 when pictures are missing.
    """
    from factcheck.datasets.fetch import FetchSettings
    from factcheck.datasets.hydrate import hydrate as run

    settings = FetchSettings(
        concurrency=concurrency,
        per_host=per_host,
        pause=pause,
        max_bytes=round(max_size * 2**20),
        time_limit=time_limit,
        attempts=attempts,
        allow_private=allow_private,
    )
    report = Report("data hydrate", as_json)
    with progress() as show:
        hydrated = run(
            folder,
            split or (),
            settings,
            retry=retry,
            on_progress=lambda done, total: show("pictures", done, total),
        )
    result = hydrated.to_dict()
    report.show(lambda console: write_figures(console, result))
    report.finish(result)
    failed, fetched = hydrated.total("failed"), hydrated.total("fetched")
    if failed:
        raise PartialResultError(
            f"{folder}: {failed:,} of {failed + fetched:,} pictures could not be had; "
            "hydrate-*.jsonl there says why"
        )
