"""A tiny classifier with the operators that are hard to quantise, and its images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mobilenet_chest.models.classifier import Backbone, Classifier
from mobilenet_chest.models.quantized_classifier import QuantizedClassifier


class Block(nn.Module):
    """A residual block with squeeze-excitation, hardswish and BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8)
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Hardsigmoid())

    def forward(self, maps: Tensor) -> Tensor:
        inner = nn.functional.hardswish(self.norm(self.conv(maps)))
        return maps + inner * self.squeeze(inner)


def classifier() -> Classifier:
    torch.manual_seed(3)
    stem = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
    body = nn.Sequential(stem, Block(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    head = nn.Sequential(nn.Linear(8, 16), nn.Hardswish(), nn.Dropout(0.5), nn.Linear(16, 1))
    model = Classifier(Backbone(body, 8), head, (0.4,), (0.2,), False, "tiny")
    for _ in range(20):  # BatchNorm's statistics
        model.train()(images())
    with torch.no_grad():
        head[-1].weight.mul_(8)
    return model.eval()


def images() -> Tensor:
    scale = torch.rand(48, 1, 1, 1, generator=torch.Generator().manual_seed(1))
    noise = torch.rand(48, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    return (scale * noise * 255).to(torch.uint8)


def learned(model: QuantizedClassifier, steps: int = 5) -> QuantizedClassifier:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    labels = (images().float().mean((1, 2, 3)) > 60).float()
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(model.train()(images()), labels).backward()
        optimizer.step()
    return model


def assert_computes_as_its_file(model: QuantizedClassifier) -> None:
    with torch.no_grad():
        trained, answered = model.train()(images()), model.eval()(images())
    assert (answered.dtype, tuple(answered.shape)) == (torch.float32, (48,))
    # sums of integers are exact in the file and rounded in torch: a value between two levels may take either
    level = float(answered.max() - answered.min()) / 100
    assert float((trained - answered).abs().max()) <= 2 * level
    assert float((trained - answered).abs().mean()) <= level / 4
