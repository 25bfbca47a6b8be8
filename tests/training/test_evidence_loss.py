import pytest
import torch

from factcheck.training.evidence_loss import evidence_loss


def test_every_right_document_is_set_against_all_that_is_wrong() -> None:
    logits = torch.tensor([1.0, 2.0, 0.5, -1.0, 0.0])
    mass = logits.exp()
    wrong = mass[1] + mass[4]
    one, other = mass[0] + mass[3], mass[2]
    wanted = -((one / (one + wrong)).log() + (other / (other + wrong)).log()) / 2
    assert float(evidence_loss(logits, [[0, 3], [2]])) == pytest.approx(float(wanted))


def test_where_nothing_is_wrong_nothing_is_lost() -> None:
    logits = torch.tensor([1.0, -2.0], requires_grad=True)
    loss = evidence_loss(logits, [[0], [1]])
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert logits.grad.tolist() == [0, 0]
