"""Whether text relation encoders see another subject, see a "not", and know how sure they are.

    python scripts/measure_relation_checks.py --data DATA --encoder embedded OTHER

Unrelated: claims of the development texts beside evidence of other claims, drawn at random from the
same source and from all sources, up to 480 characters of it; the share of each relation that text
relation encoders give. Negated: supported claims with their first auxiliary verb negated
(`datasets.claim_edits`), beside their own evidence; of those that the encoder takes for supported
as they were, the share of each relation once they are negated. Development: macro F1 and negative
log-likelihood of the texts as they are, and the temperature that would make the latter least (1 if
probabilities are what they should be); and the same of rows whose evidence stands beside another
claim in the texts that the configuration's encoder was trained on, and of as many of each source
whose evidence does not, for to know one side of a pair may help. Padded: the same of 2,500 of them,
with other texts around their evidence (`datasets.relation_pairs.pad`).
"""

import argparse
import json
import random
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from results import origin, write_results

from factcheck.datasets import TextRelationRow, read_text_relations, split_texts
from factcheck.datasets.claim_edits import negate
from factcheck.datasets.relation_pairs import pad
from factcheck.datasets.text_splits import normalise
from factcheck.encoders import TextEncoder
from factcheck.encoders.relation import RelationEncoder
from factcheck.records import TEXT_RELATIONS, TextRelation
from factcheck.settings import read_yaml
from factcheck.training.distillation import document_probabilities
from factcheck.training.relation_examples import ExampleReader, RelationExample
from factcheck.training.text_relation import relation_scores
from factcheck.training_settings import TextRelationTraining

KINDS = ("unrelated, same source", "unrelated, any source", "negated")
CHARACTERS = 480
PADDED = 2500
# Of fewer pairs a share says nothing.
FEWEST = 20


def unrelated(
    rows: list[TextRelationRow], pool: list[TextRelationRow], count: int, seed: int
) -> list[tuple[str, str]]:
    """Claims of rows beside evidence of the pool that is of another claim."""
    rng = random.Random(seed)
    pairs = []
    for row in rng.sample(rows, min(count, len(rows))):
        other = rng.choice(pool)
        if other.claim != row.claim and other.evidence_text != row.evidence_text:
            pairs.append((row.claim, other.evidence_text[:CHARACTERS]))
    return pairs


