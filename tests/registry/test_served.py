"""The code inside a registered model: it predicts as the run did, for images of any size."""

from __future__ import annotations

from typing import Any

import mlflow.pyfunc
import numpy as np
import pytest
import torch
from helpers.registry import Promoted

from mobilenet_chest.data.dataset import load_train_val, resize, stored_validation_images
from mobilenet_chest.tracking import artifacts
from mobilenet_chest.tracking.run_metrics import metrics_of


def test_it_predicts_the_validation_images_as_the_run_did(promoted: Promoted) -> None:
    store, promotion = promoted
    model = mlflow.pyfunc.load_model("models:/tiny@champion")
    data = store.config().data
    table = model.predict(stored_validation_images(data, load_train_val(data).val.rows))
    run = store.run(promotion.run_id)
    stored = artifacts.stored_predictions(store.client, run, "val")["probability_tta"].to_numpy()
    np.testing.assert_allclose(table["probability"].to_numpy(), stored, atol=1e-4, rtol=0)
    assert list(table) == ["probability", "label_name", "label"]
    np.testing.assert_array_equal(table["label"], table["probability"] >= metrics_of(run)["threshold"])
    inner = model.unwrap_python_model()
    images = stored_validation_images(data, load_train_val(data).val.rows[:70])
    with_features = inner.predict(None, images, {"features": True})
    np.testing.assert_array_equal(with_features["probability"], table["probability"][:70])
    features = np.stack(with_features["features"])
    assert (features.dtype, features.ndim, len(features)) == (np.float32, 2, len(images))
    assert set(zip(table["label"], table["label_name"], strict=True)) <= {(0, "cardiomegaly"), (1, "pneumothorax")}


def test_it_takes_images_of_any_size_and_number(promoted: Promoted, monkeypatch: pytest.MonkeyPatch) -> None:
    store, promotion = promoted
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    model = mlflow.pyfunc.load_model("models:/tiny@champion")
    images = np.random.default_rng(3).integers(0, 256, (5, 61, 47), np.uint8)
    table = model.predict(images)
    assert [str(kind) for kind in table.dtypes][::2] == ["float64", "int64"]
    run = store.run(promotion.run_id)
    network = artifacts.trained_model(store.client, run, artifacts.run_config(store.client, run))
    pixels = resize(torch.from_numpy(images)[:, None], 32)
    with torch.inference_mode():
        expected = (network(pixels).sigmoid() + network(pixels.flip(-1)).sigmoid()) / 2
    np.testing.assert_allclose(table["probability"].to_numpy(), expected.numpy(), atol=1e-5, rtol=0)
    assert len(model.predict(images[:1])) == 1
    assert len(model.predict(np.concatenate([images] * 14))) == 70


@pytest.mark.parametrize("images", [np.zeros((2, 8, 8), np.float32), np.zeros((2, 8, 8, 3), np.uint8)])
def test_it_refuses_other_arrays(promoted: Promoted, images: Any) -> None:
    model = mlflow.pyfunc.load_model("models:/tiny@champion")
    with pytest.raises(Exception, match=r"uint8|shape"):
        model.predict(images)
