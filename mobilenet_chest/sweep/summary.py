"""A trial in the contract's words, and a moment of a running sweep."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.sweep.attributes import CONFIRMS
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
    """A moment of a running sweep, for a live view.

    Attributes:
        total: Trials of the study, or trainings of its confirmation.
        states: How many have ended how.
        best: So far; ``None`` during the confirmation.
        running: Those in hand; during the confirmation with the number of the trial they repeat.
        seconds: Since the work on it began.
        seconds_left: As far as can be told.
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
    """A trial in the contract's words; a pruned trial's value is its last report."""
    value = value_of(trial)
    if trial.state == TrialState.PRUNED and trial.intermediate_values:
        value = trial.intermediate_values[max(trial.intermediate_values)]
    return TrialSummary(
        trial.number, trial.state.name, value, trial.user_attrs.get("run_id"), dict(trial.params),
        trial.user_attrs.get("reason"), tuple(trial.values[1:] if trial.values else ()),
    )  # fmt: skip


def status(study: optuna.Study, total: int, started: float, before: int) -> SweepStatus:
    """Where a study stands.

    Args:
        study: The study, or that of its confirmation.
        total: How many trials it is to have.
        started: When the work on it began, of ``time.time()``.
        before: How many it had then.
    """
    trials = study.get_trials(deepcopy=False)
    counted = [trial for trial in trials if counts(trial)]
    states: dict[str, int] = {}
    for trial in counted:
        states[trial.state.name] = states.get(trial.state.name, 0) + 1
    confirming = CONFIRMS in study.user_attrs
    best = None if confirming else best_trial(study)
    running = [_running(trial) for trial in trials if trial.state == TrialState.RUNNING]
    seconds, new = time.time() - started, len(counted) - before
    left = seconds / new * (total - len(counted)) if new else None
    return SweepStatus(total, states, summarize(best) if best else None, running, seconds, left, confirming)


def _running(trial: FrozenTrial) -> TrialSummary:
    reports = trial.intermediate_values
    number = trial.user_attrs.get(CONFIRMS, {}).get("trial", trial.number)
    return TrialSummary(number, "RUNNING", reports[max(reports)] if reports else None, None, dict(trial.params))
