"""Sweeps over two-stage fine-tuning of medical image classifiers.

A YAML experiment becomes a checked :class:`Config`; :func:`train` turns it into a :class:`RunResult`;
:func:`run_sweep` calls the same function once per Optuna trial. Names are imported when first used, so that the
command line answers before torch is loaded.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mobilenet_chest.home import ensure_home

if TYPE_CHECKING:
    from mobilenet_chest.config import Config, load
    from mobilenet_chest.sweep import run_sweep
    from mobilenet_chest.tracking.tracker import MlflowTracker, NullTracker
    from mobilenet_chest.two_stage import RunResult, train

    __version__: str

__all__ = ["Config", "MlflowTracker", "NullTracker", "RunResult", "load", "run_sweep", "train"]

_HOMES = {
    "Config": "config",
    "load": "config",
    "run_sweep": "sweep",
    "MlflowTracker": "tracking.tracker",
    "NullTracker": "tracking.tracker",
    "RunResult": "two_stage",
    "train": "two_stage",
}

ensure_home()


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module 'mobilenet_chest' has no attribute '{name}'")
    return getattr(import_module(f"mobilenet_chest.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # takes longer than the rest of --help

    try:
        return version("mobilenet-chest")
    except PackageNotFoundError:  # run from a source tree that was not installed
        return "0+unknown"
