"""A trial in the contract's words, and the state of a running sweep."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.attempts import Attempt, attempt_of, repeated_trial
from mobilenet_chest.sweep.claims import best_trial, counts, value_of
from mobilenet_chest.sweep.epochs import stored_epochs
from mobilenet_chest.sweep.feasibility import violations
from mobilenet_chest.sweep.repeats import RESULT_OF, repeat_of
from mobilenet_chest.sweep.trial_state import is_paused, state_name
from mobilenet_chest.training.epochs import Epochs


@dataclass(frozen=True)
class TrialSummary:
    """One trial, as the contract's JSON has it.

    Attributes:
        number: In the study.
        state: In Optuna's words, or PAUSED.
        value: Of the study's metric.
        run_id: Its run in MLflow.
        params: Its values of the searched fields.
        reason: Why it failed.
        also: Values of the further objectives.
        attempt: 1, or more for a trial that was queued again after an interrupt.
        attempt_of: Of such a trial the number of the first attempt.
        violates: The constraints of the study that it violates, each with its value.
        repeats: Of a trial whose values were tried before: that trial, and how it repeats it.
    """

    number: int
    state: str
    value: float | None
    run_id: str | None
    params: dict[str, Any]
    reason: str | None = None
    also: tuple[float, ...] = ()
    attempt: int = 1
    attempt_of: int | None = None
    violates: tuple[str, ...] = ()
    repeats: str | None = None

    @property
    def took_result(self) -> bool:
        """Whether it was not trained, and has the result and the run of the trial that it repeats."""
        return self.repeats is not None and self.repeats.startswith(RESULT_OF)

    @property
    def label(self) -> str:
        """What a person reads of the trial: ``0``, or ``0, second attempt`` of one that has another number."""
        return str(Attempt(self.number if self.attempt_of is None else self.attempt_of, self.attempt))


@dataclass(frozen=True)
class RunningTrial(TrialSummary):
    """A trial that a worker runs.

    Attributes:
        epochs: Its epochs so far; ``None`` before its training has begun.
        seconds_left: An estimate, once an epoch of each stage has been timed.
        seed: Of a confirmation the fresh seed.
    """

    epochs: Epochs | None = None
    seconds_left: float | None = None
    seed: int | None = None

    @property
    def label(self) -> str:
        """What a person reads of the trial; of a confirmation the trial and the seed."""
        if self.seed is None:
            return super().label
        return f"{self.number if self.attempt_of is None else self.attempt_of}, seed {self.seed}"


@dataclass(frozen=True)
class SweepStatus:
    """The state of a running sweep, for a live view.

    Attributes:
        total: Trials of the study, or trainings of its confirmation.
        states: State -> how many trials have ended in it.
        best: The best trial so far; ``None`` during the confirmation.
        running: The current trials; during the confirmation with the number of the trial that they repeat.
        seconds: Since this command began to run trials.
        seconds_left: An estimate, once a trial has ended, or the epochs of the running ones were timed.
        confirming: Whether the trials are done and their leaders are being confirmed.
        ended: The trials that count, by number; none during the confirmation.
        paused: Whether the study was paused by hand.
    """

    total: int
    states: dict[str, int]
    best: TrialSummary | None
    running: list[RunningTrial]
    seconds: float
    seconds_left: float | None
    confirming: bool = False
    ended: list[TrialSummary] = field(default_factory=list)
    paused: bool = False


def summarize(trial: FrozenTrial, trials: Sequence[FrozenTrial] = ()) -> TrialSummary:
    """Return a trial in the contract's words; the value of a pruned or paused trial is its last report.

    Args:
        trial: The trial.
        trials: All of its study, to tell which attempt it is.
    """
    first, attempt = attempt_of(trial, trials)
    value = value_of(trial)
    if trial.state == TrialState.PRUNED and trial.intermediate_values:
        value = trial.intermediate_values[max(trial.intermediate_values)]
    return TrialSummary(
        number=trial.number,
        state=state_name(trial),
        value=value,
        run_id=trial.user_attrs.get(attributes.RUN_ID),
        params=dict(trial.params),
        reason=trial.user_attrs.get(attributes.REASON),
        also=tuple(trial.values[1:] if trial.values else ()),
        attempt=attempt,
        attempt_of=first if attempt > 1 else None,
        violates=violations(trial),
        repeats=None if (repeat := repeat_of(trial)) is None else str(repeat),
    )


def status(study: optuna.Study, total: int, started: float, before: int) -> SweepStatus:
    """Return the state of a sweep.

    Args:
        study: The study, or that of its confirmation.
        total: How many trials it is to have.
        started: When this command began to run its trials, of ``time.time()``.
        before: How many trials counted then.
    """
    trials = study.get_trials(deepcopy=False)
    counted = [trial for trial in trials if counts(trial)]
    confirming = attributes.CONFIRMS in study.user_attrs
    best = None if confirming else best_trial(study)
    usual = _usual_seconds(trials)
    running = [_summarize_running(trial, trials, usual) for trial in trials if _is_running(trial)]
    seconds, new = time.time() - started, len(counted) - before
    left = max(0, total - len(counted))
    return SweepStatus(
        total=total,
        states=dict(Counter(map(state_name, counted))),
        best=summarize(best, trials) if best else None,
        running=running,
        seconds=seconds,
        seconds_left=seconds / new * left if new > 0 else _first_estimate(running, left, usual),
        confirming=confirming,
        ended=[] if confirming else [summarize(trial, trials) for trial in counted],
    )


def _is_running(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.RUNNING and not is_paused(trial)


def _summarize_running(trial: FrozenTrial, trials: Sequence[FrozenTrial], usual: Mapping[int, float]) -> RunningTrial:
    reports, epochs = trial.intermediate_values, stored_epochs(trial)
    confirms = trial.user_attrs.get(attributes.CONFIRMS, {})
    first, attempt = (repeated_trial(trial), 1) if confirms else attempt_of(trial, trials)
    return RunningTrial(
        number=confirms.get("trial", trial.number),
        state="RUNNING",
        value=reports[max(reports)] if reports else None,
        run_id=None,
        params=dict(trial.params),
        attempt=attempt,
        attempt_of=first if confirms or attempt > 1 else None,
        epochs=epochs,
        seconds_left=None if epochs is None else epochs.seconds_left(usual),
        seed=confirms.get("seed"),
    )


def _usual_seconds(trials: Sequence[FrozenTrial]) -> dict[int, float]:
    """Return the median seconds of an epoch by stage, of the trials that have timed it."""
    timed = [epochs.stage_seconds for trial in trials if (epochs := stored_epochs(trial)) is not None]
    stages = {stage for seconds in timed for stage in seconds}
    return {stage: median(seconds[stage] for seconds in timed if stage in seconds) for stage in stages}


def _first_estimate(running: Sequence[RunningTrial], left: int, usual: Mapping[int, float]) -> float | None:
    """Return the seconds that ``left`` trials will take, the running ones among them, before one has ended."""
    timed = [(t.seconds_left, t.epochs) for t in running if t.seconds_left is not None and t.epochs is not None]
    if not timed:
        return None
    whole = median(sum(count * usual.get(stage, 0.0) for stage, count in enumerate(epochs.stage_epochs, 1))
                   * epochs.folds for _, epochs in timed)  # fmt: skip
    return max(seconds for seconds, _ in timed) + whole * max(0, left - len(running)) / len(running)


@dataclass(frozen=True)
class Kept:
    """What an interrupted sweep has kept.

    Attributes:
        finished: How many trials count, without the paused ones.
        interrupted: The trials that wait to be run again, with the epochs of the attempt that was interrupted.
        total: How many trials the study is to have; 0 where that is not known.
        paused: How many trials wait at a rung.
    """

    finished: int
    interrupted: list[RunningTrial]
    total: int = 0
    paused: int = 0


def kept_trials(study: optuna.Study) -> Kept:
    """Return what a study has kept of its trials."""
    trials = study.get_trials(deepcopy=False)
    usual = _usual_seconds(trials)
    origins = [trial.user_attrs.get(attributes.RETRY_OF) for trial in trials if trial.state == TrialState.WAITING]
    interrupted = [_summarize_running(trials[origin], trials, usual) for origin in origins if origin is not None]
    paused = sum(map(is_paused, trials))
    return Kept(sum(map(counts, trials)) - paused, interrupted, paused=paused)
