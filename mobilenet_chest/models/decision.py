"""The last step of a classifier's ONNX file, from logit to calibrated probability and label, written anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from mobilenet_chest.models.deployed import LARGEST_LOGIT
from mobilenet_chest.models.onnx_graph import tidy

REPLACED = ("calibrated", "label")


def with_decision(model: Any, temperature: float, threshold: float) -> Any:
    """Return a copy of a classifier's ``onnx.ModelProto`` with another temperature and threshold.

    Compression changes probabilities, so both are fitted again, and the constants of the original do not hold.

    Args:
        model: With the outputs of :class:`~mobilenet_chest.models.deployed.Answer`.
        temperature: What logits are divided by to be calibrated.
        threshold: Smallest probability at which an image is class 1.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    tidy(graph, without=REPLACED)
    values = {"lowest": -LARGEST_LOGIT, "highest": LARGEST_LOGIT, "temperature": temperature, "threshold": threshold}
    names = {name: f"decision_{name}" for name in values}
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.float32), names[name]) for name, value in values.items()
    )
    graph.node.extend(
        helper.make_node(operator, inputs, [output], name=f"decision/{output}")
        for operator, inputs, output in (
            ("Clip", ["logit", names["lowest"], names["highest"]], "decision_clipped"),
            ("Div", ["decision_clipped", names["temperature"]], "decision_scaled"),
            ("Sigmoid", ["decision_scaled"], "calibrated"),
            ("GreaterOrEqual", ["probability", names["threshold"]], "decision_reached"),
        )
    )
    graph.node.append(helper.make_node("Cast", ["decision_reached"], ["label"], "decision/label", to=TensorProto.INT64))
    onnx.checker.check_model(changed)
    return changed
