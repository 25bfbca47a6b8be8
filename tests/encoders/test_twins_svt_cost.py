"""The cost of the two attentions: the paper's formula, its minimum, and what the counter counts."""

import math

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from factcheck.encoders.twins_svt import TwinsSVT
from factcheck.encoders.twins_svt_cost import attention_cost, calibrate, network_cost


@pytest.mark.parametrize(("height", "width"), [(56, 56), (28, 40), (7, 7)])
def test_the_formula_is_least_where_the_paper_says(height: int, width: int) -> None:
    tokens, dim = height * width, 64
    best = math.sqrt(math.sqrt(tokens))
    least = attention_cost(height, width, dim, best, best)
    assert least == pytest.approx(2 * tokens * dim * math.sqrt(tokens))
    for k in (1, 2, 4, 8, 16):
        assert attention_cost(height, width, dim, k, k) >= least


def test_the_whole_network_costs_what_a_counter_counts() -> None:
    network = TwinsSVT().eval()
    # The counter sees matrix products, not what a fused attention kernel does inside.
    with (
        torch.inference_mode(),
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        network(torch.zeros(1, 3, 224, 224))
    assert network_cost(224, 224) == pytest.approx(counter.get_total_flops() / 2, rel=0.02)
    assert network_cost(224, 224) == pytest.approx(2.8e9, rel=0.05)  # the paper's table


def test_calibration_by_formula_is_the_papers_seven() -> None:
    stages = calibrate(224, 224, repeats=0)
    assert [(stage.height, stage.width) for stage in stages] == [
        (56, 56),
        (28, 28),
        (14, 14),
        (7, 7),
    ]
    assert stages[0].by_formula == 7
    assert [stage.by_measurement for stage in stages] == [None] * 4
    assert max(stages[3].formula) == 7


def test_calibration_by_measurement_times_every_candidate() -> None:
    stages = calibrate(64, 96, dims=(32, 32), heads=(1, 1), candidates=(1, 2, 4, 8, 99), repeats=2)
    assert [set(stage.seconds) for stage in stages] == [{1, 2, 4, 8}, {1, 2, 4, 8}]
    for stage in stages:
        assert all(seconds > 0 for seconds in stage.seconds.values())
        assert stage.by_measurement in stage.seconds


def test_an_image_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 x 32"):
        calibrate(31, 64)
