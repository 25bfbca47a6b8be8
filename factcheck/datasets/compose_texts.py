"""The text side of a composed data set: which claim stands beside which document."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from factcheck.datasets.compose_quotas import allocate, relation_quotas
from factcheck.datasets.compose_settings import ComposeSettings
from factcheck.datasets.fillers import Fillers, clean
from factcheck.datasets.insufficient import attached_evidence, make_insufficient
from factcheck.datasets.text_relations import TextRelationRow
from factcheck.datasets.text_splits import split_texts
from factcheck.errors import InvalidInputError
from factcheck.records import TEXT_RELATIONS, TextRelation


@dataclass(frozen=True)
class TextPair:
    """A claim beside a document.

    Attributes:
        text_id: Id of the text row; of a made insufficient pair two ids with a plus sign.
        source: Name of the source in the settings.
        relation: What the document says of the claim.
        claim: The claim.
        document: The document.
        fillers: How many unrelated texts stand around the evidence in the document.
    """

    text_id: str
    source: str
    relation: TextRelation
    claim: str
    document: str
    fillers: int


def choose_texts(
    settings: ComposeSettings, rows: Sequence[TextRelationRow]
) -> dict[str, list[TextPair]]:
    """Choose the text pairs of each split, the relations balanced within each source.

    Args:
        settings: What to compose.
        rows: All text pairs.

    Returns:
        For each split its pairs in random order.

    Raises:
        InvalidInputError: A split has fewer pairs of a relation than its rows need.
    """
    # The order of the files must not matter to what is drawn from them.
    rows = sorted(rows, key=lambda row: row.id)
    loose = {name for source in settings.sources.values() for name in source.loose}
    name_of = {m: name for name, source in settings.sources.items() for m in source.members}
    rows = [row for row in rows if row.source in name_of]
    attached = attached_evidence(rows)
    shares = {**settings.text_reserved, **settings.text_shares.by_split()}
    divided = split_texts(rows, shares, loose)
    chosen: dict[str, list[TextPair]] = {}
    for split, wanted in settings.rows:
        if not wanted:
            continue
        quotas = relation_quotas(wanted)
        by_source: dict[str, list[TextRelationRow]] = defaultdict(list)
        for row in divided[split]:
            by_source[name_of[row.source]].append(row)
        pools = _pools(settings, split, quotas[TextRelation.INSUFFICIENT], by_source, attached)
        taken = _allocate(settings, split, wanted, pools)
        rng = Random(f"{settings.seed}/{split}/texts")
        pairs: list[TextPair] = []
        for source, counts in taken.items():
            fillers = Fillers(by_source[source], attached)
            for relation, count in counts.items():
                for row in pools[source][relation][:count]:
                    pairs.append(_pair(settings, source, row, fillers, rng))
        rng.shuffle(pairs)
        chosen[split] = pairs
    return chosen


def _pools(
    settings: ComposeSettings,
    split: str,
    wanted: int,
    by_source: Mapping[str, Sequence[TextRelationRow]],
    attached: Mapping[str, Sequence[str]],
) -> dict[str, dict[TextRelation, list[TextRelationRow]]]:
    """The rows of each source and relation in random order, made insufficient ones last."""
    pools: dict[str, dict[TextRelation, list[TextRelationRow]]] = {}
    weights = sum(settings.sources[source].weight for source in by_source)
    for source in sorted(by_source):
        rng = Random(f"{settings.seed}/{split}/{source}")
        rows = by_source[source]
        pool = {
            relation: [row for row in rows if row.relation is relation]
            for relation in TEXT_RELATIONS
        }
        for relation_rows in pool.values():
            rng.shuffle(relation_rows)
        # As many as supported ones make a balanced source; more than twice its share of the rows,
        # with some to fill up for other sources, would never be taken.
        most = int(2 * wanted * settings.sources[source].weight / weights)
        short = min(len(pool[TextRelation.SUPPORT]), most) - len(pool[TextRelation.INSUFFICIENT])
        pool[TextRelation.INSUFFICIENT] += make_insufficient(
            rows, attached, short, settings.most_overlap, rng
        )
        pools[source] = pool
    return pools


def _allocate(
    settings: ComposeSettings,
    split: str,
    wanted: int,
    pools: Mapping[str, Mapping[TextRelation, Sequence[TextRelationRow]]],
) -> dict[str, dict[TextRelation, int]]:
    taken = allocate(
        wanted,
        {
            source: {relation: len(rows) for relation, rows in pool.items()}
            for source, pool in pools.items()
        },
        {source: settings.sources[source].weight for source in pools},
        {source for source in pools if settings.sources[source].sentence_pairs},
        settings.sentence_pairs_at_most,
    )
    totals: Counter[TextRelation] = Counter()
    for counts in taken.values():
        totals.update(counts)
    for relation, quota in relation_quotas(wanted).items():
        if totals[relation] < quota:
            raise InvalidInputError(
                f"{', '.join(map(str, settings.text))}: the split {split} of {wanted:,} rows needs "
                f"{quota:,} pairs of the relation {relation}, and the texts in its share have "
                f"{totals[relation]:,}"
            )
    return taken


def _pair(
    settings: ComposeSettings, source: str, row: TextRelationRow, fillers: Fillers, rng: Random
) -> TextPair:
    document, count = clean(row.evidence_text), 0
    # Whether and how much is drawn before the relation is looked at, so length tells nothing of it.
    if row.unit != "document" and rng.random() < settings.padded:
        document, count = fillers.surround(row, document, rng)
    return TextPair(row.id, source, row.relation, clean(row.claim), document, count)
