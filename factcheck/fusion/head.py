"""The fusion head: a Transformer encoder over typed tokens, read out as two relations.

The design follows Logically at Factify 2 (arXiv:2301.03127): text and image embeddings of claim and
retrieved evidence become tokens of one Transformer encoder. Added to it are comparison tokens
(absolute difference and product of the two sides, as InferSent, arXiv:1705.02364, and MultiCheck,
arXiv:2508.05097, use them; of claim and passage also what a cross-encoder reads in them,
`encoders.relation`), the token grids of both pictures rather than one vector each, and a
label that follows from its two factors. What the encoders tell by themselves, the relation of a
document and how well two grids match (`encoders.image_match`), also comes straight to the readouts.

Sequence, with K passages and T image tokens a side:

    [text] [image]                          two readouts
    claim text, claim OCR, T claim image tokens
    K passages, evidence OCR, T evidence image tokens
    K comparisons of the claim with a passage, 1 comparison of the pictures

Every token is a projection of its encoding plus an embedding of its modality and one of its side.

Pictures are read in pairs: one that has none to be compared with says nothing of either relation,
and its tokens are left out. The text in it counts like that in any other.
"""

from dataclasses import replace
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from factcheck.encoders.image_match import CopyReadout, match_features, match_width
from factcheck.encoders.relation import RELATIONS, document_logits
from factcheck.fusion.inputs import FusionBatch
from factcheck.fusion.signals import SIGNALS
from factcheck.settings import FusionHeadSettings

MODALITIES = ("readout", "text", "ocr", "image", "text comparison", "image comparison")
# Cosines of pictures lie close together near one; spread out they are told apart sooner.
_MATCH_SCALE = 4.0

SIDES = ("neither", "claim", "evidence", "both")


class Relations(NamedTuple):
    """What the head gives for B examples.

    Attributes:
        text: (B, 3) logits of support, insufficient, refute.
        image: (B,) logit that both pictures are the same; without meaning where one is missing.
        label: (B, 5) log-probabilities of the labels, in the order of `records.LABELS`.
    """

    text: Tensor
    image: Tensor
    label: Tensor


