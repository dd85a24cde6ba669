"""A sweep from start to end: study, parent run, trials, leaderboard, confirmation."""

from __future__ import annotations

import json
import logging
import shlex
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import optuna
from optuna.trial import TrialState

from mobilenet_chest.config import Config, check_loaded
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import SweepFailed
from mobilenet_chest.processor import free_threads
from mobilenet_chest.sweep import attributes, study_page
from mobilenet_chest.sweep.claims import counted_trials, counts, has_claimable
from mobilenet_chest.sweep.confirm import confirm, gone_trainings, reconcile_confirmation
from mobilenet_chest.sweep.control import Control, in_force
from mobilenet_chest.sweep.first_trials import learned_from, queue_first_trials
from mobilenet_chest.sweep.lease import WorkerWatch
from mobilenet_chest.sweep.live_note import LiveNote
from mobilenet_chest.sweep.local_workers import Job, Launcher, run_workers, stored_choice
from mobilenet_chest.sweep.locks import exclusive
from mobilenet_chest.sweep.notifier import Notifier
from mobilenet_chest.sweep.optuna_adapter import one_look
from mobilenet_chest.sweep.preflight import check, total_trials
from mobilenet_chest.sweep.repair import free_trials, reconcile
from mobilenet_chest.sweep.result import SweepResult, build_result, with_confirmation
from mobilenet_chest.sweep.scheduler import may_begin
from mobilenet_chest.sweep.space import grid_points
from mobilenet_chest.sweep.storage import DEFAULT
from mobilenet_chest.sweep.stored_study import open_or_create
from mobilenet_chest.sweep.summary import SweepStatus, status
from mobilenet_chest.sweep.supervisor import Forecast, forecast
from mobilenet_chest.sweep.trial_state import running_trials
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.outbox.outbox import process_outbox
from mobilenet_chest.tracking.parents import with_parent
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.tracking.study_run import open_study_run, study_run_exists
from mobilenet_chest.tracking.tracker import MlflowTracker, Status

logger = logging.getLogger(__name__)


def run_sweep(
    config: Config,
    *,
    workers: int | None = None,
    timeout: float | None = None,
    storage: str | None = None,
    launch: Launcher | None = None,
    on_status: Callable[[SweepStatus], None] | None = None,
) -> SweepResult:
    """Start a study, or continue it to ``config.study.trials`` trials, and log it to MLflow.

    Args:
        config: An experiment with a ``search`` section.
        workers: Processes that share the trials and the CPU's cores; ``config.study.workers`` by default.
        timeout: Seconds after which no further trial begins.
        storage: SQLAlchemy address of the study; ``sqlite:///optuna.db`` by default.
        launch: What runs the workers: processes of this machine by default, or what
            :func:`~mobilenet_chest.sweep.ray_workers.on_ray` yields.
        on_status: Called about once a second.

    Raises:
        UserError: As :func:`~mobilenet_chest.sweep.check`.
        SweepFailed: No trial was completed.
        KeyboardInterrupt: After all current trials were ended and queued again.
    """
    check_loaded(config, "sweep")
    url = storage or DEFAULT
    config = with_parent(config)
    check(config, storage)
    started = time.time()
    _log(process_outbox().flush_all())
    study, watch = open_or_create(config, url), WorkerWatch()
    given, config = config, in_force(config, study)
    result = _reported_result(config, study, url, watch)
    if result is not None:
        return result
    with exclusive(url):  # machines that begin at the same time share one run
        parent = _open_parent_run(config, study)
    assert parent.run_id is not None
    _log(reconcile(study, url, parent.run_id, watch))
    _queue_grid(config, study, url)
    queue_first_trials(config, study, url)
    if sources := learned_from(study):
        parent.log_tags({tags.LEARNED_FROM: json.dumps(sources)})
    before = len(counted_trials(study))
    deadline = None if timeout is None else started + timeout
    processes = config.study.workers if workers is None else workers
    runner = _Runner(url, parent.run_id, processes, deadline, launch or run_workers, on_status,
                     {study.study_name: watch}, LiveNote(given, parent), Control(study),
                     Notifier(config, url))  # fmt: skip
    _warn_if_paused(study, runner.control)
    ended = Status.FAILED
    try:
        if _has_work(study, config):
            runner.run(given, study, total_trials(config))
        config = in_force(given, study)
        _check_anything_done(study, runner.control)
        _log(process_outbox().flush_all())
        result = _report_trials(config, study, url, parent, before)
        if config.study.confirm is not None and result.complete:
            _log(confirm(config, study, url, parent.run_id, runner.run))
            result = _report_confirmation(config, study, url, parent, result)
        runner.notifier.update(study, finished=result.complete)
        ended = Status.FINISHED
    except KeyboardInterrupt:
        ended = Status.KILLED
        raise
    finally:
        runner.notifier.close()
        if runner.has_running_trials(study):
            parent.leave()  # another machine continues the study, and the run is its
        else:
            parent.end(ended)
    return result


