"""Where a run comes from: the code that makes its figures traceable, and the process that writes it."""

from __future__ import annotations

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
from mobilenet_chest.tracking.tags import OWNER


@lru_cache(maxsize=1)
def code_version() -> dict[str, str]:
    """``git_commit``, ``git_dirty`` (true, false) and ``package_version`` of this package's own source tree.

    MLflow looks at the folder of the running script, which is not the project for an installed command, and does
    not record uncommitted changes. Outside a checkout both are ``unknown``.
    """
    folder = Path(__file__).parent
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain") if commit else None
    return {
        "git_commit": commit or "unknown",
        "git_dirty": "unknown" if changes is None else str(bool(changes)).lower(),
        "package_version": __version__,
    }


def _git(folder: Path, *words: str) -> str | None:
    try:
        answer = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):  # no git here, or a folder that does not answer: not known
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def identity() -> dict[str, Any]:
    """This process, told apart from a later one with the same number and from one of another machine."""
    return _identity(psutil.Process(os.getpid()))


def owner_tag() -> dict[str, str]:
    """This process as the one that writes a run."""
    return {OWNER: json.dumps(identity())}


def lineage() -> list[dict[str, Any]]:
    """This process and those that it descends from."""
    process = psutil.Process(os.getpid())
    return [_identity(one) for one in (process, *process.parents())]


def _identity(process: psutil.Process) -> dict[str, Any]:
    return _machine() | {"pid": process.pid, "started": process.create_time()}


def is_same_process(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two identities are of one process."""
    if one is None or other is None:
        return False
    same = all(one[name] == other[name] for name in ("host", "machine", "pid"))
    return same and abs(float(one["started"]) - float(other["started"])) < 1


def process_alive(worker: Mapping[str, Any] | None) -> bool | None:
    """Whether a worker still runs; ``None`` where that cannot be seen from here: on another machine, or stopped.

    No ``worker`` at all is one that died before it said who it is.
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
    """Whether a worker may still run: one that cannot be asked from here counts as alive."""
    return process_alive(worker) is not False


@lru_cache(maxsize=1)
def _machine() -> dict[str, str]:
    """Containers may share a name, and number their processes each for itself; a restart begins anew."""
    parts = [Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")]
    seen = [parts[0].read_text().strip(), str(parts[1].readlink())] if all(part.exists() for part in parts) else []
    return {"host": socket.gethostname(), "machine": hashlib.sha256("".join(seen).encode()).hexdigest()[:12]}
