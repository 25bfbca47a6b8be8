"""Hybrid search: three channels propose, their ranks are fused, copies count once, a model rereads.

1. Dense: cosines of sentence vectors, which find what says the same in other words. The claim's is
   one of its own, trained to lie near evidence (`encoders.query`).
2. Lexical: BM25, which finds names, numbers and rare words.
3. Image: re-posts by fingerprint first, then those of the highest cosine of picture vectors, in
   the order of how much of the claim's picture is found in them by token grids (`picture_search`);
   a picture stands for the passage of its document that is most like the claim.

Scores of different channels cannot be compared, so their ranks are: reciprocal rank fusion
(Cormack et al., SIGIR 2009). Near duplicates and copies of articles then count once (`distinct`).
The best that are left are read beside the claim by the text relation encoder, and put in order by
how much they have to say of it (`rerank`).
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from factcheck.records import Found
from factcheck.retrieval.distinct import first_of_each
from factcheck.retrieval.hits import Hit
from factcheck.retrieval.metadata_reader import PassageRow
from factcheck.retrieval.picture_search import PICTURES_COMPARED, PictureSearch
from factcheck.retrieval.policy import SourcePolicy
from factcheck.retrieval.rerank import Reranker
from factcheck.retrieval.segment import Ranking
from factcheck.retrieval.words import words_of
from factcheck.settings import SearchSettings

if TYPE_CHECKING:
    from factcheck.retrieval.reader import IndexReader

# So many are asked of a channel at most where those it proposed were copies.
_PROPOSED_AT_MOST = 10_000

# Of so many passages of a picture's document the one most like the claim is looked for.
_PASSAGES_OF_A_DOCUMENT = 64


@dataclass(frozen=True)
class Query:
    """What is looked for, encoded.

    Attributes:
        text: The claim; empty for one that is only a picture.
        vector: (D,) its vector for a search (`Encoders.queries`); None for one that is only a
            picture.
        picture: (T, C) its picture's tokens; None without a picture.
        fingerprint: Fingerprint of its picture, where it has one.
    """

    text: str
    vector: np.ndarray | None
    picture: np.ndarray | None = None
    fingerprint: int | None = None


def hybrid_search(
    index: "IndexReader",
    queries: Sequence[Query],
    k: int,
    settings: SearchSettings,
    policy: SourcePolicy,
    reranker: Reranker | None,
) -> list[list[Hit]]:
    """The best passages for each query.

    Args:
        index: Where to look.
        queries: N queries.
        k: Passages for each.
        settings: How to look.
        policy: What may be found.
        reranker: Puts the first hits in order; None leaves the fused order.

    Returns:
        For each query its hits, best first.
    """
    depth = max(settings.rerank, 2 * k + 20) if settings.distinct else max(settings.rerank, k)
    wanted = max(settings.candidates, k)
    at_most = max(wanted, min(len(index), _PROPOSED_AT_MOST))
    found: list[list[Hit]] = [[] for _ in queries]
    asking = list(range(len(queries)))
    shown = [_image_channel(index, query, wanted, settings, policy) for query in queries]
    while asking:
        some = [shown[i] for i in asking]
        rankings = _ask(index, [queries[i] for i in asking], some, wanted, settings, policy)
        hits = _folded(index, [queries[i] for i in asking], rankings, depth, settings)
        for i, own in zip(asking, hits, strict=True):
            found[i] = own
        if wanted == at_most:
            break
        # Where copies took the places of the rest, channels that have more are asked for more.
        asking = [
            i
            for i, ranking in zip(asking, rankings, strict=True)
            if len(found[i]) < k and any(len(rows) >= wanted for rows in ranking.values())
        ]
        wanted = min(2 * wanted, at_most)
    if reranker is not None and settings.rerank:
        found = reranker.order([query.text for query in queries], found, settings.rerank)
    return [own[:k] for own in found]


def _ask(
    index: "IndexReader",
    queries: Sequence[Query],
    shown: Sequence["_ImageChannel | None"],
    wanted: int,
    settings: SearchSettings,
    policy: SourcePolicy,
) -> list[dict[str, Ranking]]:
    """For each query, with the channel that looks for its picture, what each channel proposes."""
    rankings: list[dict[str, Ranking]] = [{} for _ in queries]
    if "dense" in settings.channels:
        _each(rankings, "dense", queries, lambda q: q.vector, index.nearest, wanted, policy)
    if "lexical" in settings.channels:
        for ranking, query in zip(rankings, queries, strict=True):
            if query.text:
                ranking["lexical"] = index.by_words(words_of([query.text])[0], wanted, policy)
    for ranking, pictures in zip(rankings, shown, strict=True):
        if pictures is not None:
            ranking["image"] = pictures.best(wanted)
    return rankings


def _image_channel(
    index: "IndexReader",
    query: Query,
    wanted: int,
    settings: SearchSettings,
    policy: SourcePolicy,
) -> "_ImageChannel | None":
    """What looks for a query's picture, if it has one and is to be looked for by it."""
    if query.picture is None or "image" not in settings.channels:
        return None
    return _ImageChannel(index, query, max(wanted, PICTURES_COMPARED), policy)


