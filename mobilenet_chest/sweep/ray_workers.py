"""Ray as the engine of a sweep: one actor per worker, on whatever nodes have room for it."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobilenet_chest.config import Config
from mobilenet_chest.errors import ClusterError, MissingExtraError, SweepFailed, WriteFailed
from mobilenet_chest.sweep.local_workers import END_SECONDS, Job, Launcher, work_until_told
from mobilenet_chest.sweep.ray_cluster import HERE, check_shared, connected, first_line, no_room, nodes, room, share
from mobilenet_chest.sweep.storage import DEFAULT
from mobilenet_chest.sweep.supervisor import Forecast, WorkerPool
from mobilenet_chest.tracking.provenance import identity, may_be_alive

ADDRESS_VARIABLE = "RAY_ADDRESS"

PLACE_SECONDS = 30.0
"""A worker that has not begun after so long is spoken of."""

GONE_SECONDS = 10.0
"""How long the process of an actor may outlive what Ray says of it: its node's last moments."""

PASSED_ON = ("MLFLOW_", "MOBILENET_CHEST_", "AWS_", "PG")
"""Variables with these beginnings are the driver's on every node: where to track and store, and the right to."""


@contextmanager
def on_ray(
    config: Config, workers: int, *, storage: str | None = None, address: str | None = None
) -> Iterator[Launcher]:
    """A connection to a Ray cluster, and what runs workers there; the connection is closed at the end.

    Meanwhile what is printed goes to stderr.

    A worker declares as many CPUs as let all of them have room at once (one at least), and one GPU if the device is
    ``cuda``, or ``auto`` and the cluster has any.

    Args:
        config: The experiment.
        workers: How many actors there will be.
        storage: As for :func:`~mobilenet_chest.sweep.run_sweep`.
        address: ``HOST:PORT`` of the cluster, or ``auto``; ``RAY_ADDRESS`` by default, and without that variable a
            cluster on this machine that listens on loopback only (import ray yourself before, and it does not).

    Raises:
        MissingExtraError: Ray is not installed.
        ClusterError: It cannot be reached, none of its nodes has room for a worker, or its nodes cannot share what
            this sweep would keep in files.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError("--launcher ray", "ray")
    if config.device.startswith("cuda:"):
        raise ClusterError(f"device: {config.device} names a GPU of one machine; with --launcher ray set cuda or auto")
    where = address or os.environ.get(ADDRESS_VARIABLE) or HERE
    with connected(where, workers):
        check_shared(storage or DEFAULT)
        yield _launcher(config.device, workers)


@dataclass(eq=False)
class _Running:
    """An actor and what it owes: who and where it is, once it is placed, and the end of its work."""

    actor: Any
    answer: Any
    end: Any
    begun: float
    who: dict[str, Any] | None = None


class _Worker:
    """What Ray runs, on a node it has chosen, in the main thread of a process of its own."""

    def __init__(self, environment: dict[str, str], folder: str) -> None:
        for name in [name for name in os.environ if name.startswith(PASSED_ON)]:
            del os.environ[name]
        os.environ.update(environment)
        os.chdir(folder)  # relative paths mean the same everywhere

    def who(self) -> dict[str, Any]:
        import ray

        return {"worker": identity(), "node": ray.get_runtime_context().get_node_id()}

    def work(self, job: Job) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            work_until_told(job)


def _launcher(device: str, workers: int) -> Launcher:
    gpu = device == "cuda" or (device == "auto" and any(gpus for _, gpus in nodes()))
    cpus = share(nodes(), workers, gpu)
    if cpus == 0:
        raise ClusterError(f"{no_room(1, gpu)}; start a node that has it" + (", or set device=cpu" if gpu else ""))

    def launch(job: Job, workers: int, on_tick: Callable[[], Forecast], on_death: Callable[[], object]) -> None:
        _run(dataclasses.replace(job, threads=cpus), workers, gpu, on_tick, on_death)

    return launch


def _run(job: Job, workers: int, gpu: bool, on_tick: Callable[[], Forecast], on_death: Callable[[], object]) -> None:
    """:func:`~mobilenet_chest.sweep.local_workers.run_workers`, with actors for processes."""
    import ray

    environment = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    kind: Any = ray.remote(_Worker).options(
        num_cpus=job.threads, num_gpus=int(gpu), max_restarts=0, scheduling_strategy="SPREAD"
    )
    running: list[_Running] = []
    pool = WorkerPool(workers, on_tick)

    def start() -> None:
        # the environment as an argument: Ray writes a runtime_env into its logs, with the passwords in it
        actor = kind.remote(environment, str(Path.cwd()))
        running.append(_Running(actor, actor.who.remote(), actor.work.remote(job), time.monotonic()))

    try:
        for _ in range(workers):
            start()
        said = False
        while True:
            pool.look()
            _see_who_is_placed(running)
            said = said or _say_who_waits(running)
            nobody = bool(running) and all(worker.who is None for worker in running)
            if nobody and room(nodes(), job.threads, gpu) == 0:
                raise SweepFailed(f"{no_room(job.threads, gpu)}; the same command goes on with the sweep")
            for worker in _ended(running):
                running.remove(worker)
                try:
                    ray.get(worker.end)
                    ray.kill(worker.actor)
                except ray.exceptions.RayError as error:
                    if isinstance(error, WriteFailed):  # what a task raises comes as both
                        pool.cannot_write(first_line(error.cause))  # type: ignore[attr-defined]
                    _make_sure_of(worker)
                    on_death()
                    pool.died(f"was lost ({first_line(error)})")
            # no trial is left to begin for those that still wait for a place; if one comes back they are asked again
            for worker in [worker for worker in running if worker.who is None and not pool.left.open]:
                running.remove(worker)
                ray.kill(worker.actor)
            for _ in range(pool.missing(len(running))):
                start()
            if pool.finished(len(running)):
                return
    finally:
        _end(running)


def _ended(running: list[_Running]) -> list[_Running]:
    """Those whose work is over, or who are lost, after a second at most."""
    import ray

    if not running:
        time.sleep(1.0)
        return []
    ended, _ = ray.wait([worker.end for worker in running], num_returns=len(running), timeout=1.0)
    return [worker for worker in running if worker.end in ended]


def _see_who_is_placed(running: list[_Running]) -> None:
    import ray

    for worker in [worker for worker in running if worker.who is None]:
        if ray.wait([worker.answer], timeout=0)[0]:
            with contextlib.suppress(ray.exceptions.RayError):  # the end of its work says so too
                worker.who = ray.get(worker.answer)


def _say_who_waits(running: list[_Running]) -> bool:
    waiting = [w for w in running if w.who is None and time.monotonic() - w.begun > PLACE_SECONDS]
    if waiting:
        print(
            f"{len(waiting)} of {len(running)} workers have not begun yet: no room in the cluster, or a slow node",
            file=sys.stderr,
        )
    return bool(waiting)


def _make_sure_of(worker: _Running) -> None:
    """No trial is freed while the process that has it may still be seen alive from here."""
    import ray

    ray.kill(worker.actor)
    deadline = time.monotonic() + GONE_SECONDS
    while (
        worker.who is not None
        and worker.who["worker"]["host"] == socket.gethostname()
        and may_be_alive(worker.who["worker"])
        and time.monotonic() < deadline
    ):
        time.sleep(0.1)


def _end(running: list[_Running]) -> None:
    """Have the trials in hand ended in order; nothing to do after a sweep that came to its end."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # No call reaches an actor while its method runs, and Ray cancels none that is not asynchronous: a signal does,
    # from a task that takes no room on the same node. A lambda, because Ray sends it whole: the task imports nothing.
    interrupt: Any = ray.remote(lambda pid: os.kill(pid, signal.SIGTERM))
    ends = []
    _see_who_is_placed(running)
    for worker in running:
        if worker.who is not None:
            there = NodeAffinitySchedulingStrategy(worker.who["node"], soft=False)
            interrupt.options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote(worker.who["worker"]["pid"])
            ends.append(worker.end)
    if ends:
        ray.wait(ends, num_returns=len(ends), timeout=END_SECONDS)
    for worker in running:
        _make_sure_of(worker)
