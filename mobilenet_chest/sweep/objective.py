"""One trial: train with the suggested values, tell the study how it went."""

from __future__ import annotations

import math
import multiprocessing
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial, TrialState

from mobilenet_chest import interrupts
from mobilenet_chest.config import EPOCH_METRICS, Config, best_direction, with_values
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import OwnershipLost, SweepFailed, TrackingError, TrainingDiverged, WriteFailed
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.sweep import folds
from mobilenet_chest.sweep.attributes import CONFIRMS
from mobilenet_chest.sweep.claims import FINISHED, fail_trial, release, requeue
from mobilenet_chest.sweep.lease import Lease
from mobilenet_chest.sweep.locks import exclusive
from mobilenet_chest.sweep.optuna_adapter import stored_trial
from mobilenet_chest.sweep.space import Values
from mobilenet_chest.sweep.splits import division
from mobilenet_chest.tracking import MlflowTracker
from mobilenet_chest.tracking.artifact_writer import remove_last
from mobilenet_chest.tracking.artifacts import ResumePoint, resume_point
from mobilenet_chest.tracking.runs import run_exists
from mobilenet_chest.tracking.store import connect, store_required, without_password
from mobilenet_chest.tracking.study_run import prune_checkpoints
from mobilenet_chest.tracking.tags import RESULT
from mobilenet_chest.tracking.tracker import Status
from mobilenet_chest.training.epoch import Record
from mobilenet_chest.training.predict import latency
from mobilenet_chest.training.progress import StageCost
from mobilenet_chest.two_stage import RunResult, train

if TYPE_CHECKING:
    from mlflow.entities import Run

LATENCY = "latency_1_ms"

STAGE1 = "stage1"
"""Attribute of a trial: epochs of stage 1 trained and reused, and the seconds saved."""

FOLD_RUNS = "fold_runs"
"""Attribute of a trial of folds: their runs."""


def run_trial(
    config: Config, study: optuna.Study, url: str, trial: Trial, values: Values, parent_run: str
) -> None:  # fmt: skip
    """Train one trial as a nested MLflow run and tell the study: complete, pruned or failed, with the reason.

    A trial whose values were queued again goes on in the run of the one that was interrupted, from its last checkpoint.
    One that is taken from this worker, since it was stopped for longer than its lease, is left to the worker that has
    it now: nothing more is written.

    Raises:
        KeyboardInterrupt: After the trial was ended and its values queued again.
        SweepFailed: The study's database stayed away; the trial goes on when the sweep does.
        WriteFailed: A disk is full. The values are queued again, where that can be written; no death is counted, as the
            next worker would fare no better.

    With the tracking store away a trial that has begun goes on; one that has not is queued again.
    """
    with Lease(study, url, trial, config.study.lease_seconds) as lease:
        try:
            _run(config, study, url, trial, values, parent_run, lease)
        except (OwnershipLost, UpdateFinishedTrialError):
            print(f"trial {trial.number}: given to another worker while this one was stopped; left", file=sys.stderr)
    if CONFIRMS not in trial.user_attrs:  # which of a confirmation's are kept, their means decide
        _keep_best_checkpoints(config, study)


