"""Sweep windows and sub-windows per stage and the side of the input; draw time against the formula.

    python scripts/sweep_sub_windows.py

For each stage of the small variant, LSA and GSA with k = window = sub-window are timed for every
k, at several input sides, and set against the paper's formula (arXiv:2104.13840, section 3.3).
Then the whole network, ours and timm's, from 112 to 896 pixels, against its multiply-adds.
"""

import argparse
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
import timm
import torch
from results import origin, write_results

from factcheck.encoders.twins_svt import TwinsSVT
from factcheck.encoders.twins_svt_cost import StageCalibration, calibrate, network_cost

mpl.use("svg")
import matplotlib.pyplot as plt

SIDES = (112, 168, 224, 320, 448, 640, 896)
STAGE_SIDES = (224, 448, 896)
CANDIDATES = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
OURS, TIMM, FORMULA = "#0b5fa5", "#c8501e", "#777777"


@torch.inference_mode()
def whole_networks(rounds: int) -> list[dict[str, float]]:
    """Median seconds of ours and of timm's for one image of each side."""
    torch.manual_seed(0)
    reference = timm.create_model("twins_svt_small", pretrained=False, num_classes=0).eval()
    ours = TwinsSVT.from_timm(reference).eval()
    rows = []
    for side in SIDES:
        images = torch.randn(1, 3, side, side)
        times: dict[str, list[float]] = {"ours": [], "timm": []}
        pair = [("ours", ours), ("timm", reference)]
        for number in range(rounds + 1):
            random.Random(number).shuffle(pair)
            for name, network in pair:
                start = time.perf_counter()
                network(images)
                if number:
                    times[name].append(time.perf_counter() - start)
        rows.append(
            {
                "side": side,
                "multiply_adds": network_cost(side, side),
                **{f"{name}_seconds": statistics.median(found) for name, found in times.items()},
            }
        )
        sys.stderr.write(f"{rows[-1]}\n")
    return rows


def table(stages: list[StageCalibration]) -> list[dict[str, Any]]:
    """The calibration of each stage as it is written to the results."""
    return [
        {
            "stage": stage.stage,
            "map": [stage.height, stage.width],
            "best_k_by_formula": stage.by_formula,
            "best_k_by_measurement": stage.by_measurement,
            "k": {
                k: {"formula": stage.formula[k], "seconds": round(stage.seconds[k], 6)}
                for k in stage.formula
            },
        }
        for stage in stages
    ]


def draw(
    stages: dict[int, list[StageCalibration]], networks: list[dict[str, float]], path: Path
) -> None:
    """One row of panels for the stages at the middle side, one panel for whole networks."""
    side = STAGE_SIDES[0]
    plt.rcParams.update({"font.size": 9, "svg.hashsalt": "0", "axes.spines.top": False})
    plt.rcParams["axes.spines.right"] = False
    figure, axes = plt.subplots(1, 5, figsize=(15, 3.2), layout="constrained")
    for axis, stage in zip(axes, stages[side], strict=False):
        ks = sorted(stage.formula)
        milliseconds = [1000 * stage.seconds[k] for k in ks]
        scale = min(milliseconds) / min(stage.formula.values())
        axis.plot(ks, milliseconds, "o-", color=OURS, label="measured")
        axis.plot(
            ks, [scale * stage.formula[k] for k in ks], "--", color=FORMULA, label="formula, scaled"
        )
        axis.axvline(stage.by_formula, color=FORMULA, linewidth=0.8, linestyle=":")
        axis.set_title(f"stage {stage.stage}, map {stage.height} x {stage.width}")
        axis.set_xlabel("k = window = sub-window")
        axis.set_ylim(0, 3 * max(milliseconds))
    axes[0].set_ylabel(f"ms, LSA + GSA, {side} px")
    axes[0].legend(frameon=False)
    last = axes[-1]
    xs = [row["side"] for row in networks]
    anchor = networks[2]["ours_seconds"] / networks[2]["multiply_adds"]
    for name, colour in (("timm", TIMM), ("ours", OURS)):
        last.plot(xs, [row[f"{name}_seconds"] for row in networks], "o-", color=colour, label=name)
    last.plot(
        xs,
        [anchor * row["multiply_adds"] for row in networks],
        "--",
        color=FORMULA,
        label="formula, from ours at 224",
    )
    last.set(xscale="log", yscale="log", xlabel="side, pixels", ylabel="seconds an image")
    last.set_title("whole network, small, float32")
    last.set_xticks(xs, [str(x) for x in xs], minor=False)
    last.minorticks_off()
    last.legend(frameon=False, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Sweep, write the table and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path("data/results/sub-windows.json"))
    parser.add_argument("--picture", type=Path, default=Path("data/results/sub-windows.svg"))
    arguments = parser.parse_args()
    stages = {
        side: calibrate(side, side, candidates=CANDIDATES, repeats=arguments.rounds)
        for side in STAGE_SIDES
    }
    networks = whole_networks(arguments.rounds)
    data = {"images": "random numbers, seed 0", "weights": "twins_svt_small, random, seed 0"}
    results = {
        "stages": {f"{side} px": table(found) for side, found in stages.items()},
        "networks": networks,
    }
    write_results(arguments.out, {**origin(data), **results})
    draw(stages, networks, arguments.picture)


if __name__ == "__main__":
    main()
