"""A classifier's ONNX graph: the parts outside the network, and nodes that are not needed."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from mobilenet_chest.models.onnx_graph import outside_the_network, tidy, without_round_trips


@pytest.fixture
def graph() -> onnx.GraphProto:
    """Normalisation, a weighted operator with an activation, another weighted one, and a decision; unsorted."""
    nodes = [
        helper.make_node("Sigmoid", ["z"], ["probability"]),
        helper.make_node("Gemm", ["b", "w"], ["z"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Gemm", ["x", "w"], ["a"]),
        helper.make_node("Cast", ["images"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Neg", ["z"], ["unused"]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 2])
    output = helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", 2])
    weight, other = (helper.make_tensor(name, TensorProto.FLOAT, [2, 2], [1, 0, 0, 1]) for name in ("w", "unused_w"))
    return helper.make_graph(nodes, "test", [images], [output], [weight, other])


def operators(graph: onnx.GraphProto) -> list[str]:
    return [node.op_type for node in graph.node]


def test_nodes_are_sorted_and_those_that_nothing_needs_go(graph: onnx.GraphProto) -> None:
    tidy(graph)
    assert operators(graph) == ["Cast", "Gemm", "Relu", "Gemm", "Sigmoid"]
    assert [tensor.name for tensor in graph.initializer] == ["w"]
    onnx.checker.check_graph(graph)
    tidy(graph, without=["probability"])
    assert operators(graph) == []


def test_what_is_before_and_behind_the_weights_is_outside(graph: onnx.GraphProto) -> None:
    tidy(graph)
    outside = outside_the_network(graph)
    assert [node.op_type for node in graph.node if node.name in outside] == ["Cast", "Sigmoid"]


def test_a_cast_to_float16_and_back_is_left_out() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Cast", ["a"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["half"], ["y"], to=TensorProto.FLOAT),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "test", ends[:1], ends[1:])
    without_round_trips(graph)
    assert operators(graph) == ["Relu", "Identity"]
    assert list(graph.node[1].input) == ["a"]
