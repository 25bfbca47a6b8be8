"""`factcheck check`: claims against an index."""

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from factcheck.cli import options
from factcheck.cli.claims import (
    STANDARD_INPUT,
    is_list,
    read_standard_input,
    require_picture,
    require_words,
)
from factcheck.cli.output import Report, count_up, progress
from factcheck.errors import UsageError

if TYPE_CHECKING:
    from factcheck.records import Claim


def check(
    claim: Annotated[
        str,
        typer.Argument(
            help="The claim; or a file of claims, .jsonl or .jsonl.gz; or - for standard input, "
            "which holds a claim's text or JSON Lines."
        ),
    ],
    index: options.Index,
    image: Annotated[Path | None, typer.Option(help="The claim's picture.", metavar="FILE")] = None,
    ocr_text: Annotated[str | None, typer.Option(help="Text in the claim's picture.")] = None,
    max_error: options.MaxError = None,
    as_of: options.AsOf = None,
    undated: options.Undated = "drop",
    block_domains: options.BlockDomains = None,
    channels: options.Channels = None,
    rerank: options.Rerank = None,
    explain: options.Explain = True,
    ocr: options.Ocr = False,
    checkpoint: options.Checkpoint = None,
    strict: options.Strict = False,
    precision: options.Precision = "auto",
    as_json: options.Json = False,
) -> None:
    """Check a claim, or many, against an index of evidence.

    A line of a file of claims has the key claim and, if there are any, image (a path, relative to
    the file) and ocr. With --json, one claim gives one verdict and a file gives a list, checked in
    batches; without, they are checked and printed one by one.
    """
    options.require_rate(max_error)
    number_format = options.number_format(precision)
    claims = _claims(claim, image, ocr_text)
    search = options.search_settings(channels, rerank)
    policy = options.source_policy(as_of, undated, block_domains)
    require_picture(image)

    from factcheck.evidence import check_claims
    from factcheck.pipeline import FactChecker
    from factcheck.retrieval import EvidenceIndex

    # All before any work, which a bad claim at the end of a long file would throw away.
    several = claims if isinstance(claims, list) else [claims]
    check_claims(several)
    report = Report("check", as_json)
    checker = FactChecker.load(checkpoint, ocr=ocr, precision=number_format)
    evidence = EvidenceIndex.open(index, checker.encoders)
    if isinstance(claims, list) and as_json:
        with progress() as show:
            verdicts = checker.check_many(
                claims,
                evidence,
                strict,
                count_up(show, "claims", len(claims)),
                max_error,
                explain,
                search,
                policy,
            )
        for number, verdict in enumerate(verdicts, start=1):
            for warning in verdict.evidence.warnings:
                report.warn(f"claim {number}: {warning}")
        report.finish([verdict.to_dict() for verdict in verdicts])
        return

    from factcheck.cli.verdicts import write_verdict

    for number, one in enumerate(several, start=1):
        start = perf_counter()
        [verdict] = checker.check_many(
            [one], evidence, strict, None, max_error, explain, search, policy, number
        )
        seconds = perf_counter() - start
        report.show(lambda console: write_verdict(console, one, verdict, seconds))  # noqa: B023
        for warning in verdict.evidence.warnings:
            report.warn(f"claim {number}: {warning}" if isinstance(claims, list) else warning)
        report.finish(verdict.to_dict())


def _claims(argument: str, image: Path | None, ocr_text: str | None) -> "Claim | list[Claim]":
    """The claim that the arguments give, or the claims of a file."""
    from factcheck.records import Claim

    if is_list(argument):
        from factcheck.datasets import read_claims

        claims: str | list[Claim] = read_claims(Path(argument))
    elif argument == STANDARD_INPUT:
        claims = read_standard_input()
    else:
        require_words(argument)
        claims = argument
    if isinstance(claims, str):
        return Claim(claims, image, ocr_text)
    if image is not None or ocr_text is not None:
        raise UsageError("--image and --ocr-text go with one claim; a file names them on its lines")
    return claims
