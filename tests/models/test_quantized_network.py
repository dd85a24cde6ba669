"""A network of 8-bit integers that learns: in training it computes what its file does."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mobilenet_chest import processor
from mobilenet_chest.models import onnx_file
from mobilenet_chest.models.classifier import Backbone, Classifier
from mobilenet_chest.models.deployed import DeployedClassifier
from mobilenet_chest.models.onnx_session import open_session
from mobilenet_chest.models.quantization import BITS, quantized
from mobilenet_chest.models.quantized_network import QuantizedClassifier, QuantizedNetwork


class Block(nn.Module):
    """A residual block with squeeze-excitation, hardswish and BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8)
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Hardsigmoid())

    def forward(self, maps: Tensor) -> Tensor:
        inner = nn.functional.hardswish(self.norm(self.conv(maps)))
        return maps + inner * self.squeeze(inner)


def classifier() -> Classifier:
    torch.manual_seed(3)
    stem = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
    body = nn.Sequential(stem, Block(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    head = nn.Sequential(nn.Linear(8, 16), nn.Hardswish(), nn.Dropout(0.5), nn.Linear(16, 1))
    model = Classifier(Backbone(body, 8), head, (0.4,), (0.2,), False, "tiny")
    for _ in range(20):  # BatchNorm's statistics
        model.train()(images())
    with torch.no_grad():
        head[-1].weight.mul_(8)
    return model.eval()


def images() -> Tensor:
    scale = torch.rand(48, 1, 1, 1, generator=torch.Generator().manual_seed(1))
    noise = torch.rand(48, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    return (scale * noise * 255).to(torch.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("quantized")
    onnx_file.write(DeployedClassifier(classifier(), 1.0, 0.5), 16, 1, {}, folder / "whole.onnx")
    made = quantized(folder / "whole.onnx", images(), images(), 0)
    for name, model in (("int8.onnx", made.model), ("float32.onnx", made.float32)):
        (folder / name).write_bytes(model.SerializeToString())
    return folder / "int8.onnx", folder / "float32.onnx"


@pytest.fixture
def model(files: tuple[Path, Path]) -> QuantizedClassifier:
    return QuantizedClassifier(classifier(), QuantizedNetwork.of_files(*files))


def learned(model: QuantizedClassifier, steps: int = 5) -> QuantizedClassifier:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    labels = (images().float().mean((1, 2, 3)) > 60).float()
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(model.train()(images()), labels).backward()
        optimizer.step()
    return model


def assert_computes_as_its_file(model: QuantizedClassifier) -> None:
    with torch.no_grad():
        trained, answered = model.train()(images()), model.eval()(images())
    assert (answered.dtype, tuple(answered.shape)) == (torch.float32, (48,))
    # sums of integers are exact in the file and rounded in torch: a value between two levels may take either
    level = float(answered.max() - answered.min()) / 100
    assert float((trained - answered).abs().max()) <= 2 * level
    assert float((trained - answered).abs().mean()) <= level / 4


def test_it_begins_as_the_quantised_file(model: QuantizedClassifier, files: tuple[Path, Path]) -> None:
    assert_computes_as_its_file(model)
    (logits,) = open_session(files[0]).run(["logit_plain"], {"images": images().numpy()})
    difference = np.abs(model.eval()(images()).numpy() - logits)
    assert difference.mean() <= float(np.ptp(logits)) / 400


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


def test_it_is_built_again_from_its_state(model: QuantizedClassifier) -> None:
    state = copy.deepcopy(learned(model).state_dict())
    again = QuantizedClassifier.of_state(classifier(), state)
    assert torch.equal(again(images()), model.eval()(images()))
    assert again.network.file() == model.network.file()
    assert len(state) == len(list(model.parameters())) + 1  # and the graph
    assert torch.equal(again.mean, model.mean)


def test_answers_follow_the_weights(model: QuantizedClassifier) -> None:
    before, state = model.eval()(images()), copy.deepcopy(model.state_dict())
    learned(model)
    assert not torch.equal(model.eval()(images()), before)
    model.load_state_dict(state)  # in evaluation mode, without another word
    assert torch.equal(model(images()), before)
    assert torch.equal(copy.deepcopy(model)(images()), before)


def test_a_moving_average_of_equal_networks_is_the_network(model: QuantizedClassifier) -> None:
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    for _ in range(3):
        average.update_parameters(model)
    assert torch.equal(average.module.eval()(images()), model.eval()(images()))


def test_a_state_of_another_file_is_refused(model: QuantizedClassifier) -> None:
    state = model.state_dict()
    state["backbone._extra_state"] = state["backbone._extra_state"][:-1]
    with pytest.raises(ValueError, match="quantised otherwise"):
        model.load_state_dict(state)


def test_an_operator_that_cannot_be_trained_is_named(files: tuple[Path, Path]) -> None:
    file = onnx.load(files[0])
    next(node for node in file.graph.node if node.op_type == "HardSigmoid").op_type = "Celu"
    with pytest.raises(ValueError, match="the operator Celu cannot be trained"):
        QuantizedNetwork(file.SerializeToString())
