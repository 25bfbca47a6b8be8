"""Packed linear layers compute what the layers they stand for compute."""

import copy

import pytest
import torch
from torch import nn

from factcheck.encoders.packed_linear import PackedLinear, can_pack, pack_linear_layers
from factcheck.encoders.precision import NumberFormats

pytestmark = pytest.mark.skipif(not can_pack(), reason="layers cannot be packed on this processor")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 40), (2, 3, 40), (2, 5, 9, 40), (0, 40), (300, 40)])
def test_a_packed_layer_gives_what_the_layer_gives(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(40, 24, bias=bias).bfloat16()
    states = torch.randn(*shape).bfloat16()
    with torch.inference_mode():
        packed, plain = PackedLinear(layer)(states), layer(states)
        exact = nn.functional.linear(
            states.float(), layer.weight.float(), layer.bias.float() if bias else None
        )
    assert packed.shape == plain.shape
    assert packed.dtype == torch.bfloat16
    # Both round a sum that is kept in float32, bfloat16 to 8 binary digits.
    torch.testing.assert_close(packed.float(), exact, rtol=2**-7, atol=2**-7)


def test_a_transposed_input_is_read_as_it_is() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(40, 24).bfloat16()
    states = torch.randn(40, 9).bfloat16().T
    with torch.inference_mode():
        torch.testing.assert_close(
            PackedLinear(layer)(states), PackedLinear(layer)(states.contiguous())
        )


def test_gradients_flow_through_a_packed_layer() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(40, 24).bfloat16()
    states = torch.randn(7, 40).bfloat16()
    layer(states).sum().backward()
    wanted = layer.weight.grad
    packed = PackedLinear(copy.deepcopy(layer))
    packed.zero_grad()
    packed(states).sum().backward()
    assert wanted is not None
    torch.testing.assert_close(packed.weight.grad, wanted)


def test_only_plain_layers_in_bfloat16_are_packed() -> None:
    class Own(nn.Linear):
        pass

    network = nn.Sequential(
        nn.Linear(4, 4).bfloat16(),
        nn.Sequential(nn.Linear(4, 4).bfloat16(), nn.GELU()),
        nn.Linear(4, 4),
        Own(4, 4).bfloat16(),
    )
    names = set(network.state_dict())
    pack_linear_layers(network)
    found = [type(module) for module in network.modules() if isinstance(module, nn.Linear)]
    assert found == [PackedLinear, PackedLinear, nn.Linear, Own]
    assert set(network.state_dict()) == names


def test_the_float32_network_is_left_as_it_is() -> None:
    network = nn.Sequential(nn.Linear(4, 4))
    fast = NumberFormats(network)[torch.bfloat16]
    assert isinstance(fast[0], PackedLinear)
    assert type(network[0]) is nn.Linear
    assert network[0].weight.dtype == torch.float32
