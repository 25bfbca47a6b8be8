"""Draw the training curves of the image encoder, its runs one after another.

python scripts/draw_training_curves.py data/results/image-encoder-log.csv ...
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import pandas as pd

mpl.use("svg")
import matplotlib.pyplot as plt

COLOURS = {"pooled": "#c8501e", "tokens": "#0b5fa5"}


def joined(logs: list[Path]) -> tuple[pd.DataFrame, list[int]]:
    """All logs as one, steps counted on, and where each but the first begins."""
    parts, starts, done = [], [], 0
    for path in logs:
        part = pd.read_csv(path)
        part["step"] += done
        done = int(part["step"].max())
        parts.append(part)
        starts.append(done)
    return pd.concat(parts, ignore_index=True), starts[:-1]


def draw(log: pd.DataFrame, starts: list[int], path: Path) -> None:
    """Losses on the left, copy detection on validation photographs on the right."""
    plt.rcParams.update({"font.size": 9, "svg.hashsalt": "0", "axes.spines.top": False})
    plt.rcParams["axes.spines.right"] = False
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
    for name, label in (("contrast", "pooled"), ("match", "tokens")):
        smooth = log[name].ewm(span=8).mean()
        left.plot(log["step"], smooth, color=COLOURS[label], label=f"contrast of {label}")
    left.plot(log["step"], log["meaning"], color="#777777", label="distance to the teacher")
    left.set(xlabel="step", ylabel="loss", yscale="log")
    measured = log.dropna(subset=["auc_pooled"])
    for label, colour in COLOURS.items():
        errors = 1 - measured[f"auc_{label}"]
        right.plot(measured["step"], errors, "o-", color=colour, markersize=3, label=label)
    right.set(xlabel="step", ylabel="1 - ROC AUC, validation", yscale="log")
    for axis in (left, right):
        for start in starts:
            axis.axvline(start, color="#bbbbbb", linewidth=0.8, linestyle=":")
        axis.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Read the logs and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", nargs="+", type=Path)
    parser.add_argument(
        "--picture", type=Path, default=Path("data/results/image-encoder-curves.svg")
    )
    arguments = parser.parse_args()
    draw(*joined(arguments.logs), arguments.picture)


if __name__ == "__main__":
    main()
