"""Thresholds that stressed and clean validation choose, judged on corruptions that chose neither."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from helpers.experiments import STRESSED
from mlflow import MlflowClient

from mobilenet_chest import train
from mobilenet_chest.config import Config
from mobilenet_chest.data.corruptions import HELD_OUT
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.data.stress import stressed
from mobilenet_chest.evaluation.thresholds import accuracy_at
from mobilenet_chest.tracking.artifacts import trained_model
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.training.predict import predict


def test_the_thresholds_are_those_of_two_trainings(
    phantom_config: Callable[..., Config], tracking: Path, script: ModuleType
) -> None:
    client, runs = MlflowClient(), {}
    for chosen_on in ("stress", "clean"):  # the same weights
        config = phantom_config(STRESSED | {"evaluation.threshold_on": chosen_on})
        runs[chosen_on] = client.get_run(str(train(config, track=True).run_id))
    model = trained_model(client, runs["clean"], config)
    held_out = predict(model, stressed(load_train_val(config.data).val, HELD_OUT), torch.device("cpu"))
    expected = tuple(
        accuracy_at(held_out.label, held_out.probability_tta, metrics_of(run)["threshold"]) for run in runs.values()
    )
    assert script.accuracies(client, runs["clean"].info.run_id) == expected
    training = script.Training("a.b=1", metrics_of(runs["clean"]), runs["clean"].info.run_id)
    (row,) = script.compared(client, [[training], [training]])
    assert (row.metric, row.means) == ("a.b=1", expected)
    assert row.difference.each == pytest.approx((expected[0] - expected[1],) * 2)
