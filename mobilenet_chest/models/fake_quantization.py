"""Arithmetic that rounds as a file of 8-bit integers does, and lets gradients through (straight-through estimators).

Activations are rounded to 256 levels by one scale for the tensor, which is learned: Esser et al., Learned Step Size
Quantization, 2020. Weights get a scale for each channel, from their largest absolute value.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor

LEVELS = 255
"""Largest value of an unsigned byte."""

SMALLEST_SCALE = 2.0**-100
"""Of weights that are all 0."""

LARGEST_BIAS = 2.0**30
"""A bias is a 32-bit integer; half of its range is left for the sum of products."""


class _Rounded(torch.autograd.Function):
    """Round to the levels of an unsigned byte; the gradient of a value outside its range is 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, log_scale: Tensor, zero_point: Tensor) -> Tensor:
        scale = log_scale.exp()
        rounded = torch.fake_quantize_per_tensor_affine(x, scale, zero_point, 0, LEVELS)
        lowest, highest = -scale * (zero_point + 0.5), scale * (LEVELS + 0.5 - zero_point)
        inside = (x >= lowest) & (x <= highest)
        ctx.save_for_backward(inside, rounded - x * inside)
        return rounded

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        inside, change = ctx.saved_tensors
        (gradient,) = gradients
        # by the paper, so that scales learn as fast as weights do, whatever the number of values
        share = 1 / math.sqrt(gradient.numel() * LEVELS)
        return gradient * inside, (gradient * change).sum().reshape(()) * share, None


def rounded_activation(x: Tensor, log_scale: Tensor, zero_point: Tensor) -> Tensor:
    """Return float32 values as an unsigned byte holds them: scale · (integer − zero point), the integer 0 to 255.

    Args:
        x: Of any shape.
        log_scale: Natural logarithm of the scale, a scalar; it gets a gradient.
        zero_point: int32, a scalar.
    """
    return cast(Tensor, _Rounded.apply(x.float(), log_scale, zero_point))


def weight_scale(weight: Tensor, largest: int, axis: int | None) -> Tensor:
    """Return the scale of each channel (k,), or of the whole tensor (), without gradients.

    Args:
        weight: float32.
        largest: Largest integer of a weight: 127, or 64 for seven bits.
        axis: Of the channels; ``None`` for one scale.
    """
    absolute = weight.detach().abs()
    most = absolute.amax() if axis is None else absolute.movedim(axis, 0).flatten(1).amax(1)
    return (most / largest).clamp(min=SMALLEST_SCALE)


def roomy_scale(scale: Tensor, bias: Tensor, input_scale: Tensor) -> Tensor:
    """Return the scale of weights, raised where the bias of the same layer would not fit 32 bits."""
    return torch.maximum(scale, bias.detach().abs() / (input_scale.detach() * LARGEST_BIAS))


def integers(values: Tensor, scale: Tensor, largest: float, axis: int | None) -> Tensor:
    """Return whole numbers, as float: values over their scale, rounded to the nearest, ties to even.

    Args:
        values: float32.
        scale: As :func:`weight_scale` returns it.
        largest: Largest absolute number.
        axis: Of the channels that ``scale`` is of.
    """
    return (values / _along(scale, values, axis)).round().clamp(-largest, largest)


def rounded_weight(values: Tensor, scale: Tensor, largest: float, axis: int | None) -> Tensor:
    """Return values as integers of a scale hold them; the gradient is that of the values themselves."""
    with torch.no_grad():
        change = integers(values, scale, largest, axis) * _along(scale, values, axis) - values
    return values + change


def _along(scale: Tensor, values: Tensor, axis: int | None) -> Tensor:
    return scale if axis is None else scale.view(*(-1 if place == axis else 1 for place in range(values.ndim)))
