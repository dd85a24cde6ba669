"""Where a run comes from: the code that makes its figures traceable, and the process that writes it."""

from __future__ import annotations

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

OWNER = "owner"
"""Tag: the process that writes a run, or wrote it last, as :func:`identity`."""


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
    """This process, told apart from a later one with the same number."""
    return _identity(psutil.Process(os.getpid()))


def owner_tag() -> dict[str, str]:
    """This process as the one that writes a run."""
    return {OWNER: json.dumps(identity())}


def lineage() -> list[dict[str, Any]]:
    """This process and those that it descends from."""
    process = psutil.Process(os.getpid())
    return [_identity(one) for one in (process, *process.parents())]


def _identity(process: psutil.Process) -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": process.pid, "started": process.create_time()}


def is_same(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two identities are of one process."""
    if one is None or other is None:
        return False
    return bool(
        (one["host"], one["pid"]) == (other["host"], other["pid"]) and abs(one["started"] - other["started"]) < 1
    )


def is_alive(worker: Mapping[str, Any] | None) -> bool:
    """Whether a worker still runs. One on another host counts as alive: it cannot be asked from here.

    ``None`` is a worker that died before it said who it is.
    """
    if worker is None:
        return False
    if worker["host"] != socket.gethostname():
        return True
    try:
        process = psutil.Process(worker["pid"])
        same = abs(process.create_time() - worker["started"]) < 1
        # a container without an init process keeps the dead as zombies
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
