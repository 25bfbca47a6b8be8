"""The commands put together."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from factcheck.cli import (
    audit,
    check,
    compare,
    compare_runs,
    data_compose,
    data_doctor,
    data_hydrate,
    evaluate,
    evaluate_merge,
    index_add,
    index_build,
    index_compact,
    index_delete,
    index_info,
    index_search,
    index_verify,
    train,
)
from factcheck.cli.output import quiet_libraries

_HELP = """\
Checks a claim with its picture against a corpus of evidence.

\b
Build an index of your documents, then check a claim against it:
  factcheck index build news.jsonl --out news.index
  factcheck check "The bridge was closed on Monday." --image bridge.jpg \\
      --index news.index

\b
Compare a claim with one document that you have:
  factcheck compare --claim "The bridge was closed on Monday." \\
      --document-file article.txt --claim-image bridge.jpg

\b
Score a split of a data set in Factify 2's format:
  factcheck evaluate factify2/ --split test --out runs/test

Results go to standard output, progress and warnings to standard error. With --json, standard
output is one object with the keys schema_version, command, result and warnings, or nothing when the
command fails.

Exit codes: 0 done, 2 usage, 3 something is not installed, 4 a file is missing, 5 a file is wrong,
6 the run failed, 7 part of the work is done, 130 interrupted.
"""


class _EvaluateGroup(TyperGroup):
    """`evaluate FOLDER` is short for `evaluate split FOLDER`."""

    default = "split"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = args[:1] and args[0] in self.commands
        return super().parse_args(ctx, args if named else [self.default, *args])


# Without rich's markup the help is plain, and takes half the time.
app = typer.Typer(
    help=_HELP, rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False
)
index = typer.Typer(help="Build, search and keep an index of evidence.", rich_markup_mode=None)
data = typer.Typer(help="Make, examine and complete data sets.", rich_markup_mode=None)

evaluation = typer.Typer(
    cls=_EvaluateGroup,
    help="Verdicts for a split, scored: evaluate FOLDER; evaluate merge.",
    rich_markup_mode=None,
)

evaluation.command(_EvaluateGroup.default)(evaluate.evaluate)
evaluation.command("merge")(evaluate_merge.merge)
index.command("build")(index_build.build)
index.command("search")(index_search.search)
index.command("add")(index_add.add)
index.command("delete")(index_delete.delete)
index.command("compact")(index_compact.compact)
index.command("verify")(index_verify.verify)
index.command("info")(index_info.info)
data.command("compose")(data_compose.compose)
data.command("doctor")(data_doctor.doctor)
data.command("hydrate")(data_hydrate.hydrate)

app.add_typer(index, name="index")
app.command("check")(check.check)
app.command("compare")(compare.compare)
app.add_typer(evaluation, name="evaluate")
app.command("compare-runs")(compare_runs.compare_runs)
app.command("audit")(audit.audit)
app.command("train")(train.train)
app.add_typer(data, name="data")


def _show_version(wanted: bool) -> None:
    if wanted:
        from factcheck import __version__

        typer.echo(f"factcheck {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", envvar="FACTCHECK_DEBUG", help="Show tracebacks and what libraries say."
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    if debug:
        import os

        os.environ["FACTCHECK_DEBUG"] = "1"
    else:
        quiet_libraries()
