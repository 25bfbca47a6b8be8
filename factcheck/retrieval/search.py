"""Hybrid search: three channels propose, their ranks are fused, copies count once, a model rereads.

1. Dense: cosines of sentence vectors, which find what says the same in other words.
2. Lexical: BM25, which finds names, numbers and rare words.
3. Image: re-posts by fingerprint first, then those of the highest cosine of picture vectors, in
   the order of how much of the claim's picture is found in them by token grids; a picture stands
   for the passage of its document that is most like the claim.

Scores of different channels cannot be compared, so their ranks are: reciprocal rank fusion
(Cormack et al., SIGIR 2009). Near duplicates and copies of articles then count once (`distinct`).
The best that are left are read beside the claim by the text relation encoder, and put in order by
what it says of them.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from factcheck.encoders.image import pool
from factcheck.encoders.image_match import found_in
from factcheck.encoders.relation import unpack
from factcheck.records import Found
from factcheck.retrieval.distinct import first_of_each
from factcheck.retrieval.hits import Hit
from factcheck.retrieval.lexical import words_of
from factcheck.retrieval.policy import SourcePolicy
from factcheck.retrieval.segment import Ranking
from factcheck.retrieval.store import PassageRow
from factcheck.settings import SearchSettings

if TYPE_CHECKING:
    from factcheck.retrieval.reader import IndexReader

Relations = Callable[[Sequence[tuple[str, str]]], np.ndarray]
"""From N claims, each with a passage, to (N, R) as `Encoders.relations` gives it."""

# What the order of reranking is made up of (`features`). Fitted by scripts/measure_retrieval.py
# --tune on claims that neither the text relation encoder was trained on nor search is measured on.
_WEIGHTS = np.array([0.98, 1.47, 3.68, 1.42, 0.64])

# So many pictures are compared by their tokens even where fewer are wanted: the original of a
# heavily edited copy is nearly always among the 200 of highest cosine, far less often the first.
_PICTURES_COMPARED = 200

# Of so many passages of a picture's document the one most like the claim is looked for.
_PASSAGES_OF_A_DOCUMENT = 64


@dataclass(frozen=True)
class Query:
    """What is looked for, encoded.

    Attributes:
        text: The claim; empty for one that is only a picture.
        vector: (D,) its sentence vector; None for one that is only a picture.
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
    relations: Relations | None,
) -> list[list[Hit]]:
    """The best passages for each query.

    Args:
        index: Where to look.
        queries: N queries.
        k: Passages for each.
        settings: How to look.
        policy: What may be found.
        relations: Reads passages beside claims, for reranking; None leaves the fused order.

    Returns:
        For each query its hits, best first.
    """
    wanted = max(settings.candidates, k)
    rankings: list[dict[str, Ranking]] = [{} for _ in queries]
    if "dense" in settings.channels:
        _each(rankings, "dense", queries, lambda q: q.vector, index.nearest, wanted, policy)
    if "lexical" in settings.channels:
        for ranking, query in zip(rankings, queries, strict=True):
            if query.text:
                ranking["lexical"] = index.by_words(words_of([query.text])[0], wanted, policy)
    if "image" in settings.channels:
        for ranking, query in zip(rankings, queries, strict=True):
            if query.picture is not None:
                ranking["image"] = _by_picture(index, query, wanted, policy)
    fused = [_fuse(ranking, settings.rank_constant) for ranking in rankings]
    # Enough that k are left when copies are gone, and no more than the channels proposed.
    depth = max(settings.rerank, 2 * k + 20) if settings.distinct else max(settings.rerank, k)
    heads = [list(scores)[:depth] for scores in fused]
    stored = index.passages_at({row for head in heads for row in head})
    found = [
        _hits(index, query, head, stored, scores, ranking, settings)
        for query, head, scores, ranking in zip(queries, heads, fused, rankings, strict=True)
    ]
    if relations is not None and settings.rerank:
        _rerank(queries, found, settings.rerank, relations)
    return [hits[:k] for hits in found]


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


def _by_picture(index: "IndexReader", query: Query, k: int, policy: SourcePolicy) -> Ranking:
    """Passages of the documents whose pictures are most like the claim's, re-posts first."""
    assert query.picture is not None
    vector = pool(query.picture[None])
    [nearest] = index.nearest_pictures(vector, max(k, _PICTURES_COMPARED), policy)
    reposts = [] if query.fingerprint is None else index.reposts(query.fingerprint, policy)
    candidates = list(dict.fromkeys([*(row for row, _ in nearest), *reposts]))
    score = dict(zip(candidates, _shared(index, query.picture, candidates), strict=True))
    first = set(reposts)
    rows = sorted(score, key=lambda row: (row not in first, -score[row], row))[:k]
    passages = index.passages_beside(rows, query.vector, _PASSAGES_OF_A_DOCUMENT)
    ranking: dict[int, float] = {}
    for row in rows:
        ranking.setdefault(passages[row], score[row])
    return list(ranking.items())


