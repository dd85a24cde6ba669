"""Reading the predictions of many runs, from a folder and through a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.servers import MlflowServer
from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.tracking.artifact_writer import predictions_from_table, predictions_table
from mobilenet_chest.tracking.run_predictions import load_run_predictions
from mobilenet_chest.tracking.store import connect

PARAMS = {
    "evaluation.threshold_low": "0.2", "evaluation.threshold_high": "0.8", "evaluation.threshold_step": "0.05",
    "evaluation.folds": "4", "seed": "17",
}  # fmt: skip


def made(client: MlflowClient, folder: Path, number: int) -> str:
    """A run with predictions that tell its number."""
    run = client.create_run("0")
    for name, value in PARAMS.items():
        client.log_param(run.info.run_id, name, value)
    client.log_metric(run.info.run_id, "threshold", 0.4)
    probability = (np.arange(6) + number) / 100
    columns = {"row": np.arange(6), "label": np.array([0, 1, 0, 1, 0, 1], np.uint8), "probability": probability}
    pd.DataFrame(columns | {"probability_tta": probability / 2}).to_parquet(folder / "val.parquet", index=False)
    client.log_artifact(run.info.run_id, str(folder / "val.parquet"), "predictions")
    return str(run.info.run_id)


def check(client: MlflowClient, folder: Path, count: int) -> None:
    ids = [made(client, folder, number) for number in range(count)]
    without = str(client.create_run("0").info.run_id)
    runs: list[Run] = [client.get_run(run_id) for run_id in [without, *ids]]
    found = load_run_predictions(runs)
    assert list(found) == [without, *ids]
    assert isinstance(why := found.pop(without), str)
    assert why.startswith("no predictions/val.parquet that can be read (")
    for number, run_id in enumerate(ids):
        assert isinstance(one := found[run_id], RunPredictions)
        assert one.predictions.probability.tolist() == [(row + number) / 100 for row in range(6)]
        assert one.predictions.probability_tta.tolist() == [(row + number) / 200 for row in range(6)]
        assert one.predictions.label.tolist() == [0, 1, 0, 1, 0, 1]
        assert (one.seed, one.config.folds, one.config.threshold_step) == (17, 4, 0.05)
        assert one.metrics == {"threshold": 0.4}


def test_patients_and_folds_where_they_are_known(tracking: Path) -> None:
    client = connect()
    run_id = made(client, tracking, 0)
    predicted = Predictions(
        np.arange(6), np.array([0, 1] * 3, np.uint8), np.linspace(0, 1, 6), np.linspace(0, 1, 6),
        np.array(["a", "a", "b", "", "7", "ü"]), np.array([0, 0, 0, 1, 1, 1]),
    )  # fmt: skip
    predictions_table(predicted).to_parquet(tracking / "val.parquet", index=False)
    client.log_artifact(run_id, str(tracking / "val.parquet"), "predictions")
    one = load_run_predictions([client.get_run(run_id)])[run_id]
    assert isinstance(one, RunPredictions)
    for name, column in vars(predicted).items():
        again = getattr(one.predictions, name)
        assert (again.dtype.kind, again.tolist()) == (column.dtype.kind, column.tolist())
    assert vars(predictions_from_table(pd.read_parquet(tracking / "val.parquet"))).keys() == vars(predicted).keys()


def test_from_a_folder(tracking: Path) -> None:
    check(connect(), tracking, 3)


@pytest.mark.slow
def test_through_a_server(
    tracking: Path, mlflow_server: Callable[..., MlflowServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than are fetched at a time."""
    server = mlflow_server()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    client = connect()
    assert client.get_run(made(client, tracking, 0)).info.artifact_uri.startswith("mlflow-artifacts:")
    check(client, tracking, 20)
