"""A trial in the contract's words, and the state of a running sweep."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.claims import best_trial, counts, value_of


@dataclass(frozen=True)
class TrialSummary:
    """One trial, as the contract's JSON has it; ``value`` is the study's metric, ``also`` its further objectives."""

    number: int
    state: str
    value: float | None
    run_id: str | None
    params: dict[str, Any]
    reason: str | None = None
    also: tuple[float, ...] = ()


@dataclass(frozen=True)
class SweepStatus:
    """The state of a running sweep, for a live view.

    Attributes:
        total: Trials of the study, or trainings of its confirmation.
        states: State -> how many trials have ended in it.
        best: The best trial so far; ``None`` during the confirmation.
        running: The current trials; during the confirmation with the number of the trial that they repeat.
        seconds: Since this command began to run trials.
        seconds_left: An estimate, once a trial has ended.
        confirming: Whether the trials are done and their leaders are being confirmed.
    """

    total: int
    states: dict[str, int]
    best: TrialSummary | None
    running: list[TrialSummary]
    seconds: float
    seconds_left: float | None
    confirming: bool = False


def summarize(trial: FrozenTrial) -> TrialSummary:
    """Return a trial in the contract's words; a pruned trial's value is its last report."""
    value = value_of(trial)
    if trial.state == TrialState.PRUNED and trial.intermediate_values:
        value = trial.intermediate_values[max(trial.intermediate_values)]
    return TrialSummary(
        number=trial.number,
        state=trial.state.name,
        value=value,
        run_id=trial.user_attrs.get(attributes.RUN_ID),
        params=dict(trial.params),
        reason=trial.user_attrs.get(attributes.REASON),
        also=tuple(trial.values[1:] if trial.values else ()),
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
    seconds, new = time.time() - started, len(counted) - before
    return SweepStatus(
        total=total,
        states=dict(Counter(trial.state.name for trial in counted)),
        best=summarize(best) if best else None,
        running=[_summarize_running(trial) for trial in trials if trial.state == TrialState.RUNNING],
        seconds=seconds,
        seconds_left=seconds / new * (total - len(counted)) if new else None,
        confirming=confirming,
    )


def _summarize_running(trial: FrozenTrial) -> TrialSummary:
    reports = trial.intermediate_values
    number = trial.user_attrs.get(attributes.CONFIRMS, {}).get("trial", trial.number)
    return TrialSummary(number, "RUNNING", reports[max(reports)] if reports else None, None, dict(trial.params))
