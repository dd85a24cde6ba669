"""Trials that leave out one site in turn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.confirmations import confirm_runs
from mlflow import MlflowClient

from mobilenet_chest.cli.compare import print_comparison
from mobilenet_chest.combine.ensemble import run_ensemble
from mobilenet_chest.config import Config
from mobilenet_chest.data import phantom
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import DataError, PromotionRefused
from mobilenet_chest.evaluation.auc import auc
from mobilenet_chest.evaluation.sites import of_site
from mobilenet_chest.registry.promote import promote
from mobilenet_chest.report import report
from mobilenet_chest.selection.compare import compare
from mobilenet_chest.sweep import check, confirm, run_sweep, splits
from mobilenet_chest.sweep.splits import rows_of_trials, scored_on, trainings
from mobilenet_chest.tracking.artifact_writer import predictions_from_table
from mobilenet_chest.tracking.artifacts import stored_predictions
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import find_runs, nested_runs

Make = Callable[..., Config]

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


@pytest.fixture(scope="module")
def two_sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sites") / "two.npz"
    np.savez(path, **phantom.generate(32, {"train": 80, "val": 40, "test": 4}, sites=("A", "B")))
    return path


def test_what_a_dry_run_says_of_sites(two_sites: Path, tiny_search: Make) -> None:
    config = tiny_search(RANGE, {"data.path": str(two_sites)}, leave_out="site")
    assert (config.study.resampling, trainings(config)) == ("kfold", 2)
    data = load_train_val(config.data)
    with np.load(two_sites) as file:
        site = np.concatenate([file["train_site"][data.train.rows], file["val_site"][data.val.rows]])
    a, b = (int((site == name).sum()) for name in "AB")
    assert (rows_of_trials(config, data), scored_on(config)) == (
        f"; each trains 2 times, leaving out one site of the {a + b} rows of train and val: A ({a}), B ({b})",
        "on average over 2 sites, each left out in turn",
    )


def test_fresh_seeds_keep_the_sites(two_sites: Path, tiny_search: Make) -> None:
    config = tiny_search(RANGE, {"data.path": str(two_sites)}, leave_out="site", confirm={})
    assert confirm._seed_fields(config, 3) == {"seed": 3}
    assert trainings(confirm._confirm_config(config)) == 2
    assert splits.fold_fields(config, 1) == {"data.folds": 2, "data.fold": 1, "data.fold_by": "site"}


def test_a_file_without_sites_is_refused_before_anything_is_trained(tracking: Path, tiny_search: Make) -> None:
    with pytest.raises(DataError, match="no column train_site and no val_site"):
        check(tiny_search(RANGE, leave_out="site"))
    assert not (tracking / "optuna.db").exists()


@pytest.mark.slow
def test_each_site_is_scored_by_the_model_that_did_not_see_it(
    here: Path, two_sites: Path, tiny_search: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    again = {"top": 1, "seeds": 2}
    config = tiny_search(RANGE, {"data.path": str(two_sites)}, trials=1, leave_out="site", confirm=again)
    check(config)
    result = run_sweep(config)
    client = MlflowClient()
    run = client.get_run(str(result.best.run_id))
    folds = sorted(nested_runs(client, str(result.best.run_id)), key=lambda fold: fold.data.tags["fold"])
    assert [fold.data.tags["site"] for fold in folds] == json.loads(run.data.tags["sites"]) == ["A", "B"]
    assert [fold.info.run_name for fold in folds] == ["tiny-0, without site A", "tiny-0, without site B"]
    predictions = predictions_from_table(stored_predictions(client, run, "val"))
    with np.load(two_sites) as file:
        site = np.concatenate([file["train_site"], file["val_site"]])[predictions.row]
    assert np.array_equal(site == "B", predictions.fold == 1)
    metrics = metrics_of(run)
    for number, name in enumerate("AB"):
        of_it = of_site(predictions, number)
        value = auc(of_it.label, of_it.probability)
        assert metrics[f"site-{name}_auc"] == metrics_of(folds[number])["val_auc"] == pytest.approx(value, abs=1e-12)
        assert run.data.metrics[f"site-{name}/auc"] == metrics[f"site-{name}_auc"]
    assert result.best.value == pytest.approx((metrics["site-A_auc"] + metrics["site-B_auc"]) / 2)
    assert {"site-A_threshold", "site-B_sensitivity", "site-B_accuracy_tta_threshold"} <= metrics.keys()

    # fresh seeds are trained without each site too, and their median run is the study's
    assert result.confirmed is not None
    values = []
    for confirming in confirm_runs(result):
        of_seed = sorted(nested_runs(client, confirming.info.run_id), key=lambda fold: fold.data.tags["fold"])
        assert [fold.data.tags["site"] for fold in of_seed] == json.loads(confirming.data.tags["sites"]) == ["A", "B"]
        assert {fold.data.params["seed"] for fold in of_seed} == {confirming.data.tags["confirm_seed"]}
        assert not any("data.split_seed" in fold.data.params for fold in of_seed)
        aucs = [metrics_of(confirming)[f"site-{name}_auc"] for name in "AB"]
        assert aucs == [metrics_of(fold)["val_auc"] for fold in of_seed]
        values.append(sum(aucs) / 2)
    assert sorted(result.confirmed.leaders[0].values) == pytest.approx(sorted(values))

    (row,) = compare(["tiny"])
    confirmed = client.get_run(result.confirmed.run_id)
    assert row.run_id == result.confirmed.run_id
    assert row.intervals["site-B_auc"].value == pytest.approx(metrics_of(confirmed)["site-B_auc"])
    print_comparison([row], None, as_json=False, wide=True)
    assert "site-B" in capsys.readouterr().out
    report(["tiny"], here / "page.html")
    assert "Sites left out" in (here / "page.html").read_text()

    # as with folds: the trial has no model, and the ensemble of the sites' models is one
    with pytest.raises(PromotionRefused, match="mobilenet-chest ensemble"):
        promote("tiny")
    combined = client.get_run(run_ensemble(find_runs(client, "tiny")).run_id)
    assert combined.data.tags["scored_on"] == run.data.tags["scored_on"]
    assert combined.data.tags["data_digest"] == load_train_val(config.data).digest
