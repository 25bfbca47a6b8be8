"""`factcheck compare`: a claim against a document that is given."""

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from factcheck.cli import options
from factcheck.cli.claims import STANDARD_INPUT, asked_of, read_text, require_picture
from factcheck.cli.output import Report
from factcheck.errors import UsageError

_GIVEN = "given"


def compare(
    claim: Annotated[str, typer.Option(help="The claim; - for standard input.", metavar="TEXT")],
    document: Annotated[
        str | None, typer.Option(help="The document's text.", metavar="TEXT")
    ] = None,
    document_file: Annotated[
        str | None,
        typer.Option(help="The document's text in a file; - for standard input.", metavar="FILE"),
    ] = None,
    title: Annotated[str | None, typer.Option(help="The document's title.", metavar="TEXT")] = None,
    claim_image: Annotated[
        Path | None, typer.Option(help="The claim's picture.", metavar="FILE")
    ] = None,
    document_image: Annotated[
        Path | None, typer.Option(help="The document's picture.", metavar="FILE")
    ] = None,
    claim_ocr: Annotated[
        str | None, typer.Option(help="Text in the claim's picture.", metavar="TEXT")
    ] = None,
    document_ocr: Annotated[
        str | None, typer.Option(help="Text in the document's picture.", metavar="TEXT")
    ] = None,
    max_error: options.MaxError = None,
    explain: options.Explain = True,
    ocr: options.Ocr = False,
    checkpoint: options.Checkpoint = None,
    strict: options.Strict = False,
    precision: options.Precision = "auto",
    as_json: options.Json = False,
) -> None:
    """Compare a claim with one document, given by --document or --document-file."""
    options.require_rate(max_error)
    number_format = options.number_format(precision)
    if (document is None) == (document_file is None):
        raise UsageError("give the document by either --document or --document-file")
    if claim == document_file == STANDARD_INPUT:
        raise UsageError("standard input holds the claim or the document, not both")
    text = read_text(document_file) if document_file is not None else document or ""
    words = read_text(claim).strip() if claim == STANDARD_INPUT else claim
    require_picture(claim_image)
    require_picture(document_image)

    from factcheck.cli.verdicts import write_verdict
    from factcheck.pipeline import FactChecker
    from factcheck.records import Claim, Document

    report = Report("compare", as_json)
    checker = FactChecker.load(checkpoint, ocr=ocr, precision=number_format)
    asked = Claim(words, claim_image, claim_ocr)
    given = Document(_GIVEN, text, title, image=document_image, ocr=document_ocr)
    start = perf_counter()
    verdict = checker.compare(asked, given, strict, max_error, explain)
    seconds = perf_counter() - start
    report.show(lambda console: write_verdict(console, asked, verdict, seconds))
    for warning in verdict.evidence.warnings:
        report.warn(warning)
    report.finish(asked_of(asked) | verdict.to_dict())
