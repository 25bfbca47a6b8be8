"""A split with one thing taken away or mixed up, to see what a model's score rests on.

The labels stay as they are. A model that compares a claim with its document must lose by shuffled
documents, and one that has only learnt what false claims sound like will not.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from factcheck.datasets.near_duplicates import group_texts
from factcheck.encoders import Encoders
from factcheck.evaluation.splits import Split
from factcheck.fusion.inputs import FusionInputs, best_first, read_relations
from factcheck.fusion.signals import lexical_signals

DEBUNKING = (
    r"fact[\s-]?check(?:s|ed|er|ers|ing)?",
    r"fak(?:e|es|ed|ing)",
    r"false(?:ly|hood|hoods)?",
    r"hoax(?:es)?",
    r"mislead(?:s|ing|ingly)?|misled",
    r"debunk(?:s|ed|ing)?",
    r"untrue|incorrect(?:ly)?|bogus",
    r"fabricat(?:e|es|ed|ion|ions)",
    r"(?:doctored|morphed|photoshopped|manipulated|deepfakes?)",
    r"misinformation|disinformation",
    r"satir(?:e|es|ical)|parod(?:y|ies)",
    r"no\s+evidence|out\s+of\s+context",
)
"""What says of a claim that it is false before any evidence is read, as patterns of whole words."""

_DEBUNKING = re.compile(rf"\b(?:{'|'.join(DEBUNKING)})\b", re.IGNORECASE)


class Stress(NamedTuple):
    """A split as one stress test shows it.

    Attributes:
        inputs: N rows, in order.
        changed: (N,) bool, the rows that differ from the split's own.
    """

    inputs: FusionInputs
    changed: np.ndarray


def shuffle_documents(split: Split, encoders: Encoders, seed: int) -> Stress:
    """Give each row the passages of another one; pictures and OCR texts stay.

    Lexical signals and text relations are read anew, and passages are put in order of their
    similarity to the claim they now stand beside, as the head expects them. A row changes unless
    the other one has the very same document.
    """
    inputs = split.inputs
    source = _another(len(split), seed)
    passages = [[cited.passage.text for cited in split.evidence[row].passages] for row in source]
    shuffled = replace(
        inputs,
        passages=inputs.passages[source],
        has_passage=inputs.has_passage[source],
    )
    texts = [row.document.text for row in split.rows]
    changed = np.array([texts[row] != texts[other] for row, other in enumerate(source)])
    claims = [row.claim.text for row in split.rows]
    return Stress(
        _compared_anew(shuffled, encoders, claims, passages, np.arange(len(split))), changed
    )


def swap_images(split: Split, seed: int) -> Stress:
    """Give each claim that has a picture that of another such claim; its OCR text stays."""
    rows = split.inputs.claim_image_rows
    present = np.flatnonzero(rows >= 0)
    swapped = rows.copy()
    swapped[present] = rows[present[_another(len(present), seed)]]
    # What was compared point by point were other pictures, where it was not the same one.
    places = np.where(swapped == rows, split.inputs.matched_places, np.nan)
    changed = replace(split.inputs, claim_image_rows=swapped, matched_places=places)
    return Stress(changed, swapped != rows)


def drop_document_image(split: Split) -> Stress:
    """Take away the documents' pictures; their OCR texts stay."""
    inputs = split.inputs
    none = np.full_like(inputs.evidence_image_rows, -1)
    return Stress(replace(inputs, evidence_image_rows=none), inputs.evidence_image_rows >= 0)


def drop_images(split: Split) -> Stress:
    """Take away all pictures; OCR texts stay."""
    inputs = split.inputs
    none = np.full_like(inputs.claim_image_rows, -1)
    return Stress(
        replace(inputs, claim_image_rows=none, evidence_image_rows=none),
        (inputs.claim_image_rows >= 0) | (inputs.evidence_image_rows >= 0),
    )


