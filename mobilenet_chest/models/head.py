"""The fully connected head on top of a pooled backbone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn


def build_head(features: int, hidden: Sequence[int], dropout: float) -> nn.Sequential:
    """Linear layers down to one logit.

    For 960 features, hidden (1280, 640) and dropout 0.5 this is the head of the source report (section 2.1):
    Linear(960, 1280), Hardswish, Dropout(0.5), Linear(1280, 640), Hardswish, Dropout(0.25), Linear(640, 1).

    Args:
        features: Width of the backbone's output.
        hidden: Widths of the hidden layers; empty gives one linear layer behind one dropout.
        dropout: Probability before the second layer, halved at each further one.
    """
    layers: list[nn.Module] = [] if hidden else [nn.Dropout(dropout)]
    width = features
    for depth, units in enumerate(hidden):
        layers += [nn.Linear(width, units), nn.Hardswish(), nn.Dropout(dropout / 2**depth)]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, 1))