def _run(
    config: Config, study: optuna.Study, url: str, trial: Trial, values: Values, parent_run: str, lease: Lease
) -> None:  # fmt: skip
    tracker: MlflowTracker | None = None
    state, values_found, reason = TrialState.FAIL, None, ""
    try:
        with interrupts.translated():
            own = with_values(config, values | division(config, study, trial))
            earlier = _earlier_run(trial, own)
            kind, name, tags = _labels(config, trial)
            tracker = MlflowTracker(
                kind,
                name=name,
                tags=tags,
                parent=parent_run,
                resume=None if earlier is None else earlier.info.run_id,
                on_start=lambda run_id: trial.set_user_attr("run_id", run_id),
                guard=lease.held,
            )
            if earlier is not None and folds.has_all_results(earlier, config):
                metrics, result = _taken_over(earlier, tracker, study, trial)
            elif config.study.resampling == "kfold":
                metrics, result = _trained_on_folds(own, tracker, trial, lease)
            else:
                metrics, result = _trained(own, tracker, study, trial, earlier)
        trial.set_user_attr(STAGE1, {name: metrics[name] for name in StageCost().metrics()})
        values_found = [metrics[name] for name in (config.study.metric, *config.study.also)]
        if not math.isfinite(values_found[0]):
            raise TrainingDiverged(f"{config.study.metric} is {values_found[0]}")
        state = TrialState.PRUNED if result == "stopped" else TrialState.COMPLETE
    except (KeyboardInterrupt, WriteFailed) as error:
        # in one step: a worker that asks in between would take the queued copy for a duplicate
        with lease.held(), exclusive(url):
            requeue(study, stored_trial(study, trial), deaths=int(trial.user_attrs.get("deaths", 0)))
            fail_trial(study, trial, "interrupted" if isinstance(error, KeyboardInterrupt) else str(error))
            _tag(tracker, "INTERRUPTED", "")
        raise
    except (OwnershipLost, UpdateFinishedTrialError, SweepFailed):
        raise  # not for this trial to tell
    except TrackingError as error:
        print(f"trial {trial.number} is queued again: {error}", file=sys.stderr)
        with lease.held():
            release(study, url, trial, "its tracking store could not be used")
        return
    except Exception as error:  # whatever it is belongs to this trial: it is recorded, and the sweep goes on
        reason = without_password(f"{type(error).__name__}: {error}")
        print(f"trial {trial.number} failed: {reason}", file=sys.stderr)
        print(without_password(traceback.format_exc()), file=sys.stderr)
        trial.set_user_attr("reason", reason[:2000])
    with lease.held():
        # a pruned trial's value is its last report; Optuna takes none with the state
        study.tell(trial, values_found if state == TrialState.COMPLETE else None, state=state)
        lease.end()
        _tag(tracker, state.name, reason)


def _labels(config: Config, trial: Trial) -> tuple[str, str, dict[str, str]]:
    """Kind, name and tags of a trial's run; one of a confirmation says which trial it repeats."""
    if (confirms := trial.user_attrs.get(CONFIRMS)) is None:
        tags = {"study": config.study_name, "trial": str(trial.number)}
        return "trial", f"{config.study_name}-{trial.number}", tags | folds.tags(config)
    tags = {name: str(confirms[name]) for name in ("study", "trial")}
    tags |= {"confirm_seed": str(confirms["seed"]), "confirm": str(trial.number)} | folds.tags(config)
    return "confirm", f"{confirms['study']}-{confirms['trial']}, seed {confirms['seed']}", tags


def _trained(
    config: Config, tracker: MlflowTracker, study: optuna.Study, trial: Trial, earlier: Run | None
) -> tuple[dict[str, float], str]:
    """Train, from where ``earlier`` stands; the figures at the end, and ``finished`` or ``stopped``."""
    decisive = _phase_ends(config) if config.study.budget == "phase" else None

    def report(epoch: int, record: Record) -> bool:
        silent = config.study.metric not in EPOCH_METRICS or bool(config.study.also)
        if silent or (decisive is not None and epoch not in decisive):
            return False
        trial.report(record[config.study.metric], epoch)
        return True

    def after_epoch(epoch: int, record: Record) -> bool:
        _not_orphaned()
        return report(epoch, record) and trial.should_prune()

    stands = None
    if earlier is not None and (stands := resume_point(connect(), earlier)) is not None:
        reported = _reports(study, trial)
        for epoch, record in enumerate(stands.progress.history, 1):
            # all that was reported then, and an epoch that was kept but not reported any more
            if epoch in reported or epoch == stands.progress.epoch:
                report(epoch, record)
    metrics, trained = _train(config, tracker, after_epoch, stands)
    return metrics, trained.status


def _trained_on_folds(
    config: Config, tracker: MlflowTracker, trial: Trial, lease: Lease
) -> tuple[dict[str, float], str]:  # fmt: skip
    """As :func:`_trained`, of a trial of folds: the pruner decides after each, by the mean of those there are."""

    def track(fold: int, resume: str | None, on_start: Callable[[str], None]) -> MlflowTracker:
        _, name, tags = _labels(config, trial)
        return MlflowTracker(
            "fold",
            name=f"{name}, fold {fold}",
            tags={"study": tags["study"], "trial": tags["trial"], "fold": str(fold)},
            parent=tracker.run_id,
            resume=resume,
            on_start=on_start,
            guard=lease.held,
        )

    def train_one(
        own: Config, tracker: MlflowTracker, stands: ResumePoint | None
    ) -> tuple[dict[str, float], Predictions]:
        metrics, trained = _train(own, tracker, lambda epoch, record: _not_orphaned(), stands)
        return metrics, trained.predictions

    def report(done: int, means: dict[str, float]) -> bool:
        if config.study.also:
            return False
        trial.report(means[config.study.metric], done)
        return trial.should_prune()

    def on_start(runs: Sequence[str]) -> None:
        trial.set_user_attr(FOLD_RUNS, list(runs))

    return folds.train_folds(config, tracker, track, train_one, report, on_start)


