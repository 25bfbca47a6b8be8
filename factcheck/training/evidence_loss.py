"""What it costs not to find a claim's evidence among other passages."""

from collections.abc import Sequence

import torch
from torch import Tensor


def evidence_loss(logits: Tensor, right: Sequence[Sequence[int]]) -> Tensor:
    """The loss of a claim; a scalar.

    Every right document is to be likelier than all that is wrong: the loss is minus the logarithm
    of the probability that a softmax over its own passages and the wrong ones gives to any of its
    own, in the mean over the right documents. So a long document is found where one of its passages
    is, that others of them say nothing is no mistake, and no right document hides behind another.

    Args:
        logits: (n,) of passages.
        right: For each right document the places of its passages.
    """
    wrong = torch.ones_like(logits, dtype=torch.bool)
    wrong[[place for own in right for place in own]] = False
    others = logits[wrong].logsumexp(0)
    found = torch.stack([logits[list(own)].logsumexp(0) for own in right])
    return (torch.logaddexp(others, found) - found).mean()


def places_of(evidence: Sequence[str | None]) -> list[list[int]]:
    """For each right document the places of its passages."""
    return [
        [place for place, other in enumerate(evidence) if other == document]
        for document in dict.fromkeys(document for document in evidence if document is not None)
    ]