class FusionHead(nn.Module):
    """From typed tokens to text relation, image relation and label.

    Args:
        settings: Widths, depth and number of passages.
        text_dimension: Width D of text vectors.
        image_dimension: Width C of image tokens.
        image_tokens: Number T of tokens a picture.
        relation_width: Width R of packed text relation encodings; 0 where none are read.
    """

    def __init__(
        self,
        settings: FusionHeadSettings,
        text_dimension: int,
        image_dimension: int,
        image_tokens: int,
        relation_width: int = 0,
    ) -> None:
        super().__init__()
        self.without = frozenset(settings.without)
        width = settings.width
        self.from_text = nn.Linear(text_dimension, width)
        self.from_image = nn.Linear(image_dimension, width)
        self.compare_texts = _mlp(2 * text_dimension, width, settings.dropout)
        self.from_signals = _mlp(1 + len(SIGNALS), width, settings.dropout)
        self.input_dropout = nn.Dropout(settings.input_dropout)
        self.compare_images = _mlp(2 * image_dimension, width, settings.dropout)
        self.from_matches = _mlp(match_width(image_tokens), width, settings.dropout)
        # What the grids themselves say of the pictures comes straight to the readout, too.
        self.from_copies = nn.Linear(match_width(image_tokens), 1)
        nn.init.zeros_(self.from_copies.weight)
        nn.init.zeros_(self.from_copies.bias)
        self.reads_relations = relation_width > 0
        if self.reads_relations:
            self.from_relations = _mlp(relation_width, width, settings.dropout)
            # The encoder's own verdict of the document comes straight to the readout, as it is to
            # begin with: the rest of the head corrects it.
            self.from_document = nn.Linear(RELATIONS, RELATIONS)
            nn.init.eye_(self.from_document.weight)
            nn.init.zeros_(self.from_document.bias)
        self.readouts = nn.Parameter(torch.randn(2, width) * 0.02)
        self.modality = nn.Embedding(len(MODALITIES), width)
        self.side = nn.Embedding(len(SIDES), width)
        self.rank = nn.Embedding(settings.passages, width)
        for embedding in (self.modality, self.side, self.rank):
            nn.init.normal_(embedding.weight, std=0.02)
        layer = nn.TransformerEncoderLayer(
            width,
            settings.heads,
            dim_feedforward=2 * width,
            dropout=settings.dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(
            layer, settings.layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.text_relation = nn.Linear(width, 3)
        self.image_relation = nn.Linear(width, 1)

    def start_from(self, copies: CopyReadout) -> None:
        """Begin with what an image encoder's readout knows of copies."""
        self.from_copies.load_state_dict(copies.linear.state_dict())

    def forward(self, batch: FusionBatch) -> Relations:
        """The relations of B examples."""
        batch = self._reduced(batch)
        matches = match_features(batch.claim_image, batch.evidence_image)
        if "image-tokens" in self.without:
            matches[:, 1:] = 0.0  # all but the cosine of the pooled vectors
        if "images" in self.without:
            matches = torch.zeros_like(matches)
        tokens, present = self._tokens(batch, matches)
        fused = self._fuse(tokens, ~present)
        text = self.text_relation(fused[:, 0])
        if self.reads_relations:
            text = text + self.from_document(_document(batch))
        image = self.image_relation(fused[:, 1])
        if "comparisons" not in self.without:
            image = image + self.from_copies(matches)
        image = image.squeeze(-1)
        both = batch.has_claim_image & batch.has_evidence_image
        return Relations(text, image, label_log_probabilities(text, image, both))

    def _fuse(self, tokens: Tensor, absent: Tensor) -> Tensor:
        """(B, 2, width): the two readouts after the Transformer has seen (B, L, width) tokens.

        Nothing reads what the last layer makes of the other tokens, so it is not computed.
        """
        *layers, last = cast("list[nn.TransformerEncoderLayer]", list(self.encoder.layers))
        for layer in layers:
            tokens = layer(tokens, src_key_padding_mask=absent)
        readouts = tokens[:, : len(self.readouts)]
        normed = last.norm1(tokens)
        attended, _ = last.self_attn(
            normed[:, : len(self.readouts)],
            normed,
            normed,
            key_padding_mask=absent,
            need_weights=False,
        )
        readouts = readouts + last.dropout1(attended)
        widened = last.dropout(last.activation(last.linear1(last.norm2(readouts))))
        readouts = readouts + last.dropout2(last.linear2(widened))
        normalised: Tensor = cast("nn.LayerNorm", self.encoder.norm)(readouts)
        return normalised

    def _reduced(self, batch: FusionBatch) -> FusionBatch:
        """The batch without pictures that are alone, and without what the head is to do without."""
        paired = batch.has_claim_image & batch.has_evidence_image
        if "images" in self.without:
            paired = torch.zeros_like(paired)
        batch = replace(batch, has_claim_image=paired, has_evidence_image=paired)
        if "image-tokens" in self.without:
            # Every token the mean of all: a grid that says no more than its pooled vector.
            claim, evidence = batch.claim_image, batch.evidence_image
            batch = replace(
                batch,
                claim_image=claim.mean(dim=1, keepdim=True).expand_as(claim),
                evidence_image=evidence.mean(dim=1, keepdim=True).expand_as(evidence),
            )
        if "ocr" in self.without:
            none = torch.zeros_like(batch.has_claim_ocr)
            batch = replace(batch, has_claim_ocr=none, has_evidence_ocr=none)
        return batch

    def _tokens(self, batch: FusionBatch, matches: Tensor) -> tuple[Tensor, Tensor]:
        """All tokens (B, L, width) and where they are present (B, L)."""
        always = torch.ones_like(batch.has_claim_image)[:, None]
        both_images = batch.has_claim_image & batch.has_evidence_image
        compared = torch.full_like(always, "comparisons" not in self.without)
        length = batch.claim_image.shape[1]
        ranks = self.rank.weight[: batch.passages.shape[1]]
        readouts = self.readouts.expand(len(always), -1, -1)
        parts = [
            (self._typed(readouts, "readout", "neither"), always.expand(-1, 2)),
            (self._typed(self._text(batch.claim_text)[:, None], "text", "claim"), always),
            (
                self._typed(self._text(batch.claim_ocr)[:, None], "ocr", "claim"),
                batch.has_claim_ocr[:, None],
            ),
            (
                self._typed(self.from_image(_unit(batch.claim_image)), "image", "claim"),
                batch.has_claim_image[:, None].expand(-1, length),
            ),
            (
                self._typed(self._text(batch.passages) + ranks, "text", "evidence"),
                batch.has_passage,
            ),
            (
                self._typed(self._text(batch.evidence_ocr)[:, None], "ocr", "evidence"),
                batch.has_evidence_ocr[:, None],
            ),
            (
                self._typed(self.from_image(_unit(batch.evidence_image)), "image", "evidence"),
                batch.has_evidence_image[:, None].expand(-1, length),
            ),
            (
                self._typed(self._text_comparisons(batch) + ranks, "text comparison", "both"),
                batch.has_passage & compared,
            ),
            (
                self._typed(
                    self._image_comparison(batch, matches)[:, None], "image comparison", "both"
                ),
                both_images[:, None] & compared,
            ),
        ]
        tokens, present = zip(*parts, strict=True)
        return torch.cat(tokens, dim=1), torch.cat(present, dim=1)

    def _text(self, vectors: Tensor) -> Tensor:
        """Text vectors as tokens, some entries dropped in training."""
        projected: Tensor = self.from_text(self.input_dropout(vectors))
        return projected

    def _typed(self, tokens: Tensor, modality: str, side: str) -> Tensor:
        kind = self.modality.weight[MODALITIES.index(modality)]
        return tokens + kind + self.side.weight[SIDES.index(side)]

    def _text_comparisons(self, batch: FusionBatch) -> Tensor:
        """(B, K, width): difference, product, cosine and lexical signals of claim and passage."""
        claim = batch.claim_text[:, None].expand_as(batch.passages)
        product = claim * batch.passages
        cosine = product.sum(dim=-1, keepdim=True)
        # The entries of unit vectors are of the order of 1 / sqrt(D); scaled to the order of one.
        scale = claim.shape[-1] ** 0.5
        difference = (claim - batch.passages).abs() * scale
        vectors = self.input_dropout(torch.cat([difference, product * scale * scale], dim=-1))
        # The few countable signals have a way in of their own: beside hundreds of vector entries
        # they would hardly be heard.
        counted = self.from_signals(torch.cat([cosine, batch.signals], dim=-1))
        compared: Tensor = self.compare_texts(vectors) + counted
        if self.reads_relations:
            states = batch.relations[..., : -RELATIONS - 1]
            verdicts = batch.relations[..., -RELATIONS - 1 :]
            read = torch.cat([self.input_dropout(states), verdicts], dim=-1)
            compared = compared + self.from_relations(read)
        return compared

    def _image_comparison(self, batch: FusionBatch, matches: Tensor) -> Tensor:
        """(B, width): pooled difference and product, and how the grids match (`match_features`)."""
        claim, evidence = batch.claim_image, batch.evidence_image
        pooled_claim, pooled_evidence = _unit(claim.mean(dim=1)), _unit(evidence.mean(dim=1))
        product = pooled_claim * pooled_evidence
        scale = product.shape[-1] ** 0.5
        difference = (pooled_claim - pooled_evidence).abs() * scale
        vectors = self.input_dropout(torch.cat([difference, product * scale * scale], dim=-1))
        matched = self.from_matches(_MATCH_SCALE * matches)
        compared: Tensor = self.compare_images(vectors) + matched
        return compared


def _document(batch: FusionBatch) -> Tensor:
    """(B, 3) relation logits of the documents, by the text relation encoder alone."""
    logits, salience = batch.relations[..., -RELATIONS - 1 : -1], batch.relations[..., -1]
    return document_logits(logits, salience, batch.has_passage)


def label_log_probabilities(text: Tensor, image: Tensor, both_images: Tensor) -> Tensor:
    """Log-probabilities of the labels from the logits of their factors (`records.label_of`).

    Args:
        text: (B, 3) logits of support, insufficient, refute.
        image: (B,) logit of the same picture.
        both_images: (B,) bool; where it is false the pictures are taken as not the same.

    Returns:
        (B, 5) in the order of `records.LABELS`: Support_Text, Support_Multimodal,
        Insufficient_Text, Insufficient_Multimodal, Refute. Where a label is impossible, a large
        negative number.
    """
    relation = F.log_softmax(text.float(), dim=-1)
    impossible = torch.full_like(image.float(), -30.0)
    same = torch.where(both_images, F.logsigmoid(image.float()), impossible)
    other = torch.where(both_images, F.logsigmoid(-image.float()), torch.zeros_like(impossible))
    support, insufficient, refute = relation.unbind(dim=-1)
    return torch.stack(
        [support + other, support + same, insufficient + other, insufficient + same, refute], dim=-1
    )


def _mlp(inputs: int, width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
    )


def _unit(vectors: Tensor) -> Tensor:
    return F.normalize(vectors, dim=-1)