def _train(
    config: Config,
    tracker: MlflowTracker,
    on_epoch: Callable[[int, Record], bool | None],
    stands: ResumePoint | None,
) -> tuple[dict[str, float], RunResult]:
    trained = train(config, tracker, on_epoch, resume=stands)
    metrics = dict(trained.metrics)
    if LATENCY in config.study.also:
        metrics[LATENCY] = latency(trained.model, load_train_val(config.data).val.images[:1])
        tracker.log_metrics({LATENCY: metrics[LATENCY]}, step=0)
    return metrics, trained


def _not_orphaned() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        raise KeyboardInterrupt  # the driver was killed: nobody is left to end this worker


def _taken_over(
    earlier: Run, tracker: MlflowTracker, study: optuna.Study, trial: Trial
) -> tuple[dict[str, float], str]:  # fmt: skip
    """The results of a run whose worker was killed when all was there, before it told the study."""
    for epoch, value in _reports(study, trial).items():
        trial.report(value, epoch)
    tracker.take_over()
    remove_last(tracker)
    tracker.end(Status.FINISHED)
    return dict(earlier.data.metrics), earlier.data.tags[RESULT]


def _earlier_run(trial: Trial, config: Config) -> Run | None:
    """The run that an interrupted trial with the same values has left, if it can be gone on with."""
    run_id = trial.user_attrs.get("run_id")
    if run_id is None:
        return None
    client = connect()
    with store_required():
        run = client.get_run(run_id) if run_exists(client, run_id) else None
    if run is None:
        print(f"trial {trial.number} starts anew: run {run_id} is not there any more", file=sys.stderr)
        return None
    wanted = {"config_digest": config.digest(), "data_digest": load_train_val(config.data).digest}
    if any(run.data.tags.get(name) != digest for name, digest in wanted.items()):
        print(f"trial {trial.number} starts anew: run {run_id} was made from other settings or rows", file=sys.stderr)
        return None
    return run


def _reports(study: optuna.Study, trial: Trial) -> dict[int, float]:
    """What the trial that this one goes on with has told the study, by epoch."""
    reports: dict[int, float] = study.get_trials(deepcopy=False)[trial.user_attrs["retry_of"]].intermediate_values
    return reports


def _phase_ends(config: Config) -> set[int]:
    """Epochs, over both stages, at which a phase of stage 2 ends."""
    return {config.stage1.epochs + phase.end for phase in config.stage2.phases(config.data.image_size)}


def _tag(tracker: MlflowTracker | None, state: str, reason: str) -> None:
    if tracker is not None and tracker.run_id is not None:
        tracker.log_tags({"trial_state": state} | ({"failure": reason[:5000]} if reason else {}))


def _keep_best_checkpoints(config: Config, study: optuna.Study) -> None:
    """Checkpoints of the best trials only; every worker does it after its own trial, and doing it twice is harmless."""
    # the run of an interrupted trial is that of the trial its values were queued for
    ended = [
        trial
        for trial in study.get_trials(deepcopy=False, states=(*FINISHED, TrialState.FAIL))
        if not trial.user_attrs.get("interrupted")
    ]
    complete = [t for t in ended if t.state == TrialState.COMPLETE]
    sign = -1 if best_direction(config.study.metric) == "maximize" else 1
    ranked_trials = sorted(complete, key=lambda trial: (sign * trial.values[0], trial.number))
    kept = {t.number for t in ranked_trials[: config.tracking.keep_checkpoints]}
    if config.study.also:
        kept |= {t.number for t in study.best_trials}  # none of the front is better than another
    runs = {t.number: [t.user_attrs.get("run_id"), *t.user_attrs.get(FOLD_RUNS, [])] for t in ended}
    prune_checkpoints({run: number in kept for number, of_trial in runs.items() for run in of_trial if run})
