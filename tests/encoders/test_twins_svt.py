"""Our Twins-SVT against timm's, and what the paper and the issue of portability ask of it."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from factcheck.encoders.twins_svt import (
    GlobalSubsampledAttention,
    LocallyGroupedAttention,
    TwinsSVT,
    merge_squares,
)
from factcheck.encoders.twins_svt_compile import compile_for_inference
from factcheck.encoders.twins_svt_onnx import export_onnx
from factcheck.errors import InvalidInputError, MissingResourceError, PrerequisiteError

SIZES = [(224, 224), (256, 320), (97, 131)]


def images(*size: int, batch: int = 1) -> Tensor:
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def timm_small() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("twins_svt_small", pretrained=False).eval()


def small_network(seed: int = 0) -> TwinsSVT:
    """A network of four narrow stages with both attentions in each."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TwinsSVT((32, 32, 64, 64), (1, 1, 2, 2), (2, 2, 2, 2)).eval()


def shallow_network() -> TwinsSVT:
    """Two stages with all that is in a stage: compilers think long about shapes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TwinsSVT((32, 64), (1, 2), (2, 2), (7, 7), (4, 1)).eval()


@pytest.mark.parametrize("variant", ["small", "base", "large"])
@torch.inference_mode()
def test_outputs_are_timms_with_the_same_weights(variant: str) -> None:
    torch.manual_seed(0)
    reference = timm.create_model(f"twins_svt_{variant}", pretrained=False, num_classes=0).eval()
    network = TwinsSVT.from_timm(reference).eval()
    assert sum(p.numel() for p in network.parameters()) == sum(
        p.numel() for p in reference.parameters()
    )
    for height, width in SIZES:
        batch = images(height, width)
        tokens, pooled = network(batch)
        assert tokens.shape == (1, (height // 32) * (width // 32), reference.num_features)
        assert (tokens - reference.forward_features(batch)).abs().max() < 1e-5
        assert (pooled - reference(batch)).abs().max() < 1e-5


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_files_with_timms_names_load(
    timm_small: nn.Module, tmp_path: Path, suffix: str, wrapper: str | None
) -> None:
    path = tmp_path / f"small{suffix}"
    if suffix == ".safetensors":
        save_file(timm_small.state_dict(), path)
    else:
        state = timm_small.state_dict()
        torch.save({wrapper: state, "epoch": 3} if wrapper else state, path)
    network = TwinsSVT.from_file(path).eval()
    with torch.inference_mode():
        difference = network(images(64, 96)).tokens - timm_small.forward_features(images(64, 96))
    assert difference.abs().max() < 1e-5


def test_loaded_weights_are_our_own(timm_small: nn.Module) -> None:
    network = TwinsSVT.from_timm(timm_small)
    before = timm_small.norm.weight.detach().clone()
    with torch.no_grad():
        network.norm.weight.zero_()
    assert torch.equal(timm_small.norm.weight, before)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_our_own_names_load_too(tmp_path: Path) -> None:
    network = small_network()
    save_file(network.state_dict(), tmp_path / "ours.safetensors")
    again = TwinsSVT.from_file(tmp_path / "ours.safetensors").eval()
    with torch.inference_mode():
        assert torch.equal(network(images(70, 70)).tokens, again(images(70, 70)).tokens)


def test_a_name_without_a_hub_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(PrerequisiteError, match=r"twins_svt_small\.in1k: its weights are not on"):
        TwinsSVT.from_timm("twins_svt_small.in1k")


def _without_one(state: dict[str, Tensor]) -> None:
    del state["norm.weight"], state["norm.bias"]


def _with_another(state: dict[str, Tensor]) -> None:
    state["teacher.weight"] = torch.zeros(1)


def _of_another_width(state: dict[str, Tensor]) -> None:
    state["norm.weight"] = torch.zeros(7)


def _of_a_resnet(state: dict[str, Tensor]) -> None:
    state.clear()
    state["conv1.weight"] = torch.zeros(64, 3, 7, 7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without_one, r"missing norm\.weight and 1 more"),
        (_with_another, r"not expected teacher\.weight"),
        (_of_another_width, r"norm\.weight expected as \(64,\), found as \(7,\)"),
        (_of_a_resnet, r"expected the weights of a Twins-SVT, found 1 tensors, conv1\.weight"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], None], message: str
) -> None:
    state = dict(small_network().state_dict())
    change(state)
    path = tmp_path / "changed.safetensors"
    save_file(state, path)
    with pytest.raises(InvalidInputError, match=message) as caught:
        TwinsSVT.from_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


class Payload:
    """What a hostile pickle would run."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("payload-ran"),))


@pytest.mark.parametrize("name", ["x.safetensors", "x.pth", "x.bin"])
def test_files_that_are_no_checkpoint_are_refused(tmp_path: Path, name: str) -> None:
    for content in (b"", b"no checkpoint", b"PK\x03\x04" + b"\0" * 90, b"\x80\x02."):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidInputError, match=rf"{name}: expected a checkpoint of tensors"):
            TwinsSVT.from_file(tmp_path / name)
    with pytest.raises(MissingResourceError, match=r"none\.pth: the weights cannot be read"):
        TwinsSVT.from_file(tmp_path / "none.pth")


def test_a_pickle_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"norm.weight": Payload()}, tmp_path / "hostile.pth")
    with pytest.raises(InvalidInputError, match="found none that can be read safely"):
        TwinsSVT.from_file(tmp_path / "hostile.pth")
    assert not (tmp_path / "payload-ran").exists()
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InvalidInputError, match="expected a dictionary of tensors, found list"):
        TwinsSVT.from_file(tmp_path / "list.pth")


