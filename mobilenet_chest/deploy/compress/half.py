"""Files with two bytes a weight: float16 throughout, or weights in bfloat16."""

from __future__ import annotations

import warnings
from typing import Any

from mobilenet_chest.deploy.compress.converted import Converted
from mobilenet_chest.deploy.compress.original import Original
from mobilenet_chest.models.onnx_graph import outside_the_network, without_round_trips


def fp16(original: Original) -> Converted:
    """Return the original in float16, for GPUs and for its size; before the network and behind it stays float32.

    A processor without float16 arithmetic computes in float32, with conversions in between.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = onnx.load(original.path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights too small for float16: they become 0, which the proof judges
        converted = convert_float_to_float16(
            model, keep_io_types=True, node_block_list=outside_the_network(model.graph)
        )
    without_round_trips(converted.graph)
    return Converted(converted, {})


def bf16(original: Original) -> Converted:
    """Return the original with its weights in bfloat16, which are read as float32 when the file is loaded.

    ONNX Runtime has no bfloat16 arithmetic on processors, so this is for size only.
    """
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(original.path)
    graph, casts = model.graph, []
    for tensor in [*graph.initializer]:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            stored = f"{tensor.name}_bf16"
            casts.append(helper.make_node("Cast", [stored], [tensor.name], name=stored, to=TensorProto.FLOAT))
            tensor.CopyFrom(_bfloat16(tensor, stored))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return Converted(model, {})


def _bfloat16(tensor: Any, name: str) -> Any:
    """Return a float32 tensor rounded to bfloat16, to the nearest, ties to even."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    bits = np.ascontiguousarray(numpy_helper.to_array(tensor)).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return helper.make_tensor(name, TensorProto.BFLOAT16, tensor.dims, rounded.astype("<u2").tobytes(), raw=True)
