"""What every results file says of where it comes from: machine class, commit, data, versions."""

import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "timm", "sentence-transformers", "faiss-cpu", "scikit-learn")

# What a measurement depends on; a change to the documentation does not make it another one.
MEASURED = ("factcheck", "scripts", "configs", "pyproject.toml", "requirements.lock")


def origin(data: dict[str, Any]) -> dict[str, Any]:
    """The origin of a measurement.

    Args:
        data: What the data are and how they were made.
    """
    cores = f"{os.cpu_count()} cores, {_memory_gib()} GiB"
    return {
        "machine": f"{_processor()}, {cores}, {platform.system()}",
        "bfloat16_instructions": _bfloat16_instructions(),
        **_graphics_card(),
        # A copy without its history, on a machine to compute on, is told where it is from.
        "commit": os.environ.get("FACTCHECK_COMMIT") or _git("rev-parse", "HEAD"),
        "uncommitted_changes": _uncommitted_changes(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "data": data,
    }


def write_results(path: Path, results: dict[str, Any]) -> None:
    """Write results as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(results, indent=2) + "\n")
    temporary.replace(path)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _bfloat16_instructions() -> list[str]:
    """What the processor multiplies bfloat16 with: speeds in it depend on that."""
    import torch

    has = torch.cpu.get_capabilities()
    return [name for name in ("amx_bf16", "avx512_bf16", "bf16") if has.get(name)]


def _uncommitted_changes() -> bool | None:
    """Whether there are any in what is measured; None in a copy without its history."""
    if not _git("rev-parse", "HEAD"):
        return None
    return bool(_git("status", "--porcelain", "--untracked-files=all", "--", *MEASURED))


def _graphics_card() -> dict[str, str]:
    import torch

    return {"graphics_card": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}


def _memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _git(*arguments: str) -> str:
    """What git says of this project, wherever the script is started from."""
    root = Path(__file__).resolve().parents[1]
    return subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
    ).stdout.strip()
