"""Fit anew what a search makes of relevance, without training relevance itself.

    python scripts/fit_reranking.py --data DATA --work build/reranking

`factcheck train configs/relevance.yaml` ends with the same: the weights of reranking and what tells
whether hits bear on a claim, fitted on validation claims, and how well each half of these does by
the other's. Here it is done for what ships, as it is needed when claims are searched with another
vector. The result says what ships, too, which was fitted by the same functions in float32 and so
is not the same to the last digits. Indices and readings that are in the folder already are not made
again.
"""

import argparse
from pathlib import Path

from measure_retrieval import tell
from results import origin, write_results

from factcheck.encoders import EMBEDDED_RELATION, Encoders, EncodingCache
from factcheck.settings import read_yaml
from factcheck.training.claim_sources import index_sources
from factcheck.training.reranking import fit_reranking, read_validation_claims, validation_claims
from factcheck.training_settings import RelevanceTraining


def main() -> None:
    """Fit and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with text/")
    parser.add_argument("--work", type=Path, required=True, help="where indices go")
    parser.add_argument("--config", type=Path, default=Path("configs/relevance.yaml"))
    parser.add_argument("--out", type=Path, default=Path("data/results/reranking-metrics.json"))
    arguments = parser.parse_args()
    settings = read_yaml(arguments.config, RelevanceTraining)
    folder = arguments.work / "indices"
    built = folder / "built"
    arguments.work.mkdir(parents=True, exist_ok=True)
    cache = EncodingCache(arguments.work / "encodings.sqlite")
    encoders = Encoders.load(relation=EMBEDDED_RELATION, cache=cache, precision="auto")
    sources = index_sources(
        settings, arguments.data, folder, encoders, not built.exists(), lambda *_: None
    )
    built.touch()
    asked = validation_claims(settings, sources)
    tell(f"{sum(map(len, asked.values()))} claims of {len(sources)} sources")
    read = read_validation_claims(asked, sources, encoders, lambda *_: None)
    pools = {name: source.read.pool for name, source in sources.items()}
    _, _, metrics = fit_reranking(read, pools, settings.held, encoders.search_sha256)
    relation = encoders.relation
    ships = None if relation is None or relation.relevance is None else relation.relevance.config
    results = {**metrics, "ships": None if ships is None else ships.model_dump()}
    tell(str(results))
    data = {"texts": ", ".join(map(str, settings.text)), "split": settings.weighed_on}
    write_results(arguments.out, {**origin(data), **results})


if __name__ == "__main__":
    main()
