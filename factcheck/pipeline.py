"""From a claim to a verdict: `check` finds the evidence, `compare` is given it.

Both walk the same way: select and encode the evidence (`evidence`), run the fusion head and
calibrate (`fusion.run`), and say what the verdict rests on. One claim is a batch of one; there is
no second implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from factcheck.claim_checks import check_claims, check_pictures
from factcheck.elsewhere import seen_elsewhere
from factcheck.encoders import Encoders, EncodingCache
from factcheck.errors import InvalidInputError, UsageError
from factcheck.evidence import EncodedEvidence, Reading, given_evidence
from factcheck.explanation import explain as explain_verdict
from factcheck.found_evidence import FoundEvidence, beside_the_next, counted, found_evidence
from factcheck.fusion.abstention import Conformal
from factcheck.fusion.checkpoint import EMBEDDED, Checkpoint, load_checkpoint
from factcheck.fusion.inputs import FusionInputs
from factcheck.fusion.run import relation_probabilities
from factcheck.records import Claim, Document, Search, Verdict
from factcheck.retrieval import Reranker, SourcePolicy
from factcheck.settings import Precision, SearchSettings

if TYPE_CHECKING:
    from factcheck.encoders.ocr import OcrReader
    from factcheck.retrieval import EvidenceIndex

CHUNK = 512
"""Claims worked on together: enough for full batches, few enough for bounded memory and for
progress that moves. Verdicts on a whole chunk do not depend on what else is asked for."""


class FactChecker:
    """Checks claims against an index, or against a given document.

    Attributes:
        checkpoint: The fusion head with its calibration.
        encoders: The encoders that the head was trained on.
        ocr: Reads the text in pictures where it is not given; None leaves it absent.
    """

    def __init__(
        self, checkpoint: Checkpoint, encoders: Encoders, ocr: OcrReader | None = None
    ) -> None:
        """Put a checker together.

        Raises:
            InvalidInputError: The head was trained on other encoders, or its configuration says of
                them what they are not.
        """
        config, relation = checkpoint.config, encoders.relation
        for kind, wanted, given, width in (
            ("text", config.text_encoder, encoders.text, encoders.text.dimension),
            ("image", config.image_encoder, encoders.image, encoders.image.dimension),
            (
                "text relation",
                config.relation_encoder,
                relation,
                None if relation is None else relation.width,
            ),
        ):
            if wanted is None:
                continue
            if given is None:
                raise InvalidInputError(
                    f"the checkpoint was trained on the {kind} encoder {wanted.load} "
                    f"({wanted.sha256[:12]}), but none was given"
                )
            if wanted.sha256 != given.sha256:
                raise InvalidInputError(
                    f"the checkpoint was trained on the {kind} encoder {wanted.load} "
                    f"({wanted.sha256[:12]}), but {given.name} ({given.sha256[:12]}) was given"
                )
            # The hash is of the encoder alone: config.json may still be another head's.
            if wanted.dimension != width:
                raise InvalidInputError(
                    f"the checkpoint's config.json says that the {kind} encoder {given.name} has "
                    f"vectors of {wanted.dimension} numbers, but they have {width}"
                )
        if config.image_tokens != encoders.image.tokens:
            raise InvalidInputError(
                f"the checkpoint's config.json says that the image encoder {encoders.image.name} "
                f"has {config.image_tokens} tokens a picture, but it has {encoders.image.tokens}"
            )
        self.checkpoint = checkpoint
        self.encoders = encoders
        self.ocr = ocr

    @classmethod
    def load(
        cls,
        checkpoint: str | Path | None = None,
        cache: Path | None = None,
        ocr: bool = False,
        precision: Precision = "float32",
    ) -> Self:
        """Load a checker.

        Args:
            checkpoint: A checkpoint folder; the one in the package by default.
            cache: A file to keep encodings in.
            ocr: Read the text in pictures whose OCR text is not given (extra `ocr`).
            precision: Number format that the encoders compute in: `auto` is the fastest that the
                processor has; with `float32` verdicts do not depend on whether it has bfloat16.

        Raises:
            MissingResourceError: There is no checkpoint or encoder.
            InvalidInputError: A checkpoint is damaged, or its encoders are not the ones it names.
            PrerequisiteError: Something that is needed is not installed or not reachable.
        """
        from factcheck.encoders.ocr import OcrReader

        reader = OcrReader.load() if ocr else None
        loaded = load_checkpoint(EMBEDDED if checkpoint is None else checkpoint)
        encoders = Encoders.load(
            loaded.config.text_encoder.load,
            loaded.config.image_encoder.load,
            EncodingCache(cache) if cache is not None else None,
            None if loaded.config.relation_encoder is None else loaded.config.relation_encoder.load,
            precision,
        )
        return cls(loaded, encoders, reader)

    def check(
        self,
        claim: Claim,
        index: EvidenceIndex,
        strict: bool = False,
        max_error: float | None = None,
        explain: bool = False,
        search: SearchSettings | None = None,
        policy: SourcePolicy | None = None,
    ) -> Verdict:
        """Check a claim against the evidence that an index holds; see `check_many`."""
        return self.check_many(
            [claim],
            index,
            strict,
            max_error=max_error,
            explain=explain,
            search=search,
            policy=policy,
        )[0]

    def compare(
        self,
        claim: Claim,
        document: Document,
        strict: bool = False,
        max_error: float | None = None,
        explain: bool = False,
    ) -> Verdict:
        """Check a claim against one document, as in Factify 2; see `compare_many`.

        Raises:
            InvalidInputError: As there; or the claim has no letter and no digit.
        """
        check_claims([claim])
        pairs = [(claim, document)]
        return self.compare_many(pairs, strict, max_error=max_error, explain=explain)[0]

    def check_many(
        self,
        claims: Sequence[Claim],
        index: EvidenceIndex,
        strict: bool = False,
        on_progress: Callable[[int], None] | None = None,
        max_error: float | None = None,
        explain: bool = False,
        search: SearchSettings | None = None,
        policy: SourcePolicy | None = None,
        first: int = 1,
        on_failure: Callable[[int, str], None] | None = None,
    ) -> list[Verdict]:
        """Check claims against the evidence that an index holds.

        Passages are found by meaning, by words and by picture (`retrieval.search`). The picture
        that counts for the label is that of the leading document, which the best passage is from: a
        picture supports a claim only together with the text that it was published with. Where else
        in the index the picture was seen is reported (`Evidence.elsewhere`, `elsewhere`) but does
        not enter the label: a re-used photograph is what a fact-checker looks for, not a support.

        Args:
            claims: What to check.
            index: Where to look.
            strict: Make an unreadable picture an error instead of a warning.
            on_progress: Called with the number of claims done since the last call.
            max_error: Highest chance of a wrong label, in (0, 1): where it cannot be promised the
                verdict says "cannot tell" (`Verdict.decision`, `fusion.abstention`).
            explain: Say why each verdict is what it is (`Verdict.explanation`, `explanation`),
                which takes several times as long.
            search: How to look; None for the default of `SearchSettings`.
            policy: Which documents may be found; None for all. Verdicts say so.
            first: Number of the first claim, for messages: they may be a part of many.
            on_failure: Called with the number of a claim that nothing was found for, which some
                channels need not, and a sentence that says so; the claim is then left out of what
                comes back, and the others get their verdicts. None makes it an error.

        Returns:
            A verdict for each claim, in order.

        Raises:
            InvalidInputError: A claim is empty, too long or not UTF-8, the index was built with
                other encoders, (strict) a picture cannot be read, nothing may be found, or nothing
                was found for a claim and there is no `on_failure`.
            MissingResourceError: (strict) A picture is not there.
        """
        index.verify_encoders(self.encoders)
        check_claims(claims, first)
        if strict:
            check_pictures(claims, first)
        if max_error is not None:
            self._conformal(max_error)
        search, policy = search or SearchSettings(), policy or SourcePolicy()
        reading = replace(self._reading(strict), search=search, policy=policy)
        reranker = Reranker.of(self.encoders) if search.rerank else None
        bearing = self.encoders.bearing
        how = Search(
            search.channels,
            0 if reranker is None else search.rerank,
            policy.as_of,
            policy.undated,
            policy.blocked_name,
            policy.blocked_sha256,
            None if reranker is None else reranker.sha256,
            None if self.encoders.query is None else self.encoders.query.sha256,
            None if bearing is None else bearing.sha256,
        )
        verdicts: list[Verdict] = []
        for start in range(0, len(claims), CHUNK):
            chunk = claims[start : start + CHUNK]
            found = found_evidence(reading, chunk, index, first + start)
            for place, problem in found.problems.items():
                if on_failure is None:
                    raise InvalidInputError(f"claim {first + start + place}: {problem}")
                on_failure(first + start + place, problem)
            some = [
                replace(verdict, search=how)
                for verdict in self._verdicts(found.encoded, index.sha256, max_error)
            ]
            some = self._seen_elsewhere(some, found, index, policy)
            asked = [chunk[place] for place in found.claims]
            if explain:
                rows = range(len(some))
                following = [beside_the_next(reading, index, found, row) for row in rows]
                vectors = [query.vector for query in found.queries]
                some = self._explained(asked, some, found.encoded, following, vectors)
            verdicts += some
            if on_progress is not None:
                on_progress(len(chunk))
        return verdicts

    def compare_many(
        self,
        pairs: Sequence[tuple[Claim, Document]],
        strict: bool = False,
        on_progress: Callable[[int], None] | None = None,
        max_error: float | None = None,
        explain: bool = False,
    ) -> list[Verdict]:
        """Check claims, each against its own document.

        Args:
            pairs: Claims with their documents.
            strict: Make an unreadable picture an error instead of a warning.
            on_progress: Called with the number of pairs done since the last call.
            max_error: As for `check_many`.
            explain: As for `check_many`.

        Returns:
            A verdict for each pair, in order.

        Raises:
            InvalidInputError: A claim or a document is empty or not UTF-8, a claim is too long, or
                (strict) a picture cannot be read.
            MissingResourceError: (strict) A picture is not there.
        """
        check_claims([claim for claim, _ in pairs], wordless=True)
        if max_error is not None:
            self._conformal(max_error)
        reading = self._reading(strict)
        verdicts: list[Verdict] = []
        for start in range(0, len(pairs), CHUNK):
            chunk = pairs[start : start + CHUNK]
            encoded = given_evidence(reading, chunk)
            some = self._verdicts(encoded, None, max_error)
            asked = [claim for claim, _ in chunk]
            if explain:
                none = [None] * len(some)
                some = self._explained(asked, some, encoded, none, none)
            verdicts += some
            if on_progress is not None:
                on_progress(len(chunk))
        return verdicts

    def _reading(self, strict: bool) -> Reading:
        config = self.checkpoint.config
        return Reading(self.encoders, config.passages, config.head.passages, self.ocr, strict)

    def _verdicts(
        self, encoded: EncodedEvidence, index: str | None, max_error: float | None
    ) -> list[Verdict]:
        """The verdict of each claim."""
        probabilities = relation_probabilities(self.checkpoint, encoded.inputs)
        verdicts = []
        for row, evidence in enumerate(encoded.evidence):
            text, same = probabilities.factors(row)
            image = evidence.image
            passages = [
                replace(
                    cited
                    if (read := probabilities.passage(row, place)) is None
                    else replace(cited, relation=read[0], weight=read[1]),
                    bearing=_or_none(encoded.inputs.bearing[row, place]),
                )
                for place, cited in enumerate(evidence.passages)
            ]
            evidence = replace(
                evidence,
                passages=tuple(passages),
                bearing=_or_none(probabilities.bearing[row]),
                image=None
                if image is None
                else replace(
                    image,
                    same_picture=same,
                    matched_places=counted(encoded.inputs.matched_places[row]),
                ),
            )
            verdict = Verdict.from_factors(text, same, evidence, self.checkpoint.sha256, index)
            if max_error is not None:
                decision = self._conformal(max_error).decide(verdict.probabilities, max_error)
                verdict = replace(verdict, decision=decision)
            verdicts.append(verdict)
        return verdicts

    def _seen_elsewhere(
        self,
        verdicts: Sequence[Verdict],
        found: FoundEvidence,
        index: EvidenceIndex,
        policy: SourcePolicy,
    ) -> list[Verdict]:
        """Verdicts with where else in the index the picture of each claim was seen."""
        completed = []
        for row, (verdict, query) in enumerate(zip(verdicts, found.queries, strict=True)):
            evidence = verdict.evidence
            images, more = seen_elsewhere(
                self.checkpoint,
                self.encoders,
                index,
                query,
                found.pictures[row],
                found.encoded.inputs.take(np.array([row])),
                evidence.passages[0].passage.document_id,
                policy,
            )
            evidence = replace(evidence, elsewhere=images, more_elsewhere=more)
            completed.append(replace(verdict, evidence=evidence))
        return completed

    def _explained(
        self,
        claims: Sequence[Claim],
        verdicts: Sequence[Verdict],
        encoded: EncodedEvidence,
        following: Sequence[FusionInputs | None],
        searched_with: Sequence[np.ndarray | None],
    ) -> list[Verdict]:
        """Verdicts with their explanations."""
        return [
            replace(
                verdict,
                explanation=explain_verdict(
                    self.checkpoint,
                    self.encoders,
                    claim,
                    verdict,
                    encoded.inputs.take(np.array([row])),
                    following[row],
                    searched_with[row],
                ),
            )
            for row, (claim, verdict) in enumerate(zip(claims, verdicts, strict=True))
        ]

    def _conformal(self, max_error: float) -> Conformal:
        """What an error rate is promised by.

        Raises:
            UsageError: It is no rate, or the checkpoint has nothing to promise it by.
        """
        if not 0 < max_error < 1:
            raise UsageError(f"a highest error of {max_error:g} cannot be asked for, only 0 to 1")
        conformal = self.checkpoint.calibration.conformal
        if conformal is None:
            raise UsageError(
                "no error rate can be promised: the checkpoint was trained without rows kept back "
                "for it (conformal_share)"
            )
        return conformal


def _or_none(probability: float) -> float | None:
    """A probability as a verdict has it; None where nothing tells it."""
    return None if np.isnan(probability) else float(probability)
