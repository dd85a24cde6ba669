"""The MLflow run of a trial: begun, resumed after an interrupt, or reused when only the study had not been told."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial

from mobilenet_chest.config import Config
from mobilenet_chest.config.metrics import is_epoch_metric
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import TrainingPaused
from mobilenet_chest.sweep import attributes, folds
from mobilenet_chest.sweep.attempts import attempt_of, repeated_trial, trial_name
from mobilenet_chest.sweep.claimed_trial import ClaimedTrial
from mobilenet_chest.sweep.claims import counted_trials
from mobilenet_chest.sweep.control import in_force
from mobilenet_chest.sweep.dashboard import save_note
from mobilenet_chest.sweep.epochs import EpochReporter
from mobilenet_chest.sweep.feasibility import constrained_metrics
from mobilenet_chest.sweep.rung_gate import RungGate
from mobilenet_chest.sweep.splits import site_names, trainings
from mobilenet_chest.sweep.trial_note import about_trial, trial_note
from mobilenet_chest.sweep.trial_state import is_paused
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import remove_last
from mobilenet_chest.tracking.artifacts import ResumePoint, resume_point
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import run_exists, short_id
from mobilenet_chest.tracking.store import connect, store_required
from mobilenet_chest.tracking.tracker import MlflowTracker, Status
from mobilenet_chest.tracking.view import run_page
from mobilenet_chest.training.epoch import Record
from mobilenet_chest.training.predict import latency
from mobilenet_chest.two_stage import OnHistory, RunResult, train

if TYPE_CHECKING:
    from mlflow.entities import Run

logger = logging.getLogger(__name__)

LATENCY = "latency_1_ms"
"""Objective: milliseconds that the network takes for one image."""


def find_earlier_run(study: optuna.Study, trial: Trial, config: Config) -> Run | None:
    """Return the run of the interrupted trial with the same values, if it can be resumed."""
    run_id = trial.user_attrs.get(attributes.RUN_ID)
    if run_id is None:
        return None
    client = connect()
    with store_required():
        run = client.get_run(run_id) if run_exists(client, run_id) else None
    if run is None:
        logger.warning("%s restarts: run %s does not exist any more", trial_name(study, trial), short_id(run_id))
        return None
    digests = {tags.CONFIG_DIGEST: config.digest(), tags.DATA_DIGEST: load_train_val(config.data).digest}
    if any(run.data.tags.get(name) != digest for name, digest in digests.items()):
        logger.warning(
            "%s restarts: run %s was made from other settings or rows", trial_name(study, trial), short_id(run_id)
        )
        return None
    return run


def open_tracker(claimed: ClaimedTrial, earlier: Run | None) -> MlflowTracker:
    """Return the tracker of the trial's run: a new one, or that of the interrupted trial."""
    trial = claimed.trial
    kind, name, labels = _labels(claimed.config, claimed.study, trial)
    about = about_trial(claimed.config, claimed.study, trial)
    if attributes.PASSED_RUNG in trial.user_attrs:
        labels[tags.TRIAL_STATE] = "RUNNING"  # and paused no more
    return MlflowTracker(
        kind,
        name=name,
        tags=labels,
        about=about,
        searched=trial.params,
        parent=claimed.parent_run,
        resume=None if earlier is None else earlier.info.run_id,
        on_start=lambda run_id: _record_run(claimed, about, run_id),
        guard=claimed.lease.held,
    )


def _record_run(claimed: ClaimedTrial, about: str, run_id: str) -> None:
    claimed.trial.set_user_attr(attributes.RUN_ID, run_id)
    claimed.trial.set_user_attr(attributes.MLFLOW, run_page(run_id))
    save_note(claimed.study, trial_note(about, run_id), claimed.trial)


def _labels(config: Config, study: optuna.Study, trial: Trial) -> tuple[str, str, dict[str, str]]:
    """Return kind, name and tags of a trial's run; one of a confirmation names the trial that it repeats."""
    labels = folds.fold_tags(config) | {tags.TRIAL_NAME: trial_name(study, trial)}
    if (confirms := trial.user_attrs.get(attributes.CONFIRMS)) is None:
        labels |= {tags.STUDY: config.study_name, tags.TRIAL: str(trial.number)}
        first = attempt_of(trial, study.get_trials(deepcopy=False)).trial
        return tags.TRIAL_KIND, f"{config.study_name}-{first}", labels
    name, number, seed = (str(confirms[key]) for key in ("study", "trial", "seed"))
    labels |= {tags.STUDY: name, tags.TRIAL: number, tags.CONFIRM_SEED: seed, tags.CONFIRM: str(trial.number)}
    return tags.CONFIRM_KIND, f"{name}-{repeated_trial(trial)}, seed {seed}", labels


