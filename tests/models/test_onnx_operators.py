"""Each operator in torch gives what ONNX's reference gives, and a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from mobilenet_chest.models.onnx_operators import OPERATORS

X = (2, 4, 6, 6)
"""Shape of the first input."""

VECTOR = np.linspace(0.5, 1.5, 4, dtype=np.float32)

CASES: list[tuple[str, tuple[int, ...], list[Any], dict[str, Any]]] = [
    ("Add", X, [np.float32(2)], {}),
    ("AveragePool", X, [], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("AveragePool", X, [], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1, "strides": [1, 1]}),
    ("BatchNormalization", X, [VECTOR, VECTOR - 1, VECTOR / 2, VECTOR], {"epsilon": 0.01}),
    ("Clip", X, [np.float32(0), np.float32(0.7)], {}),
    ("Clip", X, [np.float32(0)], {}),
    ("Concat", X, [np.ones(X, np.float32)], {"axis": 1}),
    ("Conv", X, [np.linspace(-1, 1, 3 * 4 * 9, dtype=np.float32).reshape(3, 4, 3, 3), VECTOR[:3]],
     {"strides": [2, 2], "pads": [0, 0, 1, 1]}),
    ("Conv", X, [np.linspace(-1, 1, 36, dtype=np.float32).reshape(4, 1, 3, 3)],
     {"group": 4, "pads": [1, 1, 1, 1], "dilations": [1, 1]}),
    ("Div", X, [np.float32(3)], {}),
    ("Erf", X, [], {}),
    ("Flatten", X, [], {"axis": 1}),
    ("Gemm", (3, 4), [np.outer(VECTOR[:2], VECTOR), VECTOR[:2]], {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    ("GlobalAveragePool", X, [], {}),
    ("GlobalMaxPool", X, [], {}),
    ("HardSigmoid", X, [], {"alpha": 1 / 6, "beta": 0.5}),
    ("HardSwish", X, [], {}),
    ("Identity", X, [], {}),
    ("LayerNormalization", (2, 3, 4), [VECTOR, VECTOR], {"axis": -1, "epsilon": 1e-5}),
    ("MatMul", (3, 4), [np.outer(VECTOR, VECTOR)], {}),
    ("MaxPool", X, [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]}),
    ("Mul", X, [np.float32(2)], {}),
    ("Pad", X, [np.array([0, 0, 1, 2, 0, 0, 3, 4]), np.float32(0.5)], {}),
    ("Pow", (2, 3), [np.float32(2)], {}),
    ("ReduceMax", X, [np.array([2, 3])], {"keepdims": 1}),
    ("ReduceMean", X, [np.array([1])], {"keepdims": 0}),
    ("Relu", X, [], {}),
    ("Reshape", X, [np.array([0, -1])], {}),
    ("Sigmoid", X, [], {}),
    ("Squeeze", (2, 4, 1, 1), [np.array([2, 3])], {}),
    ("Sub", X, [np.float32(2)], {}),
    ("Tanh", X, [], {}),
    ("Transpose", X, [], {"perm": [0, 2, 3, 1]}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "shape", "others", "attributes"), CASES)
def test_as_the_reference(name: str, shape: tuple[int, ...], others: list[Any], attributes: dict[str, Any]) -> None:
    first = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    arrays = [first, *(np.asarray(other) for other in others)]
    names = [f"i{place}" for place in range(len(arrays))]
    inputs = [
        onnx.helper.make_tensor_value_info(each, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for each, array in zip(names, arrays, strict=True)
    ]
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    node = onnx.helper.make_node(name, names, ["y"], **attributes)
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", inputs, [output]), opset_imports=[onnx.helper.make_opsetid("", 18)]
    )
    (expected,) = ReferenceEvaluator(model).run(None, dict(zip(names, arrays, strict=True)))
    given = [torch.from_numpy(array.copy()) for array in arrays]
    given[0].requires_grad_()
    read = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
    found = OPERATORS[name](given, read)
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-4, atol=1e-5)
    found.sum().backward()
    assert given[0].grad is not None


def test_every_operator_has_a_case() -> None:
    assert {name for name, *_ in CASES} == set(OPERATORS)


def test_what_torch_has_no_form_of_is_refused() -> None:
    x = torch.zeros(X)
    with pytest.raises(ValueError, match="AveragePool"):
        OPERATORS["AveragePool"]([x], {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]})
    with pytest.raises(ValueError, match="Pad"):
        OPERATORS["Pad"]([x, torch.zeros(8, dtype=torch.int64)], {"mode": b"reflect"})
