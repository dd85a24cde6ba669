"""Agreement between Optuna and MLflow, whatever has been killed when; can be sought at any time."""

from __future__ import annotations

import sys
import time

import optuna
from optuna.trial import TrialState

from mobilenet_chest.sweep.attributes import CONFIRMS
from mobilenet_chest.sweep.claims import counts, reap
from mobilenet_chest.sweep.lease import WorkerWatch
from mobilenet_chest.sweep.locks import exclusive
from mobilenet_chest.sweep.storage import DEFAULT, check_storage, open_storage
from mobilenet_chest.sweep.stored_study import studies
from mobilenet_chest.tracking.outbox.delivery import flush_all
from mobilenet_chest.tracking.store import check_reachable
from mobilenet_chest.tracking.study_run import close_abandoned_runs, sync_trial_runs


def reconcile(study: optuna.Study, url: str, parent_run: str, watch: WorkerWatch | None = None) -> list[str]:
    """Free the trials of dead workers and give every run of the study the state that its trial has.

    Args:
        study: The study.
        url: Its storage.
        parent_run: Its run in MLflow.
        watch: Has looked at the workers for some time, and knows of those that cannot be asked.

    Returns:
        What was done, a line each; nothing where everything agreed.
    """
    said = free(study, url, watch or WorkerWatch())
    with exclusive(url):
        trials = study.get_trials(deepcopy=False)
        living = {trial.number for trial in trials if trial.state == TrialState.RUNNING}
        told = {t.user_attrs["run_id"]: t.state.name for t in trials if counts(t) and "run_id" in t.user_attrs}
        kind = "confirm" if CONFIRMS in study.user_attrs else "trial"
        return said + sync_trial_runs(parent_run, living, told, kind)


def free(study: optuna.Study, url: str, watch: WorkerWatch) -> list[str]:
    """End the trials whose worker is gone; their values are queued again. A line for each."""
    if not watch.look(study):
        return []
    return [f"trial {number}: its worker is gone; ended" for number in reap(study, url, watch.alive)]


def repair(storage: str | None = None) -> list[str]:
    """Reconcile every study, and end the runs whose process is gone.

    Args:
        storage: SQLAlchemy address of the studies; ``sqlite:///optuna.db`` by default.

    Returns:
        What was done, a line each.

    Raises:
        StudyError: The storage cannot be used.
        TrackingError: The tracking store cannot.
    """
    url = storage or DEFAULT
    check_reachable()
    check_storage(url)
    said, at_work = flush_all(), []
    for name in studies(url):
        study = optuna.load_study(study_name=name, storage=open_storage(url))
        if parent_run := study.user_attrs.get("run_id"):
            said += [f"study {name}: {line}" for line in reconcile(study, url, parent_run, _watched(study))]
            if study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                at_work.append(parent_run)  # whichever of the machines that share it
    for run_id, kind in close_abandoned_runs(at_work):
        goes_on = f"train.py with --resume {run_id}" if kind == "train" else "the same command again"
        said.append(f"{kind} run {run_id}: its process is gone, KILLED; {goes_on} goes on with it")
    return said


def _watched(study: optuna.Study) -> WorkerWatch:
    """Look at the study's workers until it is known of all whether they live: at most the length of a lease."""
    watch = WorkerWatch()
    watch.look(study)
    if watch.undecided():
        print(f"study {study.study_name}: watching workers that cannot be asked from here for a while", file=sys.stderr)
    while watch.undecided():
        time.sleep(1.0)
        watch.look(study)
    return watch