def _warn_if_paused(study: optuna.Study, control: Control) -> None:
    if control.paused:
        name = shlex.quote(study.study_name)
        logger.warning("study %s is paused: it waits for `mobilenet-chest study resume %s`", study.study_name, name)


def _check_anything_done(study: optuna.Study, control: Control) -> None:
    """Check that a study which was stopped by hand has a result.

    Raises:
        SweepFailed: No trial is complete.
    """
    if control.stopped and not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        raise SweepFailed(
            f"study '{study.study_name}' was stopped by hand before a trial was complete; run the same command to "
            "continue it"
        )


@dataclass
class _Runner:
    """Has workers run the trials of a study, or of its confirmation.

    Attributes:
        url: The storage.
        parent_run: The study's run in MLflow.
        workers: How many.
        deadline: Time (of ``time.time()``) after which no trial begins, if any.
        launch: What runs the workers.
        on_status: Called about once a second.
        watches: Name of each study -> its watch over workers.
        note: The study's description.
        control: What is asked of the study by hand.
        notifier: Tells the program of ``study.notify``.
        studies: Those that were run.
    """

    url: str
    parent_run: str
    workers: int
    deadline: float | None
    launch: Launcher
    on_status: Callable[[SweepStatus], None] | None
    watches: dict[str, WorkerWatch]
    note: LiveNote
    control: Control
    notifier: Notifier
    studies: list[optuna.Study] = field(default_factory=list)

    def run(self, config: Config, study: optuna.Study, total: int) -> None:
        """Run trials until the study has ``total``, or what was set by hand since, time is up, or it is stopped.

        Raises:
            KeyboardInterrupt: After all current trials were ended and queued again.
        """
        self.studies.append(study)
        watch = self.watches.setdefault(study.study_name, WorkerWatch())
        done, begun = len(counted_trials(study)), time.time()
        threads, first_trial = free_threads(self.workers), len(study.trials)
        job = Job(config, self.url, self.parent_run, self.deadline, threads, first_trial, self.control.stops)

        def on_tick() -> Forecast:
            # not within the look: whether a worker is dead is asked again right before its trial is ended
            if freed := free_trials(study, self.url, watch):
                # a worker that was killed right after it had made its run told the study nothing of that run
                _log(freed + reconcile(study, self.url, self.parent_run, watch))
            with one_look(study):
                return look()

        def look() -> Forecast:
            current = in_force(config, study)
            self.note.update(study)
            self.notifier.update(study)
            if self.on_status is not None:
                state = status(study, total if current is config else total_trials(current), begun, done)
                self.on_status(replace(state, paused=self.control.paused))
            return forecast(study, current, self.deadline, first_trial, self.control.stopped)

        try:
            self.launch(job, self.workers, on_tick, lambda: _log(reconcile(study, self.url, self.parent_run, watch)))
        except KeyboardInterrupt:
            reconcile(study, self.url, self.parent_run, watch)
            raise
        on_tick()

    def has_running_trials(self, study: optuna.Study) -> bool:
        """Whether a trial runs of the study, or of another one that was run here."""
        return any(running_trials(each) for each in [study, *self.studies])


