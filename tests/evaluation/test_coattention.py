"""The co-attention network: it learns, it can be repeated, and it does not see what is absent."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from factcheck.evaluation.coattention import CoAttention, co_attention
from factcheck.evaluation.splits import Split


def test_it_learns_and_can_be_repeated(splits: tuple[Split, Split]) -> None:
    # The rows several times over, for as many steps as a larger split would give.
    train = splits[0].take(np.tile(np.arange(200), 4)).labelled()
    val = splits[1].labelled()
    before = torch.random.get_rng_state()
    first = co_attention(train, val, 0)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.shape == (60, 5)
    assert first.sum(axis=1) == pytest.approx(1)
    assert (first.argmax(axis=1) == val.labels).mean() > 0.5
    few = splits[0].take(np.arange(60)).labelled()
    assert (co_attention(few, val, 1) == co_attention(few, val, 1)).all()
    assert (co_attention(few, val, 1) != co_attention(few, val, 2)).any()


def test_it_reads_both_sides_and_only_what_is_there(splits: tuple[Split, Split]) -> None:
    inputs = splits[1].inputs.take(np.arange(12))
    inputs = replace(inputs, claim_image_rows=np.full(12, -1))
    torch.manual_seed(0)
    network = CoAttention(inputs.claim_text.shape[-1], inputs.grids.shape[-1]).eval()
    batch = inputs.batch(np.arange(12))

    def logits(**changes: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return network(replace(batch, **changes))

    plain = logits()
    assert plain.shape == (12, 5)
    absent = ~batch.has_passage[..., None]
    noise = torch.randn_like(batch.passages)
    hidden = {
        "passages": torch.where(absent, noise, batch.passages),
        "claim_image": torch.randn_like(batch.claim_image),
        "evidence_ocr": torch.randn_like(batch.evidence_ocr),
    }
    assert absent.any()
    assert not batch.has_evidence_ocr.any()
    assert torch.allclose(logits(**hidden), plain, atol=1e-6)
    for name in ("claim_text", "passages", "evidence_image"):
        moved = logits(**{name: torch.randn_like(getattr(batch, name))})
        assert (moved - plain).abs().amax(dim=1).min() > 1e-4
    with_ocr = batch.has_claim_ocr
    moved = (logits(claim_ocr=torch.randn_like(batch.claim_ocr)) - plain).abs().amax(dim=1)
    assert (moved[with_ocr] > 1e-4).all()
    assert (moved[~with_ocr] < 1e-5).all()
