"""What the fusion head reads: encodings of claims with their evidence, as arrays with masks."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch
from torch import Tensor

from factcheck.encoders import Encoders
from factcheck.encoders.relation import document_logits, unpack
from factcheck.fusion.signals import SIGNALS, lexical_signals


@dataclass(frozen=True)
class FusionBatch:
    """Tensors of B examples, K passages each at most, T image tokens a side.

    Masks are true where something is present; what is masked holds zeros.

    Attributes:
        claim_text: (B, D) unit vectors.
        claim_ocr: (B, D) unit vectors.
        has_claim_ocr: (B,) bool.
        evidence_ocr: (B, D) unit vectors.
        has_evidence_ocr: (B,) bool.
        passages: (B, K, D) unit vectors, most similar to the claim first.
        has_passage: (B, K) bool.
        signals: (B, K, S) lexical signals of claim and passage.
        relations: (B, K, R) text relation encodings, packed (`encoders.relation`); R is 0 where
            none are read.
        claim_image: (B, T, C) token grids.
        has_claim_image: (B,) bool.
        evidence_image: (B, T, C) token grids.
        has_evidence_image: (B,) bool.
    """

    claim_text: Tensor
    claim_ocr: Tensor
    has_claim_ocr: Tensor
    evidence_ocr: Tensor
    has_evidence_ocr: Tensor
    passages: Tensor
    has_passage: Tensor
    signals: Tensor
    relations: Tensor
    claim_image: Tensor
    has_claim_image: Tensor
    evidence_image: Tensor
    has_evidence_image: Tensor

    def to(self, device: torch.device) -> Self:
        """The same batch on another device."""
        return type(self)(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


@dataclass(frozen=True)
class PassageVectors:
    """The passages chosen for one example, best first.

    Attributes:
        texts: Their k texts.
        vectors: (k, D) their unit vectors.
    """

    texts: Sequence[str]
    vectors: np.ndarray


@dataclass(frozen=True)
class FusionInputs:
    """Encodings of N examples; pictures are kept once and referred to by row.

    Attributes:
        claim_text: (N, D) float32.
        claim_ocr: (N, D) float32, zero rows where absent.
        evidence_ocr: (N, D) float32, likewise.
        has_claim_ocr: (N,) bool.
        has_evidence_ocr: (N,) bool.
        passages: (N, K, D) float32, zero rows where absent.
        has_passage: (N, K) bool.
        signals: (N, K, S) float32.
        relations: (N, K, R) float32, zero rows where a passage is absent; R may be 0.
        claim_image_rows: (N,) rows of `grids`, -1 where absent.
        evidence_image_rows: (N,) likewise.
        matched_places: (N,) float32, in how many places the two pictures match
            (`encoders.local_features`); NaN where they were not compared so. It is not for the
            head, which token grids are for, but for what calibrates it.
        bearing: (N, K) float32, probability that a passage that was found bears on the claim
            (`encoders.bearing`); NaN where it was given, which is to say it does, where nothing
            tells it, and where a passage is absent. It is not for the head either.
        grids: (U, T, C) float32 token grids.
    """

    claim_text: np.ndarray
    claim_ocr: np.ndarray
    evidence_ocr: np.ndarray
    has_claim_ocr: np.ndarray
    has_evidence_ocr: np.ndarray
    passages: np.ndarray
    has_passage: np.ndarray
    signals: np.ndarray
    relations: np.ndarray
    claim_image_rows: np.ndarray
    evidence_image_rows: np.ndarray
    matched_places: np.ndarray
    bearing: np.ndarray
    grids: np.ndarray

    def __len__(self) -> int:
        return len(self.claim_text)

    @classmethod
    def assemble(
        cls,
        encoders: Encoders,
        claims: Sequence[str],
        claim_vectors: np.ndarray,
        chosen: Sequence[PassageVectors],
        claim_ocr: Sequence[str | None],
        evidence_ocr: Sequence[str | None],
        claim_image_rows: np.ndarray,
        evidence_image_rows: np.ndarray,
        matched_places: np.ndarray,
        grids: np.ndarray,
        passages: int,
        bearing: np.ndarray | None = None,
    ) -> Self:
        """Put encodings in place and encode what is left, the OCR texts and the text relations.

        Args:
            encoders: Encodes them.
            claims: N claim texts.
            claim_vectors: (N, D) their vectors.
            chosen: For each claim the passages chosen, best first.
            claim_ocr: Text in each claim's picture, None or blank where there is none.
            evidence_ocr: Text in each evidence picture, likewise.
            claim_image_rows: (N,) rows of `grids`, -1 where absent.
            evidence_image_rows: (N,) likewise.
            matched_places: (N,) as in the attributes.
            grids: (U, T, C) token grids.
            passages: K, the number of passages the head reads; more are left out.
            bearing: (N, K) as in the attributes; None where the evidence was given.
        """
        count, dimension = claim_vectors.shape
        vectors = np.zeros((count, passages, dimension), dtype=np.float32)
        present = np.zeros((count, passages), dtype=bool)
        signals = np.zeros((count, passages, len(SIGNALS)), dtype=np.float32)
        texts = [own.texts[:passages] for own in chosen]
        for row, (claim, own) in enumerate(zip(claims, chosen, strict=True)):
            kept = min(passages, len(own.texts))
            vectors[row, :kept] = own.vectors[:kept]
            present[row, :kept] = True
            for place, text in enumerate(texts[row]):
                signals[row, place] = lexical_signals(claim, text)
        claim_ocr_vectors, has_claim_ocr = optional_texts(encoders, claim_ocr)
        evidence_ocr_vectors, has_evidence_ocr = optional_texts(encoders, evidence_ocr)
        return cls(
            claim_vectors,
            claim_ocr_vectors,
            evidence_ocr_vectors,
            has_claim_ocr,
            has_evidence_ocr,
            vectors,
            present,
            signals,
            read_relations(encoders, claims, texts, passages),
            claim_image_rows,
            evidence_image_rows,
            matched_places,
            np.full((count, passages), np.nan, dtype=np.float32) if bearing is None else bearing,
            grids,
        )

    def take(self, rows: np.ndarray) -> Self:
        """Some of the examples, over the same grids."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "grids"}
        return type(self)(**{name: array[rows] for name, array in own.items()}, grids=self.grids)

    def batch(self, rows: np.ndarray) -> FusionBatch:
        """The tensors of some examples.

        Args:
            rows: (B,) positions.
        """
        claim_image, has_claim_image = self._grids(self.claim_image_rows[rows])
        evidence_image, has_evidence_image = self._grids(self.evidence_image_rows[rows])
        return FusionBatch(
            claim_text=torch.from_numpy(self.claim_text[rows]),
            claim_ocr=torch.from_numpy(self.claim_ocr[rows]),
            has_claim_ocr=torch.from_numpy(self.has_claim_ocr[rows]),
            evidence_ocr=torch.from_numpy(self.evidence_ocr[rows]),
            has_evidence_ocr=torch.from_numpy(self.has_evidence_ocr[rows]),
            passages=torch.from_numpy(self.passages[rows]),
            has_passage=torch.from_numpy(self.has_passage[rows]),
            signals=torch.from_numpy(self.signals[rows]),
            relations=torch.from_numpy(self.relations[rows]),
            claim_image=claim_image,
            has_claim_image=has_claim_image,
            evidence_image=evidence_image,
            has_evidence_image=has_evidence_image,
        )

    def _grids(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        present = rows >= 0
        grids = np.zeros((len(rows), *self.grids.shape[1:]), dtype=np.float32)
        grids[present] = self.grids[rows[present]]
        return torch.from_numpy(grids), torch.from_numpy(present)


def read_relations(
    encoders: Encoders, claims: Sequence[str], texts: Sequence[Sequence[str]], passages: int
) -> np.ndarray:
    """What the passages of each claim say of it.

    Args:
        encoders: With a text relation encoder, or without one, when R is 0.
        claims: N claims.
        texts: For each the texts of its passages, K at most.
        passages: K.

    Returns:
        (N, K, R) float32, zero rows where a claim has fewer passages.
    """
    pairs = [(claim, text) for claim, own in zip(claims, texts, strict=True) for text in own]
    encoded = encoders.relations(pairs)
    relations = np.zeros((len(claims), passages, encoded.shape[-1]), dtype=np.float32)
    place = [(row, slot) for row, own in enumerate(texts) for slot in range(len(own))]
    if place:
        rows, slots = zip(*place, strict=True)
        relations[list(rows), list(slots)] = encoded
    return relations


def optional_texts(
    encoders: Encoders, texts: Sequence[str | None]
) -> tuple[np.ndarray, np.ndarray]:
    """Encode texts some of which are not there.

    Args:
        encoders: Encode them.
        texts: N texts, None or blank where there is none.

    Returns:
        (N, D) vectors, zero rows where a text is absent or blank, and (N,) where it is present.
    """
    present = np.array([text is not None and bool(text.strip()) for text in texts], dtype=bool)
    vectors = np.zeros((len(texts), encoders.text.dimension), dtype=np.float32)
    if present.any():
        vectors[present] = encoders.texts([text for text in texts if text and text.strip()])
    return vectors, present


def best_first(claim_vector: np.ndarray, vectors: np.ndarray, count: int) -> np.ndarray:
    """The positions of the `count` vectors most similar to the claim's, best first.

    Args:
        claim_vector: (D,) unit vector.
        vectors: (n, D) unit vectors.
        count: How many at most.
    """
    return np.argsort(-(vectors @ claim_vector), kind="stable")[:count]


def document_relation_logits(inputs: FusionInputs) -> np.ndarray | None:
    """(N, 3) logits of the documents by the text relation encoder alone; None without one."""
    if not inputs.relations.shape[-1]:
        return None
    read = unpack(inputs.relations)
    logits: np.ndarray = document_logits(
        torch.from_numpy(read.logits),
        torch.from_numpy(read.salience),
        torch.from_numpy(inputs.has_passage),
    ).numpy()
    return logits