def drop_ocr(split: Split) -> Stress:
    """Take away the OCR texts of both sides; pictures stay."""
    inputs = split.inputs
    none = np.zeros_like(inputs.has_claim_ocr)
    return Stress(
        replace(
            inputs,
            claim_ocr=np.zeros_like(inputs.claim_ocr),
            evidence_ocr=np.zeros_like(inputs.evidence_ocr),
            has_claim_ocr=none,
            has_evidence_ocr=none,
        ),
        inputs.has_claim_ocr | inputs.has_evidence_ocr,
    )


def mask_debunking_words(split: Split, encoders: Encoders) -> Stress:
    """Take the words of `DEBUNKING` out of the claims.

    Claims that had one are encoded anew; their passages stay, in their new order, and lexical
    signals and text relations are read anew. OCR texts and documents keep their words.
    """
    claims = [row.claim.text for row in split.rows]
    masked = [without_debunking_words(claim) for claim in claims]
    changed = np.array([new != old for new, old in zip(masked, claims, strict=True)])
    rows = np.flatnonzero(changed)
    if not len(rows):
        return Stress(split.inputs, changed)
    vectors = split.inputs.claim_text.copy()
    vectors[rows] = encoders.texts([masked[row] for row in rows])
    passages = [[cited.passage.text for cited in found.passages] for found in split.evidence]
    inputs = replace(split.inputs, claim_text=vectors)
    return Stress(_compared_anew(inputs, encoders, masked, passages, rows), changed)


def without_debunking_words(claim: str) -> str:
    """A claim without the words of `DEBUNKING`, as it is if it has none or no other word."""
    if not _DEBUNKING.search(claim):
        return claim
    masked = " ".join(_DEBUNKING.sub(" ", claim).split())
    return masked if re.search(r"\w", masked) else claim


def near_duplicates_of(train: Split, split: Split) -> np.ndarray:
    """(N,) bool: the rows whose claim or document is a near duplicate of one in train.

    What counts as one is `datasets.near_duplicates.group_texts`' to say.
    """
    found = np.zeros(len(split), dtype=bool)
    for texts in (
        [row.claim.text for part in (train, split) for row in part.rows],
        [row.document.text for part in (train, split) for row in part.rows],
    ):
        groups = group_texts(texts).near
        own, others = groups[len(train) :], groups[: len(train)]
        found |= (own >= 0) & np.isin(own, others)
    return found


def _another(count: int, seed: int) -> np.ndarray:
    """(count,) for each position another one, each once; itself only where there is no other."""
    order = np.random.default_rng(seed).permutation(count)
    source = np.empty(count, dtype=np.int64)
    source[order] = np.roll(order, 1)
    return source


def _compared_anew(
    inputs: FusionInputs,
    encoders: Encoders,
    claims: Sequence[str],
    passages: Sequence[Sequence[str]],
    rows: np.ndarray,
) -> FusionInputs:
    """The passages of some rows in order of their similarity to the claim, with their signals.

    Args:
        inputs: N rows.
        encoders: Those that they were encoded with.
        claims: Their N claims.
        passages: The texts of their passages, in the order of `inputs`.
        rows: Positions of the rows whose claim or passages are new.
    """
    vectors, signals = inputs.passages.copy(), inputs.signals.copy()
    relations = inputs.relations.copy()
    signals[rows] = 0
    texts: list[list[str]] = []
    for row in rows:
        count = int(inputs.has_passage[row].sum())
        order = best_first(inputs.claim_text[row], inputs.passages[row, :count], count)
        vectors[row, :count] = inputs.passages[row, order]
        texts.append([passages[row][best] for best in order])
        for place, text in enumerate(texts[-1]):
            signals[row, place] = lexical_signals(claims[row], text)
    relations[rows] = read_relations(
        encoders, [claims[row] for row in rows], texts, inputs.passages.shape[1]
    )
    return replace(inputs, passages=vectors, signals=signals, relations=relations)
