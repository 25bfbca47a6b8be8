"""Composing a data set in Factify 2's format from text pairs and photographs.

Text pairs with a known relation meet photographs edited as they are when people re-post them, so
both factors of every label are known. The folder reads like Factify 2 (`factify2.read_factify2`),
but no path and no address in it tells a label.
"""

import csv
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import PIL

from factcheck.datasets.compose_pictures import Picture, Progress, make_pictures, open_photograph
from factcheck.datasets.compose_plan import PlannedRow, PlannedSide, plan_split
from factcheck.datasets.compose_settings import ComposeSettings
from factcheck.datasets.compose_texts import choose_texts
from factcheck.datasets.photographs import Photograph, list_photographs
from factcheck.datasets.text_relations import read_text_relations
from factcheck.errors import RunError, UsageError

COLUMNS = (
    "claim",
    "claim_image",
    "document",
    "document_image",
    "Category",
    "Claim OCR",
    "Document OCR",
)

_README = """\
# A composed data set

Made by `factcheck` in the format of Factify 2 (arXiv:2304.03897), which it is no part of. Claims
and documents are from public text pairs, pictures are edited copies of public photographs; their
licences are those of their sources, some of which forbid commercial use. `manifest.json` says what
it was made from, `provenance-{split}.jsonl` where each row is from. The addresses in the table lead
nowhere.
"""


@dataclass(frozen=True)
class Composed:
    """What was composed.

    Attributes:
        folder: Where it lies.
        labels: Rows of each split and label.
        relations: Rows of each split, text source and text relation.
    """

    folder: Path
    labels: dict[str, dict[str, int]]
    relations: dict[str, dict[str, dict[str, int]]]


def compose(
    settings: ComposeSettings, data: Path, out: Path, on_progress: Progress | None = None
) -> Composed:
    """Compose a data set. The same settings and data give the same bytes, however many workers.

    Args:
        settings: What to compose.
        data: The folder that the paths in `settings` are relative to.
        out: The folder to make; it appears when all is done, and not at all when something fails.
        on_progress: Told of every few pictures.

    Returns:
        What was composed.

    Raises:
        UsageError: `out` exists and is not an empty folder.
        MissingResourceError: A file or folder of `settings` is missing.
        InvalidInputError: A text row is wrong, a photograph is damaged, or the texts or
            photographs do not suffice for the rows wanted.
        RunError: The disk is full or a worker process died.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: exists already and is not an empty folder")
    texts = choose_texts(settings, read_text_relations([data / path for path in settings.text]))
    photographs = list_photographs([data / folder for folder in settings.photographs])
    plan = {
        split: plan_split(
            settings, split, pairs, _within(settings, split, photographs), open_photograph
        )
        for split, pairs in texts.items()
    }
    composed = Composed(out, *_count(plan))
    try:
        with _appearing(out) as folder:
            pictures = [
                picture
                for split, rows in plan.items()
                for picture in _pictures(settings, folder, split, rows)
            ]
            for split, rows in plan.items():
                for side in ("claim", "document"):
                    (folder / f"images-{split}" / side).mkdir(parents=True)
                _write_table(settings, folder / f"{split}.csv", split, rows)
                _write_provenance(folder / f"provenance-{split}.jsonl", rows)
            make_pictures(pictures, settings.workers, on_progress)
            (folder / "README.md").write_text(_README, encoding="utf-8")
            manifest = _manifest(settings, data, photographs, composed)
            (folder / "manifest.json").write_text(
                json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
            )
    except OSError as error:
        raise RunError(f"{out}: the data set cannot be written ({error})") from error
    except BrokenProcessPool as error:
        raise RunError(f"{out}: a process that makes pictures died ({error})") from error
    return composed


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place in the end, or vanishes on any error or Ctrl-C."""
    partial = out.parent / f".{out.name}.partial-{os.getpid()}"
    partial.mkdir(parents=True)
    try:
        yield partial
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _within(
    settings: ComposeSettings, split: str, photographs: Sequence[Photograph]
) -> list[Photograph]:
    low, high = settings.photograph_shares.by_split()[split]
    return [photograph for photograph in photographs if low <= photograph.share < high]


def _pictures(
    settings: ComposeSettings, folder: Path, split: str, rows: Sequence[PlannedRow]
) -> Iterator[Picture]:
    for row in rows:
        for name, side in (("claim", row.claim), ("document", row.document)):
            if side.photograph is not None:
                yield Picture(
                    source=side.photograph.path,
                    target=folder / f"images-{split}" / name / f"{row.index}.jpg",
                    heavy=side.heavy,
                    caption=side.caption,
                    seed=f"{settings.seed}/{split}/{row.index}/{name}",
                    long_side=settings.long_side,
                    quality=settings.quality,
                )


def _address(settings: ComposeSettings, split: str, row: PlannedRow, name: str) -> str:
    # Of row and side, not of the photograph: equal addresses would tell equal pictures.
    key = f"{settings.seed}/{split}/{row.index}/{name}"
    return f"composed://photo/{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _write_table(
    settings: ComposeSettings, path: Path, split: str, rows: Sequence[PlannedRow]
) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(("", *COLUMNS))
        for row in rows:
            writer.writerow(
                (
                    row.index,
                    row.text.claim,
                    _address(settings, split, row, "claim"),
                    row.text.document,
                    _address(settings, split, row, "document"),
                    row.label,
                    row.claim.caption or "",
                    row.document.caption or "",
                )
            )


def _write_provenance(path: Path, rows: Sequence[PlannedRow]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            line = {
                "index": row.index,
                "source": row.text.source,
                "text_id": row.text.text_id,
                "relation": row.text.relation,
                "same_picture": row.same_picture,
                "claim_photo": row.claim.photograph and row.claim.photograph.sha256,
                "document_photo": row.document.photograph and row.document.photograph.sha256,
                "edits": {
                    "claim": _edits(row.claim),
                    "document": _edits(row.document),
                    "fillers": row.text.fillers,
                },
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _edits(side: PlannedSide) -> list[str]:
    if side.photograph is None:
        return []
    return ["heavy" if side.heavy else "light"] + ["caption"] * (side.caption is not None)


def _count(
    plan: dict[str, list[PlannedRow]],
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, dict[str, int]]]]:
    labels = {
        split: dict(sorted(Counter(str(row.label) for row in rows).items()))
        for split, rows in plan.items()
    }
    relations: dict[str, dict[str, dict[str, int]]] = {}
    for split, rows in plan.items():
        pairs = Counter((row.text.source, str(row.text.relation)) for row in rows)
        of_split = relations.setdefault(split, {})
        for (source, relation), count in sorted(pairs.items()):
            of_split.setdefault(source, {})[relation] = count
    return labels, relations


def _manifest(
    settings: ComposeSettings, data: Path, photographs: Sequence[Photograph], composed: Composed
) -> dict[str, object]:
    """What the folder was made from. Nothing in it differs between machines or worker counts."""
    contents = hashlib.sha256("\n".join(photo.sha256 for photo in photographs).encode())
    return {
        "description": "Composed in the format of Factify 2; no part of Factify 2",
        "settings": settings.model_dump(mode="json", exclude={"workers"}),
        "seed": settings.seed,
        "labels": composed.labels,
        "relations": composed.relations,
        "sha256": {
            "text": {
                path.as_posix(): hashlib.sha256((data / path).read_bytes()).hexdigest()
                for path in settings.text
            },
            "photographs": {"count": len(photographs), "of_sha256s": contents.hexdigest()},
        },
        "pillow": PIL.__version__,
    }
