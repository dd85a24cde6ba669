"""How many workers a study needs: dead ones are replaced up to a limit, and no worker is waited for in vain."""

from __future__ import annotations

import logging

import optuna
import pytest
from optuna.trial import TrialState

from mobilenet_chest.errors import SweepFailed, WriteFailed
from mobilenet_chest.sweep import attributes, supervisor
from mobilenet_chest.sweep.supervisor import DEATHS_LIMIT, FAILURES_LIMIT, Forecast, WorkerPool, only_failures

CLAIMABLE = Forecast(claimable=True, running=False, begins=True, trials=0)
RUNNING = Forecast(claimable=False, running=True, begins=True, trials=2)
TIME_IS_UP = Forecast(claimable=False, running=True, begins=False, trials=2)
OVER = Forecast(claimable=False, running=False, begins=True, trials=2)


def updated(pool: WorkerPool, forecast: Forecast) -> WorkerPool:
    pool._on_tick = lambda: forecast
    pool.update()
    return pool


def test_workers_are_wanted_while_a_trial_can_be_claimed() -> None:
    pool = WorkerPool(3, lambda: CLAIMABLE)
    assert [updated(pool, forecast).missing(1) for forecast in (CLAIMABLE, RUNNING, OVER, TIME_IS_UP)] == [2, 0, 0, 0]


def test_the_sweep_waits_for_trials_that_may_come_back() -> None:
    pool = WorkerPool(3, lambda: CLAIMABLE)
    assert not updated(pool, RUNNING).finished(0)  # on another machine
    assert updated(pool, TIME_IS_UP).finished(0)
    assert not updated(pool, TIME_IS_UP).finished(1)
    assert updated(pool, OVER).finished(0)


def test_a_worker_that_does_not_leave_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = WorkerPool(3, lambda: OVER)
    assert not updated(pool, OVER).finished(1)
    monkeypatch.setattr(supervisor, "IDLE_SECONDS", -1.0)
    assert pool.finished(1)
    assert not updated(pool, RUNNING).finished(1)


def test_deaths_count_while_no_trial_begins(logged: pytest.LogCaptureFixture) -> None:
    pool = updated(WorkerPool(2, lambda: CLAIMABLE), CLAIMABLE)
    for _ in range(2 * DEATHS_LIMIT):
        pool.count_death("was lost")
    assert updated(pool, CLAIMABLE).missing(0) == 2
    pool.count_death("was lost")
    assert updated(pool, CLAIMABLE).missing(0) == 0
    assert not pool.finished(1)
    with pytest.raises(SweepFailed, match=f"^{2 * DEATHS_LIMIT + 1} workers"):
        pool.finished(0)
    lines = [record.getMessage() for record in logged.records]
    assert lines == ["a worker was lost; starting another"] * 2 * DEATHS_LIMIT + ["a worker was lost"]
    assert {record.levelno for record in logged.records} == {logging.WARNING}
    assert updated(pool, CLAIMABLE._replace(trials=1)).missing(0) == 2


def test_a_worker_that_cannot_write_ends_the_sweep() -> None:
    with pytest.raises(WriteFailed, match="no room"):
        WorkerPool(1, lambda: CLAIMABLE).stop_unwritable("no room")


def test_failures_end_a_study_without_results() -> None:
    study = optuna.create_study()
    for _ in range(FAILURES_LIMIT):
        assert not only_failures(study)
        study.add_trial(optuna.create_trial(state=TrialState.FAIL, user_attrs={attributes.INTERRUPTED: True}))
        study.add_trial(optuna.create_trial(state=TrialState.FAIL))
    assert only_failures(study)
    assert not only_failures(study, first_trial=2)  # the first failure was of an earlier command
    study.add_trial(optuna.create_trial(value=0.5))
    assert not only_failures(study)
