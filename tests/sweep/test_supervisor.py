"""How many workers a study wants: the dead are replaced, but not without end, and nobody is waited for in vain."""

from __future__ import annotations

import pytest

from mobilenet_chest.errors import SweepFailed
from mobilenet_chest.sweep import supervisor
from mobilenet_chest.sweep.supervisor import DEATHS_LIMIT, Forecast, WorkerPool

OPEN = Forecast(open=True, busy=False, begins=True, begun=0)
BUSY = Forecast(open=False, busy=True, begins=True, begun=2)
TIME_IS_UP = Forecast(open=False, busy=True, begins=False, begun=2)
OVER = Forecast(open=False, busy=False, begins=True, begun=2)


def seen(pool: WorkerPool, forecast: Forecast) -> WorkerPool:
    pool._on_tick = lambda: forecast
    pool.look()
    return pool


def test_workers_are_wanted_while_a_trial_can_be_claimed() -> None:
    pool = WorkerPool(3, lambda: OPEN)
    assert [seen(pool, forecast).missing(1) for forecast in (OPEN, BUSY, OVER, TIME_IS_UP)] == [2, 0, 0, 0]


def test_the_last_waits_for_trials_that_may_come_back() -> None:
    pool = WorkerPool(3, lambda: OPEN)
    assert not seen(pool, BUSY).finished(0)  # on another machine
    assert seen(pool, TIME_IS_UP).finished(0)
    assert not seen(pool, TIME_IS_UP).finished(1)
    assert seen(pool, OVER).finished(0)


def test_who_does_not_leave_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = WorkerPool(3, lambda: OVER)
    assert not seen(pool, OVER).finished(1)
    monkeypatch.setattr(supervisor, "IDLE_SECONDS", -1.0)
    assert pool.finished(1)
    assert not seen(pool, BUSY).finished(1)


def test_deaths_count_while_no_trial_is_begun(capsys: pytest.CaptureFixture[str]) -> None:
    pool = seen(WorkerPool(2, lambda: OPEN), OPEN)
    for _ in range(2 * DEATHS_LIMIT):
        pool.died("was lost")
    assert seen(pool, OPEN).missing(0) == 2
    pool.died("was lost")
    assert seen(pool, OPEN).missing(0) == 0
    assert not pool.finished(1)
    with pytest.raises(SweepFailed, match="7 workers died one after the other before they began a trial"):
        pool.finished(0)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["a worker was lost; starting another"] * 2 * DEATHS_LIMIT + ["a worker was lost"]
    assert seen(pool, OPEN._replace(begun=1)).missing(0) == 2
