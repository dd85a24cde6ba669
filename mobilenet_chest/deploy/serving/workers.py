"""Processes that answer on one port, and the one that watches them: it starts another in the place of one that died.

All have the same listening socket, so a connection that waits to be accepted is lost with none of them. What they count
is in a folder that all read. They notice the end of the process that watches, and end in order.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from mobilenet_chest.deploy.serving.process import Place, Settings, Started, answer
from mobilenet_chest.errors import MobilenetChestError
from mobilenet_chest.processor import THREADS_VARIABLE, free_threads
from mobilenet_chest.tracking.store import as_tracking_lost

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

AGAIN_SECONDS = 2.0
"""Least time between two starts in one place: a worker may die of what lasts, such as a registry that is away."""

PRELOADED = ("onnxruntime", "torch", "mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store")
"""What a worker imports later: a worker that was forked shares it with the others."""


class _Failed(MobilenetChestError):
    """A worker could not start.

    Args:
        text: What it said.
        exit_code: Of its error.
    """

    def __init__(self, text: str, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(text)


class _Worker:
    """A process in a place.

    Attributes:
        number: Its place.
        process: The process.
        news: End of a pipe that tells how its start went; ``None`` once it has.
        started: Time of ``time.monotonic()``.
    """

    def __init__(self, number: int, process: BaseProcess, news: Connection) -> None:
        self.number, self.process, self.started = number, process, time.monotonic()
        self.news: Connection | None = news

    def heard(self) -> Started | tuple[str, int] | None:
        """Return how its start went: what answers, or an error's text and exit code; ``None`` where it died first."""
        assert self.news is not None
        try:
            news: Started | tuple[str, int] = self.news.recv()
        except EOFError:
            return None
        finally:
            self.news.close()
            self.news = None
        return news

    def how_it_ended(self) -> str:
        """Return it in words."""
        code = self.process.exitcode or 0
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