def train_trial(
    claimed: ClaimedTrial, trial_config: Config, tracker: MlflowTracker, earlier: Run | None
) -> tuple[dict[str, float], str]:  # fmt: skip
    """Train, resuming ``earlier``; return the final metrics, and ``finished`` or ``stopped``.

    Raises:
        TrainingPaused: The trial waits at a rung; its run is SCHEDULED, and its checkpoint is stored.
    """
    if earlier is not None and folds.has_all_results(earlier, claimed.config):
        return _reuse_run(claimed, tracker, earlier)
    if claimed.config.study.resampling == "kfold":
        return _train_on_folds(claimed, trial_config, tracker)
    if claimed.config.study.scheduler != "none":
        return _train_between_rungs(claimed, trial_config, tracker, earlier)
    return _train_once(claimed, trial_config, tracker, earlier)


def _train_once(
    claimed: ClaimedTrial, trial_config: Config, tracker: MlflowTracker, earlier: Run | None
) -> tuple[dict[str, float], str]:  # fmt: skip
    study, trial = claimed.config.study, claimed.trial
    decisive = _phase_ends(trial_config) if study.budget == "phase" else None
    # what is known only at the end, and several objectives, cannot be pruned by epoch
    reports_epochs = is_epoch_metric(study.metric) and not study.also

    def report(epoch: int, record: Record) -> bool:
        if not reports_epochs or study.metric not in record or (decisive is not None and epoch not in decisive):
            return False
        trial.report(record[study.metric], epoch)
        return True

    resume = None
    if earlier is not None and (resume := resume_point(connect(), earlier)) is not None:
        reported = _earlier_reports(claimed)
        for epoch, record in enumerate(resume.progress.history, 1):
            # all that was reported then, and the last epoch, which may have been saved but not reported any more
            if epoch in reported or epoch == resume.progress.epoch:
                report(epoch, record)
    metrics, result = _train(
        claimed, trial_config, tracker, lambda epoch, record: report(epoch, record) and trial.should_prune(), resume
    )
    return metrics, result.status


def _train_between_rungs(
    claimed: ClaimedTrial, trial_config: Config, tracker: MlflowTracker, earlier: Run | None
) -> tuple[dict[str, float], str]:  # fmt: skip
    gate = RungGate(claimed.config, trial_config, claimed.study, claimed.trial)

    def add(epoch: int, record: Record) -> bool:
        gate.add(record)
        return False

    resume = None if earlier is None else resume_point(connect(), earlier)
    metrics, result = _train(claimed, trial_config, tracker, add, resume, gate.start)
    return metrics, result.status


def _train_on_folds(
    claimed: ClaimedTrial, trial_config: Config, tracker: MlflowTracker
) -> tuple[dict[str, float], str]:
    """Train on each fold; the pruner decides after each, by the mean of the folds so far."""
    config, trial = claimed.config, claimed.trial
    left_out = site_names(config)

    def track(fold: int, resume: str | None, on_start: Callable[[str], None]) -> MlflowTracker:
        _, name, labels = _labels(trial_config, claimed.study, trial)
        fold_labels = {tags.STUDY: labels[tags.STUDY], tags.TRIAL: labels[tags.TRIAL], tags.FOLD: str(fold)}
        which, begins = f"fold {fold}", f"Fold {fold} of"
        if left_out:
            fold_labels |= {tags.SITE: left_out[fold]}
            which = f"without site {left_out[fold]}"
            begins = f"Trained {which}:"
        return MlflowTracker(
            tags.FOLD_KIND,
            name=f"{name}, {which}",
            tags=fold_labels,
            about=f"{begins} {about_trial(config, claimed.study, trial)}",
            searched=trial.params,
            parent=tracker.run_id,
            resume=resume,
            on_start=on_start,
            guard=claimed.lease.held,
        )

    def train_fold(fold_config: Config, tracker: MlflowTracker, resume: ResumePoint | None) -> folds.Fold:
        metrics, result = _train(claimed, fold_config, tracker, lambda epoch, record: False, resume)
        return folds.Fold(metrics, result.predictions, result.stress_rows)

    def report(done: int, means: dict[str, float]) -> bool:
        if config.study.also:
            return claimed.control.stops_trial(claimed.study, trial)
        trial.report(means[config.study.metric], done)
        return trial.should_prune() or claimed.control.stops_trial(claimed.study, trial)

    def on_start(runs: Sequence[str]) -> None:
        trial.set_user_attr(attributes.FOLD_RUNS, list(runs))

    return folds.train_folds(trial_config, tracker, track, train_fold, report, on_start)


