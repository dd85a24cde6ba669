"""One gray channel into three: the arithmetic of the ways to do it."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from mobilenet_chest.config import ModelConfig
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.models.stem import adapt_to_gray
from mobilenet_chest.models.zoo import build_model


def gray_images() -> Tensor:
    return torch.randint(0, 256, (8, 1, 96, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def built(stem: str, channels: int = 1) -> Classifier:
    torch.manual_seed(5)
    return build_model(ModelConfig.model_validate({"weights": "none", "stem": stem}), channels).eval()


def first_kernel(model: Classifier) -> Tensor:
    convolution = next(module for module in model.backbone.modules() if isinstance(module, nn.Conv2d))
    return convolution.weight.detach()


@pytest.mark.parametrize("stem", ["mean", "sum"])
def test_the_kernel_of_a_stem(stem: Literal["mean", "sum"]) -> None:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Sequential(nn.Conv2d(3, 5, (3, 5), stride=2, padding=(1, 2), dilation=2)), nn.ReLU())
    original: nn.Conv2d = network[0][0]
    adapt_to_gray(network, stem)
    gray = network[0][0]
    assert (gray.in_channels, gray.out_channels, gray.kernel_size) == (1, 5, (3, 5))
    assert (gray.stride, gray.padding, gray.dilation) == ((2, 2), (1, 2), (2, 2))
    summed = original.weight.sum(1, keepdim=True)
    torch.testing.assert_close(gray.weight, summed if stem == "sum" else summed / 3)
    assert torch.equal(gray.bias, original.bias)


def test_repeat_leaves_the_stem() -> None:
    network = nn.Sequential(nn.Conv2d(3, 5, 3))
    before = network[0].weight
    adapt_to_gray(network, "repeat")
    assert network[0].weight is before


def test_sum_is_repeat_and_mean_is_a_third_of_sum() -> None:
    images, models = gray_images(), {stem: built(stem) for stem in ("mean", "sum", "repeat")}
    kernels = {stem: first_kernel(model) for stem, model in models.items()}
    assert kernels["repeat"].shape == (16, 3, 3, 3)
    torch.testing.assert_close(kernels["sum"], kernels["repeat"].sum(1, keepdim=True))
    torch.testing.assert_close(kernels["mean"], kernels["sum"] / 3)
    for model in models.values():
        model.backbone.train()  # a random start has no statistics yet: in evaluation mode all features would be zero
    with torch.inference_mode():
        summed, repeated = models["sum"].features(images), models["repeat"].features(images)
    torch.testing.assert_close(summed, repeated, atol=1e-5, rtol=0)
    assert summed.std() > 0.05


@pytest.mark.parametrize("stem", ["mean", "sum", "repeat"])
def test_colour_keeps_the_stem(stem: str) -> None:
    model = built(stem, channels=3)
    assert torch.equal(first_kernel(model), first_kernel(built("repeat")))
    assert model.repeat is False
    assert model.mean.shape == (1, 3, 1, 1)
