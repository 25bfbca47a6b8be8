"""Text pairs that the text relation encoder is trained on: balanced within each source.

A source whose refuted claims outnumber the others teaches that its kind of claim is refuted, and a
new source of that kind then is refuted throughout. So each source gives as many rows of every
relation as it can, and what it lacks is made: open pairs from similar evidence of other claims
(`insufficient`), refuted ones by changing a detail of supported ones (`claim_edits`).

Claims beside evidence of nothing of the kind are added besides. To a person they are open at a
glance; a network that has only seen evidence on the subject calls them refuted, for sentence pairs
of NLI teach that another scene is a contradiction.

Negated claims are added likewise, in pairs: of a supported claim, which is refuted then, and of an
open one, which stays open. So a "not" tells nothing by itself and has to be read with the evidence.

Most of the evidence is a bare sentence, and what a search finds is a passage of which one sentence
is on the claim. So evidence is set among other texts of its source, half of the time such as are
like it (`fillers`).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from factcheck.datasets.claim_edits import make_false, negate
from factcheck.datasets.fillers import Fillers
from factcheck.datasets.insufficient import attached_evidence, make_insufficient
from factcheck.datasets.text_relations import TextRelationRow
from factcheck.datasets.text_splits import normalise, split_texts
from factcheck.records import TEXT_RELATIONS, TextRelation
from factcheck.training_settings import TextRelationTraining

UNEVEN = 1.25
"""A source gives at most this many times as many rows of a relation as of its rarest."""


@dataclass(frozen=True)
class RelationPools:
    """Rows to draw from, by source and relation.

    Attributes:
        rows: For each source its rows of each relation.
        editable: For each source the supported rows that `claim_edits.make_false` can change.
    """

    rows: Mapping[str, Mapping[TextRelation, Sequence[TextRelationRow]]]
    editable: Mapping[str, Sequence[TextRelationRow]]


def relation_pools(
    settings: TextRelationTraining, rows: Sequence[TextRelationRow]
) -> RelationPools:
    """The rows of a training run, by source and relation, made ones included.

    Args:
        settings: The run.
        rows: All text pairs.
    """
    members = {member for source in settings.sources.values() for member in source.members}
    rows = sorted((row for row in rows if row.source in members), key=lambda row: row.id)
    used = {name: s for name, s in settings.sources.items() if name not in settings.held_out}
    name_of = {member: name for name, source in used.items() for member in source.members}
    loose = {name for source in settings.sources.values() for name in source.loose}
    # Held-out sources are divided with the others, so that leaving one out moves no other text.
    divided = split_texts(rows, settings.shares, loose)["relation"]
    by_source: dict[str, list[TextRelationRow]] = defaultdict(list)
    for row in divided:
        if row.source in name_of:
            by_source[name_of[row.source]].append(row)
    attached = attached_evidence(rows)
    pools: dict[str, dict[TextRelation, list[TextRelationRow]]] = {}
    editable: dict[str, list[TextRelationRow]] = {}
    for source in sorted(by_source):
        own = by_source[source]
        rng = Random(f"{settings.seed}/{source}")
        pool = {
            relation: [row for row in own if row.relation is relation]
            for relation in TEXT_RELATIONS
        }
        if settings.made_insufficient:
            most = max(len(pool[TextRelation.SUPPORT]), len(pool[TextRelation.REFUTE]))
            pool[TextRelation.INSUFFICIENT] += make_insufficient(
                own,
                attached,
                most - len(pool[TextRelation.INSUFFICIENT]),
                settings.most_overlap,
                rng,
            )
        pools[source] = pool
        # What can be changed does not depend on the draw, only to what.
        editable[source] = [
            row
            for row in pool[TextRelation.SUPPORT]
            if make_false(row.claim, row.evidence_text, Random(row.id)) is not None
        ]
    return RelationPools(pools, editable)


def draw_epoch(
    settings: TextRelationTraining, pools: RelationPools, epoch: int
) -> list[TextRelationRow]:
    """The rows of one epoch, in random order.

    Args:
        settings: The run.
        pools: From `relation_pools`.
        epoch: Which; each has a draw of its own.
    """
    rng = Random(f"{settings.seed}/epoch/{epoch}")
    if settings.balanced:
        drawn = _balanced(settings, pools, rng)
    else:
        everything = [
            row
            for pool in pools.rows.values()
            for relation_rows in pool.values()
            for row in relation_rows
        ]
        drawn = rng.sample(everything, min(settings.rows, len(everything)))
    unrelated = _unrelated(drawn, round(settings.unrelated * len(drawn)), rng)
    negated = _negated(drawn, round(settings.negated * len(drawn)), rng)
    drawn += unrelated + negated
    if settings.balanced:
        rng.shuffle(drawn)
    return pad(drawn, settings.padded, rng)


def pad(rows: Sequence[TextRelationRow], share: float, rng: Random) -> list[TextRelationRow]:
    """Rows, some with other texts of their source around their evidence.

    Args:
        rows: The rows; evidence that is a whole document is left as it is.
        share: Part of the others that get such a surrounding.
        rng: Generator.

    Returns:
        As many rows in the same order, those changed with `+` at the end of their id.
    """
    if not share:
        return list(rows)
    by_source: dict[str, list[TextRelationRow]] = defaultdict(list)
    for row in rows:
        by_source[row.source].append(row)
    attached = attached_evidence(rows)
    fillers = {source: Fillers(own, attached) for source, own in by_source.items()}
    padded = list(rows)
    for place, row in enumerate(rows):
        if row.unit == "document" or rng.random() >= share:
            continue
        near = rng.random() < 0.5
        text, count = fillers[row.source].surround(row, row.evidence_text, rng, near)
        if count:
            padded[place] = replace(row, id=f"{row.id}+", evidence=(text,))
    return padded


def _balanced(
    settings: TextRelationTraining, pools: RelationPools, rng: Random
) -> list[TextRelationRow]:
    """Rows of an epoch, relations balanced within each source."""
    drawn: list[TextRelationRow] = []
    weights = sum(settings.sources[source].weight for source in pools.rows)
    for source, pool in pools.rows.items():
        wanted = settings.rows * settings.sources[source].weight / weights / len(TEXT_RELATIONS)
        editable = pools.editable[source]
        sizes = {relation: len(rows) for relation, rows in pool.items()}
        made = 0
        if settings.made_false:
            short = min(sizes[TextRelation.SUPPORT], int(wanted)) - sizes[TextRelation.REFUTE]
            made = max(0, min(len(editable), short))
        made = max(made, int(settings.edited * min(len(editable), wanted)))
        sizes[TextRelation.REFUTE] += made
        # A source may lack a relation altogether; those that it has are still made even.
        rarest = min(size for size in sizes.values() if size)
        most = int(min(wanted, UNEVEN * rarest))
        false = _made_false(rng.sample(editable, min(made, most)), rng)
        for relation, rows in pool.items():
            kept = most - (len(false) if relation is TextRelation.REFUTE else 0)
            drawn += rng.sample(rows, min(len(rows), kept))
        drawn += false
    return drawn


def _unrelated(rows: Sequence[TextRelationRow], count: int, rng: Random) -> list[TextRelationRow]:
    """Claims of rows beside the evidence of others, half of them of the same source."""
    by_source: dict[str, list[TextRelationRow]] = defaultdict(list)
    for row in rows:
        by_source[row.source].append(row)
    attached = attached_evidence(rows)
    made = []
    for number, row in enumerate(rng.sample(rows, min(count, len(rows)))):
        other = rng.choice(by_source[row.source] if number % 2 else rows)
        if other.evidence_text in attached[normalise(row.claim)]:
            continue
        made.append(
            replace(
                row,
                id=f"{row.id}?",
                evidence=other.evidence,
                relation=TextRelation.INSUFFICIENT,
                unit=other.unit,
            )
        )
    return made


def _negated(rows: Sequence[TextRelationRow], count: int, rng: Random) -> list[TextRelationRow]:
    """Negated claims of supported rows and of open rows, half of each as far as there are."""
    made = []
    for relation, becomes in (
        (TextRelation.SUPPORT, TextRelation.REFUTE),
        (TextRelation.INSUFFICIENT, TextRelation.INSUFFICIENT),
    ):
        fitting = [row for row in rows if row.relation is relation]
        found: list[TextRelationRow] = []
        for row in rng.sample(fitting, len(fitting)) if count else []:
            if len(found) == count // 2:
                break
            claim = negate(row.claim, row.evidence_text, rng)
            if claim is not None:
                found.append(replace(row, id=f"{row.id}!", claim=claim, relation=becomes))
        made += found
    return made


def _made_false(rows: Sequence[TextRelationRow], rng: Random) -> list[TextRelationRow]:
    made = []
    for row in rows:
        claim = make_false(row.claim, row.evidence_text, rng)
        if claim is not None:
            made.append(replace(row, id=f"{row.id}~", claim=claim, relation=TextRelation.REFUTE))
    return made
