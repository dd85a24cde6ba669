"""Convolutions of small maps: the numbers of torch's, in less time."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mobilenet_chest.config import ModelConfig
from mobilenet_chest.models.small_maps import POINTWISE_SIZE, DepthwiseConv2d, PointwiseConv2d, use_fast_convolutions
from mobilenet_chest.models.zoo import build_model

CHANNELS = 6


def pair(kernel: int, stride: int, bias: bool = False) -> tuple[nn.Conv2d, nn.Conv2d]:
    """Return an ordinary depthwise convolution and the same one made fast."""
    torch.manual_seed(kernel + stride)
    plain = nn.Conv2d(CHANNELS, CHANNELS, kernel, stride, kernel // 2, groups=CHANNELS, bias=bias)
    fast = made_fast(plain)
    assert type(fast) is DepthwiseConv2d
    return plain, fast


def pointwise_pair(bias: bool = False) -> tuple[nn.Conv2d, nn.Conv2d]:
    """Return an ordinary convolution of single pixels and the same one made fast."""
    torch.manual_seed(0)
    plain = nn.Conv2d(CHANNELS, 10, 1, bias=bias).to(memory_format=torch.channels_last)
    fast = made_fast(plain)
    assert type(fast) is PointwiseConv2d
    return plain, fast


def made_fast(plain: nn.Conv2d) -> nn.Conv2d:
    fast = copy.deepcopy(plain)
    use_fast_convolutions(fast)
    return fast


def computed(convolution: nn.Conv2d, maps: Tensor) -> list[Tensor]:
    """Return the result and all gradients of a loss that weighs every place by itself."""
    given = maps.clone().requires_grad_()
    result = convolution(given)
    (result * torch.linspace(-1, 2, result.numel()).view(result.shape)).sum().backward()
    gradients = [parameter.grad for parameter in convolution.parameters()]
    return [result.detach(), given.grad, *gradients]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_results_and_gradients_are_those_of_torch(kernel: int, stride: int, bias: bool) -> None:
    assert_same_results(*pair(kernel, stride, bias), largest=kernel + 1)


@pytest.mark.parametrize("bias", [False, True])
def test_results_and_gradients_of_single_pixels_are_those_of_torch(bias: bool) -> None:
    assert_same_results(*pointwise_pair(bias), largest=POINTWISE_SIZE + 1)


def assert_same_results(plain: nn.Conv2d, fast: nn.Conv2d, largest: int) -> None:
    """Check that two convolutions give the same of maps of any sides and memory format."""
    for height in range(1, largest + 1):
        for width in range(1, largest + 1):
            maps = torch.randn(3, CHANNELS, height, width)
            for given in (maps, maps.contiguous(memory_format=torch.channels_last)):
                for convolution in (plain, fast):
                    convolution.zero_grad()
                for ours, theirs in zip(computed(fast, given), computed(plain, given), strict=True):
                    torch.testing.assert_close(ours, theirs)
                with torch.no_grad():
                    torch.testing.assert_close(fast(given), plain(given))


def test_only_what_is_asked_for_gets_a_gradient() -> None:
    _, fast = pair(5, 1)
    maps = torch.randn(2, CHANNELS, 2, 2, requires_grad=True)
    fast.weight.requires_grad_(False)
    fast(maps).sum().backward()
    assert fast.weight.grad is None
    assert maps.grad is not None
    fast.weight.requires_grad_(True)
    fast(maps.detach()).sum().backward()
    assert fast.weight.grad is not None


def test_a_second_derivative_is_refused() -> None:
    """It would be wrong without a word."""
    _, fast = pair(5, 1)
    maps = torch.randn(2, CHANNELS, 2, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(fast(maps).square().sum(), maps, create_graph=True)
    with pytest.raises(RuntimeError):
        torch.autograd.backward(gradient.sum())


@pytest.mark.parametrize("made", [lambda: pair(5, 1), pointwise_pair], ids=["depthwise", "pointwise"])
def test_half_precision_and_double_are_left_to_torch(made: Callable[[], tuple[nn.Conv2d, nn.Conv2d]]) -> None:
    plain, fast = made()
    maps = torch.randn(2, CHANNELS, 2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert fast(maps).dtype == torch.bfloat16
        assert torch.equal(fast(maps), plain(maps))
    assert torch.equal(fast.double()(maps.double()), plain.double()(maps.double()))


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(6, 6, 3, padding=1),
        nn.Conv2d(6, 12, 3, padding=1, groups=6),
        nn.Conv2d(6, 6, 3, padding=0, groups=6),
        nn.Conv2d(6, 6, 1, groups=6),
        nn.Conv2d(6, 6, 1, groups=2),
        nn.Conv2d(6, 6, 1, stride=2),
        nn.Conv2d(6, 6, 1, padding=1),
        nn.Conv2d(6, 6, 4, padding=2, groups=6),
        nn.Conv2d(6, 6, (3, 5), padding=(1, 2), groups=6),
        nn.Conv2d(6, 6, 3, stride=(1, 2), padding=1, groups=6),
        nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=6),
        nn.Conv2d(6, 6, 3, padding="same", groups=6),
        nn.Conv2d(6, 6, 3, padding=1, groups=6, padding_mode="reflect"),
    ],
    ids=str,
)
def test_other_convolutions_stay_as_they_are(other: nn.Conv2d) -> None:
    use_fast_convolutions(other)
    assert type(other) is nn.Conv2d


def test_networks_have_it_where_torchvision_has_depthwise_layers() -> None:
    model = build_model(ModelConfig(name="mobilenet_v3_large", weights="none"), 1)
    depthwise = [module for module in model.modules() if isinstance(module, nn.Conv2d) and module.groups > 1]
    assert len(depthwise) == 15
    assert {type(module) for module in depthwise} == {DepthwiseConv2d}
    pointwise = [module for module in model.modules() if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1)]
    assert len(pointwise) == 46
    assert {type(module) for module in pointwise} == {PointwiseConv2d}


@pytest.mark.parametrize(("size", "ours"), [(1, False), (2, True), (4, True), (5, False)])
def test_maps_as_large_as_the_kernel_are_left_to_torch(size: int, ours: bool) -> None:
    """So are 1x1 maps, with the one tap that meets them."""
    _, fast = pair(5, 1)
    with_history = fast(torch.randn(2, CHANNELS, size, size))
    assert (type(with_history.grad_fn).__name__ == "_SmallMapsBackward") is ours


@pytest.mark.parametrize(("size", "ours"), [(1, True), (POINTWISE_SIZE, True), (POINTWISE_SIZE + 1, False)])
def test_single_pixels_of_large_maps_are_left_to_torch(size: int, ours: bool) -> None:
    """A side counts, not the area: both are large or small together."""
    _, fast = pointwise_pair()
    for height, width in ((size, size), (1, size), (size, 1)):
        operators = names_of_operators(fast(torch.randn(2, CHANNELS, height, width)).grad_fn)
        assert ("ConvolutionBackward0" not in operators) is ours


def names_of_operators(node: Any) -> set[str]:
    """Return the names of a graph of gradients, from its end."""
    return {type(node).__name__} | {name for before, _ in node.next_functions if before is not None
                                    for name in names_of_operators(before)}  # fmt: skip


@pytest.mark.parametrize("made", [lambda: pair(3, 1), pointwise_pair], ids=["depthwise", "pointwise"])
def test_a_checkpoint_knows_nothing_of_it(made: Callable[[], tuple[nn.Conv2d, nn.Conv2d]]) -> None:
    plain, fast = made()
    assert fast.state_dict().keys() == plain.state_dict().keys()
    plain.load_state_dict(fast.state_dict())


@pytest.mark.parametrize("made", [lambda: pair(5, 1), pointwise_pair], ids=["depthwise", "pointwise"])
def test_an_exported_graph_has_the_ordinary_convolution(
    made: Callable[[], tuple[nn.Conv2d, nn.Conv2d]],
) -> None:
    """Whole kernels, and no operator of ours: other programs read it."""
    _, fast = made()
    program = torch.export.export(fast, (torch.randn(2, CHANNELS, 1, 1),))
    called = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert called == ["aten.conv2d.default"]
