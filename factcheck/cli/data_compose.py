"""`factcheck data compose`: a data set in Factify 2's format."""

from pathlib import Path
from typing import Annotated

import typer

from factcheck.cli import options
from factcheck.cli.figures import write_figures
from factcheck.cli.output import Report, progress


def compose(
    config: Annotated[Path, typer.Argument(help="YAML file that says what to compose.")],
    data: Annotated[
        Path,
        typer.Option(help="Folder that the text and photograph folders are in.", metavar="FOLDER"),
    ],
    out: Annotated[Path, typer.Option(help="Where the data set is to be.", metavar="FOLDER")],
    as_json: options.Json = False,
) -> None:
    """Compose a data set in Factify 2's format from text relations and photographs."""
    from factcheck.datasets.compose_settings import ComposeSettings
    from factcheck.settings import read_yaml

    settings = read_yaml(config, ComposeSettings)

    from factcheck.datasets import compose as run

    report = Report("data compose", as_json)
    with progress() as show:
        composed = run(settings, data, out, lambda done, total: show("pictures", done, total))
    result = {
        "folder": str(composed.folder),
        "labels": composed.labels,
        "relations": composed.relations,
    }
    report.show(lambda console: write_figures(console, result))
    report.finish(result)
