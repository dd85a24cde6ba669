"""Rounding in training: the values of ONNX's operators, and gradients that pass through."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from mobilenet_chest.models.fake_quantization import (
    integers,
    roomy_scale,
    rounded_activation,
    rounded_weight,
    weight_scale,
)


def activation(scale: float = 0.25, zero_point: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(scale).log().requires_grad_(), torch.tensor(zero_point, dtype=torch.int32)


def test_activations_are_rounded_as_onnx_rounds_them() -> None:
    x = torch.linspace(-3, 70, 400)
    nodes = [
        onnx.helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        onnx.helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    values = [
        onnx.numpy_helper.from_array(np.float32(0.25), "scale"), onnx.numpy_helper.from_array(np.uint8(3), "zero"),
    ]  # fmt: skip
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [400]) for name in "xy"]
    graph = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], values)
    (expected,) = ReferenceEvaluator(onnx.helper.make_model(graph)).run(None, {"x": x.numpy()})
    rounded = rounded_activation(x, *activation()).detach()
    np.testing.assert_allclose(rounded, expected, atol=1e-6)
    assert (float(rounded.min()), float(rounded.max())) == (-0.75, 63.0)


def test_gradients_pass_inside_the_range_and_move_the_scale() -> None:
    log_scale, zero_point = activation()
    x = torch.tensor([-5.0, 0.1, 0.4, 100.0], requires_grad=True)
    rounded_activation(x, log_scale, zero_point).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 1, 0]
    # of the natural logarithm of the scale: what rounding changes inside, the limit itself outside
    inside = (0.0 - 0.1) + (0.5 - 0.4)
    assert log_scale.grad is not None
    assert float(log_scale.grad) == pytest.approx((-0.75 + inside + 63.0) / (4 * 255) ** 0.5, rel=1e-5)


def test_weights_have_a_scale_for_each_channel_and_a_gradient_of_one() -> None:
    weight = torch.tensor([[0.5, -1.28], [0.0, 0.0]], requires_grad=True)
    scale = weight_scale(weight, 64, 0)
    torch.testing.assert_close(scale, torch.tensor([0.02, 2.0**-100]))
    assert integers(weight, scale, 64, 0).tolist() == [[25, -64], [0, 0]]
    rounded_weight(weight, scale, 64, 0).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [[1, 1], [1, 1]]
    assert weight_scale(weight, 127, None).ndim == 0


def test_a_bias_of_a_channel_without_weights_fits_32_bits() -> None:
    scale = roomy_scale(torch.tensor([2.0**-100, 1.0]), torch.tensor([3.0, 1.0]), torch.tensor(0.5))
    assert scale.tolist() == [3 / (0.5 * 2.0**30), 1.0]