def _has_work(study: optuna.Study, config: Config) -> bool:
    """Return whether a trial of a study may begin or go on, or still runs."""
    trials = study.get_trials(deepcopy=False)
    missing = sum(map(counts, trials)) < total_trials(config) and may_begin(study, trials, config)
    return missing or has_claimable(study, trials, config)


def _reported_result(config: Config, study: optuna.Study, url: str, watch: WorkerWatch) -> SweepResult | None:
    """Return the result of a study that is complete and whose run in MLflow shows all of it; else ``None``."""
    run_id, reported = study.user_attrs.get(attributes.RUN_ID), study.user_attrs.get(attributes.REPORTED_TRIALS)
    if run_id is None or reported != len(counted_trials(study)) or _has_work(study, config):
        return None
    if not study_run_exists(run_id):
        return None
    _log(reconcile(study, url, run_id, watch))
    if study.user_attrs.get(attributes.REPORTED_TRIALS) is None:  # a trial's run was deleted since
        return None
    if config.study.confirm is not None:
        _log(reconcile_confirmation(config, url, run_id))
        if study.user_attrs.get(attributes.CONFIRMED) != _confirmed(config, url):
            return None
    return with_confirmation(config, study, url, build_result(config, study, run_id, new_trials=0))


def _confirmed(config: Config, url: str) -> dict[str, Any]:
    """Return what a logged confirmation is of: its settings, and the trainings whose runs were deleted."""
    assert config.study.confirm is not None
    gone = gone_trainings(config, url)
    return config.study.confirm.model_dump() | ({"gone": gone} if gone else {})


def _open_parent_run(config: Config, study: optuna.Study) -> MlflowTracker:
    connect()
    earlier = study.user_attrs.get(attributes.RUN_ID)
    parent = open_study_run(config, load_train_val(config.data), earlier)
    if parent.run_id != earlier:
        if earlier is not None:
            logger.info("study %s: its run %s is deleted in MLflow; %s is its new run", study.study_name, earlier,
                        parent.run_id)  # fmt: skip
        study.set_user_attr(attributes.REPORTED_TRIALS, None)  # a new run shows nothing yet
        study.set_user_attr(attributes.RUN_ID, parent.run_id)
    parent.log_tags({tags.SAMPLER: str(stored_choice(config, study))})
    return parent


def _queue_grid(config: Config, study: optuna.Study, url: str) -> None:
    if config.study.sampler != "grid":
        return
    with exclusive(url):
        for point in grid_points(config)[: config.study.trials]:
            study.enqueue_trial(point, skip_if_exists=True)


def _report_trials(config: Config, study: optuna.Study, url: str, parent: MlflowTracker, before: int) -> SweepResult:
    """Return the result of the trials, and log leaderboard and page unless another machine has done so."""
    assert parent.run_id is not None
    with exclusive(url):  # machines that share the study end at the same time
        result = build_result(config, study, parent.run_id, new_trials=len(counted_trials(study)) - before)
        if study.user_attrs.get(attributes.REPORTED_TRIALS) != len(result.trials):
            study_page.log_trials(config, study, parent, result.importances, result.ties, result.findings)
            study.set_user_attr(attributes.REPORTED_TRIALS, len(result.trials))
            study.set_user_attr(attributes.CONFIRMED, None)
    return result


def _report_confirmation(
    config: Config, study: optuna.Study, url: str, parent: MlflowTracker, result: SweepResult
) -> SweepResult:
    """Return the result with its confirmation, and log it unless another machine has done so."""
    assert config.study.confirm is not None
    result = with_confirmation(config, study, url, result)
    settings = _confirmed(config, url)
    with exclusive(url):
        if result.complete and study.user_attrs.get(attributes.CONFIRMED) != settings:
            study_page.log_confirmation(config, study, parent, result.importances, result.confirmed, result.findings)
            study.set_user_attr(attributes.CONFIRMED, settings)
    return result


def _log(lines: Iterable[str]) -> None:
    for line in lines:
        logger.info("%s", line)