def _train(
    claimed: ClaimedTrial,
    config: Config,
    tracker: MlflowTracker,
    prune: Callable[[int, Record], bool],
    resume: ResumePoint | None,
    on_history: OnHistory | None = None,
) -> tuple[dict[str, float], RunResult]:
    """Train once, writing the epochs into the study; return the final metrics and the result."""
    if resume is not None:
        _log_resume(claimed, config, resume)
    history = resume.progress.history if resume else ()
    epochs = EpochReporter(config, claimed.trial, history, folds=trainings(claimed.config))

    def after_epoch(epoch: int, record: Record) -> bool:
        epochs.add(epoch, record)
        check_driver()
        try:
            pruned = prune(epoch, record)  # first: it reports the epoch, which a trial that is stopped keeps
        except TrainingPaused:
            if not claimed.control.stops_trial(claimed.study, claimed.trial):
                raise
            return True  # it was stopped by hand and waits for nothing
        ends = claimed.control.ends(claimed.study, claimed.trial)
        whole = claimed.config.study.resampling == "kfold"  # a fold cut short would count as a whole one
        return pruned or (ends and not whole)

    def after_history(known: Sequence[Record]) -> None:
        if resume is None:
            epochs.reuse(len(known))
        if on_history is not None:
            on_history(known)

    try:
        result = train(config, tracker, after_epoch, resume=resume, on_history=after_history)
    except (KeyboardInterrupt, TrainingPaused):
        with suppress(UpdateFinishedTrialError):  # the trial was revoked: it is another worker's
            epochs.write()  # what is told of the interrupt or the pause names the last epoch
        raise
    epochs.finish(result.history)
    metrics = dict(result.metrics)
    if LATENCY in config.study.also or LATENCY in constrained_metrics(config):
        metrics[LATENCY] = latency(result.model, load_train_val(config.data).val.images[:1])
        tracker.log_metrics({LATENCY: metrics[LATENCY]})
    return metrics, result


def _log_resume(claimed: ClaimedTrial, config: Config, resume: ResumePoint) -> None:
    trial, finished = claimed.trial, sum(not is_paused(each) for each in counted_trials(claimed.study))
    first = attempt_of(trial, claimed.study.get_trials(deepcopy=False)).trial
    total = config.stage1.epochs + config.stage2.epochs
    fold = f" in fold {config.data.fold}" if claimed.config.study.resampling == "kfold" else ""
    logger.info(
        "resumed trial %d%s at epoch %d of %d (of run %s), %d of %d trials finished", first, fold,
        resume.progress.epoch, total, short_id(trial.user_attrs[attributes.RUN_ID]), finished,
        in_force(claimed.config, claimed.study).study.trials,
    )  # fmt: skip


def check_driver() -> None:
    """Interrupt this worker if the process that started it was killed: nobody else would end it."""
    driver = multiprocessing.parent_process()
    if driver is not None and not driver.is_alive():
        raise KeyboardInterrupt


def _reuse_run(claimed: ClaimedTrial, tracker: MlflowTracker, earlier: Run) -> tuple[dict[str, float], str]:
    """Return the results of a run whose worker was killed when all was logged, but before it told the study."""
    for epoch, value in _earlier_reports(claimed).items():
        claimed.trial.report(value, epoch)
    told = _earlier_trial(claimed).user_attrs
    for attribute in (attributes.EPOCHS, attributes.TRAININGS):
        if attribute in told:
            claimed.trial.set_user_attr(attribute, told[attribute])
    tracker.take_over()
    remove_last(tracker)
    tracker.end(Status.FINISHED)
    return metrics_of(earlier), earlier.data.tags[tags.RESULT]


def _earlier_reports(claimed: ClaimedTrial) -> dict[int, float]:
    """Return what the interrupted trial with the same values has reported, by epoch."""
    reports: dict[int, float] = _earlier_trial(claimed).intermediate_values
    return reports


def _earlier_trial(claimed: ClaimedTrial) -> FrozenTrial:
    earlier: FrozenTrial = claimed.study.get_trials(deepcopy=False)[claimed.trial.user_attrs[attributes.RETRY_OF]]
    return earlier


def _phase_ends(config: Config) -> set[int]:
    """Return the epochs, counted over both stages, at which a phase of stage 2 ends."""
    return {config.stage1.epochs + phase.end for phase in config.stage2.phases(config.data.image_size)}
