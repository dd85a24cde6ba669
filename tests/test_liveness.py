"""A heartbeat beats until it is stopped; a watch counts only the silence that it has itself observed."""

from __future__ import annotations

import threading
import time

import pytest

from mobilenet_chest.liveness import Heartbeat, Pulse, Watch

PATIENCE = 30.0
"""Seconds after which a test gives up waiting for a thread."""


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_heartbeats_are_numbered_from_one() -> None:
    beats: list[int] = []
    enough = threading.Event()

    def beat(number: int) -> None:
        beats.append(number)
        if number == 3:
            enough.set()

    with Heartbeat(beat, 0.001):
        assert enough.wait(PATIENCE)
    assert beats[:3] == [1, 2, 3]
    assert beats == list(range(1, len(beats) + 1))


def test_no_heartbeat_after_stop() -> None:
    beats: list[int] = []
    heartbeat = Heartbeat(beats.append, 0.001).start()
    assert not heartbeat.stopped
    heartbeat.stop()
    assert heartbeat.stopped
    count = len(beats)
    time.sleep(0.05)
    assert len(beats) == count


def test_stop_waits_for_the_heartbeat_being_written() -> None:
    begun, written = threading.Event(), []

    def beat(number: int) -> None:
        begun.set()
        time.sleep(0.2)
        written.append(number)

    with Heartbeat(beat, 3600, at_once=True):
        assert begun.wait(PATIENCE)
    assert written == [1]


def test_stop_waits_no_longer_than_it_is_told_to() -> None:
    begun, released = threading.Event(), threading.Event()

    def beat(number: int) -> None:
        begun.set()
        released.wait(PATIENCE)

    heartbeat = Heartbeat(beat, 3600, at_once=True, leave_seconds=0.01).start()
    assert begun.wait(PATIENCE)
    started = time.monotonic()
    heartbeat.stop()
    assert time.monotonic() - started < PATIENCE / 2
    released.set()


def test_the_first_heartbeat_comes_at_once_only_if_asked_for() -> None:
    beats: list[int] = []
    with Heartbeat(beats.append, 3600):
        time.sleep(0.05)
    assert beats == []
    first = threading.Event()
    with Heartbeat(lambda number: first.set(), 3600, at_once=True):
        assert first.wait(PATIENCE)


def test_a_beat_that_returns_false_is_the_last() -> None:
    beats: list[int] = []

    def beat(number: int) -> bool:
        beats.append(number)
        return number < 2

    heartbeat = Heartbeat(beat, 0.001).start()
    heartbeat._thread.join(PATIENCE)
    assert not heartbeat._thread.is_alive()
    assert beats == [1, 2]
    assert not heartbeat.stopped
    heartbeat.stop()


def test_a_heartbeat_does_not_keep_its_process_alive() -> None:
    heartbeat = Heartbeat(lambda number: None, 3600, name="lease of trial 3")
    assert heartbeat._thread.daemon
    assert heartbeat._thread.name == "lease of trial 3"
    heartbeat.stop()  # one that was never started


def test_silence_is_the_time_between_looks_at_an_unchanged_heartbeat(clock: Clock) -> None:
    watch = Watch(gap=5, clock=clock)
    watch.look({"a": 1, "b": 1})
    for beat in (1, 2, 2, 2):
        clock.now += 3
        watch.look({"a": 1, "b": beat})
    assert watch.pulse("a") == Pulse(1, silent=12, moved=False)
    assert watch.pulse("b") == Pulse(2, silent=6, moved=True)
    assert (watch.stale("a", 12), watch.stale("a", 12.1)) == (True, False)
    assert (watch.stale("b", 6), watch.stale("b", 6.1)) == (True, False)


def test_a_first_look_tells_nothing(clock: Clock) -> None:
    watch = Watch(gap=5, clock=clock)
    watch.look({"a": 1})
    assert watch.pulse("a") == Pulse(1)
    clock.now += 3
    watch.look({"a": 1, "b": 1})
    assert watch.pulse("b") == Pulse(1)  # the time before it was first seen is not its own


def test_a_long_time_without_a_look_counts_as_the_gap(clock: Clock) -> None:
    """This process was stopped, by Ctrl-Z for one, and so perhaps was the other."""
    watch = Watch(gap=5, clock=clock)
    watch.look({"a": 1})
    clock.now += 3600
    watch.look({"a": 1})
    assert watch.pulse("a") == Pulse(1, silent=5)


def test_any_change_is_a_sign_also_back_to_an_earlier_value(clock: Clock) -> None:
    watch = Watch(gap=5, clock=clock)
    for beat in (7, 3, None, 7):
        watch.look({"a": beat})
        pulse = watch.pulse("a")
        assert pulse is not None
        assert pulse.silent == 0
        clock.now += 4
    assert watch.pulse("a") == Pulse(7, moved=True)


def test_a_holder_that_goes_is_forgotten(clock: Clock) -> None:
    watch = Watch(gap=5, clock=clock)
    for beats in ({"a": 1}, {"a": 1}, {}, {"a": 1}):
        watch.look(beats)
        clock.now += 4
    assert watch.pulse("a") == Pulse(1)
    assert watch.pulse("b") is None
    assert not watch.stale("b", 0)
