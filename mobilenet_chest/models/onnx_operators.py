"""ONNX's operators in torch, with gradients: those that classifiers have between their first and last layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Attributes = Mapping[str, Any]

Operator = Callable[[Sequence[Any], Attributes], Any]
"""Returns the output of a node for its inputs, ``None`` where an optional one is absent, and its attributes."""


def _padded(x: Tensor, attributes: Attributes, value: float) -> tuple[Tensor, list[int]]:
    """Return what is left to a pooling or convolution to pad, after uneven padding was done here."""
    pads = list(attributes.get("pads") or [0] * 4)
    top, left, bottom, right = pads
    if (top, left) == (bottom, right):
        return x, [top, left]
    return F.pad(x, [left, right, top, bottom], value=value), [0, 0]


def _convolution(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    x, weight, bias = (*inputs, None)[:3]
    x, pads = _padded(x, attributes, 0.0)
    weight = weight.contiguous(memory_format=torch.channels_last)
    strides, dilations = attributes.get("strides") or [1, 1], attributes.get("dilations") or [1, 1]
    return F.conv2d(x, weight, bias, strides, pads, dilations, attributes.get("group", 1))


def _gemm(inputs: Sequence[Any], attributes: Attributes) -> Any:
    a, b, c = (*inputs, None)[:3]
    a, b = (m.t() if attributes.get(f"trans{name}") else m for m, name in ((a, "A"), (b, "B")))
    product = attributes.get("alpha", 1.0) * (a @ b)
    return product if c is None else product + attributes.get("beta", 1.0) * c


def _batchnorm(inputs: Sequence[Any], attributes: Attributes) -> Any:
    # not torch's own: a file stores equal tensors once, so what is a weight elsewhere may be a statistic here
    x, weight, bias, mean, variance = (each.view(-1, 1, 1) if place else each
                                       for place, each in enumerate(inputs))  # fmt: skip
    return (x - mean) * (weight * (variance + attributes.get("epsilon", 1e-5)).rsqrt()) + bias


def _max_pool(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    x, pads = _padded(inputs[0], attributes, float("-inf"))
    return F.max_pool2d(x, attributes["kernel_shape"], attributes.get("strides"), pads,
                        ceil_mode=bool(attributes.get("ceil_mode")))  # fmt: skip


def _average_pool(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    x, (top, left, bottom, right) = inputs[0], attributes.get("pads") or [0] * 4
    if (top, left) != (bottom, right):
        raise ValueError("AveragePool with uneven padding")
    return F.avg_pool2d(x, attributes["kernel_shape"], attributes.get("strides"), [top, left],
                        bool(attributes.get("ceil_mode")), bool(attributes.get("count_include_pad")))  # fmt: skip


def _clip(inputs: Sequence[Any], attributes: Attributes) -> Any:
    x, lowest, highest = (*inputs, None, None)[:3]
    return x.clamp(lowest, highest) if lowest is not None or highest is not None else x


def _reduced(function: Callable[..., Tensor]) -> Operator:
    def operator(inputs: Sequence[Any], attributes: Attributes) -> Any:
        x, axes = (*inputs, None)[:2]
        chosen = attributes.get("axes") if axes is None else axes.tolist()
        return function(x, tuple(chosen or range(x.ndim)), keepdim=bool(attributes.get("keepdims", 1)))

    return operator


def _reshape(inputs: Sequence[Any], attributes: Attributes) -> Any:
    x, shape = inputs
    return x.reshape([x.shape[place] if size == 0 else size for place, size in enumerate(shape.tolist())])


def _squeeze(inputs: Sequence[Any], attributes: Attributes) -> Any:
    x, axes = (*inputs, None)[:2]
    return x.squeeze() if axes is None else x.squeeze(tuple(axes.tolist()))


def _layer_norm(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    x, weight, bias = (*inputs, None)[:3]
    shape = x.shape[attributes.get("axis", -1) :]
    return F.layer_norm(x, shape, weight, bias, attributes.get("epsilon", 1e-5))


def _pad(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    x, pads, value = (*inputs, None)[:3]
    if x is None or pads is None or len(inputs) > 3 or attributes.get("mode", b"constant") != b"constant":
        raise ValueError("Pad of some axes, or by no constant")
    begin, end = pads[: x.ndim].tolist(), pads[x.ndim :].tolist()
    both = [amount for pair in zip(reversed(begin), reversed(end), strict=True) for amount in pair]
    return F.pad(x, both, value=0.0 if value is None else float(value))


def _plain(function: Callable[..., Tensor]) -> Operator:
    """Return the operator of a function of its inputs alone."""
    return lambda inputs, attributes: function(*inputs)


OPERATORS: dict[str, Operator] = {
    "Add": _plain(torch.add),
    "AveragePool": _average_pool,
    "BatchNormalization": _batchnorm,
    "Clip": _clip,
    "Concat": lambda inputs, attributes: torch.cat([x for x in inputs if x is not None], attributes["axis"]),
    "Conv": _convolution,
    "Div": _plain(torch.div),
    "Erf": _plain(torch.erf),
    "Flatten": lambda inputs, attributes: inputs[0].flatten(1),
    "Gemm": _gemm,
    "GlobalAveragePool": _plain(lambda x: x.mean((2, 3), keepdim=True)),
    "GlobalMaxPool": _plain(lambda x: x.amax((2, 3), keepdim=True)),
    "HardSigmoid": lambda inputs, attributes: (
        inputs[0] * attributes.get("alpha", 0.2) + attributes.get("beta", 0.5)
    ).clamp(0, 1),
    "HardSwish": _plain(F.hardswish),
    "Identity": _plain(lambda x: x),
    "LayerNormalization": _layer_norm,
    "MatMul": _plain(torch.matmul),
    "MaxPool": _max_pool,
    "Mul": _plain(torch.mul),
    "Pad": _pad,
    "Pow": _plain(torch.pow),
    "ReduceMax": _reduced(torch.amax),
    "ReduceMean": _reduced(torch.mean),
    "Relu": _plain(torch.relu),
    "Reshape": _reshape,
    "Sigmoid": _plain(torch.sigmoid),
    "Squeeze": _squeeze,
    "Sub": _plain(torch.sub),
    "Tanh": _plain(torch.tanh),
    "Transpose": lambda inputs, attributes: inputs[0].permute(attributes["perm"]),
}
"""By name, of the standard's own operators from version 18 on."""
