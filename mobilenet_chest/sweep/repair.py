"""Agreement between Optuna and MLflow, whatever has been killed when; can be sought at any time."""

from __future__ import annotations

import optuna
from optuna.trial import TrialState

from mobilenet_chest.sweep.claims import counts, reap
from mobilenet_chest.sweep.definition import studies
from mobilenet_chest.sweep.storage import DEFAULT, check_storage, exclusive, open_storage
from mobilenet_chest.tracking.provenance import is_alive
from mobilenet_chest.tracking.store import check_reachable
from mobilenet_chest.tracking.study_run import close_dead, settle_trials


def reconcile(study: optuna.Study, url: str, parent_run: str) -> list[str]:
    """Free the trials of dead workers and give every run of the study the state that its trial has.

    Returns:
        What was done, a line each; nothing where everything agreed.
    """
    said = [f"trial {number}: its worker is gone; ended" for number in reap(study, url, is_alive)]
    with exclusive(url):
        trials = study.get_trials(deepcopy=False)
        living = {trial.number for trial in trials if trial.state == TrialState.RUNNING}
        told = {t.user_attrs["run_id"]: t.state.name for t in trials if counts(t) and "run_id" in t.user_attrs}
        return said + settle_trials(parent_run, living, told)


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
    said = []
    for name in studies(url):
        study = optuna.load_study(study_name=name, storage=open_storage(url))
        if parent_run := study.user_attrs.get("run_id"):
            said += [f"study {name}: {line}" for line in reconcile(study, url, parent_run)]
    for run_id, kind in close_dead():
        goes_on = f"train.py with --resume {run_id}" if kind == "train" else "the same command again"
        said.append(f"{kind} run {run_id}: its process is gone, KILLED; {goes_on} goes on with it")
    return said
