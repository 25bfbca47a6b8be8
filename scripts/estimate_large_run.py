"""Memory and hours of configs/factify2-large.yaml on a card of 80 GB, estimated.

    python scripts/estimate_large_run.py

What can be measured without such a card is measured here: which share of this machine's rate in a
large matrix product a training step of either kind attains, in one run, with the small networks
that ship. That share is carried over to the card, whose own rate in a large matrix product is taken
as a stated part of its data sheet's. Operations are counted from the published shapes of the
networks: two for each weight and token forwards, as many again for each of the two gradients, and
the forward pass once more where it is computed again. Memory is weights, gradients and Adam's two
moments in float32, and what a pass keeps.

An estimate, not a measurement: it says whether the run is a matter of hours or of days.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from results import origin, write_results

from factcheck.encoders import Encoders
from factcheck.encoders.image import EMBEDDED_FOLDER, read_image_encoder
from factcheck.encoders.precision import has_bfloat16
from factcheck.encoders.relation import build_relation_network
from factcheck.encoders.twins_svt_cost import network_cost
from factcheck.settings import read_yaml
from factcheck.training_settings import StagedTraining, TrainingSettings

CONFIG = Path("configs/factify2-large.yaml")

# Dense bfloat16 of an H100 SXM by its data sheet, and the part of it that large products attain.
CARD = {"name": "H100 SXM, 80 GB", "operations_per_second": 989e12, "attained_in_products": 0.65}

# DeBERTa-v3-large (arXiv:2111.09543, table 8) and Twins-SVT-L (arXiv:2104.13840, table 7).
TEXT = {"layers": 24, "width": 1024, "hidden": 4096, "frozen_weights": 131e6}
IMAGE = {"dims": (128, 256, 512, 1024), "depths": (2, 2, 18, 2), "weights": 99.2e6, "side": 224}

# Rows of the training split and of both others, and the part whose pictures can be compared.
ROWS = 35_000
HELD = 15_000
COMPARABLE = 0.8
# Word pieces of a claim with a passage of the configuration's length: most are full.
TOKENS_OF_A_PASSAGE = 260
# What a file costs on one core until it is pixels (data/results/image-files.json has the rates).
SECONDS_A_PICTURE = 0.006


def rate(work: Callable[[], Any], operations: float, repeats: int = 7) -> float:
    """Operations a second, the median of several times."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return operations / statistics.median(times)


def product_rate(dtype: torch.dtype) -> float:
    """Operations a second in a large matrix product."""
    size = 2048
    left = torch.randn(size, size, dtype=dtype)
    return rate(lambda: left @ left, 2 * size**3)


def text_rate(dtype: torch.dtype) -> float:
    """Operations a second of a training step of the text relation encoder that ships."""
    network, _ = build_relation_network(Encoders.load().text)
    body = network.body.config
    tokens = {
        "input_ids": torch.randint(1000, 20_000, (16, 192)),
        "attention_mask": torch.ones(16, 192, dtype=torch.long),
    }
    width, hidden = body.hidden_size, body.intermediate_size
    count = text_operations(
        body.num_hidden_layers, width, hidden, tokens["input_ids"].numel(), 192, again=False
    )

    def step() -> None:
        network.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            _, logits, salience = network(tokens)
        (logits.float().sum() + salience.float().sum()).backward()

    return rate(step, count)


def image_rate(dtype: torch.dtype) -> float:
    """Operations a second of a training step of the image encoder that ships."""
    config, network = read_image_encoder(EMBEDDED_FOLDER)
    shape = config.architecture
    images = torch.randn(16, 3, shape.side, shape.side)
    once = 2 * network_cost(
        shape.side,
        shape.side,
        dims=shape.dims,
        depths=shape.depths,
        windows=shape.windows,
        sub_windows=shape.sub_windows,
    )

    def step() -> None:
        network.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            tokens = network(images).tokens
        tokens.float().square().mean().backward()

    return rate(step, 3 * once * len(images))


def text_operations(
    layers: int, width: int, hidden: int, tokens: int, length: int, *, again: bool
) -> float:
    """Operations of a training step of a Transformer on so many tokens in sequences of a length."""
    weights = layers * (4 * width**2 + 2 * width * hidden)
    attention = layers * 2 * width * length
    forward = 2 * tokens * (weights + attention)
    return forward * (4 if again else 3)


