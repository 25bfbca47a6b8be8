"""Made insufficient pairs: a claim beside the most similar evidence of another claim.

Sources of true and false claims have no pairs that leave a claim open. Beside random evidence a
claim would be open too, but a count of shared words would tell; beside similar evidence one must
read.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from factcheck.datasets.text_relations import TextRelationRow
from factcheck.datasets.text_splits import normalise
from factcheck.records import TextRelation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RANKS = (1, 6)
"""Which of the similar evidence texts to draw from: not the most similar, which might support."""

NEAR = 0.6
"""Part of the best similarity that others must reach to be preferred to the most similar text."""

CHOICE = 4
"""How many claims are tried for each row wanted; those with the most similar evidence are kept."""

MOST_USES = 3
"""How often one evidence text may be used: some texts are similar to everything."""

SAME_TEXT = 0.75
"""Part of the words of the shorter of two texts from which they count as the same evidence."""

_CANDIDATES = 40
_CHUNK = 256


def attached_evidence(rows: Sequence[TextRelationRow]) -> dict[str, list[str]]:
    """The evidence texts that each claim (normalised) has anywhere."""
    attached: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        attached[normalise(row.claim)][row.evidence_text] = None
    return {claim: list(texts) for claim, texts in attached.items()}


def make_insufficient(
    rows: Sequence[TextRelationRow],
    attached: Mapping[str, Sequence[str]],
    count: int,
    most_overlap: float,
    rng: Random,
) -> list[TextRelationRow]:
    """Put claims beside similar evidence of other claims.

    Args:
        rows: Pairs of one source and one split; claims and evidence are theirs.
        attached: The evidence of each claim anywhere (`attached_evidence`): neither it nor a text
            that is nearly the same is put beside the claim.
        count: Rows wanted.
        most_overlap: Part of a claim's words, weighted by rarity, that the evidence may hold.
        rng: Generator.

    Returns:
        Insufficient rows, at most `count` and at most one for each claim, with the ids of claim and
        evidence row as `{id}+{id}`. Claims of supported and refuted pairs are taken two to one, as
        they are in the whole data set, so that the style of a claim tells nothing.
    """
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    claims = _claims_in_turn(rows, rng)
    if not claims or count <= 0:
        return []
    evidence = list({row.evidence_text: row for row in rows}.values())
    words = [frozenset(normalise(row.evidence_text).split()) for row in evidence]
    vectorizer = TfidfVectorizer(
        sublinear_tf=True, token_pattern=r"(?u)\b\w\w+\b", dtype=np.float32
    )
    by_evidence = vectorizer.fit_transform([row.evidence_text for row in evidence]).T.tocsc()
    rarity = dict(
        zip(vectorizer.get_feature_names_out().tolist(), vectorizer.idf_.tolist(), strict=True)
    )
    rarest = max(rarity.values())
    uses: Counter[int] = Counter()
    made: list[tuple[float, TextRelationRow]] = []
    claims = claims[: CHOICE * count]
    for start in range(0, len(claims), _CHUNK):
        chunk = claims[start : start + _CHUNK]
        scores = (vectorizer.transform([row.claim for row in chunk]) @ by_evidence).toarray()
        for row, row_scores in zip(chunk, scores, strict=True):
            own = [frozenset(normalise(text).split()) for text in attached[normalise(row.claim)]]
            terms = set(re.findall(r"\b\w\w+\b", row.claim.lower()))
            total = sum(rarity.get(term, rarest) for term in terms) or 1.0
            overlaps = {
                place: sum(rarity.get(term, rarest) for term in terms & words[place]) / total
                for place in _best(row_scores)
                if uses[place] < MOST_USES and not any(_same(words[place], text) for text in own)
            }
            place = _choose(overlaps, row_scores, most_overlap, rng)
            if place is not None:
                uses[place] += 1
                pair = replace(
                    evidence[place],
                    id=f"{row.id}+{evidence[place].id}",
                    claim=row.claim,
                    relation=TextRelation.INSUFFICIENT,
                )
                made.append((float(row_scores[place]), pair))
    made.sort(key=lambda scored: (-scored[0], scored[1].id))
    return [pair for _, pair in made[:count]]


def _choose(
    overlaps: Mapping[int, float], scores: "NDArray[np.float32]", most_overlap: float, rng: Random
) -> int | None:
    """One of the candidates, which come most similar first."""
    fitting = [place for place, overlap in overlaps.items() if overlap <= most_overlap]
    if not fitting:
        return None
    first = fitting[0]
    near = [p for p in fitting[RANKS[0] : RANKS[1]] if scores[p] >= NEAR * scores[first]]
    # Alone at the top, the most similar text may be all there is on the claim's subject. It is
    # taken when it says clearly less than the claim.
    return first if not near or overlaps[first] <= most_overlap / 2 else rng.choice(near)


def _claims_in_turn(rows: Sequence[TextRelationRow], rng: Random) -> list[TextRelationRow]:
    """A row for each claim, in random order: two of supported, one of refuted pairs, and so on."""
    seen: dict[str, TextRelationRow] = {}
    shuffled = rng.sample(rows, len(rows))
    for row in shuffled:
        seen.setdefault(normalise(row.claim), row)
    support = [row for row in seen.values() if row.relation is TextRelation.SUPPORT]
    refute = [row for row in seen.values() if row.relation is TextRelation.REFUTE]
    return list(_two_to_one(support, refute))


def _two_to_one(
    twice: Sequence[TextRelationRow], once: Sequence[TextRelationRow]
) -> Iterator[TextRelationRow]:
    for position in range(max((len(twice) + 1) // 2, len(once))):
        yield from twice[2 * position : 2 * position + 2]
        yield from once[position : position + 1]


def _best(scores: "NDArray[np.float32]") -> list[int]:
    """Places of the highest scores above zero, highest first; of equals the earlier place."""
    import numpy as np

    count = min(_CANDIDATES, len(scores))
    threshold = np.partition(scores, -count)[-count]
    places = np.flatnonzero((scores >= threshold) & (scores > 0))
    ordered = places[np.argsort(-scores[places], kind="stable")]
    return [int(place) for place in ordered[:count]]


def _same(one: frozenset[str], other: frozenset[str]) -> bool:
    shorter = min(len(one), len(other))
    return shorter == 0 or len(one & other) >= SAME_TEXT * shorter
