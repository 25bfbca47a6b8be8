"""A small data set in Factify 2's format that a head can learn, made from a few words."""

import csv
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

from factcheck.records import LABELS, Label, label_of, text_relation_of

_WHO = ("The mayor", "A nurse", "The pilot", "Our teacher", "The baker", "A farmer", "The judge")
_DID = ("opened", "painted", "sold", "repaired", "photographed", "visited", "measured")
_WHAT = ("the bridge", "a lighthouse", "the market hall", "an old ship", "the tower", "a windmill")
_WHEN = ("on Monday", "in March", "last winter", "in 1998", "before the storm", "at noon")


def write_factify2_folder(folder: Path, photographs: list[Path], rows: dict[str, int]) -> Path:
    """Write splits whose relation shows in the words: repeated, negated, or about something else.

    A picture on both sides is the same file, or two different ones.
    """
    rng = Random(0)
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in rows.items():
        lines = [
            "\tclaim\tclaim_image\tdocument\tdocument_image\tCategory\tClaim OCR\tDocument OCR"
        ]
        provenance = []
        for index in range(count):
            label = LABELS[index % len(LABELS)]
            same = rng.random() < 0.5 if label is Label.REFUTE else "Multimodal" in label
            relation = text_relation_of(label)
            who, did, what, when = (rng.choice(words) for words in (_WHO, _DID, _WHAT, _WHEN))
            claim = f"{who} {did} {what} {when}."
            if relation == "support":
                document = f"It was reported that {who.lower()} {did} {what} {when}. More followed."
            elif relation == "refute":
                document = f"{who} never {did} {what} {when}. The report was false, it was said."
            else:
                document = f"Rain is expected in the valley {when}. Roads may be closed."
            pictures = rng.sample(photographs, k=2)
            for side, picture in (("claim", pictures[0]), ("document", pictures[0 if same else 1])):
                place = folder / f"images-{split}" / side
                place = place / label if split != "test" else place
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{index}{picture.suffix}").write_bytes(picture.read_bytes())
            ocr = "a caption" if index % 3 == 0 else ""
            lines.append(f"{index}\t{claim}\t\t{document}\t\t{label}\t{ocr}\t")
            provenance.append({"index": index, "same_picture": same, "source": "tests"})
            assert label_of(relation, same) is label
        (folder / f"{split}.csv").write_text("\n".join(lines) + "\n")
        (folder / f"provenance-{split}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in provenance)
        )
    return folder


def _rows(folder: Path) -> list[list[str]]:
    with (folder / "val.csv").open(newline="") as file:
        return list(csv.reader(file, delimiter="\t"))


def _write_rows(folder: Path, rows: list[list[str]], delimiter: str = "\t") -> None:
    with (folder / "val.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def _comma(folder: Path) -> None:
    _write_rows(folder, _rows(folder), ",")


def _spelling(folder: Path) -> None:
    header, *rows = _rows(folder)
    _write_rows(folder, [[name.lower().replace(" ", "_") for name in header], *rows])


def _no_category(folder: Path) -> None:
    rows = _rows(folder)
    place = rows[0].index("Category")
    _write_rows(folder, [row[:place] + row[place + 1 :] for row in rows])


def _flat(folder: Path) -> None:
    for path in sorted((folder / "images-val").glob("*/*/*.*")):
        path.rename(path.parent.parent / path.name)


def _zipped(folder: Path) -> None:
    with zipfile.ZipFile(folder / "images-val.zip", "w") as archive:
        for path in sorted((folder / "images-val").rglob("*.*")):
            archive.write(path, path.relative_to(folder))
    shutil.rmtree(folder / "images-val")


def _zipped_flat(folder: Path) -> None:
    _flat(folder)
    _zipped(folder)


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "commas": _comma,
    "spelling": _spelling,
    "flat": _flat,
    "zipped": _zipped,
    "zipped and flat": _zipped_flat,
    "no Category": _no_category,
}
"""What turns the split `val` of a folder with class folders and tabs into another layout."""
