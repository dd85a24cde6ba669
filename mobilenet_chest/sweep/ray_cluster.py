"""A Ray cluster: connecting to it, and the room that it has for workers."""

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
from mobilenet_chest.processor import cores
from mobilenet_chest.tracking.database import backend, is_sqlite
from mobilenet_chest.tracking.server import is_server
from mobilenet_chest.tracking.store import masked, tracking_uri

LOCAL = "local"
"""Address of a cluster that is started on this machine, for this sweep, and ends with it."""

ANSWER_SECONDS = 5.0
"""How long the head node may take to accept a connection."""

STORE_BYTES = 80 * 2**20
"""Ray's shared memory: next to nothing goes through it."""


@contextmanager
def connected(address: str, workers: int) -> Iterator[None]:
    """Make this process a driver of a cluster; within the block stdout goes to stderr.

    Args:
        address: Of the cluster: ``HOST:PORT``, ``auto`` or :data:`LOCAL`.
        workers: How many there will be; a cluster of this machine has CPUs for all of them.

    Raises:
        ClusterError: It cannot be reached, or the address is none.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_SCHEDULER_EVENTS", "0")  # its hints to add nodes
    options: dict[str, Any] = {}
    if address == LOCAL:
        # otherwise Ray listens on the machine's outward address, even when it is given another
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        options = {"num_cpus": max(cores(), workers), "object_store_memory": STORE_BYTES, "include_dashboard": False}
    else:
        _check_answers(address)
    import ray

    code = str(Path(mobilenet_chest.__file__).parents[1])
    path = os.pathsep.join([code, *filter(None, [os.environ.get("PYTHONPATH")])])
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        try:
            ray.init(address, runtime_env={"env_vars": {"PYTHONPATH": path}}, logging_level=logging.ERROR, **options)
        except (OSError, RuntimeError, ValueError) as error:
            raise ClusterError(f"Ray cluster {address}: {summary_line(error)}") from error
        finally:
            for number, handler in handlers.items():  # Ray's own would leave at once and abandon the current trials
                signal.signal(number, handler)
        # Ray prints the output of actors and the messages of lost nodes to stdout, which is for the result alone
        with redirect_stdout(sys.stderr):
            yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Check that something listens at an address: Ray itself tries for more than a minute, and then exits."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit():
        raise ClusterError(f"Ray cluster {address}: not an address; allowed: HOST:PORT of its head node, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"no Ray cluster answers at {address} ({summary_line(error)}); start one with `ray start --head`, or leave "
            "the address out to start one on this machine"
        ) from error


def check_shared(storage: str) -> None:
    """Check that the study and the runs can be reached from every machine of the cluster.

    Raises:
        ClusterError: There are several machines, and the study or the runs would be stored in a file.
    """
    import ray

    machines = sorted({str(n["NodeManagerHostname"]) for n in ray.nodes() if n["Alive"]} | {socket.gethostname()})
    if len(machines) < 2:
        return
    problem = f"is a file of one machine, and the cluster has several ({', '.join(machines[:4])})"
    if is_sqlite(storage):
        raise ClusterError(f"--storage {storage} {problem}; name a database server: postgresql+psycopg://USER@HOST/DB")
    if not is_server(tracking_uri()) and backend(tracking_uri()) not in ("postgresql", "mysql", "mssql"):
        raise ClusterError(f"tracking store {masked(tracking_uri())} {problem}; set MLFLOW_TRACKING_URI to a server's")


def nodes() -> list[tuple[float, float]]:
    """Return CPUs and GPUs of each node that is alive."""
    import ray

    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [(node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in resources]


def room(nodes: Sequence[tuple[float, float]], cpus: int, gpu: bool) -> int:
    """Return how many workers have room at once in empty nodes.

    Args:
        nodes: CPUs and GPUs of each node.
        cpus: Of each worker.
        gpu: Whether each worker takes a GPU.
    """
    return sum(int(min(all_cpus // cpus, gpus if gpu else all_cpus)) for all_cpus, gpus in nodes)


def share(nodes: Sequence[tuple[float, float]], workers: int, gpu: bool) -> int:
    """Return the CPUs of each worker: the most with which as many workers as possible work at once.

    Args:
        nodes: CPUs and GPUs of each node.
        workers: How many there are.
        gpu: Whether each worker takes a GPU.

    Returns:
        0 when no node has room for a worker.
    """
    at_once = min(workers, room(nodes, 1, gpu))
    most = int(max((cpus for cpus, _ in nodes), default=0))
    return next((cpus for cpus in range(most, 0, -1) if room(nodes, cpus, gpu) >= at_once > 0), 0)


def no_room(cpus: int, gpu: bool) -> str:
    """Return a sentence: no node has room for a worker, and what the nodes have."""
    sizes = ", ".join(f"{cpus:g} and {gpus:g}" for cpus, gpus in nodes()) or "no node is left"
    size = f"{cpus} CPU" + ("s" if cpus > 1 else "") + (" and a GPU" if gpu else "")
    return f"no node of the Ray cluster has room for a worker of {size} (CPUs and GPUs of each: {sizes})"


def summary_line(error: Exception) -> str:
    """Return the line of an error that says what happened: of an error inside an actor the last one."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1] if "ray::" in lines[0] else lines[0]
