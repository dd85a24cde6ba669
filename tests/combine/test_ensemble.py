"""Ensembles: means of probabilities of runs that belong together, or out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.registry import compared_images
from helpers.stores import Store
from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.combine.ensemble import Combined, fold_ensemble, log_ensemble, run_ensemble, seed_ensemble
from mobilenet_chest.combine.members import train_members
from mobilenet_chest.config import Config, with_values
from mobilenet_chest.config.formats import duration
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import TrackingError, UserError
from mobilenet_chest.models.classifier import Ensemble
from mobilenet_chest.registry.promote import promote
from mobilenet_chest.selection.compare import compare
from mobilenet_chest.selection.evaluate import evaluate
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifacts import run_config, stored_predictions, trained_model
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import Candidate
from mobilenet_chest.training.predict import predict

Make = Callable[..., Config]


def trainings() -> list[Run]:
    client = MlflowClient()
    experiment = client.get_experiment_by_name("members")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], "tags.kind = 'train'"))


def table(run_id: str, split: str = "val") -> pd.DataFrame:
    client = MlflowClient()
    return stored_predictions(client, client.get_run(run_id), split)


@pytest.mark.slow
def test_an_ensemble_of_seeds(tiny: Make) -> None:
    config = tiny()
    result = seed_ensemble(config, 2)
    run = MlflowClient().get_run(result.run_id)
    assert (run.data.tags["kind"], run.data.tags["members_are"], run.info.status) == ("ensemble", "seeds", "FINISHED")
    assert run.data.tags["members"] == ",".join(result.members)
    note, (low, high) = run.data.tags["mlflow.note.content"], (result.members[0][:8], result.members[1][:8])
    assert note.startswith("**Ensemble of 2 seeds**: the mean of the probabilities of trainings with different seeds.")
    assert f"runs `{low}`, `{high}`." in note
    assert f"Finished from 2 members ({duration(metrics_of(run)['train_seconds'])}): **validation accuracy" in note
    assert "95% interval" in note
    assert "interval" in run.data.tags
    assert {MlflowClient().get_run(member).data.params["seed"] for member in result.members} == {"7", "8"}

    mean, parts = table(result.run_id), [table(member) for member in result.members]
    for column in ("probability", "probability_tta"):
        np.testing.assert_allclose(mean[column], (parts[0][column] + parts[1][column]) / 2)
    assert not np.allclose(parts[0]["probability"], parts[1]["probability"])
    assert mean["row"].tolist() == parts[0]["row"].tolist()

    single = metrics_of(MlflowClient().get_run(result.members[0]))
    assert metrics_of(run)["parameters"] == 2 * single["parameters"]
    assert metrics_of(run)["train_seconds"] > single["train_seconds"]
    assert metrics_of(run)["val_auc"] == result.metrics["val_auc"]

    again = seed_ensemble(config, 3)
    assert again.members[:2] == result.members
    assert len(trainings()) == 3
    rows = {row.run_id: row for row in compare([])}
    assert rows[result.run_id].parameters == 2 * single["parameters"]


def test_what_is_stored_is_the_ensemble(tiny: Make) -> None:
    """The loaded network gives the stored predictions, and its evaluation the run's metrics."""
    result = seed_ensemble(tiny(), 2)
    client = MlflowClient()
    run = client.get_run(result.run_id)
    config = run_config(client, run)
    model = trained_model(client, run, config)
    assert isinstance(model, Ensemble)
    predictions = predict(model, load_train_val(config.data).val, torch.device("cpu"))
    np.testing.assert_allclose(predictions.probability_tta, table(result.run_id)["probability_tta"], atol=1e-6)
    assert evaluate(result.run_id, "val").metrics["val_auc"] == pytest.approx(result.metrics["val_auc"])


@pytest.mark.slow
def test_an_ensemble_of_folds_is_validated_out_of_fold(tiny: Make) -> None:
    config = tiny()
    result = fold_ensemble(config, 3)
    data = load_train_val(config.data)
    out_of_fold = table(result.run_id)
    assert len(out_of_fold) == len(data.train) + len(data.val)
    assert out_of_fold["row"].is_unique
    parts = pd.concat([table(member) for member in result.members])
    merged = out_of_fold.merge(parts, on="row", suffixes=("", "_part"))
    assert len(merged) == len(out_of_fold)
    assert (merged["probability"] == merged["probability_part"]).all()
    assert (merged["label"] == merged["label_part"]).all()
    assert len(table(result.run_id, "served")) == len(data.val)
    with pytest.raises(TrackingError, match=rf"{str(result.run_id)[:8]} .*{tags.OUT_OF_FOLD}"):
        evaluate(result.run_id, "val")
    assert evaluate(result.run_id, "test").test_evaluations == 1


def test_members_of_different_images(tiny: Make) -> None:
    config = tiny()
    parts = train_members(
        [config, with_values(config, {"data.folds": 3}), with_values(config, {"data.image_size": 24})]
    )
    with pytest.raises(UserError, match="not 1"):
        log_ensemble(parts[:1], "runs")
    with pytest.raises(TrackingError, match=str(parts[1].run.data.tags["data_digest"])):
        run_ensemble([Candidate(part.run) for part in parts[:2]])
    with pytest.raises(UserError, match=r"data\.image_size 24, .*\b32\b"):
        run_ensemble([Candidate(parts[0].run), Candidate(parts[2].run)])


def test_all_experiments_are_checked_before_the_first_training(tiny: Make) -> None:
    wrong = with_values(tiny(), {"stage2.unfreeze_from": 5})
    with pytest.raises(UserError, match="1 block"):
        train_members([tiny(), wrong])
    assert MlflowClient().get_experiment_by_name("members") is None


@pytest.mark.slow
@pytest.mark.parametrize("make", [seed_ensemble, fold_ensemble], ids=["seeds", "folds"])
def test_an_ensemble_is_promoted(make: Callable[[Config, int], Combined], tiny: Make) -> None:
    run_id = make(tiny({"evaluation": {"metric": "val_loss"}}), 2).run_id
    promotion = promote(run_id)
    assert (promotion.promoted, promotion.run_id, compared_images(promotion)) == (True, run_id, 34)
    assert promotion.test["test_auc"] > 0


def test_a_trial_whose_fold_was_deleted(store: Store) -> None:
    """The runs of a store, marked as a trial and the one fold that is left of three."""
    parent, fold = store.trials
    store.client.set_tag(parent, "folds", "3")
    for key, value in {"mlflow.parentRunId": parent, "kind": "fold", "fold": "1"}.items():
        store.client.set_tag(fold, key, value)
    with pytest.raises(TrackingError, match="3 folds.*folds 1, 3 were deleted.*mlflow runs restore"):
        run_ensemble([Candidate(store.run(parent))])
