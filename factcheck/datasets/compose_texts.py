"""The text side of a composed data set: which claim stands beside which document."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from factcheck.datasets.compose_quotas import allocate, relation_quotas
from factcheck.datasets.compose_settings import ComposeSettings
from factcheck.datasets.insufficient import attached_evidence, make_insufficient
from factcheck.datasets.text_relations import TextRelationRow
from factcheck.datasets.text_splits import normalise, split_texts
from factcheck.errors import InvalidInputError
from factcheck.records import TEXT_RELATIONS, TextRelation

_MOST_FILLERS = 4
_FILLER_CHARACTERS = 350
_FILLER_OVERLAP = 0.3


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
            fillers = _Fillers(by_source[source], attached)
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


def _clean(text: str) -> str:
    # ANLI marks line ends as HTML, and WiCE the title of a page; both would name the source.
    text = re.sub(r"(?i)<br ?/?>|\(meta data\) TITLE:", " ", text)
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split())


def _pair(
    settings: ComposeSettings, source: str, row: TextRelationRow, fillers: "_Fillers", rng: Random
) -> TextPair:
    document = _clean(row.evidence_text)
    around: list[str] = []
    # Whether and how much is drawn before the relation is looked at, so length tells nothing of it.
    if row.unit != "document" and rng.random() < settings.padded:
        around = fillers.draw(row, rng.randint(1, _MOST_FILLERS), rng)
        place = rng.randint(0, len(around))
        document = " ".join([*around[:place], document, *around[place:]])
    return TextPair(row.id, source, row.relation, _clean(row.claim), document, len(around))


class _Fillers:
    """Texts of a source that have nothing to do with a claim."""

    def __init__(
        self,
        rows: Sequence[TextRelationRow],
        attached: Mapping[str, Sequence[str]],
    ) -> None:
        self._texts = list(dict.fromkeys(row.evidence_text for row in rows))
        self._words: dict[str, set[str]] = {}
        self._attached = attached

    def draw(self, row: TextRelationRow, count: int, rng: Random) -> list[str]:
        """Up to `count` texts that share few words with the claim, the long ones cut."""
        claim = normalise(row.claim)
        words = _telling(claim)
        own = {row.evidence_text, *self._attached.get(claim, ())}
        found: list[str] = []
        for text in rng.sample(self._texts, min(len(self._texts), 6 * count)):
            if len(found) == count:
                break
            if text not in self._words:
                self._words[text] = _telling(normalise(text))
            shared = len(words & self._words[text])
            if text not in own and shared <= _FILLER_OVERLAP * len(words):
                found.append(_cut(_clean(text)))
        return found


def _telling(text: str) -> set[str]:
    """The longer words of a normalised text; the short ones are in every text."""
    return {word for word in text.split() if len(word) > 3}


def _cut(text: str) -> str:
    """The first sentences of a text, at most `_FILLER_CHARACTERS` long as far as they end."""
    if len(text) <= _FILLER_CHARACTERS:
        return text
    ends = [match.end() for match in re.finditer(r"[.!?](?=\s)", text)]
    fitting = [end for end in ends if end <= _FILLER_CHARACTERS]
    return text[: fitting[-1]] if fitting else text[:_FILLER_CHARACTERS].rsplit(" ", 1)[0]
