"""Ray actors as the workers of a sweep: one actor per worker, on whatever nodes have room for it."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobilenet_chest.config import Config
from mobilenet_chest.errors import ClusterError, MissingExtraError, SweepFailed, WriteFailed
from mobilenet_chest.sweep.local_workers import END_SECONDS, Job, Launcher, work_until_terminated
from mobilenet_chest.sweep.ray_cluster import LOCAL, check_shared, connected, no_room, nodes, room, share, summary_line
from mobilenet_chest.sweep.storage import DEFAULT
from mobilenet_chest.sweep.supervisor import Forecast, WorkerPool
from mobilenet_chest.tracking.provenance import identity, may_be_alive

logger = logging.getLogger(__name__)

ADDRESS_VARIABLE = "RAY_ADDRESS"

PLACE_SECONDS = 30.0
"""A worker that has no place in the cluster after so long is reported."""

GONE_SECONDS = 10.0
"""How long an actor's process may outlive its node in Ray's view."""

PASSED_ON = ("MLFLOW_", "MOBILENET_CHEST_", "AWS_", "PG")
"""Variables with these beginnings are the driver's on every node: addresses of the stores, and credentials."""


@contextmanager
def on_ray(
    config: Config, workers: int, *, storage: str | None = None, address: str | None = None
) -> Iterator[Launcher]:
    """Connect to a Ray cluster, and yield what runs workers there; within the block stdout goes to stderr.

    A worker declares as many CPUs as let all of them have room at once (one at least), and one GPU if the device is
    ``cuda``, or ``auto`` and the cluster has any.

    Args:
        config: The experiment.
        workers: How many actors there will be.
        storage: As for :func:`~mobilenet_chest.sweep.run_sweep`.
        address: ``HOST:PORT`` of the cluster, or ``auto``. By default it is that of ``RAY_ADDRESS``, and without that
            variable a cluster on this machine, which listens on loopback only unless ray was imported before.

    Raises:
        MissingExtraError: Ray is not installed.
        ClusterError: The cluster cannot be reached, none of its nodes has room for a worker, or its machines cannot
            share the files in which this sweep would store its study or its runs.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError("--launcher ray", "ray")
    if config.device.startswith("cuda:"):
        raise ClusterError(f"device: {config.device} names a GPU of one machine; with --launcher ray set cuda or auto")
    with connected(address or os.environ.get(ADDRESS_VARIABLE) or LOCAL, workers):
        check_shared(storage or DEFAULT)
        yield _launcher(config.device, workers)


def _launcher(device: str, workers: int) -> Launcher:
    gpu = device == "cuda" or (device == "auto" and any(gpus for _, gpus in nodes()))
    cpus = share(nodes(), workers, gpu)
    if cpus == 0:
        raise ClusterError(f"{no_room(1, gpu)}; start a node that has it" + (", or set device=cpu" if gpu else ""))

    def launch(job: Job, workers: int, on_tick: Callable[[], Forecast], on_death: Callable[[], object]) -> None:
        actors = _Actors(dataclasses.replace(job, threads=cpus), gpu)
        try:
            _supervise(actors, workers, WorkerPool(workers, on_tick), on_death)
        finally:
            actors.end()

    return launch


def _supervise(actors: _Actors, workers: int, pool: WorkerPool, on_death: Callable[[], object]) -> None:
    """Do as :func:`~mobilenet_chest.sweep.local_workers.run_workers` does, with actors for processes."""
    for _ in range(workers):
        actors.start()
    reported = False
    while True:
        pool.update()
        actors.see_places()
        reported = reported or actors.report_waiting()
        actors.check_room()
        for actor in actors.ended():
            error = actors.remove(actor)
            if error is None:
                continue
            if isinstance(error, WriteFailed):  # Ray raises an error that is both its own and the task's
                pool.stop_unwritable(summary_line(error.cause))  # type: ignore[attr-defined]
            _make_sure_of(actor)
            on_death()
            pool.count_death(f"was lost ({summary_line(error)})")
        if not pool.forecast.claimable:
            actors.drop_waiting()  # no trial is left for them; if one comes back, others are started
        for _ in range(pool.missing(len(actors.running))):
            actors.start()
        if pool.finished(len(actors.running)):
            return


class _Worker:
    """What Ray runs on a node that it chooses, in the main thread of a process of its own."""

    def __init__(self, environment: dict[str, str], folder: str) -> None:
        for name in [name for name in os.environ if name.startswith(PASSED_ON)]:
            del os.environ[name]
        os.environ.update(environment)
        os.chdir(folder)  # relative paths mean the same everywhere

    def place(self) -> dict[str, Any]:
        import ray

        return {"worker": identity(), "node": ray.get_runtime_context().get_node_id()}

    def work(self, job: Job) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            work_until_terminated(job)


@dataclass(eq=False)
class _Actor:
    """A worker in the cluster.

    Attributes:
        handle: Ray's handle of the actor.
        place_answer: Reference to the answer of ``place()``.
        end: Reference to the end of ``work()``.
        started: When it was asked for, of ``time.monotonic()``.
        place: Its process and its node, once it has a place.
    """

    handle: Any
    place_answer: Any
    end: Any
    started: float
    place: dict[str, Any] | None = None


class _Actors:
    """The actors of a sweep.

    Args:
        job: For each of them; its threads are the CPUs that each declares.
        gpu: Whether each takes a GPU.
    """

    def __init__(self, job: Job, gpu: bool) -> None:
        import ray

        self._job, self._gpu = job, gpu
        self._environment = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
        self._kind: Any = ray.remote(_Worker).options(
            num_cpus=job.threads, num_gpus=int(gpu), max_restarts=0, scheduling_strategy="SPREAD"
        )
        self.running: list[_Actor] = []

    def start(self) -> None:
        # the environment as an argument: Ray writes a runtime_env into its logs, with the passwords in it
        handle = self._kind.remote(self._environment, str(Path.cwd()))
        self.running.append(
            _Actor(handle, handle.place.remote(), handle.work.remote(self._job), started=time.monotonic())
        )

    def see_places(self) -> None:
        """Note which actors have a place by now."""
        import ray

        for actor in self._waiting():
            if ray.wait([actor.place_answer], timeout=0)[0]:
                with contextlib.suppress(ray.exceptions.RayError):  # the end of its work fails with the same error
                    actor.place = ray.get(actor.place_answer)

    def report_waiting(self) -> bool:
        """Log how many actors have waited for a place for long, and return whether there are any."""
        long = [actor for actor in self._waiting() if time.monotonic() - actor.started > PLACE_SECONDS]
        if long:
            logger.warning(
                "%d of %d workers have not begun yet: no room in the cluster, or a slow node",
                len(long),
                len(self.running),
            )
        return bool(long)

    def check_room(self) -> None:
        """Check that the cluster has room for at least one actor.

        Raises:
            SweepFailed: No actor has a place, and no node could give it one any more.
        """
        nobody_works = bool(self.running) and len(self._waiting()) == len(self.running)
        if nobody_works and room(nodes(), self._job.threads, self._gpu) == 0:
            raise SweepFailed(f"{no_room(self._job.threads, self._gpu)}; run the same command to continue the sweep")

    def ended(self) -> list[_Actor]:
        """Return the actors whose work is over, or that are lost; wait a second for one at most."""
        import ray

        if not self.running:
            time.sleep(1.0)
            return []
        ends = [actor.end for actor in self.running]
        over, _ = ray.wait(ends, num_returns=len(ends), timeout=1.0)
        return [actor for actor in self.running if actor.end in over]

    def remove(self, actor: _Actor) -> Exception | None:
        """Remove an actor that has ended, and return the error that it ended with, if any."""
        import ray

        self.running.remove(actor)
        try:
            ray.get(actor.end)
            ray.kill(actor.handle)
        except ray.exceptions.RayError as error:
            return error
        return None

    def drop_waiting(self) -> None:
        """Remove the actors that have no place yet."""
        import ray

        for actor in self._waiting():
            self.running.remove(actor)
            ray.kill(actor.handle)

    def end(self) -> None:
        """Have the current trials ended in order; after a sweep that came to its end there are none."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        # No call reaches an actor while its method runs, and Ray cancels only asynchronous ones. A signal reaches it,
        # from a task on the same node that takes no room. A lambda, because Ray sends it whole: it imports nothing.
        interrupt: Any = ray.remote(lambda pid: os.kill(pid, signal.SIGTERM))
        ends = []
        self.see_places()
        for actor in self.running:
            if actor.place is not None:
                node = NodeAffinitySchedulingStrategy(actor.place["node"], soft=False)
                task = interrupt.options(num_cpus=0, max_retries=0, scheduling_strategy=node)
                task.remote(actor.place["worker"]["pid"])
                ends.append(actor.end)
        if ends:
            ray.wait(ends, num_returns=len(ends), timeout=END_SECONDS)
        for actor in self.running:
            _make_sure_of(actor)

    def _waiting(self) -> list[_Actor]:
        return [actor for actor in self.running if actor.place is None]


def _make_sure_of(actor: _Actor) -> None:
    """Kill an actor, and wait for the end of its process: no trial is freed while its worker counts as alive here."""
    import ray

    ray.kill(actor.handle)
    deadline = time.monotonic() + GONE_SECONDS
    while (
        actor.place is not None
        and actor.place["worker"]["host"] == socket.gethostname()
        and may_be_alive(actor.place["worker"])
        and time.monotonic() < deadline
    ):
        time.sleep(0.1)
