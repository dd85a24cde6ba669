"""Whether the holder of something is alive: a heartbeat, and a watch over the heartbeats of others.

A process that is killed is gone at once, and its machine can tell. A process that is stopped, that hangs, or that runs
on another machine cannot be asked. It counts as alive for as long as its heartbeat changes. Where the heartbeat is
kept is up to the caller: a file beside a lock, an attribute of an Optuna trial, a tag of an MLflow run or version.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Self


class Heartbeat:
    """Calls ``beat`` in a thread of its own, again and again, until it is stopped or ``beat`` returns False.

    Args:
        beat: Writes the heartbeat number it is given (1, 2, …). Returns False when nobody may beat any more: what was
            held is lost, or over. What it raises ends the thread; errors that may pass are for ``beat`` to catch.
        seconds: Time between two heartbeats.
        name: Name of the thread.
        at_once: Write the first heartbeat when it starts, not after ``seconds``.
        leave_seconds: How long :meth:`stop` waits for a heartbeat that is being written; ``None``: until it is.
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
        """Write no further heartbeat; one that is being written is through when this returns."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(self._leave_seconds)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called: a ``beat`` that had to wait looks before it writes."""
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
    """What a watch knows of one heartbeat.

    Attributes:
        beat: The heartbeat as it was last read.
        silent: Seconds that it was seen unchanged.
        moved: Whether it was ever seen to change.
    """

    beat: Hashable
    silent: float = 0.0
    moved: bool = False


class Watch:
    """Tells for how long the heartbeats of others have stood still, by this process's own observations.

    Clocks of machines differ, so no time that another process wrote is compared with the time here. And time in which
    nothing was read hardly counts: this machine slept, the database was locked, or everything was stopped together by
    Ctrl-Z. So the time between two looks counts at most ``gap`` seconds.

    Args:
        gap: Seconds that the time between two looks counts at most.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(self, gap: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap, self._clock = gap, clock
        self._looked_at: float | None = None
        self._pulses: dict[Hashable, Pulse] = {}

    def look(self, beats: Mapping[Hashable, Hashable]) -> None:
        """Take note of the heartbeats as they are now.

        Args:
            beats: Whose heartbeat -> its present value. Who is missing is forgotten.
        """
        now = self._clock()
        passed = 0.0 if self._looked_at is None else min(now - self._looked_at, self._gap)
        self._looked_at = now
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
        """Return what is known of one heartbeat; ``None`` where the last look did not find it."""
        return self._pulses.get(key)

    def stale(self, key: Hashable, seconds: float) -> bool:
        """Whether a heartbeat was seen unchanged for ``seconds`` or longer."""
        pulse = self._pulses.get(key)
        return pulse is not None and pulse.silent >= seconds
