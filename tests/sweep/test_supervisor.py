"""How many workers a study wants: the dead are replaced, but not without end, and nobody is waited for in vain."""

from __future__ import annotations

import pytest

from mobilenet_chest.errors import SweepFailed
from mobilenet_chest.sweep import supervisor
from mobilenet_chest.sweep.supervisor import DEATHS, Outlook, Staff

OPEN = Outlook(open=True, busy=False, begins=True, begun=0)
BUSY = Outlook(open=False, busy=True, begins=True, begun=2)
TIME_IS_UP = Outlook(open=False, busy=True, begins=False, begun=2)
OVER = Outlook(open=False, busy=False, begins=True, begun=2)


def seen(staff: Staff, outlook: Outlook) -> Staff:
    staff._on_tick = lambda: outlook
    staff.look()
    return staff


def test_workers_are_wanted_while_a_trial_can_be_claimed() -> None:
    staff = Staff(3, lambda: OPEN)
    assert [seen(staff, outlook).missing(1) for outlook in (OPEN, BUSY, OVER, TIME_IS_UP)] == [2, 0, 0, 0]


def test_the_last_waits_for_trials_that_may_come_back() -> None:
    staff = Staff(3, lambda: OPEN)
    assert not seen(staff, BUSY).may_leave(0)  # on another machine
    assert seen(staff, TIME_IS_UP).may_leave(0)
    assert not seen(staff, TIME_IS_UP).may_leave(1)
    assert seen(staff, OVER).may_leave(0)


def test_who_does_not_leave_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    staff = Staff(3, lambda: OVER)
    assert not seen(staff, OVER).may_leave(1)
    monkeypatch.setattr(supervisor, "IDLE_SECONDS", -1.0)
    assert staff.may_leave(1)
    assert not seen(staff, BUSY).may_leave(1)


def test_deaths_count_while_no_trial_is_begun(capsys: pytest.CaptureFixture[str]) -> None:
    staff = seen(Staff(2, lambda: OPEN), OPEN)
    for _ in range(2 * DEATHS):
        staff.died("was lost")
    assert seen(staff, OPEN).missing(0) == 2
    staff.died("was lost")
    assert seen(staff, OPEN).missing(0) == 0
    assert not staff.may_leave(1)
    with pytest.raises(SweepFailed, match="7 workers died one after the other before they began a trial"):
        staff.may_leave(0)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["a worker was lost; starting another"] * 2 * DEATHS + ["a worker was lost"]
    assert seen(staff, OPEN._replace(begun=1)).missing(0) == 2
