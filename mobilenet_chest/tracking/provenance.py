"""Provenance of a run: the version of the code that made it, and the process that writes it."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import socket
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil

from mobilenet_chest import __version__
from mobilenet_chest.tracking.tags import GIT_COMMIT, GIT_DIRTY, OWNER, PACKAGE_VERSION


@lru_cache(maxsize=1)
def code_version() -> dict[str, str]:
    """Return the tags ``git_commit``, ``git_dirty`` (true, false) and ``package_version`` of this source tree.

    MLflow looks at the folder of the running script, which is not the project for an installed command, and does
    not record uncommitted changes. Outside a checkout both are ``unknown``.
    """
    folder = Path(__file__).parent
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain") if commit else None
    return {
        GIT_COMMIT: commit or "unknown",
        GIT_DIRTY: "unknown" if changes is None else str(bool(changes)).lower(),
        PACKAGE_VERSION: __version__,
    }


def _git(folder: Path, *words: str) -> str | None:
    # without the lock that status would take to refresh the index: a kill would leave it behind in the user's checkout
    command = ["git", "--no-optional-locks", "-C", str(folder), *words]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):  # no git here, or a folder that does not answer
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def identity() -> dict[str, Any]:
    """Return what tells this process from all others: ``host``, ``machine``, ``pid`` and ``started`` (seconds).

    A later process may have the same number, and so may one of another machine.
    """
    return _identity(psutil.Process(os.getpid()))


def user() -> str:
    """Return the name of the account, as MLflow records users."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without an account, as containers have
        return "unknown"


def owner_tag() -> dict[str, str]:
    """Return the tag that names this process as the owner of a run."""
    return {OWNER: json.dumps(identity())}


def lineage() -> list[dict[str, Any]]:
    """Return the identities of this process and of those that it descends from."""
    process = psutil.Process(os.getpid())
    return [_identity(ancestor) for ancestor in (process, *process.parents())]


def _identity(process: psutil.Process) -> dict[str, Any]:
    return _machine() | {"pid": process.pid, "started": process.create_time()}


def is_same_process(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Return whether two identities are of one process."""
    if one is None or other is None:
        return False
    same = all(one[name] == other[name] for name in ("host", "machine", "pid"))
    return same and abs(float(one["started"]) - float(other["started"])) < 1


def process_alive(worker: Mapping[str, Any] | None) -> bool | None:
    """Return whether a process still runs; ``None`` if this cannot be known: it is on another machine, or stopped.

    ``worker`` is ``None`` for a process that died before it could write its identity.
    """
    if worker is None:
        return False
    if any(worker[name] != value for name, value in _machine().items()):
        return None
    try:
        process = psutil.Process(worker["pid"])
        same, status = abs(process.create_time() - worker["started"]) < 1, process.status()
    except psutil.NoSuchProcess:
        return False
    # a container without an init process keeps the dead as zombies
    if not same or status == psutil.STATUS_ZOMBIE:
        return False
    return None if status in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP) else True


def may_be_alive(worker: Mapping[str, Any] | None) -> bool:
    """Return whether a process may still run: one of which this cannot be known counts as alive."""
    return process_alive(worker) is not False


@lru_cache(maxsize=1)
def _machine() -> dict[str, str]:
    """Return host name and a digest of boot and process namespace.

    Containers may share a host name, and each numbers its processes for itself; so does a machine after a restart.
    """
    parts = [Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")]
    seen = [parts[0].read_text().strip(), str(parts[1].readlink())] if all(part.exists() for part in parts) else []
    return {"host": socket.gethostname(), "machine": hashlib.sha256("".join(seen).encode()).hexdigest()[:12]}
