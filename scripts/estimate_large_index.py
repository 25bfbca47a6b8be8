"""What 100 million passages take: machines, hours, disk and FAISS type, from measured rates.

    python scripts/estimate_large_index.py

Reads what `scripts/measure_index_growth.py` measured on one machine and carries it over: encoding
and writing by passages a second, disk and what must stay in memory by bytes a passage, and a
search by segments, since a query asks every segment of an index and fuses what they find. The
passages are shared out evenly over as many machines as keep a query within a second; each machine
holds an index of its own, and whoever asks merges the answers by score.
"""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from results import write_results

from factcheck.retrieval.approximate import factory_for
from factcheck.retrieval.segment_plan import PASSAGES_AT_MOST

DIMENSION = 384
DAY_HOURS = 24
LONGEST_QUERY_MS = 1000


def main() -> None:
    """Compute and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measured", type=Path, default=Path("data/results/index-growth.json"))
    parser.add_argument("--passages", type=int, default=100_000_000)
    parser.add_argument("--out", type=Path, default=Path("data/results/large-index.json"))
    arguments = parser.parse_args()
    measured = json.loads(arguments.measured.read_text())
    parts = measured["parts"]
    sizes = sorted(int(name.split()[1]) for name in parts if name.startswith("search"))
    largest, real = sizes[-1], sizes[-2]
    building, searching = parts[f"build {largest}"], parts[f"search {largest}"]
    encoding = parts[f"build {real}"]
    count = arguments.passages
    segments = math.ceil(count / PASSAGES_AT_MOST)
    of_largest = math.ceil(largest / PASSAGES_AT_MOST)
    query_ms = searching["fused"]["one_median_ms"] / of_largest
    machines = max(1, math.ceil(segments * query_ms / LONGEST_QUERY_MS))
    # A real build encodes, a synthetic one does all else; a passage costs the former's time.
    hours = count / encoding["passages_per_second"] / 3600
    compute: dict[str, Any] = {
        "passages": count,
        "segments": segments,
        "faiss_type_of_a_segment": factory_for(PASSAGES_AT_MOST, DIMENSION),
        "disk_gib": round(count * searching["bytes"] / largest / 2**30),
        "hours_of_building_on_one_machine": round(hours),
        "hours_of_all_but_encoding": round(count / building["passages_per_second"] / 3600),
        "milliseconds_of_a_query_and_segment": round(query_ms, 2),
        "seconds_of_a_query_on_one_machine": round(segments * query_ms / 1000, 1),
        "machines_for_a_query_within_a_second": machines,
        "passages_of_each_machine": math.ceil(count / machines),
        "disk_gib_of_each_machine": round(count * searching["bytes"] / largest / machines / 2**30),
        "hours_of_building_on_these": round(hours / machines, 1),
        "machines_to_build_in_a_day": math.ceil(hours / DAY_HOURS),
    }
    origin = {key: measured[key] for key in ("machine", "commit", "uncommitted_changes")}
    results = {"computed_from": str(arguments.measured), "measured_on": origin, **compute}
    write_results(arguments.out, results)
    json.dump(results, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
