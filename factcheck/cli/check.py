"""`factcheck check`: claims against an index."""

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from factcheck.cli import options
from factcheck.cli.claims import (
    STANDARD_INPUT,
    asked_of,
    is_list,
    read_standard_input,
    require_picture,
    require_words,
)
from factcheck.cli.output import Report, count_up, progress
from factcheck.errors import PartialResultError, UsageError

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
    exact: options.Exact = False,
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
    batches; without, they are checked and printed one by one. A claim of a file that nothing is
    found for is told on standard error and has, instead of a verdict, its number and an error in
    the list; the others get their verdicts, and the exit code is 7.
    """
    options.require_rate(max_error)
    number_format = options.number_format(precision)
    claims = _claims(claim, image, ocr_text)
    search = options.search_settings(channels, rerank)
    several = claims if isinstance(claims, list) else [claims]
    options.require_findable(search, True, any(one.image is not None for one in several))
    policy = options.source_policy(as_of, undated, block_domains)
    require_picture(image)

    from factcheck.claim_checks import check_claims, check_pictures
    from factcheck.pipeline import FactChecker
    from factcheck.retrieval import EvidenceIndex

    # All before any work, which a bad claim at the end of a long file would throw away.
    check_claims(several)
    if strict and not as_json:
        # They are checked one by one below, and in batches all are looked at before the first.
        check_pictures(several)
    report = Report("check", as_json)
    checker = FactChecker.load(checkpoint, ocr=ocr, precision=number_format)
    evidence = EvidenceIndex.open(index, checker.encoders, exact=exact)
    failed: dict[int, str] = {}

    def fail(number: int, problem: str) -> None:
        failed[number] = problem
        report.warn(f"claim {number}: {problem}; it has no verdict")

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
                on_failure=fail,
            )
        numbers = [number for number in range(1, len(claims) + 1) if number not in failed]
        entries: dict[int, object] = {
            number: {"claim": number, **asked_of(claims[number - 1]), "error": problem}
            for number, problem in failed.items()
        }
        for number, verdict in zip(numbers, verdicts, strict=True):
            asked = {"claim": number, **asked_of(claims[number - 1])}
            entries[number] = asked | verdict.to_dict()
            for warning in verdict.evidence.warnings:
                report.warn(f"claim {number}: {warning}")
        report.finish([entries[number] for number in sorted(entries)])
        _require_all(failed, len(claims))
        return

    from factcheck.cli.verdicts import write_verdict

    is_file = isinstance(claims, list)
    for number, one in enumerate(several, start=1):
        start = perf_counter()
        found = checker.check_many(
            [one],
            evidence,
            strict,
            None,
            max_error,
            explain,
            search,
            policy,
            number,
            fail if is_file else None,
        )
        seconds = perf_counter() - start
        for verdict in found:
            report.show(lambda console: write_verdict(console, one, verdict, seconds))  # noqa: B023
            for warning in verdict.evidence.warnings:
                report.warn(f"claim {number}: {warning}" if is_file else warning)
            report.finish(asked_of(one) | verdict.to_dict())
    _require_all(failed, len(several))


def _require_all(failed: dict[int, str], count: int) -> None:
    """Say that some claims have no verdict, after those of the others.

    Raises:
        PartialResultError: Some have none.
    """
    if failed:
        raise PartialResultError(f"{len(failed):,} of {count:,} claims have no verdict")


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
