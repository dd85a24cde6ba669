"""A sweep from start to end: study, parent run, workers, leaderboard."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import optuna
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import TrainVal, load_train_val
from mobilenet_chest.errors import ConfigError, SweepFailed
from mobilenet_chest.sweep import study_page
from mobilenet_chest.sweep.attributes import CONFIRMED
from mobilenet_chest.sweep.claims import best_trial, counts
from mobilenet_chest.sweep.confirm import Confirmation, confirm, outcome, trainings
from mobilenet_chest.sweep.lease import WorkerWatch
from mobilenet_chest.sweep.local_workers import Job, Launcher, cores, run_workers
from mobilenet_chest.sweep.locks import exclusive
from mobilenet_chest.sweep.repair import free, reconcile
from mobilenet_chest.sweep.space import grid_points
from mobilenet_chest.sweep.splits import check_division
from mobilenet_chest.sweep.storage import DEFAULT, check_storage, open_storage
from mobilenet_chest.sweep.stored_study import check_same_experiment, exists, open_or_create
from mobilenet_chest.sweep.summary import SweepStatus, TrialSummary, status, summarize
from mobilenet_chest.sweep.supervisor import Forecast, forecast, only_failures
from mobilenet_chest.sweep.ties import Ties, find_ties
from mobilenet_chest.tracking.outbox.delivery import flush_all
from mobilenet_chest.tracking.store import check_reachable, connect
from mobilenet_chest.tracking.study_run import open_study_run
from mobilenet_chest.tracking.tracker import MlflowTracker, Status
from mobilenet_chest.training.stages import Prepared, prepare

REPORTED = "reported_trials"
"""Attribute of the study: of how many trials its run in MLflow has the leaderboard and plots."""


@dataclass(frozen=True)
class SweepResult:
    """What a sweep came to.

    Attributes:
        study: Its name.
        run_id: Its parent run in MLflow.
        trials: All that count, by number.
        best: The best complete trial by the study's metric.
        front: Numbers of the trials that no other is better than in one objective and as good in all; with one
            objective only, empty.
        importances: Share of each parameter in the variance of the metric; empty where it cannot be told.
        complete: Whether the study has all its trials, and its leaders the trainings that confirm them.
        new_trials: How many were run this time.
        stage1: ``stage1_epochs_trained``, ``stage1_epochs_reused`` and ``saved_seconds`` of all trials together.
        confirmed: What the leaders came to on fresh seeds, with ``study.confirm``.
        ties: What the validation images can tell of the trials.
    """

    study: str
    run_id: str
    trials: list[TrialSummary]
    best: TrialSummary
    front: list[int]
    importances: dict[str, float]
    complete: bool
    new_trials: int
    stage1: dict[str, float]
    confirmed: Confirmation | None = None
    ties: Ties = field(default_factory=lambda: Ties({}, []))


def check(config: Config, storage: str | None = None) -> Prepared:
    """All that can be wrong with a sweep, short of training, leaving nothing behind; gives what was prepared for it.

    Raises:
        UserError: Space, data, weights, storage or tracking store are not such that the sweep could run.
    """
    if not config.search:
        raise ConfigError([f"{config.name}: nothing to search; add a search section, or use train.py for one training"])
    if config.study.sampler == "grid":
        grid_points(config)
    check_storage(storage or DEFAULT)
    check_reachable()
    prepared = prepare(config)
    check_division(config)
    _check_blocks(config, prepared.model.block_count)
    check_same_experiment(config, storage or DEFAULT)
    return prepared


def _check_blocks(config: Config, count: int) -> None:
    searched = config.search.get("stage2.unfreeze_from")
    if searched is None or "model.name" in config.search:
        return
    ends = [searched.high] if searched.choices is None else [c[0] for c in searched.choices if isinstance(c, tuple)]
    highest = max(end for end in ends if isinstance(end, int | float))
    if highest >= count:
        raise ConfigError(
            [
                f"search.stage2.unfreeze_from: {highest:g}, but {config.model.name} has {count} blocks; allowed: "
                f"0 to {count - 1}"
            ]
        )


def remaining_trials(config: Config, storage: str | None = None) -> int:
    """How many trials :func:`run_sweep` would begin; creates nothing."""
    url = storage or DEFAULT
    done = 0
    if exists(url, config.study_name):
        done = len(_counted(optuna.load_study(study_name=config.study_name, storage=open_storage(url))))
    return max(0, _total(config) - done)


def remaining_confirmations(config: Config, storage: str | None = None) -> int:
    """How many trainings on fresh seeds :func:`run_sweep` would begin after the trials; creates nothing."""
    url, study = storage or DEFAULT, None
    if exists(url, config.study_name):
        study = optuna.load_study(study_name=config.study_name, storage=open_storage(url))
    return trainings(config, study, _total(config), url)


def run_sweep(
    config: Config,
    *,
    workers: int = 1,
    timeout: float | None = None,
    storage: str | None = None,
    launch: Launcher | None = None,
    on_status: Callable[[SweepStatus], None] | None = None,
) -> SweepResult:
    """Start a study, or continue it to ``config.study.trials`` trials, and log it to MLflow.

    Args:
        config: An experiment with a ``search`` section.
        workers: Processes that share the trials and the CPU's cores.
        timeout: Seconds after which no further trial is begun.
        storage: SQLAlchemy address of the study; ``sqlite:///optuna.db`` by default.
        launch: What runs the workers: processes of this machine by default, or what
            :func:`~mobilenet_chest.sweep.ray_workers.on_ray` gives.
        on_status: Called about once a second.

    Raises:
        UserError: As :func:`check`.
        SweepFailed: No trial was completed.
        KeyboardInterrupt: After all trials in hand were ended and queued again.
    """
    url = storage or DEFAULT
    check(config, storage)
    started = time.time()
    _say(flush_all())
    study, watch = open_or_create(config, url), WorkerWatch()
    known = study.user_attrs.get("run_id")
    if known is not None and study.user_attrs.get(REPORTED) == len(_counted(study)) >= _total(config):
        _say(reconcile(study, url, known, watch))
        if config.study.confirm is None or study.user_attrs.get(CONFIRMED) == config.study.confirm.model_dump():
            return _with_confirmation(config, study, url, _result(config, study, known, new_trials=0))
    with exclusive(url):  # machines that begin at the same time share one run
        parent = _parent_run(config, study, load_train_val(config.data))
    assert parent.run_id is not None
    run_id = parent.run_id
    _say(reconcile(study, url, run_id, watch))
    _queue_grid(config, study, url)
    before = _counted(study)
    deadline = None if timeout is None else started + timeout
    worked_on = {study.study_name: study}

    def work(own: Config, on: optuna.Study, total: int) -> None:
        worked_on[on.study_name] = on
        eyes, done, begun = watch if on is study else WorkerWatch(), len(_counted(on)), time.time()
        job = Job(own, url, run_id, deadline, threads=max(1, cores() // workers), first_trial=len(on.trials))

        def tick() -> Forecast:
            _say(free(on, url, eyes))
            if on_status is not None:
                on_status(status(on, total, begun, done))
            return forecast(on, own, deadline, job.first_trial)

        try:
            (launch or run_workers)(job, workers, tick, lambda: _say(reconcile(on, url, run_id, eyes)))
        except KeyboardInterrupt:
            reconcile(on, url, run_id, eyes)
            raise
        tick()

    ended = Status.FAILED
    try:
        if len(before) < _total(config):
            work(config, study, _total(config))
        _say(flush_all())
        with exclusive(url):  # machines that share the study are done with it at the same time
            result = _result(config, study, run_id, new_trials=len(_counted(study)) - len(before))
            if study.user_attrs.get(REPORTED) != len(result.trials):
                study_page.log(config, study, parent, result.importances, result.ties)
                study.set_user_attr(REPORTED, len(result.trials))
                study.set_user_attr(CONFIRMED, None)
        if config.study.confirm is not None and result.complete:
            _say(confirm(config, study, url, run_id, work))
            result = _with_confirmation(config, study, url, result)
            with exclusive(url):
                wanted = config.study.confirm.model_dump()
                if result.complete and study.user_attrs.get(CONFIRMED) != wanted:
                    study_page.log_confirmation(config, study, parent, result.importances, result.confirmed)
                    study.set_user_attr(CONFIRMED, wanted)
        ended = Status.FINISHED
    except KeyboardInterrupt:
        ended = Status.KILLED
        raise
    finally:
        if any(one.get_trials(deepcopy=False, states=(TrialState.RUNNING,)) for one in worked_on.values()):
            parent.leave()  # another machine is at work on the study
        else:
            parent.end(ended)
    return result


def _say(lines: list[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)


def _with_confirmation(config: Config, study: optuna.Study, url: str, result: SweepResult) -> SweepResult:
    if config.study.confirm is None or not result.complete:
        return result
    missing = trainings(config, study, _total(config), url)
    return replace(result, confirmed=outcome(config, study, url), complete=not missing)


def _parent_run(config: Config, study: optuna.Study, data: TrainVal) -> MlflowTracker:
    connect()
    parent = open_study_run(config, data, study.user_attrs.get("run_id"))
    study.set_user_attr("run_id", parent.run_id)
    return parent


def _queue_grid(config: Config, study: optuna.Study, url: str) -> None:
    if config.study.sampler != "grid":
        return
    with exclusive(url):
        for point in grid_points(config)[: config.study.trials]:
            study.enqueue_trial(point, skip_if_exists=True)


def _total(config: Config) -> int:
    if config.study.sampler == "grid":
        return min(config.study.trials, len(grid_points(config)))
    return config.study.trials


def _counted(study: optuna.Study) -> list[FrozenTrial]:
    return [trial for trial in study.get_trials(deepcopy=False) if counts(trial)]


def _result(config: Config, study: optuna.Study, parent_run: str, new_trials: int) -> SweepResult:
    counted = _counted(study)
    best = best_trial(study)
    if best is None:
        reasons = [trial.user_attrs.get("reason") for trial in counted if trial.user_attrs.get("reason")]
        why = f"the last failure: {reasons[-1]}" if reasons else "no trial was begun"
        what = "its first trials all failed" if only_failures(study) else "no trial was completed"
        raise SweepFailed(f"study '{config.study_name}': {what}; {why}")
    trials = [summarize(trial) for trial in counted]
    return SweepResult(
        study=config.study_name,
        run_id=parent_run,
        trials=trials,
        best=summarize(best),
        front=study_page.front(study),
        importances=study_page.importances(study),
        complete=len(counted) >= _total(config),
        new_trials=new_trials,
        stage1=study_page.stage1_totals(study),
        ties=find_ties(config.study.metric, trials, summarize(best), parent_run),
    )
