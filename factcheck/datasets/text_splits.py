"""Splits of text pairs that share neither a claim nor an evidence text.

A claim meets several evidence texts and an evidence text several claims, so pairs hang together in
clusters. A cluster falls into one split as a whole: a small one by a hash of its texts, the same on
every machine; the few large ones, which a hash would spread unevenly, in turn to the split that
lacks most. A cluster that holds much of its source is cut: each claim goes by its hash, each
evidence text to the split where most of its pairs are, and pairs whose two texts are then apart are
left out.
"""

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from factcheck.datasets.text_relations import TextRelationRow

LARGE_CLUSTER = 60
"""Rows from which a cluster counts as large."""

LARGEST_PART = 0.4
"""Part of its source from which a large cluster is cut."""


def normalise(text: str) -> str:
    """Lower-case words alone: two texts that differ in case or punctuation are the same text."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower()))


def text_share(text: str) -> float:
    """A number in [0, 1) that depends on the words of a text alone, uniform over texts."""
    return int(hashlib.sha256(normalise(text).encode()).hexdigest()[:8], 16) / 2**32


def split_texts(
    rows: Sequence[TextRelationRow],
    shares: Mapping[str, tuple[float, float]],
    loose: Collection[str] = (),
) -> dict[str, list[TextRelationRow]]:
    """Divide text pairs so that no claim and no evidence text is in two splits.

    Args:
        rows: The pairs. Of pairs with the same two texts the first is kept.
        shares: For each split a range of [0, 1), half open; the ranges do not overlap.
        loose: Sources that pair unrelated texts. Their pairs tie nothing together, and are kept
            where both texts happen to fall into the same split.

    Returns:
        The rows of each split, in the order of `rows`.
    """
    pairs: dict[tuple[str, str], TextRelationRow] = {}
    for row in rows:
        pairs.setdefault(("c " + normalise(row.claim), "e " + normalise(row.evidence_text)), row)
    tied = {pair: row for pair, row in pairs.items() if row.source not in loose}
    place = _place_clusters(tied, shares)
    for pair in pairs:
        for text in pair:
            # Texts that only loose pairs have.
            place.setdefault(text, _range_of(text_share(text[2:]), shares))
    divided: dict[str, list[TextRelationRow]] = {split: [] for split in shares}
    for (claim, evidence), row in pairs.items():
        split = place[claim]
        if split is not None and split == place[evidence]:
            divided[split].append(row)
    return divided


def _range_of(share: float, shares: Mapping[str, tuple[float, float]]) -> str | None:
    return next((split for split, (low, high) in shares.items() if low <= share < high), None)


def _place_clusters(
    pairs: Mapping[tuple[str, str], TextRelationRow], shares: Mapping[str, tuple[float, float]]
) -> dict[str, str | None]:
    """The split of each text; None where it falls into none."""
    clusters = _clusters(pairs)
    sizes = Counter(row.source for row in pairs.values())
    place: dict[str, str | None] = {}
    large: dict[str, list[list[TextRelationRow]]] = defaultdict(list)
    for name, members in clusters.items():
        source, size = Counter(pairs[pair].source for pair in members).most_common(1)[0]
        if len(members) < LARGE_CLUSTER:
            split = _range_of(text_share(name), shares)
            place.update((text, split) for pair in members for text in pair)
        elif size > LARGEST_PART * sizes[source]:
            place.update(_cut(members, shares))
        else:
            large[source].append([pairs[pair] for pair in members])
    for source_clusters in large.values():
        for members_rows, split in _deal(source_clusters, shares):
            for row in members_rows:
                place["c " + normalise(row.claim)] = split
                place["e " + normalise(row.evidence_text)] = split
    return place


def _deal(
    clusters: Sequence[Sequence[TextRelationRow]], shares: Mapping[str, tuple[float, float]]
) -> Iterator[tuple[Sequence[TextRelationRow], str]]:
    """Clusters, largest first, each to the split that lacks most of what is in it.

    Every relation is dealt for itself, so that the few refuted pairs of a source are spread too.
    """
    totals = Counter(row.relation for rows in clusters for row in rows)
    parts = [
        (Counter({r: n / totals[r] for r, n in Counter(x.relation for x in rows).items()}), rows)
        for rows in clusters
    ]
    lacking = {split: dict.fromkeys(totals, high - low) for split, (low, high) in shares.items()}
    for part, rows in sorted(parts, key=lambda c: (-c[0].total(), min(row.id for row in c[1]))):
        split = max(
            lacking,
            key=lambda split: sum(part[relation] * lacking[split][relation] for relation in part),
        )
        for relation in part:
            lacking[split][relation] -= part[relation]
        yield rows, split


def _clusters(pairs: Collection[tuple[str, str]]) -> dict[str, list[tuple[str, str]]]:
    """Pairs that hang together, by the first in alphabetical order of their texts."""
    parent: dict[str, str] = {}

    def root(text: str) -> str:
        parent.setdefault(text, text)
        while parent[text] != text:
            parent[text] = parent[parent[text]]
            text = parent[text]
        return text

    for claim, evidence in pairs:
        one, other = sorted((root(claim), root(evidence)))
        # The smaller name wins, whatever the order of the rows.
        parent[other] = one
    clusters: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for pair in pairs:
        clusters[root(pair[0])].append(pair)
    return clusters


def _cut(
    members: Sequence[tuple[str, str]], shares: Mapping[str, tuple[float, float]]
) -> dict[str, str | None]:
    place: dict[str, str | None] = {}
    votes: dict[str, Counter[str | None]] = defaultdict(Counter)
    for claim, evidence in members:
        place[claim] = _range_of(text_share(claim[2:]), shares)
        votes[evidence][place[claim]] += 1
    # Of equals the split that comes last in `shares` has it: test sets are the smallest.
    order: list[str | None] = [None, *shares]
    for evidence, counts in votes.items():
        place[evidence] = max(counts, key=lambda split: (counts[split], order.index(split)))
    return place
