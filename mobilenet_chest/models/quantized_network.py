"""A network of 8-bit integers that learns: it trains as its ONNX file computes.

The file is one that :mod:`mobilenet_chest.models.quantization` makes. Its nodes are carried out in torch, each rounding
with a straight-through estimator, so nothing has to be known of the architecture: BatchNorm is merged already, and
layers that stay in float32 are those that stay so in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mobilenet_chest.models.fake_quantization import (
    integers,
    roomy_scale,
    rounded_activation,
    rounded_weight,
    weight_scale,
)
from mobilenet_chest.models.onnx_graph import WEIGHTED
from mobilenet_chest.models.onnx_operators import OPERATORS
from mobilenet_chest.models.onnx_session import BITS

WEIGHT_LIMITS = {"7": 64, "8": 127}
"""Largest integer of a weight, by its number of bits."""

BIAS_LIMIT = 2.0**31 - 128
"""Largest integer of a bias that float32 can hold."""


class _Weight(NamedTuple):
    """A tensor of 8-bit integers that learns, and the biases of its layers.

    Attributes:
        stored: Names of its integers, and of its scale.
        axis: Of the channels; ``None`` for one scale.
        biases: Name of each bias, and of the scale of the layer's input.
    """

    stored: tuple[str, str]
    axis: int | None
    biases: list[tuple[str, str]]


class QuantizedNetwork(nn.Module):
    """The part of a quantised file from its first layer to its last; weights, biases and scales learn.

    Args:
        contents: The file: ``onnx.ModelProto``, serialised, with nodes in order.
        weights: Values in float32 of the weights, by name; those of the integers where there are none.

    Raises:
        ValueError: A node cannot be carried out; the message names its operator.

    Attributes:
        metadata: Entries of the file's metadata.
    """

    def __init__(self, contents: bytes, weights: Mapping[str, NDArray[np.float32]] | None = None) -> None:
        import onnx

        super().__init__()
        self._contents = contents
        model = onnx.load_from_string(contents)
        self.metadata = {entry.key: entry.value for entry in model.metadata_props}
        self._largest = WEIGHT_LIMITS[self.metadata[BITS]]
        self._stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self._makers = {output: node for node in model.graph.node for output in node.output}
        self._entry, self._exit = _ends(model.graph, self._makers)
        self._nodes = _between(self._entry, self._exit, self._makers, self._stored)
        self.values, self.log_scales = nn.ParameterDict(), nn.ParameterDict()
        self._constants, self._zero_points = nn.Module(), nn.Module()
        self._whole_numbers: dict[str, Tensor] = {}
        self._weights: dict[str, _Weight] = {}
        self._bias_stored: dict[str, tuple[str, str]] = {}
        self._read(weights or {})
        self._attributes = [
            {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute} for node in self._nodes
        ]
        del self._makers

    @classmethod
    def of_files(cls, quantized: Path, float32: Path) -> QuantizedNetwork:
        """Return the network of a quantised file, with the weights that the file was made of."""
        import onnx

        tensors = onnx.load(float32).graph.initializer
        weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in tensors}
        return cls(quantized.read_bytes(), weights)

    def _read(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Make parameters and constants of all that the nodes read."""
        for node in self._nodes:
            if node.op_type == "QuantizeLinear":
                self._add_activation(node)
            elif node.op_type == "DequantizeLinear" and node.input[0] in self._stored:
                self._add_integers(node, weights)
            elif node.op_type != "DequantizeLinear":
                if node.op_type not in OPERATORS:
                    raise ValueError(f"the operator {node.op_type} cannot be trained")
                self._add_floats(node)
        for node in self._nodes:
            if len(node.input) > 2 and node.input[2] in self._bias_stored:
                source = self._makers[node.input[0]]
                self._weights[node.input[1]].biases.append((node.input[2], source.input[1]))

    def _add_activation(self, node: Any) -> None:
        _, scale, zero_point = node.input
        if _key(scale) not in self.log_scales:
            values = torch.tensor(float(self._stored[scale])), torch.tensor(int(self._stored[zero_point]))
            self.log_scales[_key(scale)] = nn.Parameter(values[0].log())
            # float: a moving average of the model would also average its buffers, and spoil whole numbers
            self._zero_points.register_buffer(_key(scale), values[1].float(), persistent=False)

    def _add_integers(self, node: Any, weights: Mapping[str, NDArray[np.float32]]) -> None:
        stored, scale, zero_point = node.input
        name, whole = node.output[0], self._stored[stored]
        axis = next((entry.i for entry in node.attribute if entry.name == "axis"), None)
        axis = axis if self._stored[scale].ndim else None
        shape = [-1 if place == axis else 1 for place in range(whole.ndim)]
        scales = self._stored[scale] if axis is None else self._stored[scale].reshape(shape)
        zeros = self._stored[zero_point] if axis is None else self._stored[zero_point].reshape(shape)
        floats = torch.from_numpy(np.asarray((whole.astype(np.float64) - zeros) * scales, np.float32))
        if whole.dtype == np.int32:
            self.values[_key(name)] = nn.Parameter(floats)
            self._bias_stored[name] = (stored, scale)
        elif whole.dtype == np.int8:
            given = weights.get(name)
            self.values[_key(name)] = nn.Parameter(floats if given is None else torch.from_numpy(given.copy()))
            self._weights[name] = _Weight((stored, scale), axis, [])
        else:
            self._constants.register_buffer(_key(name), floats, persistent=False)

    def _add_floats(self, node: Any) -> None:
        """Layers in float32 learn; other numbers, such as limits and statistics, stay."""
        for place, name in enumerate(node.input):
            if name not in self._stored or _key(name) in self.values or hasattr(self._constants, _key(name)):
                continue
            value = torch.from_numpy(self._stored[name].copy())
            if not value.is_floating_point():
                self._whole_numbers[name] = value
            elif node.op_type in WEIGHTED and place:
                self.values[_key(name)] = nn.Parameter(value)
            else:
                self._constants.register_buffer(_key(name), value, persistent=False)

    def forward(self, normalised: Tensor) -> Tensor:
        """Return logits (n, 1) of normalised images (n, c, s, s)."""
        values: dict[str, Tensor] = {self._entry: normalised, **self._rounded()}
        for node, attributes in zip(self._nodes, self._attributes, strict=True):
            name = node.output[0]
            if node.op_type == "QuantizeLinear":
                key = _key(node.input[1])
                values[name] = rounded_activation(
                    values[node.input[0]], self.log_scales[key], getattr(self._zero_points, key).int()
                )
            elif node.op_type == "DequantizeLinear":
                if name not in values:
                    values[name] = values[node.input[0]] if node.input[0] in values else self._fixed(name)
            else:
                inputs = [None if not given else values[given] if given in values else self._fixed(given)
                          for given in node.input]  # fmt: skip
                values[name] = OPERATORS[node.op_type](inputs, attributes)
        return values[self._exit]

    def _fixed(self, name: str) -> Tensor:
        key = _key(name)
        if name in self._whole_numbers:
            return self._whole_numbers[name]
        return self.values[key] if key in self.values else cast(Tensor, getattr(self._constants, key))

    def _scale(self, name: str) -> Tensor:
        """Return the scale of a weight, at which the biases of its layers fit 32 bits."""
        weight = self._weights[name]
        scale = weight_scale(self.values[_key(name)], self._largest, weight.axis)
        for bias, source in weight.biases:
            values = self.values[_key(bias)]
            values = values if weight.axis is not None else values.abs().amax()
            scale = roomy_scale(scale, values, self.log_scales[_key(source)].exp())
        return scale

    def _rounded(self) -> dict[str, Tensor]:
        """Return weights and biases as their integers hold them."""
        rounded = {}
        for name, weight in self._weights.items():
            scale = self._scale(name)
            rounded[name] = rounded_weight(self.values[_key(name)], scale, self._largest, weight.axis)
            for bias, source in weight.biases:
                of_bias = scale * self.log_scales[_key(source)].detach().exp()
                axis = None if weight.axis is None else 0
                rounded[bias] = rounded_weight(self.values[_key(bias)], of_bias, BIAS_LIMIT, axis)
        return rounded

    @torch.no_grad()
    def file(self) -> Any:
        """Return the ``onnx.ModelProto`` with what was learned: it computes what the network trains with."""
        import onnx

        written: dict[str, NDArray[Any]] = {}
        for key, log_scale in self.log_scales.items():
            written[key] = log_scale.exp().cpu().numpy()
        for name, weight in self._weights.items():
            scale, (stored, of_scale) = self._scale(name), weight.stored
            whole = integers(self.values[_key(name)], scale, self._largest, weight.axis)
            written |= {stored: whole.cpu().numpy().astype(np.int8), of_scale: scale.cpu().numpy()}
            for bias, source in weight.biases:
                stored, of_scale = self._bias_stored[bias]
                of_bias = scale * self.log_scales[_key(source)].exp()
                whole = integers(self.values[_key(bias)], of_bias, BIAS_LIMIT, None if weight.axis is None else 0)
                written |= {stored: whole.cpu().numpy().astype(np.int32), of_scale: of_bias.cpu().numpy()}
        quantized = {*self._weights, *self._bias_stored}
        written |= {
            name: self.values[_key(name)].cpu().numpy() for name in self._stored
            if _key(name) in self.values and name not in quantized
        }  # fmt: skip
        model = onnx.load_from_string(self._contents)
        for tensor in model.graph.initializer:
            found = written.get(tensor.name, written.get(_key(tensor.name)))
            if found is not None:
                shape = self._stored[tensor.name].shape
                tensor.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(found).reshape(shape), tensor.name))
        return model

    def get_extra_state(self) -> Tensor:
        """Return the file that the network was built from: with it in a checkpoint, the network is built again."""
        return torch.frombuffer(bytearray(self._contents), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Check that a checkpoint is of the same file.

        Raises:
            ValueError: It is of another one.
        """
        if state.numpy().tobytes() != self._contents:
            raise ValueError("the weights belong to a network that was quantised otherwise")


def _key(name: str) -> str:
    """Return a name that a parameter may have."""
    return name.replace(".", "/")


def _ends(graph: Any, makers: Mapping[str, Any]) -> tuple[str, str]:
    """Return the names of the input of the first operator with weights, before rounding and padding, and of the
    output of the last, after rounding."""
    weighted = [node for node in graph.node if node.op_type in WEIGHTED]
    entry, leaving = weighted[0].input[0], weighted[-1].output[0]
    while entry in makers and makers[entry].op_type in ("DequantizeLinear", "QuantizeLinear", "Pad"):
        entry = makers[entry].input[0]
    rounding = {node.input[0]: node.output[0] for node in graph.node if node.op_type.endswith("antizeLinear")}
    while leaving in rounding:
        leaving = rounding[leaving]
    return entry, leaving


def _between(entry: str, leaving: str, makers: Mapping[str, Any], stored: Mapping[str, Any]) -> list[Any]:
    """Return the nodes that lead from one tensor to another, in order.

    Raises:
        ValueError: They need something else that is not stored.
    """
    needed, pending = {entry}, [leaving]
    while pending:
        name = pending.pop()
        if name in needed or name in stored or not name:
            continue
        if name not in makers:
            raise ValueError(f"its layers read {name} beside its first layer's input")
        needed.add(name)
        pending += makers[name].input
    return [node for output, node in makers.items() if output in needed - {entry} and output == node.output[0]]
