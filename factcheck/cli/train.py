"""`factcheck train`: what a YAML file describes."""

from pathlib import Path
from typing import Annotated

import typer

from factcheck.cli import options
from factcheck.cli.figures import write_figures
from factcheck.cli.output import Report, progress


def train(
    config: Annotated[Path, typer.Argument(help="YAML file that says what to train.")],
    data: Annotated[
        Path,
        typer.Option(
            help="For the fusion head, the image relation and all stages together a folder in "
            "Factify 2's format; else the folder that texts and photographs are in.",
            metavar="FOLDER",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Run folder.", metavar="RUN")],
    cache: options.Cache = None,
    as_json: options.Json = False,
) -> None:
    """Train the fusion head, an encoder, what a search asks with or goes by, or all in stages.

    The run folder gets the resolved settings, a log, the metrics and what was trained. To train on
    several processors for graphics: accelerate launch -m factcheck train ...
    """
    from factcheck.settings import read_yaml
    from factcheck.training_settings import Training, TrainingSettings

    # A union is no type[T] to mypy, though pydantic takes it.
    settings: Training = read_yaml(
        config,
        TrainingSettings,  # type: ignore[arg-type]
    )

    from factcheck.files import require_writable
    from factcheck.training import train as run

    report = Report("train", as_json)
    require_writable(out)
    with progress() as show:
        # A total of 0 is one that is not known.
        metrics = run(
            settings,
            data,
            out,
            lambda stage, done, total, figures: show(stage, done, total or None, figures),
            cache,
        )
    report.show(lambda console: write_figures(console, metrics))
    report.finish(metrics)
