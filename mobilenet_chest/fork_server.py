"""A fork server: a process that has imported everything, and from which workers are forked within milliseconds.

Importing torch, MLflow and Optuna costs a worker about six seconds of processor time. A process that computes or has
threads must not be forked: its copy could wait for ever for a lock that no thread of its own holds. So the server is
forked from a command that has imported torch and computed nothing yet, and it never computes itself.
"""

from __future__ import annotations

import gc
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any, Protocol

IMPORTED = ("mobilenet_chest.sweep", "torchvision", "mlflow.store.tracking.sqlalchemy_store")
"""What the command and its workers need; it is imported once, before the server is forked."""

PRELOADED = ("torch._dynamo", "matplotlib.figure", "scipy.stats")
"""What trainings import later; torch does so when the first optimizer is made, unless torchvision has done it."""

LOST = -signal.SIGKILL
"""Exit code of a worker whose server is gone, as of one that was killed: nobody knows it."""


class WorkerProcess(Protocol):
    """What the driver needs of a worker's process, however it was started."""

    @property
    def pid(self) -> int | None:
        """Return its number."""

    @property
    def exitcode(self) -> int | None:
        """Return its exit code; ``None`` while it runs."""

    def is_alive(self) -> bool:
        """Return whether it runs."""

    def join(self, timeout: float | None = None) -> None:
        """Wait until it ends."""

    def terminate(self) -> None:
        """Send it SIGTERM."""

    def kill(self) -> None:
        """Send it SIGKILL."""


class ForkServer:
    """The driver's side of a fork server.

    Attributes:
        exit_codes: Of the workers that have ended, by process number.
        lost: Whether the server is gone. Its workers notice that, and end in order.
    """

    def __init__(self, control: Connection) -> None:
        self._control = control
        self.exit_codes: dict[int, int] = {}
        self.lost = False

    def start(
        self, name: str, target: Callable[..., object], args: Sequence[Any], output: Connection | None
    ) -> ForkedWorker | None:
        """Fork a worker with this process's environment; ``None`` where the server is gone.

        Args:
            name: Of the process.
            target: What it calls, with ``args`` and ``output``.
            args: They are pickled.
            output: Write end of a pipe, if any.
        """
        try:
            self._control.send((name, target, tuple(args), dict(os.environ), output is not None))
            if output is not None:
                send_handle(self._control, output.fileno(), None)
            while True:
                answer = self._control.recv()
                if isinstance(answer, int):
                    return ForkedWorker(self, answer)
                self.exit_codes |= answer
        except (EOFError, OSError):
            self.lost = True
            return None

    def listen(self, timeout: float | None) -> None:
        """Take in exit codes, waiting at most so many seconds for the next; ``None`` waits without an end."""
        try:
            while not self.lost and self._control.poll(timeout):
                self.exit_codes |= self._control.recv()
                timeout = 0
        except (EOFError, OSError):
            self.lost = True

    def close(self) -> None:
        """Let the server end; workers that still run are told by that to end in order."""
        self._control.close()


class ForkedWorker:
    """A worker's process, a child of the fork server."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self._server, self.pid = server, pid

    @property
    def exitcode(self) -> int | None:
        """Return its exit code; ``None`` while it runs."""
        code = self._server.exit_codes.get(self.pid)
        return LOST if code is None and self._server.lost else code

    def is_alive(self) -> bool:
        """Return whether it runs."""
        self._server.listen(0)
        return self.exitcode is None

    def join(self, timeout: float | None = None) -> None:
        """Wait until it ends, or time is up."""
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while self.is_alive() and (left := deadline - time.monotonic()) > 0:
            self._server.listen(None if timeout is None else left)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._server.exit_codes.get(self.pid) is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def may_fork() -> bool:
    """Return whether this process may be forked: on Linux, with one thread, and before anything has imported torch."""
    return sys.platform == "linux" and threading.active_count() == 1 and "torch" not in sys.modules


@contextmanager
def fork_server() -> Iterator[ForkServer | None]:
    """Give a fork server; ``None`` where this process may not be forked."""
    if not may_fork():
        yield None
        return
    for module in IMPORTED:
        import_module(module)
    gc.freeze()  # a collection would walk all that was imported, and so copy its memory for each worker
    context = multiprocessing.get_context("fork")
    control, other = context.Pipe()
    process = context.Process(target=_serve, args=(other, control), name="fork-server")
    process.start()
    other.close()
    server = ForkServer(control)
    try:
        yield server
    finally:
        server.close()
        process.join()


def _serve(control: Connection, drivers_end: Connection) -> None:
    """Fork workers as the driver asks, and tell their exit codes, until the driver is gone."""
    drivers_end.close()  # else the driver's end would be noticed by nobody
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # who ends the driver ends this process
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as in a process that was not forked
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for module in PRELOADED:
        import_module(module)
    gc.freeze()
    workers: dict[int, BaseProcess] = {}
    try:
        while True:
            sentinels = {process.sentinel: process for process in workers.values()}
            for ready in wait([control, *sentinels]):
                if ready is control:
                    process = _fork(control)
                    assert process.pid is not None
                    workers[process.pid] = process
                    control.send(process.pid)
                else:
                    process = sentinels[ready]  # type: ignore[index]
                    process.join()
                    assert process.pid is not None
                    del workers[process.pid]
                    control.send({process.pid: process.exitcode})
    except (EOFError, OSError):
        os._exit(0)  # at once: an ordinary end would wait for the workers


def _fork(control: Connection) -> BaseProcess:
    name, target, args, environment, has_output = control.recv()
    output = Connection(recv_handle(control), readable=False) if has_output else None
    process = multiprocessing.get_context("fork").Process(
        target=_run, args=(control, target, args, environment, output), name=name
    )
    process.start()
    if output is not None:
        output.close()  # the worker has the only end
    return process


def _run(
    control: Connection,
    target: Callable[..., object],
    args: Sequence[Any],
    environment: dict[str, str],
    output: Connection | None,
) -> None:
    control.close()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environment)
    target(*args, output)
