"""What a larger text relation encoder thinks of examples, for a smaller one to learn.

A probability of each relation says more than a name: that a claim is nearly supported, or that two
answers are both defensible (knowledge distillation, arXiv:1503.02531, section 2). And a teacher can
be asked about pairs of texts that nobody has labelled.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from factcheck.encoders.relation import RelationEncoder, document_logits
from factcheck.settings import Precision
from factcheck.training.relation_examples import RelationExample


def teacher_probabilities(
    teacher: RelationEncoder,
    examples: Sequence[RelationExample],
    kept_in: Path,
    precision: Precision = "auto",
    on_progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """The relations of examples as the teacher sees them.

    Args:
        teacher: The teacher.
        examples: N examples; the teacher reads the passages that the pupil will read.
        kept_in: Folder that the answer is kept in, and read from when the same is asked again: it
            takes longer than a good part of the training.
        precision: Number format of the teacher's matrix products.
        on_progress: Called with the number of passages read since the last call.

    Returns:
        (N, 3) float32 probabilities of support, insufficient, refute.
    """
    asked = [(example.claim, example.passages) for example in examples]
    # The hash is of the weights alone; how far the teacher reads changes what it says, too.
    reads = [teacher.sha256, teacher.config.max_tokens, precision]
    question = json.dumps([*reads, asked]).encode()
    path = kept_in / f"teacher-{hashlib.sha256(question).hexdigest()[:16]}.npy"
    if path.exists():
        kept: np.ndarray = np.load(path, allow_pickle=False)
        return kept
    probabilities = document_probabilities(teacher, examples, precision, on_progress)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        np.save(file, probabilities)
    temporary.replace(path)
    return probabilities


def document_probabilities(
    encoder: RelationEncoder,
    examples: Sequence[RelationExample],
    precision: Precision = "auto",
    on_progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """(N, 3) float32 probabilities of support, insufficient, refute of N examples.

    Args:
        encoder: Reads their passages one by one.
        examples: The examples.
        precision: Number format of its matrix products.
        on_progress: Called with the number of passages read since the last call.
    """
    pairs = [(example.claim, passage) for example in examples for passage in example.passages]
    read = encoder.encode(pairs, on_progress=on_progress, precision=precision)
    counts = np.array([len(example.passages) for example in examples], dtype=np.int64)
    present = np.arange(counts.max(initial=1)) < counts[:, None]
    logits = np.zeros((*present.shape, read.logits.shape[-1]), dtype=np.float32)
    salience = np.zeros(present.shape, dtype=np.float32)
    logits[present], salience[present] = read.logits, read.salience
    tensors = [torch.from_numpy(array) for array in (logits, salience, present)]
    probabilities: np.ndarray = document_logits(*tensors).softmax(dim=-1).numpy()
    return probabilities