def _each(
    rankings: list[dict[str, Ranking]],
    channel: str,
    queries: Sequence[Query],
    vector_of: Callable[[Query], np.ndarray | None],
    search: Callable[[np.ndarray, int, SourcePolicy], list[Ranking]],
    k: int,
    policy: SourcePolicy,
) -> None:
    """Ask a channel for all queries that have a vector for it at once."""
    vectors = [
        (place, v) for place, query in enumerate(queries) if (v := vector_of(query)) is not None
    ]
    if not vectors:
        return
    found = search(np.stack([vector for _, vector in vectors]), k, policy)
    for (place, _), ranking in zip(vectors, found, strict=True):
        rankings[place][channel] = ranking


class _ImageChannel:
    """Passages of the documents whose pictures are most like the claim's.

    Asked again for more, it goes on from what it has compared.
    """

    def __init__(
        self, index: "IndexReader", query: Query, at_most: int, policy: SourcePolicy
    ) -> None:
        assert query.picture is not None
        self._index = index
        self._vector = query.vector
        self._pictures = PictureSearch(index, query.picture, query.fingerprint, policy, at_most)
        self._passages: dict[int, int] = {}

    def best(self, k: int) -> Ranking:
        found = self._pictures.best(k)
        new = [row for row, _ in found if row not in self._passages]
        self._passages |= self._index.passages_beside(new, self._vector, _PASSAGES_OF_A_DOCUMENT)
        ranking: dict[int, float] = {}
        for row, score in found:
            ranking.setdefault(self._passages[row], score)
        return list(ranking.items())


def _fuse(rankings: dict[str, Ranking], constant: int) -> dict[int, float]:
    """Reciprocal rank fusion: rows with their fused scores, best first, equals by row."""
    scores: dict[int, float] = defaultdict(float)
    for ranking in rankings.values():
        for rank, (row, _) in enumerate(ranking, start=1):
            scores[row] += 1 / (constant + rank)
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))


def _folded(
    index: "IndexReader",
    queries: Sequence[Query],
    rankings: Sequence[dict[str, Ranking]],
    depth: int,
    settings: SearchSettings,
) -> list[list[Hit]]:
    """For each query its first hits in their fused order, copies folded into the first of them."""
    fused = [_fuse(ranking, settings.rank_constant) for ranking in rankings]
    # What has no copies needs no more than these, and they are read for all queries at once.
    stored = index.passages_at({row for scores in fused for row in list(scores)[:depth]})
    hits = []
    for query, scores, ranking in zip(queries, fused, rankings, strict=True):
        if settings.distinct:
            copies = _distinct(index, list(scores), stored, depth)
        else:
            copies = dict.fromkeys(list(scores)[:depth], ())
        hits.append(_hits(index, query, copies, stored, scores, ranking))
    return hits


def _distinct(
    index: "IndexReader", rows: Sequence[int], stored: dict[int, PassageRow], depth: int
) -> dict[int, tuple[str, ...]]:
    """The first rows of a ranking that count, with the documents that carry copies of them.

    Args:
        index: Where the passages are.
        rows: The ranking.
        stored: Passages of it that were read already; others that are needed are added.
        depth: Rows that are wanted.
    """
    size = depth
    while True:
        head = rows[:size]
        stored |= index.passages_at([row for row in head if row not in stored])
        documents = [stored[row].passage.document_id for row in head]
        kept = first_of_each(
            documents,
            [stored[row].passage.text for row in head],
            [stored[row].sketch for row in head],
            lambda document_id: index.document(document_id).text,
        )
        if len(kept) >= depth or size >= len(rows):
            break
        size *= 2
    return {
        head[place]: tuple(
            dict.fromkeys(
                documents[other] for other in repeats if documents[other] != documents[place]
            )
        )
        for place, repeats in list(kept.items())[:depth]
    }


def _hits(
    index: "IndexReader",
    query: Query,
    copies: dict[int, tuple[str, ...]],
    stored: dict[int, PassageRow],
    fused: dict[int, float],
    rankings: dict[str, Ranking],
) -> list[Hit]:
    """The hits of one query: rows, best first, each with the documents that carry copies of it."""
    places: dict[int, dict[str, Found]] = defaultdict(dict)
    for channel, ranking in rankings.items():
        for rank, (row, score) in enumerate(ranking, start=1):
            places[row][channel] = Found(rank, score)
    rows = list(copies)
    if query.vector is not None:
        cosines = np.clip(index.passage_vectors(rows) @ query.vector, -1, 1)
    else:
        cosines = np.array([places[row]["image"].score for row in rows])
    return [
        replace(
            Hit.of(row, stored[row], float(cosine)),
            fused=fused[row],
            channels=places[row],
            copies=copies[row],
        )
        for row, cosine in zip(rows, cosines, strict=True)
    ]
