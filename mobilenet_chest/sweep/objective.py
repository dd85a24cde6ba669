"""One trial: train with the suggested values, and tell the study how it went."""

from __future__ import annotations

import logging
import math
import traceback
from contextlib import suppress

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial, TrialState

from mobilenet_chest import interrupts
from mobilenet_chest.config import Config, with_values
from mobilenet_chest.errors import (
    OwnershipLost,
    SweepFailed,
    TrackingError,
    TrainingDiverged,
    TrainingPaused,
    WriteFailed,
)
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.attempts import trial_name
from mobilenet_chest.sweep.claimed_trial import ClaimedTrial
from mobilenet_chest.sweep.claims import FINISHED, fail_trial, pause, ranked_trials, release, requeue
from mobilenet_chest.sweep.control import Control, TrialHeld
from mobilenet_chest.sweep.feasibility import record_constraints
from mobilenet_chest.sweep.lease import Lease
from mobilenet_chest.sweep.locks import exclusive
from mobilenet_chest.sweep.optuna_adapter import stored_trial
from mobilenet_chest.sweep.repeats import repeat_fields, took_result
from mobilenet_chest.sweep.space import Values
from mobilenet_chest.sweep.splits import split_fields
from mobilenet_chest.sweep.trial_run import find_earlier_run, open_tracker, train_trial
from mobilenet_chest.sweep.trial_state import PAUSED
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.outbox.outbox import process_outbox
from mobilenet_chest.tracking.store import without_password
from mobilenet_chest.tracking.study_run import prune_checkpoints
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.training.progress import StageCost

logger = logging.getLogger(__name__)

REASON_LENGTH, FAILURE_LENGTH = 2000, 5000
"""Most characters of a reason in the study, and of one in MLflow."""


def run_trial(
    config: Config, study: optuna.Study, url: str, trial: Trial, values: Values, parent_run: str,
    control: Control | None = None,
) -> None:  # fmt: skip
    """Train one trial as a nested MLflow run and tell the study: complete, paused, pruned or failed, with the reason.

    A trial whose values were queued again resumes the run of the interrupted one from its last checkpoint. A worker
    whose trial was revoked, since it was stopped for longer than its lease, writes nothing more. With the tracking
    store away a trial that already trains continues, and one that does not is queued again.

    Args:
        config: The study's experiment.
        study: The study.
        url: Its storage.
        trial: The trial that this process has claimed.
        values: Its values of the searched fields.
        parent_run: The study's run in MLflow.
        control: What is asked of the study by hand. A trial that it holds is queued again.

    Raises:
        KeyboardInterrupt: After the trial was ended and its values queued again.
        SweepFailed: The study's database stayed away; the next sweep resumes the trial.
        WriteFailed: A disk is full. The values were queued again, where that could be written. It does not count as a
            death: the next worker would fare no better.
    """
    with Lease(study, url, trial, config.study.lease_seconds) as lease:
        try:
            _run(ClaimedTrial(config, study, url, trial, parent_run, lease, control or Control(study)), values)
        except TrialHeld:
            logger.info("%s is saved and queued again: the study was paused or stopped", trial_name(study, trial))
        except (OwnershipLost, UpdateFinishedTrialError):
            logger.warning("%s: revoked while this worker was stopped; another worker has it", trial_name(study, trial))
    if attributes.CONFIRMS not in trial.user_attrs:  # in a confirmation the means decide, not single trials
        _remove_checkpoints(config, study)


