"""A classifier in 8-bit integers: it answers by its file, whatever it has learned."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from helpers.quantized import assert_computes_as_its_file, classifier, images, learned
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mobilenet_chest.models.onnx_session import open_session
from mobilenet_chest.models.quantized_classifier import QuantizedClassifier


def test_it_begins_as_the_quantised_file(model: QuantizedClassifier, quantized_files: tuple[Path, Path]) -> None:
    assert_computes_as_its_file(model)
    (logits,) = open_session(quantized_files[0]).run(["logit_plain"], {"images": images().numpy()})
    difference = np.abs(model.eval()(images()).numpy() - logits)
    assert difference.mean() <= float(np.ptp(logits)) / 400


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
