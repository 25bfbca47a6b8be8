"""The fusion head: what it may and may not depend on."""

from dataclasses import fields, replace

import pytest
import torch
from torch import nn

from factcheck.encoders.image_match import CopyReadout, match_features
from factcheck.fusion.head import FusionHead, label_log_probabilities
from factcheck.fusion.inputs import FusionBatch
from factcheck.fusion.signals import SIGNALS
from factcheck.records import LABELS, TEXT_RELATIONS, label_probabilities
from factcheck.settings import FusionHeadSettings

TEXT, IMAGE, TOKENS, PASSAGES, RELATION = 24, 16, 4, 3, 20


@pytest.fixture(scope="module")
def head() -> FusionHead:
    torch.manual_seed(0)
    settings = FusionHeadSettings(width=32, heads=4, layers=2, passages=PASSAGES)
    return FusionHead(settings, TEXT, IMAGE, TOKENS, RELATION).eval()


@pytest.fixture
def batch() -> FusionBatch:
    generator = torch.Generator().manual_seed(1)

    def vectors(*shape: int) -> torch.Tensor:
        random = torch.randn(*shape, generator=generator)
        return torch.nn.functional.normalize(random, dim=-1)

    present = torch.tensor([True, True, False, True])
    return FusionBatch(
        claim_text=vectors(4, TEXT),
        claim_ocr=vectors(4, TEXT),
        has_claim_ocr=present,
        evidence_ocr=vectors(4, TEXT),
        has_evidence_ocr=~present,
        passages=vectors(4, PASSAGES, TEXT),
        has_passage=torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1]]).bool(),
        signals=torch.rand(4, PASSAGES, len(SIGNALS), generator=generator),
        relations=vectors(4, PASSAGES, RELATION),
        claim_image=vectors(4, TOKENS, IMAGE),
        has_claim_image=present,
        evidence_image=vectors(4, TOKENS, IMAGE),
        has_evidence_image=torch.tensor([True, False, True, True]),
    )


def test_shapes_and_label_probabilities(head: FusionHead, batch: FusionBatch) -> None:
    relations = head(batch)
    assert relations.text.shape == (4, len(TEXT_RELATIONS))
    assert relations.image.shape == (4,)
    assert relations.label.exp().sum(dim=1).tolist() == pytest.approx([1] * 4, abs=1e-5)


def test_the_label_output_agrees_with_the_records() -> None:
    text, image = torch.tensor([[0.3, -0.2, 1.0]]), torch.tensor([0.7])
    for both in (True, False):
        found = label_log_probabilities(text, image, torch.tensor([both])).exp()[0]
        relation = dict(zip(TEXT_RELATIONS, text.softmax(dim=1)[0].tolist(), strict=True))
        wanted = label_probabilities(relation, image.sigmoid().item() if both else None)
        assert found.tolist() == pytest.approx([wanted[label] for label in LABELS], abs=1e-6)


MASKED = {
    "claim_ocr": "has_claim_ocr",
    "evidence_ocr": "has_evidence_ocr",
    "passages": "has_passage",
    "signals": "has_passage",
    "relations": "has_passage",
    "claim_image": "has_claim_image",
    "evidence_image": "has_evidence_image",
}


@pytest.mark.parametrize("name", MASKED)
def test_what_is_absent_changes_nothing(head: FusionHead, batch: FusionBatch, name: str) -> None:
    values, present = getattr(batch, name), getattr(batch, MASKED[name])
    absent = ~present.reshape(*present.shape, *[1] * (values.ndim - present.ndim))
    noise = torch.where(absent, torch.rand_like(values), values)
    before, after = head(batch), head(replace(batch, **{name: noise}))
    assert torch.allclose(before.text, after.text, atol=1e-6)


@pytest.mark.parametrize("name", ["claim_text", *MASKED])
def test_what_is_present_is_read(head: FusionHead, batch: FusionBatch, name: str) -> None:
    values = getattr(batch, name)
    other = replace(batch, **{name: torch.rand_like(values)})
    assert not torch.allclose(head(batch).text, head(other).text, atol=1e-4)


