"""Convolutions of small maps, fast on CPUs.

The last maps of a mobile network are tiny where images are: 2x2 for images of 48 or 64 pixels, 1x1 for MedMNIST's 28.
oneDNN, which computes convolutions for torch on CPUs, is slow there. Depthwise ones need long for the gradient of their
weight: three layers of MobileNetV3-Large were nearly half of a training step. A convolution of single pixels takes up
to twice as long as the product of matrices that it is. ``experiments/results/speed.md`` has the figures.

Results are those of torch's own convolutions but for rounding. On other devices, in half precision, in a traced graph
and with larger maps these are computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, linear
from torch.nn.grad import conv2d_input

POINTWISE_SIZE = 5
"""Largest side of maps whose single pixels are convolved as a product of matrices; measured."""


class PointwiseConv2d(nn.Conv2d):
    """A convolution of single pixels; :func:`use_fast_convolutions` makes it of an ordinary one."""

    def forward(self, maps: Tensor) -> Tensor:
        """Return the convolved maps: float (n, c, h, w) of any memory format."""
        if not _is_ours(maps) or max(maps.shape[2:]) > POINTWISE_SIZE:
            return super().forward(maps)
        return single_pixels(maps, self.weight, self.bias)


class DepthwiseConv2d(nn.Conv2d):
    """A convolution of each channel by itself; :func:`use_fast_convolutions` makes it of an ordinary one."""

    def forward(self, maps: Tensor) -> Tensor:
        """Return the convolved maps: float (n, c, h, w) of any memory format."""
        size = self.kernel_size[0]
        # measured: oneDNN is slow where kernels of 5 and 7 are larger than the result, and those of 3 than the input
        places = max(maps.shape[2:]) if size == 3 else -(-max(maps.shape[2:]) // self.stride[0])
        if not _is_ours(maps) or places >= size:
            return super().forward(maps)
        if max(maps.shape[2:]) == 1:  # even the forward pass is slow; one tap meets the map, all others meet padding
            middle = slice(size // 2, size // 2 + 1)
            return conv2d(maps, self.weight[:, :, middle, middle], self.bias, groups=self.groups)
        if not torch.is_grad_enabled():
            return super().forward(maps)
        convolved: Tensor = _SmallMaps.apply(maps, self.weight, self.stride[0])
        return convolved if self.bias is None else convolved + self.bias[:, None, None]


def single_pixels(maps: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return maps convolved by a kernel of one pixel, (d, c, 1, 1), as a product of matrices: (n, d, h, w)."""
    pixels = maps.permute(0, 2, 3, 1)  # as they lie in memory with channels last
    return linear(pixels, weight.flatten(1), bias).permute(0, 3, 1, 2)


def use_fast_convolutions(model: nn.Module) -> None:
    """Make the convolutions of a model fast for small maps; its parameters stay the same objects."""
    for module in model.modules():
        if type(module) is not nn.Conv2d:
            continue
        if _is_depthwise(module):
            module.__class__ = DepthwiseConv2d
        elif _is_pointwise(module):
            module.__class__ = PointwiseConv2d


def _is_ours(maps: Tensor) -> bool:
    """Return whether maps are computed here at all: on the CPU, in single precision, and not to be exported."""
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined]  # documented
    half = torch.is_autocast_enabled("cpu") or maps.dtype != torch.float32
    return not (traced or half) and maps.device.type == "cpu"


def _is_pointwise(module: nn.Conv2d) -> bool:
    """Return whether a convolution is of single pixels, over all channels."""
    return module.kernel_size == (1, 1) and module.stride == (1, 1) and module.groups == 1 and module.padding == (0, 0)


def _is_depthwise(module: nn.Conv2d) -> bool:
    """Return whether a convolution is of one channel each, with an odd square kernel, and keeps the size of maps."""
    size = module.kernel_size[0]
    return (
        module.groups == module.in_channels == module.out_channels > 1
        and size % 2 == 1
        and size > 1
        and module.kernel_size == (size, size)
        and module.padding == (size // 2, size // 2)
        and module.stride[0] == module.stride[1]
        and module.dilation == (1, 1)
        and module.padding_mode == "zeros"
    )


class _SmallMaps(torch.autograd.Function):
    """An ordinary convolution but for the gradient of its weight: a product and a sum for each tap of the kernel."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.stride = stride
        return conv2d(maps, weight, None, stride, weight.shape[-1] // 2, 1, maps.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        maps, weight = ctx.saved_tensors
        size, stride = weight.shape[-1], ctx.stride
        of_maps = of_weight = None
        if ctx.needs_input_grad[0]:
            of_maps = conv2d_input(maps.shape, weight, gradient, stride, size // 2, 1, maps.shape[1])
        if ctx.needs_input_grad[1]:
            of_weight = _of_weight(maps.permute(0, 2, 3, 1), gradient.permute(0, 2, 3, 1), size, stride)
        return of_maps, of_weight, None


def _of_weight(maps: Tensor, gradient: Tensor, size: int, stride: int) -> Tensor:
    """Return the weight's gradient (c, 1, size, size); channels are the last axis of what is given, as in memory."""
    taps = torch.zeros(size, size, maps.shape[3])
    for row, out_rows, in_rows in _reach(maps.shape[1], gradient.shape[1], size, stride):
        for column, out_columns, in_columns in _reach(maps.shape[2], gradient.shape[2], size, stride):
            taps[row, column] = (maps[:, in_rows, in_columns] * gradient[:, out_rows, out_columns]).sum((0, 1, 2))
    return taps.permute(2, 0, 1)[:, None]


def _reach(size: int, out_size: int, taps: int, stride: int) -> Iterator[tuple[int, slice, slice]]:
    """Yield each tap of an axis that meets the map, with the places it goes to and those it comes from."""
    padding = taps // 2
    for tap in range(taps):
        first = max(0, -((tap - padding) // stride))
        end = min(out_size, (size - 1 + padding - tap) // stride + 1)
        if end > first:
            start = stride * first + tap - padding
            yield tap, slice(first, end), slice(start, start + stride * (end - first - 1) + 1, stride)