def negated(
    rows: list[TextRelationRow], count: int, seed: int
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Supported claims beside their evidence, as they are and negated."""
    rng = random.Random(seed)
    before, after = [], []
    for row in rng.sample(rows, len(rows)):
        claim = negate(row.claim, row.evidence_text, rng)
        if row.relation is TextRelation.SUPPORT and claim is not None and len(before) < count:
            evidence = row.evidence_text[:CHARACTERS]
            before.append((row.claim, evidence))
            after.append((claim, evidence))
    return before, after


def shares_of(given: np.ndarray) -> dict[str, float]:
    """The share of each relation among those that were given."""
    return {
        str(relation): round(float((given == place).mean()), 3) if len(given) else 0.0
        for place, relation in enumerate(TEXT_RELATIONS)
    }


def sureness(rows: list[TextRelationRow], probabilities: np.ndarray) -> dict[str, float]:
    """Scores of an encoder's (N, 3) probabilities, as they are and scaled at best."""
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    truth = np.array([TEXT_RELATIONS.index(row.relation) for row in rows])
    logits = np.log(probabilities.astype(np.float64) + 1e-12)

    def loss(temperature: float) -> float:
        scaled = log_softmax(logits / temperature, axis=1)
        return float(-scaled[np.arange(len(truth)), truth].mean())

    best = minimize_scalar(loss, bounds=(0.2, 5.0), method="bounded")
    scores = relation_scores(rows, probabilities)
    figures = {
        "rows": len(rows),
        "macro_f1": scores["macro_f1"],
        "mean_macro_f1": scores["mean_macro_f1"],
        "negative_log_likelihood": loss(1.0),
        "best_temperature": float(best.x),
        "negative_log_likelihood_at_it": float(best.fun),
    }
    return {name: round(value, 4) for name, value in figures.items()}


def development(
    encoder: RelationEncoder,
    rows: list[TextRelationRow],
    examples: list[RelationExample],
    known: set[str],
) -> dict[str, Any]:
    """`sureness` on all rows, on some whose evidence is known, and on as many others."""
    probabilities = document_probabilities(encoder, examples)
    seen = np.array([normalise(row.evidence_text) in known for row in rows])
    source = np.array([row.source for row in rows])
    rng = np.random.default_rng(0)
    chosen: dict[str, list[int]] = {"evidence trained on": [], "evidence new": []}
    for name in np.unique(source):
        of_it = [np.flatnonzero((source == name) & part) for part in (seen, ~seen)]
        count = min(map(len, of_it))
        for part, own in zip(chosen.values(), of_it, strict=True):
            part.extend(rng.permutation(own)[:count].tolist())
    return {
        "development": sureness(rows, probabilities),
        **{
            f"development, {name}": sureness([rows[i] for i in part], probabilities[part])
            for name, part in chosen.items()
        },
    }


def evidence_trained_on(settings: TextRelationTraining, data: Path) -> set[str]:
    """The evidence, in normal form, of the texts that settings train on."""
    rows = read_text_relations([data / path for path in settings.text])
    loose = {name for source in settings.sources.values() for name in source.loose}
    trained = split_texts(rows, settings.shares, loose)["relation"]
    return {normalise(row.evidence_text) for row in trained}


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds text/")
    parser.add_argument("--encoder", nargs="+", default=["embedded"], help="what to measure")
    parser.add_argument("--config", type=Path, default=Path("configs/text-relation.yaml"))
    parser.add_argument("--pairs", type=int, default=200, help="pairs of each source")
    parser.add_argument("--out", type=Path, default=Path("data/results/relation-checks.json"))
    arguments = parser.parse_args()
    rows = read_text_relations([arguments.data / "text" / "dev.jsonl.gz"])
    by_source: dict[str, list[TextRelationRow]] = defaultdict(list)
    for row in rows:
        by_source[row.source].append(row)
    text = TextEncoder.load()
    settings = read_yaml(arguments.config, TextRelationTraining)
    known = evidence_trained_on(settings, arguments.data)
    reader = ExampleReader(settings, text)
    examples = reader.read(rows)
    changed = [row for row in pad(rows, 1.0, random.Random(0)) if row.id.endswith("+")]
    padded = random.Random(1).sample(changed, min(PADDED, len(changed)))
    padded_examples = reader.read(padded)
    results: dict[str, Any] = {}
    for name in arguments.encoder:
        encoder = RelationEncoder.load(name, text)
        found: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        for source, own in sorted(by_source.items()):
            for kind, pool in (("unrelated, same source", own), ("unrelated, any source", rows)):
                pairs = unrelated(own, pool, arguments.pairs, seed=0)
                given = encoder.encode(pairs).logits.argmax(axis=1)
                found[kind][source] = {"pairs": len(pairs), **shares_of(given)}
            before, after = negated(own, arguments.pairs, seed=0)
            if len(before) < FEWEST:
                continue
            supported = encoder.encode(before).logits.argmax(axis=1) == 0
            given = encoder.encode(after).logits.argmax(axis=1)[supported]
            found["negated"][source] = {"pairs": int(supported.sum()), **shares_of(given)}
        for kind in KINDS:
            found[kind]["mean"] = {
                str(relation): round(
                    float(np.mean([one[str(relation)] for one in found[kind].values()])), 3
                )
                for relation in TEXT_RELATIONS
            }
        sure = {
            **development(encoder, rows, examples, known),
            "padded": sureness(padded, document_probabilities(encoder, padded_examples)),
        }
        results[name] = {"sha256": encoder.sha256, **sure, **found}
        means = {kind: found[kind]["mean"] for kind in KINDS}
        sys.stdout.write(f"{name}: {json.dumps(sure)} {json.dumps(means)}\n")
        sys.stdout.flush()
    data = {"texts": "text/dev.jsonl.gz", "trained on": "text/train.jsonl.gz", "seed": 0}
    write_results(arguments.out, {**origin(data), "encoders": results})


if __name__ == "__main__":
    main()
