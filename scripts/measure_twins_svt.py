"""Measure our Twins-SVT against timm's: same weights, same inputs, in one run.

    python scripts/measure_twins_svt.py

Ratios are medians over pairs of runs, one of each side by side, their order changing from pair to
pair. Weights are random: neither speed nor agreement depends on their being trained.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from results import origin, write_results
from torch import nn

from factcheck.encoders.precision import has_bfloat16
from factcheck.encoders.twins_svt import TwinsSVT, TwinsSVTOutput
from factcheck.encoders.twins_svt_compile import compile_for_inference
from factcheck.encoders.twins_svt_cost import network_cost

VARIANT = "twins_svt_small"
SIDES = (224, 448, 896)
PARITY_SIZES = ((224, 224), (256, 320), (97, 131))


def networks() -> tuple[nn.Module, TwinsSVT]:
    """The network of timm, and ours with its weights."""
    torch.manual_seed(0)
    reference = timm.create_model(VARIANT, pretrained=False, num_classes=0).eval()
    return reference, TwinsSVT.from_timm(reference).eval()


def paired(
    reference: Callable[[], object], ours: Callable[[], object], pairs: int
) -> dict[str, float]:
    """Median ratio of the reference's time to ours, and both medians in seconds."""

    def timed(run: Callable[[], object]) -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    order = random.Random(0)
    times: list[tuple[float, float]] = []
    for number in range(pairs + 2):
        if order.random() < 0.5:
            theirs, own = timed(reference), timed(ours)
        else:
            own, theirs = timed(ours), timed(reference)
        if number >= 2:
            times.append((theirs, own))
    ratios = sorted(theirs / own for theirs, own in times)
    return {
        "ratio": round(statistics.median(ratios), 3),
        "quarter_to_three_quarters": [
            round(ratios[len(ratios) // 4], 3),
            round(ratios[len(ratios) * 3 // 4], 3),
        ],
        "timm_seconds": round(statistics.median(theirs for theirs, _ in times), 4),
        "our_seconds": round(statistics.median(own for _, own in times), 4),
        "pairs": pairs,
    }


@torch.inference_mode()
def parity() -> dict[str, Any]:
    """Largest absolute difference to timm in float32, and the cosine of bfloat16 to float32."""
    found: dict[str, Any] = {}
    for variant in ("small", "base", "large"):
        torch.manual_seed(0)
        reference = timm.create_model(f"twins_svt_{variant}", num_classes=0).eval()
        ours = TwinsSVT.from_timm(reference).eval()
        for height, width in PARITY_SIZES:
            images = torch.randn(1, 3, height, width)
            tokens, pooled = ours(images)
            found[f"{variant}, {height} x {width}"] = {
                "tokens": float((tokens - reference.forward_features(images)).abs().max()),
                "pooled": float((pooled - reference(images)).abs().max()),
            }
    _, ours = networks()
    images = torch.randn(4, 3, 224, 224)
    exact = ours(images)
    found["bfloat16, least cosine"] = least_cosine(ours.bfloat16()(images.bfloat16()), exact)
    return found


def least_cosine(coarse: TwinsSVTOutput, exact: TwinsSVTOutput) -> dict[str, float]:
    """The least cosine of tokens and of pooled vectors."""
    return {
        name: round(float(nn.functional.cosine_similarity(one.float(), other, dim=-1).min()), 5)
        for name, one, other in zip(TwinsSVTOutput._fields, coarse, exact, strict=True)
    }


@torch.no_grad()
def processor() -> dict[str, Any]:
    """Throughput at 224 pixels, batches of 1 and 16, against timm's float32 run eagerly."""
    reference, ours = networks()
    coarse = TwinsSVT.from_timm(reference).eval().bfloat16()
    bfloat16 = has_bfloat16(torch.device("cpu"))
    result: dict[str, Any] = {"threads": torch.get_num_threads(), "has_bfloat16": bfloat16}
    for batch, pairs in ((1, 41), (16, 15)):
        images = torch.randn(batch, 3, 224, 224)
        result[f"float32, batch {batch}"] = paired(
            lambda images=images: reference(images), lambda images=images: ours(images), pairs
        )
        if not bfloat16:
            continue
        # Each batch size anew: what has seen two is compiled for any.
        torch.compiler.reset()
        compiled = compile_for_inference(coarse)
        for name, network in (("bfloat16", coarse), ("compiled bfloat16", compiled)):
            result[f"{name} against timm's float32, batch {batch}"] = {
                **paired(
                    lambda images=images: reference(images),
                    lambda images=images, network=network: network(images.bfloat16()),
                    pairs,
                ),
                "least_cosine": least_cosine(network(images.bfloat16()), ours(images)),
            }
    return result


@torch.inference_mode()
def growth() -> dict[str, Any]:
    """Time from 224 to 896 pixels against the formula's multiply-adds."""
    reference, ours = networks()
    result: dict[str, Any] = {}
    images = {side: torch.randn(1, 3, side, side) for side in SIDES}
    for side in SIDES:
        result[f"{side}"] = {
            "multiply_adds": network_cost(side, side),
            **paired(
                lambda side=side: reference(images[side]), lambda side=side: ours(images[side]), 7
            ),
        }
    first, last = result[f"{SIDES[0]}"], result[f"{SIDES[-1]}"]
    result["growth"] = {
        "formula": round(last["multiply_adds"] / first["multiply_adds"], 2),
        "ours": round(last["our_seconds"] / first["our_seconds"], 2),
        "timm": round(last["timm_seconds"] / first["timm_seconds"], 2),
    }
    return result


@torch.inference_mode()
def peak_memory(which: str) -> dict[str, float]:
    """Peak resident memory of one forward pass at 896 pixels, less what was there before."""
    reference, ours = networks()
    network = ours if which == "ours" else reference
    network(torch.zeros(1, 3, 64, 64))
    del reference, ours
    # What the process, or the one it came from, once held must not count: start the peak anew.
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    network(torch.zeros(1, 3, SIDES[-1], SIDES[-1]))
    return {"mib": round((resident("VmHWM") - before) / 1024, 1)}


def resident(field: str) -> int:
    """KiB of this process's memory: VmRSS for now, VmHWM for its peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {field}")


def graphics_card() -> dict[str, Any]:
    """Throughput of both under the same autocast at batch 64, and the card's limit."""
    device = torch.device("cuda")
    reference, ours = (network.to(device) for network in networks())
    images = torch.randn(64, 3, 224, 224, device=device)

    def run(network: nn.Module) -> Callable[[], None]:
        def forward() -> None:
            with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
                network(images)
            torch.cuda.synchronize()

        return forward

    result: dict[str, Any] = {"card": torch.cuda.get_device_name()}
    result["bfloat16 autocast, batch 64"] = paired(run(reference), run(ours), 41)
    left = torch.randn(8192, 8192, device=device, dtype=torch.bfloat16)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        left @ left
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    product = 2 * 8192**3 / statistics.median(times)
    achieved = 2 * 64 * network_cost(224, 224)
    achieved /= result["bfloat16 autocast, batch 64"]["our_seconds"]
    result["matrix_product_flops"] = product
    result["achieved_flops"] = achieved
    result["share_of_matrix_product"] = round(achieved / product, 3)
    return result


def main() -> None:
    """Measure every part and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peak", choices=("ours", "timm"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("data/results/twins-svt-speed.json"))
    arguments = parser.parse_args()
    if arguments.peak:
        sys.stdout.write(json.dumps(peak_memory(arguments.peak)))
        return
    results: dict[str, Any] = {"parity": parity(), "cpu, 224 px": processor(), "sides": growth()}
    results["peak memory, 896 px"] = {
        which: json.loads(
            subprocess.run(
                [sys.executable, __file__, "--peak", which],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )["mib"]
        for which in ("timm", "ours")
    }
    if torch.cuda.is_available():
        results["gpu, 224 px"] = graphics_card()
    data = {"images": "random numbers, seed 0", "weights": f"{VARIANT}, random, seed 0"}
    write_results(arguments.out, {**origin(data), **results})
    json.dump(results, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
