"""Whatever was killed when, MLflow and Optuna agree in the end, and each repair is reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import optuna
import psutil
import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import StudyError
from mobilenet_chest.sweep import run_sweep
from mobilenet_chest.sweep.repair import repair
from mobilenet_chest.sweep.storage import open_storage
from mobilenet_chest.tracking.provenance import identity
from mobilenet_chest.tracking.runs import find_run
from mobilenet_chest.tracking.tags import OWNER
from mobilenet_chest.tracking.tracker import MlflowTracker

Make = Callable[..., Config]

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


def gone() -> dict[str, object]:
    """The identity of a process that is no more."""
    return identity() | {"started": psutil.boot_time() - 1000}


def test_nothing_to_repair(here: Path, tiny_search: Make) -> None:
    assert repair() == []
    assert not (here / "optuna.db").exists()
    run_sweep(tiny_search(RANGE, trials=1))
    assert repair() == []
    with pytest.raises(StudyError, match="--storage nowhere: .*sqlite:///"):
        repair("nowhere")


def test_everything_that_a_kill_can_leave(here: Path, tiny_search: Make) -> None:
    config = tiny_search(RANGE, trials=2)
    result = run_sweep(config)
    client, data = MlflowClient(), load_train_val(config.data)
    study = optuna.load_study(study_name="tiny", storage=open_storage("sqlite:///optuna.db"))
    # a worker killed between telling the study and telling MLflow
    best = result.best.run_id
    assert best is not None
    client.delete_tag(best, "trial_state")
    client.update_run(best, status="RUNNING")
    # one killed in mid-trial
    dead = study.ask()
    dead.set_user_attr("worker", gone())
    dead.suggest_float("stage2.lr", 1e-4, 1e-2, log=True)
    tags = {"study": "tiny", "trial": str(dead.number)}
    nested = MlflowTracker("trial", tags=tags, parent=result.run_id).start(config, data)
    # one at work
    living = study.ask()
    living.set_user_attr("worker", identity())
    tags["trial"] = str(living.number)
    at_work = MlflowTracker("trial", tags=tags, parent=result.run_id).start(config, data)
    # a sweep, a training that was killed, and one that still runs
    client.update_run(result.run_id, status="RUNNING")
    killed, busy = MlflowTracker().start(config, data), MlflowTracker().start(config, data)
    for run_id in (result.run_id, killed):
        client.set_tag(run_id, OWNER, json.dumps(gone()))

    lines = repair()
    assert sorted(lines) == sorted(
        [
            f"study tiny: trial {dead.number}: its worker is gone; ended",
            f"study tiny: run {str(best)[:8]}: COMPLETE, as its trial in the study",
            f"study tiny: run {nested[:8]}: nobody works on its trial any more, KILLED",
            f"train run {killed[:8]}: its process is gone, KILLED; to continue: train.py --resume {killed[:8]}",
        ]
    )
    statuses = {run_id: client.get_run(run_id).info.status for run_id in (best, nested, at_work, killed, busy)}
    assert list(statuses.values()) == ["FINISHED", "KILLED", "RUNNING", "KILLED", "RUNNING"]
    assert find_run(client, "tiny").run_id == best
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    assert states[2:] == [TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING]
    # while somebody has a trial of it, the study's run is not over, whoever began it
    assert repair() == []
    study.tell(living, 0.5)
    client.set_tag(at_work, "trial_state", "COMPLETE")
    client.set_terminated(at_work)
    assert repair() == [
        f"study run {result.run_id[:8]}: its process is gone, KILLED; to continue: run the same command"
    ]


def test_a_run_that_was_deleted_is_named(here: Path, tiny_search: Make) -> None:
    result = run_sweep(tiny_search(RANGE, trials=1))
    assert result.best.run_id is not None
    MlflowClient().delete_run(result.best.run_id)
    (line,) = repair()
    assert line.startswith(f"study tiny: run {result.best.run_id[:8]}: deleted in MLflow")
