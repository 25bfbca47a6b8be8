"""How many rows of which relation each text source gives."""

from collections.abc import Mapping

from factcheck.records import LABELS, TEXT_RELATIONS, Label, TextRelation, text_relation_of

Counts = dict[TextRelation, int]

TIGHTEST = {
    TextRelation.SUPPORT: 0.9,
    TextRelation.INSUFFICIENT: 0.9,
    TextRelation.REFUTE: 0.5,
}
"""A source may fall short of a relation it is poor in down to this part of a balanced number.

All its rows in balance would waste much of a source that has few of one relation; all it has would
let the source give the relation away.
"""


def label_quotas(rows: int) -> dict[Label, int]:
    """`rows` divided evenly over the five labels."""
    whole, rest = divmod(rows, len(LABELS))
    return {label: whole + (position < rest) for position, label in enumerate(LABELS)}


def relation_quotas(rows: int) -> Counts:
    """`rows` divided over the text relations so that the five labels are balanced."""
    quotas = dict.fromkeys(TEXT_RELATIONS, 0)
    for label, count in label_quotas(rows).items():
        quotas[text_relation_of(label)] += count
    return quotas


def allocate(
    rows: int,
    available: Mapping[str, Mapping[TextRelation, int]],
    weights: Mapping[str, float],
    sentence_pairs: set[str],
    sentence_pairs_at_most: float,
) -> dict[str, Counts]:
    """Divide a split's rows over the sources, each as balanced over the relations as it allows.

    Args:
        rows: Rows of the split.
        available: Rows that each source has of each relation.
        weights: Rows wanted of each source, relative to the others.
        sentence_pairs: Sources that are held to `sentence_pairs_at_most` of the rows.
        sentence_pairs_at_most: Exceeded only when the other sources have nothing left.

    Returns:
        Rows of each source and relation. They add up to `relation_quotas(rows)`, or to less of a
        relation that runs out.
    """
    quotas = relation_quotas(rows)
    part = {relation: quota / max(rows, 1) for relation, quota in quotas.items()}
    capacity = {source: _capacity(counts, part) for source, counts in available.items()}
    long = [source for source in available if source not in sentence_pairs]
    sizes = pour(rows, weights, capacity)
    most = int(rows * sentence_pairs_at_most)
    if sum(sizes[source] for source in sizes if source in sentence_pairs) > most:
        sizes = pour(rows - most, weights, {source: capacity[source] for source in long})
        short = {source: capacity[source] for source in available if source in sentence_pairs}
        sizes |= pour(rows - sum(sizes.values()), weights, short)
    taken = {
        source: {
            relation: min(counts[relation], int(sizes[source] * part[relation]))
            for relation in TEXT_RELATIONS
        }
        for source, counts in available.items()
    }
    # Sources with more of everything can fill up and stay nearly balanced, so they come first; and
    # among either kind those of long evidence.
    rich = [source for source in available if _has_spare(available[source], taken[source])]
    groups = ([s for s in rich if s in long], rich, long, list(available))
    for relation in TEXT_RELATIONS:
        for group in groups:
            lacking = quotas[relation] - sum(counts[relation] for counts in taken.values())
            spare = {
                source: available[source][relation] - taken[source][relation] for source in group
            }
            for source, more in pour(lacking, weights, spare).items():
                taken[source][relation] += more
    return taken


def _has_spare(available: Mapping[TextRelation, int], taken: Mapping[TextRelation, int]) -> bool:
    return all(available[relation] > taken[relation] for relation in TEXT_RELATIONS)


def _capacity(counts: Mapping[TextRelation, int], part: Mapping[TextRelation, float]) -> int:
    """Rows a source can give before a relation that it has falls short of `TIGHTEST`."""
    held = [relation for relation in TEXT_RELATIONS if counts[relation] and part[relation]]
    if not held:
        return 0
    return int(min(counts[relation] / (part[relation] * TIGHTEST[relation]) for relation in held))


def pour(total: int, weights: Mapping[str, float], capacity: Mapping[str, int]) -> dict[str, int]:
    """Divide `total` in proportion to `weights`, no part above its capacity, as far as it goes."""
    parts = dict.fromkeys(capacity, 0)
    left = min(total, sum(capacity.values()))
    while left > 0:
        open_names = [name for name in parts if parts[name] < capacity[name]]
        weight = sum(weights[name] for name in open_names)
        poured = 0
        for name in open_names:
            more = min(int(left * weights[name] / weight), capacity[name] - parts[name])
            parts[name] += more
            poured += more
        if poured == 0:
            # Less than one for each: the heaviest have the rest.
            for name in sorted(open_names, key=lambda name: (-weights[name], name))[:left]:
                parts[name] += 1
                poured += 1
        left -= poured
    return parts
