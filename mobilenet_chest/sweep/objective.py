"""One trial: train with the suggested values, tell the study how it went."""

from __future__ import annotations

import math
import multiprocessing
import sys
import traceback

import optuna
from optuna.trial import Trial, TrialState

from mobilenet_chest import interrupts
from mobilenet_chest.config import EPOCH_METRICS, Config, best_direction, with_values
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import TrackingError, TrainingDiverged
from mobilenet_chest.evaluation.predict import latency
from mobilenet_chest.stages import Spent
from mobilenet_chest.sweep.claims import FINISHED, give_up, requeue
from mobilenet_chest.sweep.space import Values
from mobilenet_chest.sweep.storage import exclusive
from mobilenet_chest.tracking import MlflowTracker
from mobilenet_chest.tracking.reading import Standing, get_run, standing
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.tracking.study_run import keep_checkpoints
from mobilenet_chest.training.epoch import Record
from mobilenet_chest.two_stage import train

LATENCY = "latency_1_ms"

STAGE1 = "stage1"
"""Attribute of a trial: epochs of stage 1 trained and reused, and the seconds saved."""


def run_trial(
    config: Config, study: optuna.Study, url: str, trial: Trial, values: Values, parent_run: str
) -> None:  # fmt: skip
    """Train one trial as a nested MLflow run and tell the study: complete, pruned or failed, with the reason.

    A trial whose values were queued again goes on in the run of the one that was interrupted, from its last checkpoint.

    Raises:
        KeyboardInterrupt: After the trial was ended and its values queued again.
    """

    def report(epoch: int, record: Record) -> bool:
        silent = config.study.metric not in EPOCH_METRICS or bool(config.study.also)
        if silent or (decisive is not None and epoch not in decisive):
            return False
        trial.report(record[config.study.metric], epoch)
        return True

    def after_epoch(epoch: int, record: Record) -> bool:
        parent = multiprocessing.parent_process()
        if parent is not None and not parent.is_alive():
            raise KeyboardInterrupt  # the driver was killed: nobody is left to end this worker
        return report(epoch, record) and trial.should_prune()

    decisive: set[int] | None = None
    tracker: MlflowTracker | None = None
    state, values_found, reason = TrialState.FAIL, None, ""
    try:
        with interrupts.unmistaken():
            own = with_values(config, values)
            decisive = _phase_ends(own) if config.study.budget == "phase" else None
            earlier, stands = _unfinished(trial, own)
            tracker = MlflowTracker(
                "trial",
                name=f"{config.study_name}-{trial.number}",
                tags={"study": config.study_name, "trial": str(trial.number)},
                parent=parent_run,
                resume=earlier,
                on_start=lambda run_id: trial.set_user_attr("run_id", run_id),
            )
            if stands is not None:
                reported = study.get_trials(deepcopy=False)[trial.user_attrs["retry_of"]].intermediate_values
                for epoch, record in enumerate(stands.progress.history, 1):
                    # all that was reported then, and an epoch that was kept but not reported any more
                    if epoch in reported or epoch == stands.progress.epoch:
                        report(epoch, record)
            result = train(own, tracker, after_epoch, resume=stands)
        trial.set_user_attr(STAGE1, {name: result.metrics[name] for name in Spent().metrics()})
        metrics = dict(result.metrics)
        if LATENCY in config.study.also:
            metrics[LATENCY] = latency(result.model, load_train_val(own.data).val.images[:1])
            tracker.log_metrics({LATENCY: metrics[LATENCY]}, step=0)
        values_found = [metrics[name] for name in (config.study.metric, *config.study.also)]
        if not math.isfinite(values_found[0]):
            raise TrainingDiverged(f"{config.study.metric} is {values_found[0]}")
        state = TrialState.PRUNED if result.status == "stopped" else TrialState.COMPLETE
    except KeyboardInterrupt:
        with exclusive(url):  # in one step: a worker that asks in between would take the queued copy for a duplicate
            requeue(study, study._storage.get_trial(trial._trial_id), deaths=int(trial.user_attrs.get("deaths", 0)))
            give_up(study, trial.number, "interrupted")
        _tag(tracker, "INTERRUPTED", "")
        raise
    except Exception as error:  # whatever it is belongs to this trial: it is recorded, and the sweep goes on
        reason = f"{type(error).__name__}: {error}"
        print(f"trial {trial.number} failed: {reason}", file=sys.stderr)
        traceback.print_exc(file=sys.stderr)
        trial.set_user_attr("reason", reason[:2000])
    # a pruned trial's value is its last report; Optuna takes none with the state
    study.tell(trial, values_found if state == TrialState.COMPLETE else None, state=state)
    _tag(tracker, state.name, reason)
    _keep_best_checkpoints(config, study)


def _unfinished(trial: Trial, config: Config) -> tuple[str | None, Standing | None]:
    """The run that an interrupted trial with the same values has left, and where it stands."""
    run_id = trial.user_attrs.get("run_id")
    if run_id is None:
        return None, None
    client = connect()
    try:
        run = get_run(client, run_id)
    except TrackingError as error:
        print(f"trial {trial.number} starts anew: {error}", file=sys.stderr)
        return None, None
    wanted = {"config_digest": config.digest(), "data_digest": load_train_val(config.data).digest}
    if any(run.data.tags.get(name) != digest for name, digest in wanted.items()):
        print(f"trial {trial.number} starts anew: run {run_id} was made from other settings or rows", file=sys.stderr)
        return None, None
    return run_id, standing(client, run)


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
    ranked = sorted(complete, key=lambda trial: (sign * trial.values[0], trial.number))
    kept = {t.number for t in ranked[: config.tracking.keep_checkpoints]}
    if config.study.also:
        kept |= {t.number for t in study.best_trials}  # none of the front is better than another
    keep_checkpoints({t.user_attrs["run_id"]: t.number in kept for t in ended if t.user_attrs.get("run_id")})