def test_images_of_a_wrong_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="31 x 64 pixels: the network needs at least 32 x 32"):
        small_network()(images(64, 31))
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\) are needed, not \(1, 1, 64, 64\)"):
        small_network()(torch.zeros(1, 1, 64, 64))


def test_merging_squares_is_a_convolution_with_its_stride() -> None:
    grid = torch.randn(2, 9, 11, 5)
    convolution = nn.Conv2d(5, 7, 4, stride=4)
    weight = convolution.weight.permute(0, 2, 3, 1).flatten(1)
    merged = nn.functional.linear(merge_squares(grid, 4), weight, convolution.bias)
    expected = convolution(grid.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert torch.allclose(merged, expected, atol=1e-5)


def test_local_attention_stays_in_its_window() -> None:
    attention = LocallyGroupedAttention(32, 1, window=4)
    grid = torch.randn(1, 8, 8, 32)
    changed = grid.clone()
    changed[0, 1, 1] += 1
    moved = (attention(grid) - attention(changed)).abs().amax(dim=-1)[0] > 1e-6
    assert moved[:4, :4].all()
    assert not moved[4:].any()
    assert not moved[:, 4:].any()


def test_global_attention_reaches_everywhere_through_representatives() -> None:
    attention = GlobalSubsampledAttention(32, 1, sub_window=4)
    grid = torch.randn(1, 10, 9, 32)
    assert attention.representatives(grid).shape == (1, 2, 2, 32)
    changed = grid.clone()
    changed[0, 1, 1] += 1
    assert ((attention(grid) - attention(changed)).abs().amax(dim=-1)[0] > 1e-7).all()
    # A map smaller than a sub-window still has a representative.
    assert attention.representatives(grid[:, :2, :3]).shape == (1, 1, 1, 32)


def test_windows_may_change_without_any_weight() -> None:
    network, other = small_network(), small_network()
    other.set_windows((5, 5, 5, 5))
    other.set_windows((7, 7, 7, 7))
    with torch.inference_mode():
        assert torch.equal(network(images(96, 96)).tokens, other(images(96, 96)).tokens)
        other.set_windows((5, 3, 3, 3))
        assert not torch.equal(network(images(96, 96)).tokens, other(images(96, 96)).tokens)


def test_gradient_checkpointing_gives_the_same_gradients() -> None:
    plain = small_network().train()
    frugal = copy.deepcopy(plain)
    frugal.set_gradient_checkpointing(True)
    for network in (plain, frugal):
        network(images(64, 96)).pooled.square().sum().backward()
    for one, other in zip(plain.parameters(), frugal.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-6)


def test_training_and_inference_compute_the_same() -> None:
    network = small_network()
    with torch.inference_mode():
        tiled = network(images(160, 160, batch=3)).tokens
    assert torch.allclose(network(images(160, 160, batch=3)).tokens, tiled, atol=1e-5)


def test_bfloat16_points_the_same_way(timm_small: nn.Module) -> None:
    network = TwinsSVT.from_timm(timm_small).eval()
    with torch.inference_mode():
        exact = network(images(96, 96))
        coarse = network.bfloat16()(images(96, 96).bfloat16())
    for one, other in zip(exact, coarse, strict=True):
        assert nn.functional.cosine_similarity(one, other.float(), dim=-1).min() > 0.999


def test_gradients_in_bfloat16_point_the_same_way() -> None:
    gradients = []
    for enabled in (False, True):
        network = small_network()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            tokens = network(images(96, 96)).tokens
        tokens.float().square().mean().backward()
        every = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        gradients.append(torch.cat(every))
    assert torch.cosine_similarity(*gradients, dim=0) > 0.99


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_torch_compile_takes_the_whole_network_at_any_size() -> None:
    network = shallow_network()
    compiled = torch.compile(network, fullgraph=True, dynamic=False, backend="aot_eager")
    with torch.inference_mode():
        for size in SIZES:
            assert torch.allclose(
                compiled(images(*size)).tokens, network(images(*size)).tokens, atol=1e-5
            )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_torch_compile_with_its_default_backend() -> None:
    network = small_network()
    compiled = torch.compile(network, fullgraph=True)
    with torch.inference_mode():
        for size in SIZES[:2]:
            assert torch.allclose(
                compiled(images(*size)).tokens, network(images(*size)).tokens, atol=1e-4
            )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_for_inference_takes_any_batch() -> None:
    network = shallow_network()
    compiled = compile_for_inference(network)
    for batch in (2, 5, 3):
        given = images(64, 64, batch=batch)
        with torch.inference_mode():
            expected = network(given)
        for one, other in zip(compiled(given), expected, strict=True):
            assert torch.allclose(one, other, atol=1e-4)


def test_compiling_without_a_compiler_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", (None, "no-such-compiler"))
    with pytest.raises(PrerequisiteError, match=r"needs a C\+\+ compiler"):
        compile_for_inference(shallow_network())(images(64, 64))


def test_onnx_has_dynamic_batch_height_and_width(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    network = shallow_network()
    export_onnx(network, tmp_path / "twins.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["twins.onnx"]
    session = onnxruntime.InferenceSession(
        tmp_path / "twins.onnx", providers=["CPUExecutionProvider"]
    )
    for batch, (height, width) in zip((1, 2, 3), SIZES, strict=True):
        given = images(height, width, batch=batch)
        tokens, pooled = session.run(None, {"images": given.numpy()})
        with torch.inference_mode():
            expected = network(given)
        assert np.abs(tokens - expected.tokens.numpy()).max() < 1e-4
        assert np.abs(pooled - expected.pooled.numpy()).max() < 1e-4
