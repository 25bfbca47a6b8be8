"""Sources of claims with evidence to be found, as trainings of a search read them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from factcheck.datasets import read_text_relations, split_texts
from factcheck.datasets.evidence_pools import EvidencePool
from factcheck.encoders import Encoders
from factcheck.errors import InvalidInputError
from factcheck.records import Claim
from factcheck.retrieval import EvidenceIndex, Hit
from factcheck.settings import SearchSettings
from factcheck.training.loop import OnProgress
from factcheck.training_settings import SearchTraining

_ASKED_AT_ONCE = 256


@dataclass(frozen=True)
class SourceOfClaims:
    """A source's evidence, and its claims by split.

    Attributes:
        pool: The evidence, and which of it belongs to a claim.
        claims: The claims of each split.
    """

    pool: EvidencePool
    claims: Mapping[str, Sequence[str]]

    def draw(self, splits: Iterable[str], count: int, seed: int | str) -> list[str]:
        """Some claims of splits, each once; fewer than `count` where there are no more."""
        known = {claim for split in splits for claim in self.claims[split]}
        return self.pool.queries(known, count, seed)


def read_sources(settings: SearchTraining, data: Path) -> dict[str, SourceOfClaims]:
    """The sources of a training by name.

    Args:
        settings: The training.
        data: The folder that its files are named relative to.

    Raises:
        MissingResourceError: A file cannot be read.
        InvalidInputError: A line is wrong, or a source has no text pair.
    """
    rows = read_text_relations([data / path for path in settings.text])
    divided = split_texts(rows, settings.shares, set(settings.loose))
    found = {}
    for name, source in settings.sources.items():
        members = set(source.members)
        pool = EvidencePool(row for row in rows if row.source in members)
        if not pool.documents:
            raise InvalidInputError(f"{name}: no text pair is of this source")
        claims = {
            split: [row.claim for row in own if row.source in members]
            for split, own in divided.items()
        }
        found[name] = SourceOfClaims(pool, claims)
    return found


@dataclass(frozen=True)
class IndexedSource:
    """A source with its evidence as an index."""

    read: SourceOfClaims
    index: EvidenceIndex

    def search(self, claims: Sequence[str], depth: int) -> list[list[Hit]]:
        """What is found for claims, as it is before reranking."""
        how = SearchSettings(rerank=0, distinct=False)
        found: list[list[Hit]] = []
        for start in range(0, len(claims), _ASKED_AT_ONCE):
            some = [Claim(claim) for claim in claims[start : start + _ASKED_AT_ONCE]]
            found += self.index.search_many(some, depth, how)
        return found

    def evidence(self, claim: str, hits: Sequence[Hit]) -> list[str | None]:
        """For each hit the id of its document, if that is evidence of the claim, or None."""
        relevant = self.read.pool.relevant[claim]
        return [hit.document_id if hit.document_id in relevant else None for hit in hits]


def index_sources(
    settings: SearchTraining,
    data: Path,
    folder: Path,
    encoders: Encoders,
    builds: bool,
    report: OnProgress,
) -> dict[str, IndexedSource]:
    """The sources of a training by name, with their indices.

    Args:
        settings: The training.
        data: The folder that its files are named relative to.
        folder: Where the indices lie.
        encoders: What they are searched with.
        builds: Whether they are built anew; else those that are there are opened.
        report: Told how far building is.

    Raises:
        MissingResourceError: A file cannot be read, or an index is not there.
        InvalidInputError: As `read_sources`, or an index is of other encoders.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, read in read_sources(settings, data).items():
        if builds:
            index = EvidenceIndex.build(
                read.pool.documents,
                folder / name,
                encoders,
                overwrite=True,
                on_progress=lambda stage, done, total: report(stage, done, total or 0, {}),
            )
        else:
            index = EvidenceIndex.open(folder / name, encoders)
        found[name] = IndexedSource(read, index)
    return found
