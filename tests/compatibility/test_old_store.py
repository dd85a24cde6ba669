"""A study and runs made at commit 3ed54fa are compared, resumed and promoted by the present code."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from helpers import old_store
from helpers.stores import working_in
from mlflow import MlflowClient

from mobilenet_chest.config import load
from mobilenet_chest.registry.promote import promote
from mobilenet_chest.selection.compare import compare
from mobilenet_chest.sweep import run_sweep
from mobilenet_chest.sweep import study as study_module
from mobilenet_chest.sweep.local_workers import Job, work
from mobilenet_chest.tracking.run_metrics import metric_history

BEST = "b37895bcb42743c596c4486260495444"
INTERRUPTED = "ffcf741ead6143b1a62b8fad97192354"


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The study's experiment file, in a store as the old code left it, which is the working folder."""
    monkeypatch.setattr(study_module, "run_workers", lambda job, *_, **__: _work_here(job))
    monkeypatch.setenv("MOBILENET_CHEST_CACHE", "off")  # as when the store was made
    file = old_store.build(tmp_path)
    with working_in(tmp_path):
        yield file


def _work_here(job: Job) -> None:
    work(dataclasses.replace(job, threads=1))


@pytest.mark.usefixtures("experiment")
def test_old_runs_are_compared_with_the_metrics_that_they_logged() -> None:
    rows = {row.run_id: row for row in compare([])}
    metrics = old_store.expected()["compare"]
    assert {run_id for run_id in rows if run_id} == set(metrics)
    for run_id, logged in metrics.items():
        assert rows[run_id].metrics == pytest.approx(logged)
    assert rows[BEST].intervals["val_auc"].value == pytest.approx(metrics[BEST]["val_auc"])


def test_an_old_study_resumes_and_ends_with_the_values_of_the_old_code(experiment: Path) -> None:
    before = metric_history(MlflowClient(), INTERRUPTED, "val_auc")
    result = run_sweep(load(experiment))
    trials = old_store.expected()["trials"]
    assert [(t.number, t.state, t.params["stage1.lr"]) for t in result.trials] == [
        (t["number"], t["state"], t["lr"]) for t in trials
    ]
    assert [t.value for t in result.trials] == pytest.approx([t["value"] for t in trials], abs=1e-6)
    assert (result.best.number, result.run_id) == (0, old_store.STUDY_RUN)
    # the interrupted trial ended in the run that was begun for it, and no epoch was trained twice
    assert result.trials[-1].run_id == INTERRUPTED
    after = metric_history(MlflowClient(), INTERRUPTED, "val_auc")
    assert [(m.step, m.value) for m in after[: len(before)]] == [(m.step, m.value) for m in before]
    assert [m.step for m in after] == [1, 2, 3, 0]  # three epochs, and the metrics of the end
    study = optuna.load_study(study_name="old-study", storage="sqlite:///optuna.db")
    assert study.trials[4].user_attrs["retry_of"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("reference", ["old-study", old_store.SINGLE])
@pytest.mark.usefixtures("experiment")
def test_an_old_run_is_promoted(reference: str) -> None:
    promotion = promote(reference)
    assert promotion.promoted
    assert promotion.run_id == (BEST if reference == "old-study" else reference)
    version = MlflowClient().get_model_version_by_alias("old", "champion")
    assert (int(version.version), version.run_id) == (1, promotion.run_id)
