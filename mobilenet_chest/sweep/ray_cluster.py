"""A Ray cluster as a place for workers: reaching it, and the room it has."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import mobilenet_chest
from mobilenet_chest.errors import ClusterError
from mobilenet_chest.sweep.local_workers import cores
from mobilenet_chest.tracking.store import masked, tracking_uri

HERE = "local"
"""Address of a cluster that is started on this machine, for this sweep, and ends with it."""

ANSWER_SECONDS = 5.0

STORE_BYTES = 80 * 2**20
"""Ray's shared memory: next to nothing goes through it."""


@contextmanager
def connected(where: str, workers: int) -> Iterator[None]:
    """Within it this process is a driver of the cluster at an address, and what is printed goes to stderr.

    Raises:
        ClusterError: It cannot be reached, or is no address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_SCHEDULER_EVENTS", "0")  # its hints about nodes to add
    options: dict[str, Any] = {}
    if where == HERE:
        # Ray takes the machine's outward address otherwise, even when it is given another
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        options = {"num_cpus": max(cores(), workers), "object_store_memory": STORE_BYTES, "include_dashboard": False}
    else:
        _check_answers(where)
    import ray

    code = str(Path(mobilenet_chest.__file__).parents[1])
    path = os.pathsep.join([code, *filter(None, [os.environ.get("PYTHONPATH")])])
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        try:
            ray.init(where, runtime_env={"env_vars": {"PYTHONPATH": path}}, logging_level=logging.ERROR, **options)
        except (OSError, RuntimeError, ValueError) as error:
            raise ClusterError(f"Ray cluster {where}: {first_line(error)}") from error
        finally:
            for number, handler in handlers.items():  # Ray's own would leave at once, with the trials in hand
                signal.signal(number, handler)
        # Ray shows there what actors print, and the last words of a node that is lost; a result is printed after it
        with redirect_stdout(sys.stderr):
            yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Ray itself tries for more than a minute, and then leaves the process."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit():
        raise ClusterError(f"Ray cluster {address}: not an address; allowed: HOST:PORT of its head node, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"no Ray cluster answers at {address} ({first_line(error)}); start one with `ray start --head`, or leave "
            "the address out to start one on this machine"
        ) from error


def check_shared(storage: str) -> None:
    """See that what a sweep keeps can be reached from every machine of the cluster.

    Raises:
        ClusterError: There are several, and the study or the runs would lie in a file.
    """
    import ray

    machines = sorted({str(n["NodeManagerHostname"]) for n in ray.nodes() if n["Alive"]} | {socket.gethostname()})
    if len(machines) < 2:
        return
    why = f"is a file of one machine, and the cluster has several ({', '.join(machines[:4])})"
    if storage.startswith("sqlite"):
        raise ClusterError(f"--storage {storage} {why}; name a database server: postgresql+psycopg://USER@HOST/DB")
    if not tracking_uri().startswith(("http:", "https:", "postgresql", "mysql", "mssql")):
        raise ClusterError(f"tracking store {masked(tracking_uri())} {why}; set MLFLOW_TRACKING_URI to a server's")


def nodes() -> list[tuple[float, float]]:
    """CPUs and GPUs of the nodes that live."""
    import ray

    of = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [(has.get("CPU", 0.0), has.get("GPU", 0.0)) for has in of]


def room(nodes: Sequence[tuple[float, float]], cpus: int, gpu: bool) -> int:
    """How many workers have room at once in empty nodes, given the CPUs of each and whether it takes a GPU."""
    return sum(int(min(has // cpus, gpus if gpu else has)) for has, gpus in nodes)


def share(nodes: Sequence[tuple[float, float]], workers: int, gpu: bool) -> int:
    """CPUs for each worker: as many as let as many of them as can work at once.

    Args:
        nodes: CPUs and GPUs of each node.
        workers: How many there are.
        gpu: Whether each of them takes a GPU.

    Returns:
        0 when no node has room for any.
    """
    at_once = min(workers, room(nodes, 1, gpu))
    most = int(max((cpus for cpus, _ in nodes), default=0))
    return next((cpus for cpus in range(most, 0, -1) if room(nodes, cpus, gpu) >= at_once > 0), 0)


def no_room(cpus: int, gpu: bool) -> str:
    """Why no worker can have a place, or a place any more."""
    has = ", ".join(f"{cpus:g} and {gpus:g}" for cpus, gpus in nodes()) or "no node is left"
    wanted = f"{cpus} CPU" + ("s" if cpus > 1 else "") + (" and a GPU" if gpu else "")
    return f"no node of the Ray cluster has room for a worker of {wanted} (CPUs and GPUs of each: {has})"


def first_line(error: Exception) -> str:
    """What happened, without Ray's own surroundings: an error inside an actor is told by its last line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1] if "ray::" in lines[0] else lines[0]
