"""Tell whether the holder of a lock, trial or run is alive: a heartbeat, and a watch over the heartbeats of others.

The machine of a killed process can tell that it is gone. A process that is stopped, that hangs, or that runs on
another machine cannot be asked. It counts as alive for as long as its heartbeat changes. The caller decides where the
heartbeat is kept: a file beside a lock, an attribute of an Optuna trial, a tag of an MLflow run or version.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Self


class Heartbeat:
    """A thread that calls ``beat`` at intervals, until it is stopped or ``beat`` returns False.

    Args:
        beat: Write the heartbeat of the given number (1, 2, …). Return False when there must be no further one, since
            what was held is lost or released. An exception ends the thread: catch errors that may pass.
        seconds: Time between two heartbeats.
        name: Name of the thread.
        at_once: Write the first heartbeat at the start, not after ``seconds``.
        leave_seconds: Seconds that :meth:`stop` waits at most for a heartbeat being written; ``None`` for no limit.
    """

    def __init__(
        self,
        beat: Callable[[int], bool | None],
        seconds: float,
        *,
        name: str = "heartbeat",
        at_once: bool = False,
        leave_seconds: float | None = None,
    ) -> None:
        self._beat, self._seconds, self._at_once, self._leave_seconds = beat, seconds, at_once, leave_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Write no further heartbeat, and wait for one that is being written."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(self._leave_seconds)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called; a ``beat`` that had to wait asks before it writes."""
        return self._stopped.is_set()

    def _run(self) -> None:
        count = 0
        while True:
            if (count or not self._at_once) and self._stopped.wait(self._seconds):
                return
            count += 1
            if self._beat(count) is False:
                return


@dataclass(frozen=True)
class Pulse:
    """What a watch has observed of one heartbeat.

    Attributes:
        beat: The heartbeat as last read.
        silent: Seconds for which it was unchanged.
        moved: Whether it has changed since the watch first saw it.
    """

    beat: Hashable
    silent: float = 0.0
    moved: bool = False


class Watch:
    """Measure for how long the heartbeats of others are unchanged, by this process's own observations alone.

    Clocks of machines differ, so no time written by another process is compared with the time here. Time in which
    nothing was read hardly counts: the machine slept, the database was locked, or Ctrl-Z stopped all processes
    together. So the time between two observations counts ``gap`` seconds at most.

    Args:
        gap: Seconds that count at most between two observations.
        clock: Return seconds that never go back.
    """

    def __init__(self, gap: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap, self._clock = gap, clock
        self._observed_at: float | None = None
        self._pulses: dict[Hashable, Pulse] = {}

    def look(self, beats: Mapping[Hashable, Hashable]) -> None:
        """Observe the heartbeats as they are now.

        Args:
            beats: Holder -> present value of its heartbeat. A holder that is missing is forgotten.
        """
        now = self._clock()
        passed = 0.0 if self._observed_at is None else min(now - self._observed_at, self._gap)
        self._observed_at = now
        before, self._pulses = self._pulses, {}
        for key, beat in beats.items():
            old = before.get(key)
            if old is None:
                self._pulses[key] = Pulse(beat)
            elif old.beat != beat:
                self._pulses[key] = Pulse(beat, moved=True)
            else:
                self._pulses[key] = replace(old, silent=old.silent + passed)

    def pulse(self, key: Hashable) -> Pulse | None:
        """Return what was observed of a holder's heartbeat; ``None`` if the last observation lacked it."""
        return self._pulses.get(key)

    def stale(self, key: Hashable, seconds: float) -> bool:
        """Return whether a holder's heartbeat was unchanged for ``seconds`` or longer."""
        pulse = self._pulses.get(key)
        return pulse is not None and pulse.silent >= seconds
