"""Makes the pictures of the demo corpus: `python scripts/draw_demo_images.py --out data/demo`.

Charts, diagrams and maps are drawn; photographs are taken from scikit-image and matplotlib; copies
for the claims are edited from both. A second run writes the same bytes (with the same Pillow).
"""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from demo_images.canvas import write_atomically
from demo_images.charts import CHARTS
from demo_images.diagrams import DIAGRAMS
from demo_images.maps import MAPS
from demo_images.photographs import PackageMissingError, export_photographs
from demo_images.reposts import write_reposts

DRAWINGS = {**CHARTS, **DIAGRAMS, **MAPS}


def drawn_text(name: str) -> str:
    """The text that a drawing carries, for the `ocr` field of its document.

    Args:
        name: Name of the drawing, without folder and suffix.

    Returns:
        Its text in drawing order.
    """
    return " ".join(DRAWINGS[name]().words)


def write_drawings(out: Path) -> list[Path]:
    """Writes every drawing as a PNG.

    Args:
        out: The demo folder.

    Returns:
        The files written.
    """
    written = []
    for name, draw in DRAWINGS.items():
        buffer = io.BytesIO()
        draw().finish().save(buffer, "PNG", optimize=True)
        path = out / "images" / f"{name}.png"
        write_atomically(path, buffer.getvalue())
        written.append(path)
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: Command line without the program's name; None takes that of the process.

    Returns:
        Exit status: 0, or 1 when a package with photographs is missing.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("data/demo"), help="the demo folder")
    parser.add_argument(
        "--skip-photographs",
        action="store_true",
        help="keep the photographs that are there, so that Pillow alone is enough",
    )
    options = parser.parse_args(arguments)
    written = write_drawings(options.out)
    if not options.skip_photographs:
        try:
            written += export_photographs(options.out)
        except PackageMissingError as error:
            print(error, file=sys.stderr)
            return 1
    written += write_reposts(options.out)
    size = sum(path.stat().st_size for path in written)
    print(f"{len(written)} pictures, {size / 1024:.0f} kB, in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
