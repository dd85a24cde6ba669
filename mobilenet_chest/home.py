"""A home folder for accounts that have none, as containers and batch systems run."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def ensure_home() -> None:
    """Set ``HOME`` to a private folder among the temporary ones where the account has no home folder.

    This package, torch and MLflow look for caches and settings there, and would all fail. Processes that are started
    later get the same folder. Nothing changes where there is a home folder, or a name of one.
    """
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(_private_folder())


def _private_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"mobilenet-chest-home-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if status.st_uid == os.getuid() and not status.st_mode & 0o077 and folder.is_dir():
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="mobilenet-chest-home-"))  # the other one is somebody else's
