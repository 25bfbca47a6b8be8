"""What a search by picture alone finds: the photograph itself, edited, and none that is not there.

    python scripts/measure_picture_search.py --data DATA --work build/picture-search

Photographs that training has not seen (share 0.75 to 1): 2,500 are indexed, 500 of these are edited
(`datasets.photo_edits`) and looked for, and so are the others, which the index does not have. Told
is how often the photograph itself is found first and among the first five, and how often hits that
show it, and hits that do not, are said to show the same picture (`Hit.picture`).
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image
from results import origin, write_results

from factcheck.datasets.photo_edits import heavy_copy, light_copy
from factcheck.datasets.photographs import list_photographs
from factcheck.encoders import Encoders
from factcheck.records import Claim, Document
from factcheck.retrieval import EvidenceIndex, Hit
from factcheck.settings import SearchSettings

EDITS: dict[str, Callable[[Image.Image, Random], Image.Image]] = {
    "light": light_copy,
    "heavy": heavy_copy,
}
HITS = 10


def edited(paths: Sequence[Path], name: str, folder: Path) -> list[Claim]:
    """Claims that are edited copies of photographs."""
    folder.mkdir(parents=True, exist_ok=True)
    claims = []
    for number, path in enumerate(paths):
        with Image.open(path) as opened:
            copy = EDITS[name](opened.convert("RGB"), Random(f"{name}/{number}"))
        copy.save(folder / f"{number}.png")
        claims.append(Claim("", folder / f"{number}.png"))
    return claims


def judged(hits: Sequence[Hit], own: str | None) -> dict[str, Any]:
    """What was found for one picture, and what is said of it."""
    names = [hit.document_id for hit in hits]
    said = {hit.document_id: hit.picture.same for hit in hits if hit.picture is not None}
    return {
        "first": names[:1] == [own],
        "among five": own in names[:5],
        "found": own in names,
        "said the same": said.get(own or "") is True,
        "said another": said.get(own or "") is False,
        "others said the same": [name for name, same in said.items() if same and name != own],
        "not told": sum(same is None for same in said.values()),
    }


def summary(judgements: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Parts of the queries, and the photographs that were taken for another."""

    def part(name: str) -> float:
        return round(sum(bool(one[name]) for one in judgements) / len(judgements), 4)

    wrong = [one["others said the same"] for one in judgements if one["others said the same"]]
    return {
        "queries": len(judgements),
        "R@1": part("first"),
        "R@5": part("among five"),
        f"found among {HITS}": part("found"),
        "of all: found and said to be the same": part("said the same"),
        "of all: found and said to be another": part("said another"),
        "queries with another one said to be the same": len(wrong),
        "hits of which it cannot be told": sum(one["not told"] for one in judgements),
    }


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with photos/")
    parser.add_argument("--work", type=Path, required=True, help="where index and copies go")
    parser.add_argument("--pictures", type=int, default=2500, help="photographs in the index")
    parser.add_argument("--queries", type=int, default=500, help="of these are looked for")
    parser.add_argument("--out", type=Path, default=Path("data/results/picture-search.json"))
    arguments = parser.parse_args()
    encoders = Encoders.load()
    folders = [arguments.data / "photos" / name for name in ("newsimages", "visual7w")]
    unseen = [one.path for one in list_photographs(folders) if one.share >= 0.75]
    Random(0).shuffle(unseen)
    known, strange = unseen[: arguments.pictures], unseen[arguments.pictures :]
    documents = [Document(path.stem, f"Photograph {path.stem}.", image=path) for path in known]
    arguments.work.mkdir(parents=True, exist_ok=True)
    index = EvidenceIndex.build(
        documents, arguments.work / "photographs.index", encoders, overwrite=True
    )
    how = SearchSettings(channels=("image",), rerank=0, distinct=False)
    results: dict[str, Any] = {"pictures": len(known)}
    asked = known[: arguments.queries]
    for name in EDITS:
        for kind, paths in (("of the index", asked), ("of others", strange)):
            if not paths:
                continue
            claims = edited(paths, name, arguments.work / f"{name} {kind}")
            found = index.search_many(claims, HITS, how)
            judgements = [
                judged(hits, path.stem if kind == "of the index" else None)
                for hits, path in zip(found, paths, strict=True)
            ]
            results[f"{name} copies {kind}"] = summary(judgements)
            shown = json.dumps(results[f"{name} copies {kind}"])
            sys.stdout.write(f"{name} copies {kind}: {shown}\n")
            sys.stdout.flush()
    write_results(arguments.out, {**origin({"photographs": "share 0.75 to 1"}), **results})


if __name__ == "__main__":
    main()