def _shared(index: "IndexReader", picture: np.ndarray, rows: Sequence[int]) -> list[float]:
    """How much of a picture (T, C) is found in each of some of the index, by row."""
    found: list[float] = []
    for start in range(0, len(rows), _PICTURES_COMPARED):
        others = torch.from_numpy(index.image_tokens(rows[start : start + _PICTURES_COMPARED]))
        found += found_in(torch.from_numpy(picture), others).tolist()
    return found


def _fuse(rankings: dict[str, Ranking], constant: int) -> dict[int, float]:
    """Reciprocal rank fusion: rows with their fused scores, best first, equals by row."""
    scores: dict[int, float] = defaultdict(float)
    for ranking in rankings.values():
        for rank, (row, _) in enumerate(ranking, start=1):
            scores[row] += 1 / (constant + rank)
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))


def _hits(
    index: "IndexReader",
    query: Query,
    rows: Sequence[int],
    stored: dict[int, PassageRow],
    fused: dict[int, float],
    rankings: dict[str, Ranking],
    settings: SearchSettings,
) -> list[Hit]:
    """The hits of one query in their fused order, copies folded into the first of them."""
    places: dict[int, dict[str, Found]] = defaultdict(dict)
    for channel, ranking in rankings.items():
        for rank, (row, score) in enumerate(ranking, start=1):
            places[row][channel] = Found(rank, score)
    if query.vector is not None:
        cosines = np.clip(index.passage_vectors(rows) @ query.vector, -1, 1)
    else:
        cosines = np.array([places[row]["image"].score for row in rows])
    hits = [
        replace(
            Hit.of(row, stored[row], float(cosine)),
            fused=fused[row],
            channels=places[row],
        )
        for row, cosine in zip(rows, cosines, strict=True)
    ]
    if not settings.distinct:
        return hits
    kept = first_of_each(
        [hit.document_id for hit in hits],
        [hit.passage.text for hit in hits],
        [stored[row].sketch for row in rows],
    )
    folded = []
    for place, repeats in kept.items():
        own = hits[place].document_id
        copies = dict.fromkeys(hits[other].document_id for other in repeats)
        folded.append(replace(hits[place], copies=tuple(id for id in copies if id != own)))
    return folded


def _rerank(
    queries: Sequence[Query], found: list[list[Hit]], count: int, relations: Relations
) -> None:
    """Put the first hits of each query in the order that the text relation encoder gives them."""
    pairs = [
        (query.text, hit.passage.text)
        for query, hits in zip(queries, found, strict=True)
        if query.text
        for hit in hits[:count]
    ]
    if not pairs:
        return
    read = unpack(relations(pairs))
    start = 0
    for place, (query, hits) in enumerate(zip(queries, found, strict=True)):
        if not query.text:
            continue
        stop = start + len(hits[:count])
        scores = features(hits[:count], read.logits[start:stop], read.salience[start:stop])
        scores = scores @ _WEIGHTS
        start = stop
        order = np.lexsort((np.arange(len(scores)), -scores))
        head = [replace(hits[i], reranked=float(scores[i])) for i in order]
        found[place] = [*head, *hits[count:]]


def features(hits: Sequence[Hit], logits: np.ndarray, salience: np.ndarray) -> np.ndarray:
    """What tells how much the hits of a query have to say of it.

    Args:
        hits: n hits.
        logits: (n, 3) the text relation encoder's logits of support, insufficient, refute.
        salience: (n,) its saliences.

    Returns:
        (n, 5): the fused score and the BM25 score, each as a part of the query's highest; the
        cosine; how strongly the passage takes a side, for or against; and its salience. The last
        two are squashed to (-1, 1).
    """
    fused = np.array([hit.fused or 0.0 for hit in hits])
    by_words = [hit.channels.get("lexical") for hit in hits]
    words = np.array([0.0 if found is None else found.score for found in by_words])
    sides = np.logaddexp(logits[:, 0], logits[:, 2]) - logits[:, 1]
    return np.stack(
        [
            fused / max(fused.max(initial=0), 1e-12),
            words / max(words.max(initial=0), 1e-12),
            np.array([hit.score for hit in hits]),
            np.tanh(sides / 4),
            np.tanh(salience / 4),
        ],
        axis=1,
    )
