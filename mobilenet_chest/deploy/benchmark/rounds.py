"""Rounds of timed calls: all files answer in turn, so that a busy machine slows all of them alike."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mobilenet_chest.deploy.benchmark.engine_process import Calls, EngineProcess

STARTS = 3
"""Fresh processes of each file, of which start-up times are taken."""

BATCHES = (1, 8, 32)
"""Images at once that are tried for the best throughput."""

SINGLE_CALLS = 40
"""Calls of a round with one image."""

ROUND_IMAGES = 64
"""Images of a round for each other batch size."""


@dataclass(frozen=True)
class Spread:
    """A value of several rounds: their median, least and greatest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
        return cls(float(np.median(values)), float(min(values)), float(max(values)))


@dataclass(frozen=True)
class Speed:
    """What was measured of a file. Milliseconds are of whole answers: pixels in, probability with TTA out.

    Attributes:
        p50_ms: Median time of one image, over all rounds.
        p95_ms: 95th percentile.
        p99_ms: 99th percentile.
        times_faster: The first file's median time of one image over this one's, taken within each round.
        images_per_second: Of the batch size at which it is largest.
        batch: That batch size.
        start_seconds: From the start of a fresh process to its first answer.
        peak_bytes: Largest resident memory of a process that answered single images.
        millijoules: Energy an image at ``batch``; ``None`` where it cannot be read.
    """

    p50_ms: float
    p95_ms: float
    p99_ms: float
    times_faster: Spread
    images_per_second: Spread
    batch: int
    start_seconds: Spread
    peak_bytes: int
    millijoules: Spread | None


@dataclass(frozen=True)
class Engine:
    """What :func:`measure` is given of a file: its format, its path, and a ``.npy`` file of images."""

    format_name: str
    path: Path
    images: Path


def measure(engines: Sequence[Engine], threads: int, rounds: int, batches: Sequence[int]) -> list[Speed]:
    """Return what was measured of each file; the first is what others are compared with.

    Args:
        engines: The files.
        threads: Threads of each engine.
        rounds: In each, every file answers single images and each batch once; a first round is not counted.
        batches: Images at once.

    Raises:
        DataError: A process could not be started, or ended early.
    """
    starts: list[list[float]] = [[] for _ in engines]
    with ExitStack() as stack:
        processes: list[EngineProcess] = []
        for turn in range(STARTS):
            for engine, seconds in zip(engines, starts, strict=True):
                process = EngineProcess(engine.format_name, engine.path, threads, engine.images)
                seconds.append(process.start_seconds)
                if turn == STARTS - 1:
                    processes.append(process)
                    stack.callback(process.close)
                else:
                    process.close()
        # the memory is read in the round that warms up, before any batch
        memory = [process.time(1, SINGLE_CALLS).peak_bytes for process in processes]
        for process in processes:
            for batch in batches:
                process.time(batch, 1)
        singles: list[list[Calls]] = [[] for _ in engines]
        batched: list[dict[int, list[Calls]]] = [{batch: [] for batch in batches} for _ in engines]
        for _ in range(rounds):
            for process, calls in zip(processes, singles, strict=True):
                calls.append(process.time(1, SINGLE_CALLS))
            for process, by_batch in zip(processes, batched, strict=True):
                for batch, calls in by_batch.items():
                    calls.append(process.time(batch, max(1, ROUND_IMAGES // batch)))
    medians = [[float(np.median(calls.seconds)) for calls in of_engine] for of_engine in singles]
    return [
        _speed(calls, medians[0], by_batch, start, peak)
        for calls, by_batch, start, peak in zip(singles, batched, starts, memory, strict=True)
    ]


def _speed(
    singles: Sequence[Calls],
    first_medians: Sequence[float],
    batched: dict[int, list[Calls]],
    starts: Sequence[float],
    peak_bytes: int,
) -> Speed:
    milliseconds = 1000 * np.concatenate([calls.seconds for calls in singles])
    ratios = [first / float(np.median(calls.seconds)) for first, calls in zip(first_medians, singles, strict=True)]
    rates = {
        batch: Spread.of([batch * len(calls.seconds) / sum(calls.seconds) for calls in of_batch])
        for batch, of_batch in batched.items()
    }
    best = max(rates, key=lambda batch: rates[batch].median)
    energies = [
        1000 * calls.joules / (best * len(calls.seconds)) for calls in batched[best] if calls.joules is not None
    ]
    p50, p95, p99 = (float(value) for value in np.percentile(milliseconds, (50, 95, 99)))
    return Speed(
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        times_faster=Spread.of(ratios),
        images_per_second=rates[best],
        batch=best,
        start_seconds=Spread.of(starts),
        peak_bytes=peak_bytes,
        millijoules=Spread.of(energies) if energies else None,
    )
