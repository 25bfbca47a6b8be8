"""Verdicts on found evidence: where an index holds a claim's evidence, and where it does not.

    python scripts/measure_found_evidence.py --data DATA --work build/found-evidence

Two indices are made of text pairs, each of evidence of all sources together. One holds the evidence
of the claims that are asked about, the other that of claims of another share, which has none of it
(`datasets.text_splits`). Both are searched for the same claims, once for each source, and every
claim gets two verdicts: on all that was found, and with what tells whether it bears on the claim
(`encoders.bearing`), which selects what is read (`evidence_selection`) and says how far that is
insufficient. It was fitted on other claims, of five of the seven sources.

The truth is what the source says of the claim beside the first of its evidence among the passages
that were found; where there is none, what was found is insufficient. That other texts of the source
may speak of a claim as well cannot be told from the pairs, and counts as wrong.
"""

import argparse
import itertools
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from measure_retrieval import NOT_TRAINED_ON, SOURCES, tell
from results import origin, write_results

from factcheck import Claim, Document, EvidenceIndex, FactChecker
from factcheck.datasets import read_text_relations, split_texts
from factcheck.datasets.text_relations import TextRelationRow
from factcheck.datasets.text_splits import normalise
from factcheck.encoders import Encoders
from factcheck.evaluation.metrics import expected_calibration_error
from factcheck.evidence import Reading
from factcheck.found_evidence import found_evidence
from factcheck.fusion.checkpoint import Checkpoint
from factcheck.fusion.run import relation_probabilities
from factcheck.records import TEXT_RELATIONS, TextRelation
from factcheck.settings import read_yaml
from factcheck.training_settings import RelevanceTraining

OPEN = TEXT_RELATIONS.index(TextRelation.INSUFFICIENT)

Rows = dict[str, np.ndarray]

Relations = Mapping[str, Mapping[str, TextRelation]]
"""For each claim what is said of it beside each text of its evidence, by its words."""


def corpus(rows: Sequence[TextRelationRow], at_most: int) -> list[Document]:
    """The evidence of all sources, so many texts of each at most; texts alike are one."""
    documents: dict[str, Document] = {}
    for name, members in {**SOURCES, **NOT_TRAINED_ON}.items():
        count = 0
        for row in rows:
            words = normalise(row.evidence_text)
            if row.source in members and words and words not in documents and count < at_most:
                documents[words] = Document(f"{name}-{count}", row.evidence_text)
                count += 1
    return list(documents.values())


def relations_of(rows: Sequence[TextRelationRow], members: Sequence[str]) -> Relations:
    """What a source says of its claims."""
    found: dict[str, dict[str, TextRelation]] = {}
    for row in rows:
        if row.source in members:
            found.setdefault(row.claim, {})[normalise(row.evidence_text)] = row.relation
    return found


def without_bearing(encoders: Encoders) -> Encoders:
    """The same encoders, but nothing tells whether passages bear on claims."""
    relation = copy(encoders.relation)
    if relation is None or relation.relevance is None:
        raise SystemExit("the text relation encoder has nothing that tells relevance")
    relation.relevance = copy(relation.relevance)
    config = relation.relevance.config
    relation.relevance.config = config.model_copy(update={"bearing": None})
    return encoders.with_relation(relation)


def verdicts(
    checkpoint: Checkpoint,
    reading: Reading,
    index: EvidenceIndex,
    claims: Sequence[str],
    said: Relations,
) -> Rows:
    """Verdicts on N claims by what an index holds.

    Returns:
        `truth` (N,) as places in `TEXT_RELATIONS`, `read` (N,) bool, whether evidence is among the
        passages that are read, `passages` (N,) how many these are, `bearing` (N,), and `text`
        (N, 3), the text relation.
    """
    found = found_evidence(reading, [Claim(claim) for claim in claims], index)
    probabilities = relation_probabilities(checkpoint, found.encoded.inputs)
    truth, known = [], []
    for place, evidence in zip(found.claims, found.encoded.evidence, strict=True):
        own = said[claims[place]]
        texts = (
            normalise(index.document(document_id).text)
            for cited in evidence.passages
            for document_id in (cited.passage.document_id, *cited.copies)
        )
        relation = next((own[text] for text in texts if text in own), None)
        known.append(relation is not None)
        truth.append(OPEN if relation is None else TEXT_RELATIONS.index(relation))
    return {
        "truth": np.array(truth),
        "read": np.array(known),
        "passages": found.encoded.inputs.has_passage.sum(axis=1),
        "bearing": probabilities.bearing,
        "text": probabilities.text,
    }