@pytest.mark.parametrize("side", ["claim", "evidence"])
def test_a_picture_with_none_to_compare_it_with_changes_nothing(
    head: FusionHead, batch: FusionBatch, side: str
) -> None:
    other = {"claim": "evidence", "evidence": "claim"}[side]
    none, every = torch.zeros(4).bool(), torch.ones(4).bool()
    alone = {f"has_{side}_image": every, f"has_{other}_image": none}
    with_it = head(replace(batch, **alone))
    without = head(replace(batch, has_claim_image=none, has_evidence_image=none))
    assert torch.equal(with_it.text, without.text)
    assert torch.equal(with_it.label, without.label)


WITHOUT = {
    "images": ("claim_image", "evidence_image"),
    "ocr": ("claim_ocr", "evidence_ocr"),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_a_head_without_something_does_not_read_it(batch: FusionBatch, name: str) -> None:
    settings = FusionHeadSettings(width=32, heads=4, layers=1, passages=PASSAGES, without=(name,))
    head = FusionHead(settings, TEXT, IMAGE, TOKENS, RELATION).eval()
    # Fresh, this way past the Transformer says nothing.
    nn.init.normal_(head.from_copies.weight)
    noise = {part: torch.rand_like(getattr(batch, part)) for part in WITHOUT[name]}
    before, after = head(batch), head(replace(batch, **noise))
    assert torch.equal(before.text, after.text)
    assert torch.equal(before.image, after.image)
    assert torch.equal(before.label, after.label)


def test_a_head_without_image_tokens_reads_the_pooled_vector_alone(batch: FusionBatch) -> None:
    settings = FusionHeadSettings(width=32, heads=4, layers=1, without=("image-tokens",))
    head = FusionHead(settings, TEXT, IMAGE, TOKENS, RELATION).eval()
    turned = replace(batch, claim_image=batch.claim_image.flip(1))
    assert torch.allclose(head(batch).image, head(turned).image, atol=1e-6)
    mean = batch.claim_image.mean(dim=1, keepdim=True).expand_as(batch.claim_image)
    pooled = head(replace(batch, claim_image=mean))
    assert torch.allclose(head(batch).image, pooled.image, atol=1e-6)
    other = replace(batch, claim_image=torch.rand_like(batch.claim_image))
    assert not torch.allclose(head(batch).image, head(other).image, atol=1e-4)


def test_a_head_without_comparisons_does_not_read_what_only_they_do(batch: FusionBatch) -> None:
    settings = FusionHeadSettings(width=32, heads=4, layers=1, without=("comparisons",))
    head = FusionHead(settings, TEXT, IMAGE, TOKENS).eval()
    noise = replace(batch, signals=torch.rand_like(batch.signals))
    assert torch.equal(head(batch).text, head(noise).text)


def test_a_head_starts_from_what_the_image_encoder_knows_of_copies(batch: FusionBatch) -> None:
    settings = FusionHeadSettings(width=32, heads=4, layers=1)
    head = FusionHead(settings, TEXT, IMAGE, TOKENS, RELATION).eval()
    before = head(batch).image
    readout = CopyReadout(TOKENS)
    head.start_from(readout)
    with torch.inference_mode():
        known = readout(batch.claim_image, batch.evidence_image)
        assert torch.allclose(head(batch).image, before + known, atol=1e-5)


def test_a_batch_gives_what_single_examples_give(head: FusionHead, batch: FusionBatch) -> None:
    together = head(batch)
    for row in range(4):
        one = FusionBatch(**{f.name: getattr(batch, f.name)[row : row + 1] for f in fields(batch)})
        assert torch.allclose(head(one).text[0], together.text[row], atol=1e-5)
        assert torch.allclose(head(one).label[0], together.label[row], atol=1e-4)


def test_where_a_token_lies_tells_how_matches_are_placed_and_nothing_else(
    head: FusionHead, batch: FusionBatch
) -> None:
    mirrored = replace(batch, evidence_image=batch.evidence_image.flip(1))
    pairs = [match_features(b.claim_image, b.evidence_image) for b in (batch, mirrored)]
    before, after = (
        head._image_comparison(b, m) for b, m in zip((batch, mirrored), pairs, strict=True)
    )
    assert not torch.allclose(before, after, atol=1e-3)
    placed = 1 + 2 * TOKENS
    pairs[1][:, placed:] = pairs[0][:, placed:]
    assert torch.allclose(before, head._image_comparison(mirrored, pairs[1]), atol=1e-5)