def _run(claimed: ClaimedTrial, values: Values) -> None:
    config, study, trial, lease = claimed.config, claimed.study, claimed.trial, claimed.lease
    tracker: MlflowTracker | None = None
    state, objectives, reason, violated = TrialState.FAIL, None, "", None
    try:
        with interrupts.translated():
            trial_config = with_values(config, values | split_fields(config, study, trial) | repeat_fields(trial))
            earlier = find_earlier_run(study, trial, trial_config)
            tracker = open_tracker(claimed, earlier)
            try:
                metrics, result = train_trial(claimed, trial_config, tracker, earlier)
            except TrainingPaused:
                _pause(claimed, tracker)
                return
        trial.set_user_attr(attributes.STAGE1, {name: metrics[name] for name in StageCost().metrics()})
        objectives = [metrics[name] for name in (config.study.metric, *config.study.also)]
        if not math.isfinite(objectives[0]):
            raise TrainingDiverged(f"{config.study.metric} is {objectives[0]}")
        violated = record_constraints(config, trial, metrics)
        state = TrialState.PRUNED if result == "stopped" else TrialState.COMPLETE
    except (KeyboardInterrupt, WriteFailed) as error:
        # in one step: a worker that claims in between would take the queued copy for a duplicate
        # a trial that is paused by now, or revoked, is not this worker's any more
        with suppress(OwnershipLost), lease.held(), exclusive(claimed.url):
            requeue(study, stored_trial(study, trial), deaths=int(trial.user_attrs.get(attributes.DEATHS, 0)))
            fail_trial(study, trial, "interrupted" if isinstance(error, KeyboardInterrupt) else str(error))
            _tag_state(tracker, "INTERRUPTED", "")
        raise
    except (OwnershipLost, UpdateFinishedTrialError, SweepFailed):
        raise  # the trial is another worker's, or the study cannot be told
    except TrackingError as error:
        logger.warning("%s is queued again: %s", trial_name(study, trial), error)
        with lease.held():
            release(study, claimed.url, trial, "its tracking store could not be used")
        return
    except Exception as error:  # whatever else it is belongs to this trial: it is recorded, and the sweep continues
        reason = without_password(f"{type(error).__name__}: {error}")
        logger.warning("%s failed: %s", trial_name(study, trial), reason)
        logger.warning("%s", without_password(traceback.format_exc()))
        trial.set_user_attr(attributes.REASON, reason[:REASON_LENGTH])
    with lease.held():
        # a pruned trial's value is its last report; Optuna takes none with the state
        study.tell(trial, objectives if state == TrialState.COMPLETE else None, state=state)
        lease.end()
        _tag_state(tracker, state.name, reason, violated)


def _pause(claimed: ClaimedTrial, tracker: MlflowTracker) -> None:
    """Let the trial wait at its rung.

    Raises:
        TrackingError: Its checkpoint could not be stored where any worker finds it.
    """
    assert tracker.run_id is not None
    with claimed.lease.held():
        _tag_state(tracker, PAUSED, "")
        process_outbox().flush_run(tracker.run_id)
        claimed.lease.leave()
        pause(claimed.study, claimed.trial)  # last: from now on it is anybody's


def _tag_state(tracker: MlflowTracker | None, state: str, reason: str, violated: list[str] | None = None) -> None:
    if tracker is None or tracker.run_id is None:
        return
    labels = {tags.TRIAL_STATE: state} | ({tags.FAILURE: reason[:FAILURE_LENGTH]} if reason else {})
    if violated is not None:
        labels[tags.CONSTRAINTS] = f"{tags.VIOLATED}{'; '.join(violated)}" if violated else tags.MET
    tracker.log_tags(labels)


def _remove_checkpoints(config: Config, study: optuna.Study) -> None:
    """Remove checkpoints of all but the best trials; every worker does so after its trial, and twice is harmless."""
    # an interrupted trial shares its run with the trial that its values were queued for
    ended = [
        trial
        for trial in study.get_trials(deepcopy=False, states=(*FINISHED, TrialState.FAIL))
        if not trial.user_attrs.get(attributes.INTERRUPTED) and not took_result(trial)
    ]
    best = [trial for trial in ranked_trials(study) if not trial.user_attrs.get(attributes.INTERRUPTED)]
    kept = {trial.number for trial in best[: config.tracking.keep_checkpoints]}
    if config.study.also:
        kept |= {trial.number for trial in study.best_trials}  # no trial of the front is better than another
    keep: dict[str, bool] = {}
    for trial in ended:
        runs = [trial.user_attrs.get(attributes.RUN_ID), *trial.user_attrs.get(attributes.FOLD_RUNS, [])]
        keep |= {run_id: trial.number in kept for run_id in runs if run_id}
    prune_checkpoints(keep)
