"""An ONNX file for TensorRT's parser: pixels are floats at once, and other operators are refused."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from mobilenet_chest.deploy.formats.tensorrt import OPERATORS, for_parser
from mobilenet_chest.errors import ExportFailed


def file(operator: str = "Concat", opset: int = 18) -> bytes:
    """Return an ONNX file that joins images with themselves as uint8, and gives them as floats."""
    nodes = [
        helper.make_node(operator, ["images", "images"], ["both"], **({"axis": 0} if operator == "Concat" else {})),
        helper.make_node("Cast", ["both"], ["logit"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes, "joined", [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 1, 2, 2])],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["m", 1, 2, 2])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return bytes(model.SerializeToString())


def test_pixels_are_floats_before_anything_else() -> None:
    contents = for_parser(file())
    nodes = onnx.load_from_string(contents).graph.node
    assert [node.op_type for node in nodes] == ["Cast", "Concat", "Cast"]
    assert [node.op_type for node in nodes if "images" in node.input] == ["Cast"]
    images = np.arange(4, dtype=np.uint8).reshape(1, 1, 2, 2)
    before, after = (
        onnxruntime.InferenceSession(each, providers=["CPUExecutionProvider"]).run(None, {"images": images})[0]
        for each in (file(), contents)
    )
    np.testing.assert_array_equal(before, after)


def test_what_the_parser_does_not_take() -> None:
    with pytest.raises(ExportFailed, match="lacks BitShift"):
        for_parser(file("BitShift"))
    with pytest.raises(ExportFailed, match="opsets 9 to 20, not 21"):
        for_parser(file(opset=21))


def test_the_list_has_what_networks_need() -> None:
    assert {"Conv", "HardSwish", "HardSigmoid", "LayerNormalization", "ReduceLogSumExp", "Clip"} <= OPERATORS
    assert "BitShift" not in OPERATORS
    assert len(OPERATORS) == 150
