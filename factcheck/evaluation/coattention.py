"""A co-attention network over the encodings that the fusion head reads: another head, same eyes.

After Triple-Check, first at Factify 2 (arXiv:2302.07740), which lets the claim's text and picture
attend to the document's and the reverse. Much is simpler here, so that what is compared is the way
of fusing and nothing else: both encoders are frozen and are the fusion head's own, a text is a
vector (a document one for each passage) and not one for each word, all of a side attends to all of
the other at once and not pair by pair of modalities, and there are no hand-made features and no
ensemble. Its score is no reproduction of theirs.
"""

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from factcheck.evaluation.baselines import LabelledInputs
from factcheck.fusion.inputs import FusionBatch, FusionInputs
from factcheck.records import LABELS

WIDTH = 128
HEADS = 4
DROPOUT = 0.2
BATCH = 128
LEARNING_RATE = 5e-4
WEIGHT_DECAY = 0.01
EPOCHS = 30
PATIENCE = 4
"""Epochs without a lower loss on the rows held out, after which training stops."""

_TEXT, _OCR, _PICTURE = range(3)


class CoAttention(nn.Module):
    """Both sides attend to each other; what each side is then, pooled and compared, is classified.

    Args:
        text_dimension: D, width of the text vectors.
        image_dimension: C, width of the image tokens.
    """

    def __init__(self, text_dimension: int, image_dimension: int) -> None:
        super().__init__()
        self.from_text = nn.Linear(text_dimension, WIDTH)
        self.from_image = nn.Linear(image_dimension, WIDTH)
        self.kind = nn.Embedding(3, WIDTH)
        self.claim_attention, self.document_attention = (
            nn.MultiheadAttention(WIDTH, HEADS, dropout=DROPOUT, batch_first=True) for _ in range(2)
        )
        self.claim_norm, self.document_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.classifier = nn.Sequential(
            nn.Linear(4 * WIDTH, WIDTH),
            nn.GELU(),
            nn.Dropout(DROPOUT),
            nn.Linear(WIDTH, len(LABELS)),
        )

    def forward(self, batch: FusionBatch) -> Tensor:
        """(B, 5) logits of the labels, in the order of `records.LABELS`."""
        claim, in_claim = self._side(
            (batch.claim_text[:, None], torch.ones_like(batch.has_claim_ocr)[:, None]),
            (batch.claim_ocr, batch.has_claim_ocr),
            (batch.claim_image, batch.has_claim_image),
        )
        document, in_document = self._side(
            (batch.passages, batch.has_passage),
            (batch.evidence_ocr, batch.has_evidence_ocr),
            (batch.evidence_image, batch.has_evidence_image),
        )
        to_claim, _ = self.claim_attention(
            claim, document, document, key_padding_mask=~in_document, need_weights=False
        )
        to_document, _ = self.document_attention(
            document, claim, claim, key_padding_mask=~in_claim, need_weights=False
        )
        one = _mean(self.claim_norm(claim + to_claim), in_claim)
        other = _mean(self.document_norm(document + to_document), in_document)
        compared = torch.cat([one, other, one * other, (one - other).abs()], dim=-1)
        logits: Tensor = self.classifier(compared)
        return logits

    def _side(
        self, texts: tuple[Tensor, Tensor], ocr: tuple[Tensor, Tensor], image: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Tokens (B, L, WIDTH) of one side and where they are present (B, L).

        Args:
            texts: (B, n, D) vectors and (B, n) where they are present.
            ocr: (B, D) and (B,).
            image: (B, T, C) and (B,).
        """
        tokens = [
            self._text(texts[0]) + self.kind.weight[_TEXT],
            self._text(ocr[0][:, None]) + self.kind.weight[_OCR],
            self.from_image(_to_order_of_one(image[0])) + self.kind.weight[_PICTURE],
        ]
        present = [texts[1], ocr[1][:, None], image[1][:, None].expand(-1, image[0].shape[1])]
        return torch.cat(tokens, dim=1), torch.cat(present, dim=1)

    def _text(self, vectors: Tensor) -> Tensor:
        projected: Tensor = self.from_text(_to_order_of_one(vectors))
        return projected


def co_attention(train: LabelledInputs, test: LabelledInputs, seed: int) -> np.ndarray:
    """(N, 5) probabilities of a co-attention network.

    Training stops early by the loss on a tenth of the training rows, which are held out for it, and
    the weights of the best epoch are kept. Equal seeds give equal probabilities.
    """
    # What is random elsewhere in the process stays as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inputs = train.inputs
        network = CoAttention(inputs.claim_text.shape[-1], inputs.grids.shape[-1])
        _fit(network, inputs, train.labels, seed)
    return torch.softmax(_logits(network, test.inputs), dim=-1).double().numpy()


def _fit(network: CoAttention, inputs: FusionInputs, labels: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    held, rest = np.split(order, [max(1, len(order) // 10)])
    truth = torch.from_numpy(labels)
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    best, waited, weights = float("inf"), 0, copy.deepcopy(network.state_dict())
    for _ in range(EPOCHS):
        network.train()
        for rows in np.array_split(rng.permutation(rest), -(-len(rest) // BATCH)):
            loss = F.cross_entropy(network(inputs.batch(rows)), truth[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        reached = F.cross_entropy(_logits(network, inputs.take(held)), truth[held]).item()
        if reached < best:
            best, waited, weights = reached, 0, copy.deepcopy(network.state_dict())
        else:
            waited += 1
            if waited == PATIENCE:
                break
    network.load_state_dict(weights)


@torch.no_grad()
def _logits(network: CoAttention, inputs: FusionInputs) -> Tensor:
    """(N, 5) logits, without dropout."""
    network.eval()
    found = [torch.zeros(0, len(LABELS))]
    for start in range(0, len(inputs), BATCH):
        rows = np.arange(start, min(start + BATCH, len(inputs)))
        found.append(network(inputs.batch(rows)))
    return torch.cat(found)


def _mean(tokens: Tensor, present: Tensor) -> Tensor:
    """(B, WIDTH) means of the tokens (B, L, WIDTH) that are present (B, L)."""
    weights = present.float()[..., None]
    return (tokens * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def _to_order_of_one(vectors: Tensor) -> Tensor:
    """Vectors as long as their number of entries asks for entries of the order of one."""
    scaled: Tensor = F.normalize(vectors, dim=-1) * vectors.shape[-1] ** 0.5
    return scaled
