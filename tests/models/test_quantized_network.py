"""A network of 8-bit integers that learns: in training it computes what its file does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from helpers.quantized import assert_computes_as_its_file, learned

from mobilenet_chest import processor
from mobilenet_chest.models.quantization import BITS
from mobilenet_chest.models.quantized_classifier import QuantizedClassifier
from mobilenet_chest.models.quantized_network import QuantizedNetwork


def test_it_learns_and_still_computes_as_its_file(model: QuantizedClassifier) -> None:
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    learned(model)
    assert [name for name, value in model.named_parameters() if torch.equal(value, before[name])] == []
    assert_computes_as_its_file(model)


def test_the_file_holds_integers_within_their_bits(model: QuantizedClassifier) -> None:
    file = learned(model).network.file()
    onnx.checker.check_model(file)
    weights = [onnx.numpy_helper.to_array(tensor) for tensor in file.graph.initializer
               if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1]  # fmt: skip
    bits, limit = ("8", 127) if processor.multiplies_bytes() else ("7", 64)
    assert {entry.key: entry.value for entry in file.metadata_props}[BITS] == bits
    assert max(int(np.abs(weight.astype(int)).max()) for weight in weights) == limit
    assert {weight.shape for weight in weights} >= {(8, 1, 3, 3), (16, 8), (1, 16)}


def test_a_state_of_another_file_is_refused(model: QuantizedClassifier) -> None:
    state = model.state_dict()
    state["backbone._extra_state"] = state["backbone._extra_state"][:-1]
    with pytest.raises(ValueError, match="quantised otherwise"):
        model.load_state_dict(state)


def test_an_operator_that_cannot_be_trained_is_named(quantized_files: tuple[Path, Path]) -> None:
    file = onnx.load(quantized_files[0])
    next(node for node in file.graph.node if node.op_type == "HardSigmoid").op_type = "Celu"
    with pytest.raises(ValueError, match="the operator Celu cannot be trained"):
        QuantizedNetwork(file.SerializeToString())
