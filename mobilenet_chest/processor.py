"""The processor: which cores this process may use, and how many of them are free.

Two threads of one computation meet many times in a step. Where another process holds the core of one of them, the
other waits busily, and takes time from the very thread that it waits for. One thread on a free core is then faster
than two on shared ones. Shorter waits were measured as well: they help less beside a neighbour, and cost on an idle
machine (``experiments/results/speed.md``).
"""

from __future__ import annotations

import functools
import os
import platform
import time
from contextlib import suppress
from pathlib import Path

import psutil

THREADS_VARIABLE = "OMP_NUM_THREADS"
SAMPLES, SAMPLE_SECONDS = 3, 0.25
"""Load is measured at most so often: a burst is no neighbour."""


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(_allowed())


def busy_cores() -> float:
    """Return how many of this process's cores others keep busy, 0 to :func:`cores`: the least of a few samples.

    What this process and those that it has started do meanwhile is left out: a sweep's fork server still imports then.
    """
    least = float(cores())
    for _ in range(SAMPLES):
        before, started = _own_seconds(), time.monotonic()
        percent = psutil.cpu_percent(SAMPLE_SECONDS, percpu=True)
        # one that has ended meanwhile has taken its seconds with it; a new one has no other seconds than these
        own = sum(now - before.get(each, 0.0) for each, now in _own_seconds().items()) / (time.monotonic() - started)
        busy = sum(percent[core] for core in _allowed() if core < len(percent)) / 100
        least = min(least, max(0.0, busy - own))
        if least < 0.5:
            break
    return least


def _own_seconds() -> dict[psutil.Process, float]:
    """Return the seconds of processor time of this process and of each that it has started and that still runs."""
    this = psutil.Process()
    seconds = {}
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.Error):  # it ends just now
            times = process.cpu_times()
            seconds[process] = times.user + times.system
    return seconds


def free_threads(processes: int = 1, busy: float | None = None) -> int:
    """Return how many threads each of so many processes should compute with.

    ``OMP_NUM_THREADS`` says it where the user has set it. Otherwise the processes share the cores that others leave
    free, at least one thread each.

    Args:
        processes: That are about to start and compute at the same time.
        busy: What :func:`busy_cores` returned; measured if not given.
    """
    given = os.environ.get(THREADS_VARIABLE, "")
    if given.isdecimal() and int(given):
        return int(given)
    return max(1, round(cores() - (busy_cores() if busy is None else busy)) // processes)


@functools.cache
def use_free_cores() -> None:
    """Have torch compute with :func:`free_threads` threads, once in a process: its trainings are to be comparable."""
    import torch

    torch.set_num_threads(free_threads())


@functools.cache
def multiplies_bytes() -> bool:
    """Return whether products of 8-bit numbers are added up without saturation: by VNNI on x86, and on ARM.

    Without it x86 adds two products in 16 bits, where those of full 8-bit weights have no room: a network quantised to
    them is wrong there. False where the processor does not say it.
    """
    if platform.machine().lower() in ("aarch64", "arm64"):
        return True
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return False
    return bool(flags & {"avx512_vnni", "avx_vnni"})


def _allowed() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