def measures(rows: Rows) -> dict[str, float]:
    """How good verdicts are."""
    truth, probabilities = rows["truth"], rows["text"]
    given = probabilities.argmax(axis=1)
    likelihood = probabilities[np.arange(len(truth)), truth]
    error = expected_calibration_error(probabilities.max(axis=1), given == truth)
    figures = {
        "evidence_found": rows["found"].mean(),
        "evidence_read": rows["read"].mean(),
        "passages": rows["passages"].mean(),
        "right": (given == truth).mean(),
        "decided": (given != OPEN).mean(),
        "decided_wrongly": ((given != OPEN) & (given != truth)).mean(),
        "negative_log_likelihood": -np.log(likelihood).mean(),
        "calibration_error": error,
    }
    return {name: round(float(value), 3) for name, value in figures.items()}


def joined(parts: Sequence[Rows]) -> Rows:
    """The rows of several sources as one."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def main() -> None:
    """Measure and write the results."""
    from sklearn.metrics import roc_auc_score

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with text/")
    parser.add_argument("--work", type=Path, required=True, help="where indices go")
    parser.add_argument("--config", type=Path, default=Path("configs/relevance.yaml"))
    parser.add_argument("--claims", type=int, default=100, help="claims of each source")
    parser.add_argument("--texts", type=int, default=700, help="evidence of a source in an index")
    parser.add_argument("--out", type=Path, default=Path("data/results/found-evidence.json"))
    arguments = parser.parse_args()
    settings = read_yaml(arguments.config, RelevanceTraining)
    rows = read_text_relations([arguments.data / "text" / "train.jsonl.gz"])
    shares = split_texts(rows, settings.shares, settings.loose)
    checker = FactChecker.load(cache=arguments.work / "encodings.sqlite", precision="auto")
    config = checker.checkpoint.config
    ways = {
        way: Reading(encoders, config.passages, config.head.passages)
        for way, encoders in (
            ("all_that_was_found", without_bearing(checker.encoders)),
            ("what_bears_on_the_claim", checker.encoders),
        )
    }
    indices, held, sizes = {}, set(), {}
    for name, share in (("held", "test"), ("not_held", "val")):
        documents = corpus(shares[share], arguments.texts)
        if name == "held":
            held = {normalise(document.text) for document in documents}
        folder = arguments.work / f"{share}.index"
        indices[name] = EvidenceIndex.build(documents, folder, checker.encoders, overwrite=True)
        sizes[name] = {"documents": len(documents), "passages": len(indices[name])}
        tell(f"{share}: {sizes[name]}")
    sources = {**SOURCES, **NOT_TRAINED_ON}
    collected: dict[tuple[str, str, str], Rows] = {}
    for source, members in sources.items():
        said = relations_of(shares["test"], members)
        known = sorted(claim for claim, own in said.items() if held & own.keys())
        claims = Random(0).sample(known, min(arguments.claims, len(known)))
        for (name, index), (way, reading) in itertools.product(indices.items(), ways.items()):
            rows = verdicts(checker.checkpoint, reading, index, claims, said)
            # Evidence that is found and not read is found all the same.
            whole = collected.get((name, next(iter(ways)), source), rows)
            rows |= {"truth": whole["truth"], "found": whole["read"]}
            collected[name, way, source] = rows
            tell(f"{source:14} {name:8} {way:24} {measures(rows)}")
    results: dict[str, Any] = {"indices": sizes}
    for name, way in itertools.product(indices, ways):
        own = {source: collected[name, way, source] for source in sources}
        own["all"] = joined(list(own.values()))
        results.setdefault(name, {})[way] = {key: measures(rows) for key, rows in own.items()}
        tell(f"{name} {way}: {results[name][way]['all']}")
    told = [collected[name, "what_bears_on_the_claim", s] for name in indices for s in sources]
    both = joined(told)
    results["claims"] = len(both["truth"]) // 2
    results["roc_auc_of_bearing"] = round(float(roc_auc_score(both["found"], both["bearing"])), 3)
    results["mean_bearing"] = {
        name: round(float(both["bearing"][rows].mean()), 3)
        for name, rows in (("evidence_found", both["found"]), ("none_found", ~both["found"]))
    }
    tell(str({key: results[key] for key in ("roc_auc_of_bearing", "mean_bearing")}))
    data = {"texts": "text/train.jsonl.gz", "fitted_on": ", ".join(SOURCES)}
    write_results(arguments.out, {**origin(data), **results})


if __name__ == "__main__":
    main()
