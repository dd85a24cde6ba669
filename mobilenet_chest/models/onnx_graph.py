"""A classifier's ONNX graph: what is outside the network, and nodes that are not needed."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

WEIGHTED = ("Conv", "Gemm", "MatMul")
"""Operators with weights: the network begins with the first of them and ends with the last."""


def outside_the_network(graph: Any) -> list[str]:
    """Return the names of the nodes before the first operator with weights, and behind the last.

    They are normalisation, mirror image, mean and decision: cheap, and the places where rounding does most harm.

    Args:
        graph: ``onnx.GraphProto``; nodes without a name get one.
    """
    for number, node in enumerate(graph.node):
        node.name = node.name or f"node_{number}"
    behind = _reached(graph.node, lambda node: node.input, lambda node: node.output)
    before = _reached([*reversed(graph.node)], lambda node: node.output, lambda node: node.input)
    return [node.name for node in graph.node if node.name not in behind or node.name not in before]


def _reached(nodes: Any, entries: Any, exits: Any) -> set[str]:
    """Return the names of operators with weights, and of the nodes that they lead to in the direction of ``nodes``."""
    names: set[str] = set()
    tensors: set[str] = set()
    for node in nodes:
        if node.op_type in WEIGHTED or tensors & set(entries(node)):
            names.add(node.name)
            tensors |= set(exits(node))
    return names


def tidy(graph: Any, without: Collection[str] = ()) -> None:
    """Sort a graph's nodes, and remove those that no output needs, and constants that no node needs.

    Args:
        graph: ``onnx.GraphProto``.
        without: Outputs whose nodes are removed too; they stay declared.
    """
    makers = {output: node for node in graph.node for output in node.output}
    ordered: dict[str, Any] = {}  # by first output
    pending = [(output.name, False) for output in graph.output if output.name not in without]
    while pending:
        name, inputs_done = pending.pop()
        if name not in makers or makers[name].output[0] in ordered:
            continue
        node = makers[name]
        if inputs_done:
            ordered[node.output[0]] = node
        else:
            pending += [(name, True), *((needed, False) for needed in node.input)]
    nodes = [*ordered.values()]
    needed = {name for node in nodes for name in node.input}
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)


def without_round_trips(graph: Any) -> None:
    """Replace what casts float32 to float16 and back by the float32 tensor itself: the way there loses digits."""
    from onnx import TensorProto

    def is_cast(node: Any, kind: int) -> bool:
        return bool(node.op_type == "Cast" and node.attribute[0].i == kind)

    makers = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        before = makers.get(node.input[0]) if node.input else None
        if before is not None and is_cast(node, TensorProto.FLOAT) and is_cast(before, TensorProto.FLOAT16):
            node.input[0] = before.input[0]
            node.op_type = "Identity"
            del node.attribute[:]
    tidy(graph)


def set_metadata(model: Any, metadata: Mapping[str, Any]) -> None:
    """Write entries into the metadata of an ``onnx.ModelProto``, over those of the same keys.

    Args:
        model: It is changed.
        metadata: What is no text is written as JSON.
    """
    entries = {entry.key: entry.value for entry in model.metadata_props}
    entries |= {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    del model.metadata_props[:]
    for key, value in entries.items():
        model.metadata_props.add(key=key, value=value)
