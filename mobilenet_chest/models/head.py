"""The layers after a backbone's last maps: attention, pooling, fully connected layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

SQUEEZE = 16
"""Ratio by which attention narrows its middle layer (Hu et al., Squeeze-and-Excitation, 2018, section 6.1)."""


def build_head(features: int, hidden: Sequence[int], dropout: float) -> nn.Sequential:
    """Return linear layers down to one logit.

    For 960 features, hidden (1280, 640) and dropout 0.5 this is the head of the source report (section 2.1):
    Linear(960, 1280), Hardswish, Dropout(0.5), Linear(1280, 640), Hardswish, Dropout(0.25), Linear(640, 1).

    Args:
        features: Width of the backbone's output.
        hidden: Widths of the hidden layers; without any, the head is a dropout and one linear layer.
        dropout: Probability after the first hidden layer, halved after each further one.
    """
    layers: list[nn.Module] = [] if hidden else [nn.Dropout(dropout)]
    width = features
    for depth, units in enumerate(hidden):
        layers += [nn.Linear(width, units), nn.Hardswish(), nn.Dropout(dropout / 2**depth)]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, 1))


def build_neck(
    features: int, pooling: Literal["avg", "max", "gem"], attention: Literal["none", "se", "cbam"]
) -> nn.Sequential | None:
    """Return layers from (n, features, h, w) to (n, features); ``None`` for the backbone's own average pooling."""
    if pooling == "avg" and attention == "none":
        return None
    layers: list[nn.Module] = []
    if attention == "se":
        from torchvision.ops import SqueezeExcitation

        layers.append(SqueezeExcitation(features, features // SQUEEZE))
    elif attention == "cbam":
        layers.append(CBAM(features))
    pools = {"avg": nn.AdaptiveAvgPool2d(1), "max": nn.AdaptiveMaxPool2d(1), "gem": GeneralisedMean()}
    return nn.Sequential(*layers, pools[pooling], nn.Flatten(1))


class GeneralisedMean(nn.Module):
    """Generalised mean pooling: the mean for p = 1, the maximum as p grows; p is learned and starts at 3.

    Radenović et al., Fine-tuning CNN Image Retrieval with No Human Annotation, 2018, section 3.2. Values below ``eps``
    count as ``eps``.
    """

    def __init__(self, p: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor([p]))
        self.eps = eps

    def forward(self, maps: Tensor) -> Tensor:
        """Return (n, c, 1, 1) for (n, c, h, w)."""
        return maps.clamp(min=self.eps).pow(self.p).mean((2, 3), keepdim=True).pow(1 / self.p)


class CBAM(nn.Module):
    """Attention to channels, then to places (Woo et al., Convolutional Block Attention Module, 2018, section 3).

    The paper's BatchNorm of the map of places is left out: stage 1 trains this module, and BatchNorm is frozen there.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        narrow = features // SQUEEZE
        self.channels = nn.Sequential(nn.Conv2d(features, narrow, 1), nn.ReLU(), nn.Conv2d(narrow, features, 1))
        self.places = nn.Conv2d(2, 1, kernel_size=7, padding=3)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the same shape (n, c, h, w)."""
        mean, largest = maps.mean((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
        maps = maps * (self.channels(mean) + self.channels(largest)).sigmoid()
        places = torch.cat([maps.mean(1, keepdim=True), maps.amax(1, keepdim=True)], dim=1)
        return cast(Tensor, maps * self.places(places).sigmoid())
