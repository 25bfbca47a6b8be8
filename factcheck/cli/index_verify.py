"""`factcheck index verify`: whether an index is whole, byte by byte."""

from factcheck.cli import options
from factcheck.cli.index_shown import described
from factcheck.cli.output import Report, progress, visible
from factcheck.errors import InvalidInputError


def verify(index: options.Index, as_json: options.Json = False) -> None:
    """Read every byte of an index and say what is not as it should be; exit code 5 if anything."""
    from factcheck.retrieval import verify_index

    report = Report("index verify", as_json)
    with progress() as show:
        manifest, problems = verify_index(index, show)
    if problems:
        lines = "\n".join(map(visible, problems))
        report.show(lambda console: console.print(lines, soft_wrap=True))
        report.finish({**described(index, manifest), "problems": problems})
        raise InvalidInputError(
            f"{index}: {len(problems)} {'file is' if len(problems) == 1 else 'files are'} damaged"
        )
    report.show(
        lambda console: console.print(
            f"{index}: whole, {manifest.documents:,} documents in {len(manifest.segments)} "
            f"{'segment' if len(manifest.segments) == 1 else 'segments'}",
            soft_wrap=True,
        )
    )
    report.finish({**described(index, manifest), "problems": []})
