"""Adapt a network whose first convolution takes three channels to gray images."""

from __future__ import annotations

from typing import Literal

from torch import nn

from mobilenet_chest.errors import ConfigError


def adapt_to_gray(backbone: nn.Module, stem: Literal["mean", "sum", "repeat"]) -> None:
    """Make the first convolution of ``backbone`` take one channel, in place.

    ``mean`` averages the three colour kernels, as the source report does (section 2.1). That shrinks the activations
    to about a third of what the pretrained layers after it expect. ``sum`` gives exactly what the original stem gives
    for a gray image repeated three times. ``repeat`` changes nothing here:
    :class:`~mobilenet_chest.models.classifier.Classifier` repeats the image.

    Raises:
        ConfigError: The network begins with no such convolution.
    """
    if stem == "repeat":
        return
    convolutions = [(name, m) for name, m in backbone.named_modules() if isinstance(m, nn.Conv2d)]
    if not convolutions or convolutions[0][1].in_channels != 3:
        raise ConfigError([f"model.stem: {stem} adapts a first convolution of three channels; set stem: repeat"])
    name, convolution = convolutions[0]
    gray = type(convolution)(
        1,
        convolution.out_channels,
        kernel_size=convolution.kernel_size,  # type: ignore[arg-type]  # torch's own type of this tuple is too wide
        stride=convolution.stride,  # type: ignore[arg-type]
        padding=convolution.padding,  # type: ignore[arg-type]
        dilation=convolution.dilation,  # type: ignore[arg-type]
        bias=convolution.bias is not None,
    )
    kernel = convolution.weight.data
    gray.weight.data = kernel.mean(1, keepdim=True) if stem == "mean" else kernel.sum(1, keepdim=True)
    if convolution.bias is not None and gray.bias is not None:
        gray.bias.data = convolution.bias.data
    parent, _, attribute = name.rpartition(".")
    setattr(backbone.get_submodule(parent), attribute, gray)