def stage(operations: float, share: float, reading_seconds: float = 0.0) -> dict[str, float]:
    """Hours of a stage on the card."""
    attained = CARD["operations_per_second"] * CARD["attained_in_products"] * share
    computing = operations / attained / 3600
    return {
        "operations": operations,
        "hours_of_computing": round(computing, 2),
        "hours": round(max(computing, reading_seconds / 3600), 2),
    }


def main() -> None:
    """Measure, count and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("data/results/large-run.json"))
    arguments = parser.parse_args()
    torch.manual_seed(0)
    settings: StagedTraining = read_yaml(CONFIG, TrainingSettings)  # type: ignore[arg-type]
    dtype = torch.bfloat16 if has_bfloat16(torch.device("cpu")) else torch.float32
    products = product_rate(dtype)
    shares = {
        "text relation": round(text_rate(dtype) / products, 3),
        "image relation": round(image_rate(dtype) / products, 3),
    }
    text, image = settings.text_relation, settings.image_relation
    tokens = min(text.rows, ROWS) * text.epochs * text.passages_read * TOKENS_OF_A_PASSAGE
    text_weights = TEXT["layers"] * (4 * TEXT["width"] ** 2 + 2 * TEXT["width"] * TEXT["hidden"])
    operations = text_operations(
        TEXT["layers"], TEXT["width"], TEXT["hidden"], tokens, TOKENS_OF_A_PASSAGE, again=True
    )
    # Disentangled attention multiplies by relative positions too: queries by their keys, and keys
    # by their queries, besides the plain product (arXiv:2006.03654, section 3.1).
    operations *= 1.25
    pictures = 2 * ROWS * COMPARABLE * image.epochs
    once = 2 * network_cost(
        IMAGE["side"], IMAGE["side"], dims=IMAGE["dims"], depths=IMAGE["depths"]
    )
    hours = {
        "text relation": stage(operations, shares["text relation"]),
        "image relation": stage(
            3 * once * pictures,
            shares["image relation"],
            pictures * SECONDS_A_PICTURE / image.workers,
        ),
    }
    # The head itself is small; what it reads must be encoded once.
    read = (ROWS + HELD) * settings.fusion.head.passages * TOKENS_OF_A_PASSAGE
    forward = text_operations(
        TEXT["layers"], TEXT["width"], TEXT["hidden"], read, TOKENS_OF_A_PASSAGE, again=False
    )
    hours["encoding for the head"] = stage(1.25 * forward / 3, shares["text relation"])
    # A layer's input is kept, and of one layer everything: about 34 values for each of its own
    # (arXiv:2205.05198, equation 1), at two bytes.
    kept = text.chunk * text.passages_read * text.max_tokens * TEXT["width"] * 2
    memory = {
        "text relation": 16 * text_weights
        + 4 * TEXT["frozen_weights"]
        + kept * (TEXT["layers"] + 34),
        # Nothing is computed again: some 20 values of each token of each block, at two bytes.
        "image relation": 16 * IMAGE["weights"]
        + 2
        * image.chunk
        * 2
        * 20
        * sum(
            depth * dim * (IMAGE["side"] // 2 ** (number + 2)) ** 2
            for number, (dim, depth) in enumerate(zip(IMAGE["dims"], IMAGE["depths"], strict=True))
        ),
    }
    results = {
        "measured": {
            "number_format": str(dtype).removeprefix("torch."),
            "operations_per_second_in_products": products,
            "share_that_training_attains": shares,
        },
        "assumed": {
            "card": CARD,
            "rows": ROWS,
            "rows_whose_pictures_are_compared": COMPARABLE,
            "tokens_of_a_passage": TOKENS_OF_A_PASSAGE,
            "seconds_a_picture": SECONDS_A_PICTURE,
        },
        "hours": hours,
        "hours_of_all": round(math.fsum(one["hours"] for one in hours.values()), 1),
        "memory_gib": {name: round(value / 2**30, 1) for name, value in memory.items()},
    }
    write_results(
        arguments.out, {**origin({"configuration": str(CONFIG), "data": "none"}), **results}
    )
    json.dump(results, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
