"""Why a verdict is what it is: evidence is taken away, and the same models are asked again.

What a network attends to is not what its answer rests on (arXiv:1902.10186, section 4), so nothing
is read off its inside. Each passage, each sentence, the pictures and the texts in them are left out
in turn (leave-one-out; "erasure" in arXiv:1612.08220, section 3), and the probability that is left
to the verdict's label says how much they mattered. The same evidence gives the same explanation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from factcheck.encoders import Encoders
from factcheck.fusion.checkpoint import Checkpoint
from factcheck.fusion.inputs import FusionInputs, read_relations
from factcheck.fusion.run import relation_probabilities
from factcheck.fusion.signals import lexical_signals
from factcheck.records import (
    BEARS,
    LABELS,
    Evidence,
    Explanation,
    KeySentence,
    Removal,
    TextRelation,
    Verdict,
)
from factcheck.retrieval import split_sentences

if TYPE_CHECKING:
    from factcheck.records import Claim

# From this probability on a passage by itself takes a side.
_TAKES_A_SIDE = 0.6
_OF_PASSAGES = ("passages", "signals", "relations", "bearing")
_OF_A_PICTURE = ("evidence_image_rows", "evidence_ocr", "has_evidence_ocr", "matched_places")


@dataclass(frozen=True)
class _Sentence:
    """A sentence of the evidence.

    Attributes:
        document_id: The document it is from.
        start: Offset of its first character in the document's text.
        end: Offset one past its last character.
        text: Its words.
        passages: For each passage that holds it, by place, the passage's text without it.
    """

    document_id: str
    start: int
    end: int
    text: str
    passages: Mapping[int, str]


@dataclass(frozen=True)
class _Leading:
    """The document whose picture is compared.

    Attributes:
        places: Those of its passages.
        following: The row beside the picture of the document that is next; None without one.
    """

    places: set[int]
    following: FusionInputs | None


def explain(
    checkpoint: Checkpoint,
    encoders: Encoders,
    claim: Claim,
    verdict: Verdict,
    inputs: FusionInputs,
    following: FusionInputs | None = None,
    searched_with: np.ndarray | None = None,
) -> Explanation:
    """Explain a verdict.

    Args:
        checkpoint: What gave it.
        encoders: The encoders of the checkpoint.
        claim: The claim.
        verdict: Its verdict, with the passages it rests on.
        inputs: The one row of encodings it was given on.
        following: The same row beside the picture of the document that would lead without the
            leading one (`found_evidence.beside_the_next`); None where there is none.
        searched_with: (D,) the claim's vector for a search; None where the evidence was given.

    Returns:
        Its explanation.
    """
    evidence = verdict.evidence
    present = len(evidence.passages)
    leading = _Leading(_leading(evidence), following)
    if following is not None:
        # Variants are asked about together, over the same pictures.
        inputs = replace(inputs, grids=following.grids)
    sentences = _sentences(evidence)
    variants: list[FusionInputs] = []
    removed: list[str] = []
    if present > 1:
        for place in range(present):
            variants.append(_without_passages(inputs, {place}, leading))
            removed.append(f"passage {place + 1}")
    if inputs.claim_image_rows[0] >= 0 and inputs.evidence_image_rows[0] >= 0:
        none = np.array([-1])
        variants.append(replace(inputs, claim_image_rows=none, evidence_image_rows=none))
        removed.append("the pictures")
    if inputs.has_claim_ocr[0] or inputs.has_evidence_ocr[0]:
        none = np.zeros(1, dtype=bool)
        variants.append(replace(inputs, has_claim_ocr=none, has_evidence_ocr=none))
        removed.append("the text in the pictures")
    # A lone sentence is all the evidence, and without any there is nothing to ask about.
    if len(sentences) < 2:
        sentences = []
    text = claim.text.strip()
    variants += _without_sentences(inputs, encoders, text, sentences, leading, searched_with)
    names = [*removed, *["the sentence"] * len(sentences)]
    removals = _ask(checkpoint, verdict, variants, names)
    others, without_sentences = removals[: len(removed)], removals[len(removed) :]
    key = None
    if sentences:
        found, left = min(
            zip(sentences, without_sentences, strict=True), key=lambda pair: pair[1].probability
        )
        key = KeySentence(found.document_id, found.start, found.end, found.text, left)
    missing = _missing(claim, verdict, inputs)
    return Explanation(key, tuple(others), _disagreements(evidence), missing)


def _ask(
    checkpoint: Checkpoint, verdict: Verdict, variants: Sequence[FusionInputs], names: Sequence[str]
) -> list[Removal]:
    """What becomes of a verdict on each variant of its evidence."""
    if not variants:
        return []
    label = LABELS.index(verdict.label)
    asked = relation_probabilities(checkpoint, _together(variants)).label
    return [
        Removal(name, float(row[label]), LABELS[int(row.argmax())])
        for name, row in zip(names, asked, strict=True)
    ]


def _sentences(evidence: Evidence) -> list[_Sentence]:
    """The different sentences of the passages, in order; passages overlap."""
    found: dict[tuple[str, int, int], tuple[str, dict[int, str]]] = {}
    for place, cited in enumerate(evidence.passages):
        passage = cited.passage
        for start, end in split_sentences(passage.text):
            key = (passage.document_id, passage.start + start, passage.start + end)
            _, holders = found.setdefault(key, (passage.text[start:end], {}))
            before, after = passage.text[:start].rstrip(), passage.text[end:].lstrip()
            holders[place] = " ".join(part for part in (before, after) if part)
    return [_Sentence(*key, text, holders) for key, (text, holders) in found.items()]


def _leading(evidence: Evidence) -> set[int]:
    """The places of the passages of the leading document, whose picture is compared."""
    ids = [cited.passage.document_id for cited in evidence.passages]
    return {place for place, document_id in enumerate(ids) if document_id == ids[0]}


def _without_passages(inputs: FusionInputs, gone: set[int], leading: _Leading) -> FusionInputs:
    """One row without some of its passages; the others move up, as they rank.

    A picture counts only together with the text that it was published with: it goes with the last
    passage of the leading document, and that of the next one takes its place.
    """
    count, places = int(inputs.has_passage[0].sum()), inputs.has_passage.shape[1]
    kept = [place for place in range(count) if place not in gone]
    changed: dict[str, Any] = {}
    for name in _OF_PASSAGES:
        array = np.full_like(getattr(inputs, name), np.nan if name == "bearing" else 0)
        array[0, : len(kept)] = getattr(inputs, name)[0, kept]
        changed[name] = array
    changed["has_passage"] = np.arange(places)[None] < len(kept)
    if leading.places <= gone:
        if leading.following is None:
            changed["evidence_image_rows"] = np.array([-1])
            changed["has_evidence_ocr"] = np.zeros(1, dtype=bool)
        else:
            for name in _OF_A_PICTURE:
                changed[name] = getattr(leading.following, name)
    return replace(inputs, **changed)


def _without_sentences(
    inputs: FusionInputs,
    encoders: Encoders,
    claim: str,
    sentences: Sequence[_Sentence],
    leading: _Leading,
    searched_with: np.ndarray | None,
) -> list[FusionInputs]:
    """One row for each sentence, without it in any passage; what is changed is read anew."""
    texts = [text for sentence in sentences for text in sentence.passages.values() if text]
    # One that was all of its passage leaves no text to read.
    vectors = encoders.texts(texts) if texts else np.zeros((0, inputs.passages.shape[-1]))
    relations = read_relations(encoders, [claim] * len(texts), [[text] for text in texts], 1)
    bearing = np.full(len(texts), np.nan, dtype=np.float32)
    if searched_with is not None and texts:
        pairs = [(claim, text) for text in texts]
        bearing = encoders.bearings(pairs, vectors @ searched_with)
    found = 0
    rows = []
    for sentence in sentences:
        changed = {name: getattr(inputs, name).copy() for name in _OF_PASSAGES}
        for place, text in sentence.passages.items():
            if text:
                changed["passages"][0, place] = vectors[found]
                changed["signals"][0, place] = lexical_signals(claim, text)
                changed["relations"][0, place] = relations[found, 0]
                changed["bearing"][0, place] = bearing[found]
                found += 1
        gone = {place for place, text in sentence.passages.items() if not text}
        rows.append(_without_passages(replace(inputs, **changed), gone, leading))
    return rows


def _together(rows: Sequence[FusionInputs]) -> FusionInputs:
    """Rows over the same grids as one."""
    names = [field.name for field in fields(FusionInputs) if field.name != "grids"]
    joined = {name: np.concatenate([getattr(row, name) for row in rows]) for name in names}
    return FusionInputs(**joined, grids=rows[0].grids)


def _disagreements(evidence: Evidence) -> tuple[tuple[int, int], ...]:
    """Pairs of passages, from 1, of which one supports and the other contradicts the claim."""

    def taking(side: TextRelation) -> list[int]:
        return [
            number
            for number, cited in enumerate(evidence.passages, start=1)
            if cited.relation is not None
            and cited.relation[side] >= _TAKES_A_SIDE
            and (cited.bearing is None or cited.bearing >= BEARS)
        ]

    return tuple(
        (one, other)
        for one in taking(TextRelation.SUPPORT)
        for other in taking(TextRelation.REFUTE)
    )


def _missing(claim: Claim, verdict: Verdict, inputs: FusionInputs) -> tuple[str, ...]:
    """What a verdict had to do without."""
    evidence = verdict.evidence
    missing = []
    if claim.image is None:
        missing.append("The claim came without a picture.")
    elif inputs.claim_image_rows[0] < 0:
        missing.append("The claim's picture could not be read.")
    elif verdict.image_relation is None:
        missing.append("The leading document has no picture to compare with the claim's.")
    documents = {cited.passage.document_id for cited in evidence.passages}
    # A document that was given is the only one there could be; of an index one could expect more.
    if verdict.index is not None and len(documents) == 1:
        missing.append("All passages are from one document.")
    if evidence.passages and not any(cited.date for cited in evidence.passages):
        missing.append("No passage has a date.")
    return tuple(missing)
