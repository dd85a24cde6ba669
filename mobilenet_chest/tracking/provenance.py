"""Where a run's code came from: what makes a figure traceable."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path

from mobilenet_chest import __version__


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
