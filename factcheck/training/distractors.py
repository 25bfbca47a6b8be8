"""Training examples as retrieval would show them: passages of other documents among their own."""

from dataclasses import replace

import numpy as np

from factcheck.encoders import Encoders
from factcheck.evaluation.splits import Split
from factcheck.fusion.inputs import FusionInputs, read_relations
from factcheck.fusion.signals import lexical_signals


def with_distractors(
    split: Split, encoders: Encoders, seed: int, share: float = 1.0
) -> FusionInputs:
    """The same examples as retrieval would show them: passages of other documents among their own.

    A claim keeps a random number of its own passages, its best ones; the other places go to the
    passages of other documents that are most like it, leaving out documents that stand beside the
    same claim anywhere in the split, since these may well decide it.

    Args:
        split: The examples.
        encoders: Those that it was encoded with.
        seed: Chooses how many of its own passages each keeps, and which examples are mixed.
        share: Part of the examples that is mixed; the others stay as they are. What is mixed must
            be read by the text relation encoder, which takes time.
    """
    import faiss

    inputs = split.inputs
    rng = np.random.default_rng(seed)
    _, places, dimension = inputs.passages.shape
    owners, slots = np.nonzero(inputs.has_passage)
    pool = faiss.IndexFlatIP(dimension)
    pool.add(np.ascontiguousarray(inputs.passages[owners, slots]))
    _, found = pool.search(np.ascontiguousarray(inputs.claim_text), places * 6)
    documents_of: dict[str, set[str]] = {}
    for row in split.rows:
        documents_of.setdefault(row.claim.text, set()).add(row.document.text)
    mixed = np.sort(rng.permutation(len(split))[: round(share * len(split))])
    passages, present = inputs.passages.copy(), inputs.has_passage.copy()
    signals, relations = inputs.signals.copy(), inputs.relations.copy()
    for array in (passages, present, signals):
        array[mixed] = 0
    texts: list[list[str]] = []
    for example in mixed.tolist():
        row = split.rows[example]
        own = int(inputs.has_passage[example].sum())
        kept = int(rng.integers(1, max(1, min(own, places - 1)) + 1))
        entries = [(example, slot) for slot in range(kept)]
        for hit in found[example]:
            # Where there are fewer passages than asked for, FAISS fills up with -1.
            if len(entries) == places or hit < 0:
                break
            owner = int(owners[hit])
            if split.rows[owner].document.text not in documents_of[row.claim.text]:
                entries.append((owner, int(slots[hit])))
        vectors = np.stack([inputs.passages[entry] for entry in entries])
        order = np.argsort(-(vectors @ inputs.claim_text[example]), kind="stable")
        texts.append([])
        for place, (owner, slot) in enumerate(entries[i] for i in order):
            text = split.evidence[owner].passages[slot].passage.text
            passages[example, place] = inputs.passages[owner, slot]
            signals[example, place] = lexical_signals(row.claim.text, text)
            present[example, place] = True
            texts[-1].append(text)
    claims = [split.rows[example].claim.text for example in mixed]
    relations[mixed] = read_relations(encoders, claims, texts, places)
    return replace(
        inputs, passages=passages, has_passage=present, signals=signals, relations=relations
    )
