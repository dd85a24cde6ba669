"""Agreement between Optuna and MLflow, whatever was killed and when; can be restored at any time."""

from __future__ import annotations

import logging
import time

import optuna

from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.attempts import trial_name
from mobilenet_chest.sweep.claims import counts, reap
from mobilenet_chest.sweep.lease import WorkerWatch
from mobilenet_chest.sweep.locks import exclusive
from mobilenet_chest.sweep.storage import DEFAULT, check_storage
from mobilenet_chest.sweep.stored_study import stored_studies
from mobilenet_chest.sweep.trial_state import running_trials, state_name
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.outbox.outbox import process_outbox
from mobilenet_chest.tracking.runs import short_id
from mobilenet_chest.tracking.store import check_reachable
from mobilenet_chest.tracking.study_run import close_abandoned_runs, sync_trial_runs

logger = logging.getLogger(__name__)


def reconcile(study: optuna.Study, url: str, parent_run: str, watch: WorkerWatch | None = None) -> list[str]:
    """Free the trials of dead workers, and give every run of the study the state that its trial has.

    Args:
        study: The study.
        url: Its storage.
        parent_run: Its run in MLflow.
        watch: One that has looked at the workers for some time, and can tell of those on other machines.

    Returns:
        What was done, a line each; nothing where everything agreed.
    """
    lines = free_trials(study, url, watch or WorkerWatch())
    with exclusive(url):
        trials = study.get_trials(deepcopy=False)
        running = {trial.number for trial in running_trials(study)}
        states = {
            trial.user_attrs[attributes.RUN_ID]: state_name(trial)
            for trial in trials
            if counts(trial) and attributes.RUN_ID in trial.user_attrs
        }
        kind = tags.CONFIRM_KIND if attributes.CONFIRMS in study.user_attrs else tags.TRIAL_KIND
        synced = sync_trial_runs(parent_run, running, states, kind)
        if synced.gone is not None:
            gone = [t.number for t in trials if t.user_attrs.get(attributes.RUN_ID) in synced.gone]
            if gone != study.user_attrs.get(attributes.GONE, []):
                study.set_user_attr(attributes.GONE, gone)
                study.set_user_attr(attributes.REPORTED_TRIALS, None)  # the leaderboard changes
        return lines + synced.lines


def free_trials(study: optuna.Study, url: str, watch: WorkerWatch) -> list[str]:
    """End the trials of dead workers and queue their values again; return a line for each."""
    if not watch.look(study):
        return []
    ended = reap(study, url, watch.alive)
    trials = study.get_trials(deepcopy=False)
    return [f"{trial_name(study, trials[number])}: its worker is gone; ended" for number in ended]


def repair(storage: str | None = None) -> list[str]:
    """Reconcile every study, and end the runs whose process is gone.

    Args:
        storage: SQLAlchemy address of the studies; ``sqlite:///optuna.db`` by default.

    Returns:
        What was done, a line each.

    Raises:
        StudyError: The storage cannot be used.
        TrackingError: The tracking store cannot be used.
    """
    url = storage or DEFAULT
    check_reachable()
    check_storage(url)
    lines, running_studies = process_outbox().flush_all(), []
    for study in stored_studies(url):
        if parent_run := study.user_attrs.get(attributes.RUN_ID):
            lines += [
                f"study {study.study_name}: {line}" for line in reconcile(study, url, parent_run, _watch_workers(study))
            ]
            if running_trials(study):
                running_studies.append(parent_run)  # by any of the machines that share the study
    for run_id, kind in close_abandoned_runs(running_studies):
        command = f"train.py --resume {short_id(run_id)}" if kind == tags.TRAIN_KIND else "run the same command"
        lines.append(f"{kind} run {short_id(run_id)}: its process is gone, KILLED; to continue: {command}")
    return lines


def _watch_workers(study: optuna.Study) -> WorkerWatch:
    """Return a watch that knows of all the study's workers whether they live: after a lease at most."""
    watch = WorkerWatch()
    watch.look(study)
    if watch.undecided():
        logger.info("study %s: waiting for heartbeats of workers that cannot be looked up here", study.study_name)
    while watch.undecided():
        time.sleep(1.0)
        watch.look(study)
    return watch
