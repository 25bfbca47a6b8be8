"""Whether text relation encoders can do what any reader can: see another subject, see a "not".

    python scripts/measure_relation_checks.py --data DATA --encoder embedded OTHER

Unrelated: claims of the development texts beside evidence of other claims, drawn at random from the
same source and from all sources, up to 480 characters of it; the share of each relation that text
relation encoders give. Negated: supported claims with their first auxiliary verb negated
(`datasets.claim_edits`), beside their own evidence; of those that the encoder takes for supported
as they were, the share of each relation once they are negated.
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

from factcheck.datasets import TextRelationRow, read_text_relations
from factcheck.datasets.claim_edits import negate
from factcheck.encoders import TextEncoder
from factcheck.encoders.relation import RelationEncoder
from factcheck.records import TEXT_RELATIONS, TextRelation

KINDS = ("unrelated, same source", "unrelated, any source", "negated")
CHARACTERS = 480
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


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds text/")
    parser.add_argument("--encoder", nargs="+", default=["embedded"], help="what to measure")
    parser.add_argument("--pairs", type=int, default=200, help="pairs of each source")
    parser.add_argument("--out", type=Path, default=Path("data/results/relation-checks.json"))
    arguments = parser.parse_args()
    rows = read_text_relations([arguments.data / "text" / "dev.jsonl.gz"])
    by_source: dict[str, list[TextRelationRow]] = defaultdict(list)
    for row in rows:
        by_source[row.source].append(row)
    text = TextEncoder.load()
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
        results[name] = {"sha256": encoder.sha256, **found}
        means = {kind: found[kind]["mean"] for kind in KINDS}
        sys.stdout.write(f"{name}: {json.dumps(means)}\n")
        sys.stdout.flush()
    data = {"texts": "text/dev.jsonl.gz", "seed": 0}
    write_results(arguments.out, {**origin(data), "encoders": results})


if __name__ == "__main__":
    main()
