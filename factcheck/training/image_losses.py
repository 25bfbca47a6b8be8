"""The contrastive losses of the image encoder."""

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(similarity: Tensor, temperature: float, others: Tensor | None = None) -> Tensor:
    """NT-Xent over two views a photograph (arXiv:2002.05709, eq. 1).

    Args:
        similarity: (2N, 2N) similarities of all views; view i and view i + N are one photograph.
        temperature: Divides the similarities.
        others: (2N, M) similarities to further negatives, minus infinity where one is none.

    Returns:
        Mean loss, a scalar.
    """
    size = similarity.shape[0]
    logits = (similarity / temperature).masked_fill(
        torch.eye(size, dtype=torch.bool, device=similarity.device), float("-inf")
    )
    if others is not None:
        logits = torch.cat([logits, others / temperature], dim=1)
    partner = torch.arange(size, device=similarity.device).roll(size // 2)
    return F.cross_entropy(logits, partner)


def late_interaction(tokens: Tensor) -> Tensor:
    """Symmetric late interaction of all token grids with one another.

    Args:
        tokens: (N, T, C) token grids.

    Returns:
        (N, N) mean over the tokens of one side of the largest cosine on the other, both ways.
    """
    unit = F.normalize(tokens, dim=-1)
    count, length, _ = unit.shape
    flat = unit.reshape(count * length, -1)
    cosines = (flat @ flat.T).reshape(count, length, count, length)
    one_way = cosines.amax(dim=3).mean(dim=1)
    return (one_way + one_way.T) / 2


def memory_similarities(pooled: Tensor, indices: Tensor, memory: Tensor) -> Tensor:
    """Similarities of views to what is remembered of the other photographs.

    A cross-batch memory (arXiv:1912.06798): vectors of earlier batches serve as negatives that cost
    no forward pass.

    Args:
        pooled: (2N, C) unit vectors; view i and view i + N are of one photograph.
        indices: (N,) which photographs they are of.
        memory: (photographs, C) the latest vector of each, zeros where there is none.

    Returns:
        (2N, photographs), minus infinity for a view's own photograph and for those without vector.
    """
    similar = pooled @ memory.T
    none = (memory == 0).all(dim=1)
    own = indices.repeat(2)[:, None] == torch.arange(len(memory), device=indices.device)
    return similar.masked_fill(own | none, float("-inf"))