class Workers:
    """Workers of a server; the process that makes them should have no other thread, and compute nothing.

    Args:
        count: How many there are.
        settings: What they serve.
        listener: A bound socket.
    """

    def __init__(self, count: int, settings: Settings, listener: socket.socket) -> None:
        self._settings, self._listener = settings, listener
        forks = sys.platform == "linux" and threading.active_count() == 1
        self._context: Any = multiprocessing.get_context("fork" if forks else "spawn")
        if forks:
            for module in PRELOADED:
                import_module(module)
            gc.freeze()  # a collection would write to the pages of all objects, and so copy them for each worker
        self._ready = self._context.RawArray("b", count)
        self._workers: dict[int, _Worker] = {}
        self._due = dict.fromkeys(range(count), 0.0)
        self._said = ""

    def run(self, on_ready: Callable[[Started], object]) -> None:
        """Keep workers in all places until SIGTERM, SIGINT or SIGHUP, then wait for their end.

        Args:
            on_ready: Called once all of them answer.

        Raises:
            MobilenetChestError: One cannot start, before all have answered.
            KeyboardInterrupt: A signal came before all have answered.
        """
        with (
            tempfile.TemporaryDirectory(prefix="mobilenet-chest-serve-", ignore_cleanup_errors=True) as counts,
            _signalled() as told, _pipe() as (end, lifeline),
        ):  # fmt: skip
            place = Place(0, self._ready, Path(counts), end.fileno())
            waits_for_all = True
            try:
                while not told.poll():
                    self._fill(place, end, lifeline)
                    for started in self._listen(told, waits_for_all):
                        if waits_for_all and all(self._ready):
                            waits_for_all = False
                            on_ready(started)
                if waits_for_all:
                    raise KeyboardInterrupt
            finally:
                self._listener.close()
                self._stop()

    def _fill(self, place: Place, end: Connection, lifeline: Connection) -> None:
        """Start a worker in each free place whose time has come."""
        now = time.monotonic()
        for number in [number for number, due in self._due.items() if due <= now]:
            del self._due[number]
            news, tells = self._context.Pipe(duplex=False)
            copied = lifeline if self._context.get_start_method() == "fork" else None
            process = self._context.Process(
                target=_work, name=f"worker {number}",
                args=(self._settings, self._listener, place._replace(number=number), end, tells, copied),
            )  # fmt: skip
            # a signal that came before the worker has its own handlers would be told to this process
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            process.start()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            tells.close()
            self._workers[number] = _Worker(number, process, news)

    def _listen(self, told: Connection, waits_for_all: bool) -> Iterator[Started]:
        """Wait for the next news, and take it in; yield what answers where a worker has started.

        Raises:
            MobilenetChestError: A worker could not start, and not all have answered yet.
        """
        sources: dict[Any, _Worker | None] = {told: None}
        sources |= {each.news or each.process.sentinel: each for each in self._workers.values()}
        due = min(self._due.values(), default=None)
        for source in wait([*sources], None if due is None else max(0.0, due - time.monotonic())):
            if (worker := sources[source]) is None:
                continue
            news = worker.heard() if worker.news is not None else None
            if isinstance(news, Started):
                yield news
            elif news is not None and waits_for_all:
                raise _Failed(*news)
            else:
                self._lose(worker, None if news is None else news[0])
                if waits_for_all:
                    raise _Failed(f"a worker {worker.how_it_ended()} before it answered", 1)

    def _lose(self, worker: _Worker, said: str | None) -> None:
        """Say that a worker is gone, and that its place is free."""
        worker.process.join()
        started, self._ready[worker.number] = self._ready[worker.number], 0
        del self._workers[worker.number]
        self._due[worker.number] = 0.0 if started else worker.started + AGAIN_SECONDS
        text = f"worker {worker.number} cannot start: {said}; it is tried again" if said else (
            f"worker {worker.number} {worker.how_it_ended()}; another one starts in its place"
        )  # fmt: skip
        if started or text != self._said:  # not every two seconds while a registry is away
            logger.warning("%s", text)
        self._said = text

    def _stop(self) -> None:
        for worker in self._workers.values():
            worker.process.terminate()
        for worker in self._workers.values():
            worker.process.join()
            if worker.process.exitcode and self._ready[worker.number]:
                logger.warning("worker %d %s", worker.number, worker.how_it_ended())


@contextmanager
def _pipe() -> Iterator[tuple[Connection, Connection]]:
    """Yield the end of a pipe that can be read when nobody has the other end any more, and that end."""
    end, lifeline = multiprocessing.Pipe(duplex=False)
    with end, lifeline:
        yield end, lifeline


@contextmanager
def _signalled() -> Iterator[Connection]:
    """Yield what can be read once one of :data:`SIGNALS` has come, in place of what it would do otherwise."""
    told, tells = multiprocessing.Pipe(duplex=False)
    before = {number: signal.signal(number, lambda *_: tells.send_bytes(b"x")) for number in SIGNALS}
    with told, tells:
        try:
            yield told
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _work(
    settings: Settings, listener: socket.socket, place: Place, end: Connection, tells: Connection,
    copied: Connection | None,
) -> None:  # fmt: skip
    """Answer in a place; the entry of a worker's process.

    Args:
        settings: What is served.
        listener: The socket of all.
        place: Its place.
        end: Can be read when the process that watches is gone.
        tells: Takes how the start went.
        copied: The other end of that pipe, where a fork has copied it.
    """
    for number in SIGNALS:  # until it answers, it may be ended at once
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    if copied is not None:
        copied.close()
    os.environ[THREADS_VARIABLE] = str(threads := free_threads(len(place.ready), busy=0.0))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)

    def started(what: Started) -> None:
        tells.send(what)
        tells.close()

    try:
        with as_tracking_lost():
            answer(settings, listener, started, place._replace(lifeline=end.fileno()))
    except MobilenetChestError as error:
        if tells.closed:
            raise
        tells.send((str(error), error.exit_code))
    finally:
        if end.poll():  # nobody else is left who could
            shutil.rmtree(place.counts, ignore_errors=True)
