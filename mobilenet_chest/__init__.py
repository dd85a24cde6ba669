"""Sweeps over two-stage fine-tuning of medical image classifiers.

A YAML experiment becomes a checked :class:`Config`; :func:`train` turns it into a :class:`RunResult`; :func:`sweep`
trains once per Optuna trial. Names are imported when first used, so that the
command line answers before torch is loaded.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mobilenet_chest.home import ensure_home

if TYPE_CHECKING:
    from mobilenet_chest.api import compare, predict, promote, train
    from mobilenet_chest.config import Config, load
    from mobilenet_chest.plugins import register_augmentation, register_metric, register_model
    from mobilenet_chest.selection.comparison import Comparison
    from mobilenet_chest.sweep import SweepResult, run_sweep
    from mobilenet_chest.sweep import run_sweep as sweep
    from mobilenet_chest.tracking.tracker import MlflowTracker, NullTracker
    from mobilenet_chest.two_stage import RunResult

    __version__: str

__all__ = [
    "Comparison", "Config", "MlflowTracker", "NullTracker", "RunResult", "SweepResult", "compare", "load", "predict",
    "promote", "register_augmentation", "register_metric", "register_model", "run_sweep", "sweep", "train",
]  # fmt: skip

_HOMES = {
    "Comparison": "selection.comparison",
    "Config": "config",
    "MlflowTracker": "tracking.tracker",
    "NullTracker": "tracking.tracker",
    "RunResult": "two_stage",
    "SweepResult": "sweep",
    "compare": "api",
    "load": "config",
    "predict": "api",
    "promote": "api",
    "register_augmentation": "plugins",
    "register_metric": "plugins",
    "register_model": "plugins",
    "run_sweep": "sweep",
    "train": "api",
}

ensure_home()
# MLflow would tell its makers over the network what it is used for; it looks when it is imported
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name == "sweep":  # the package, which can be called
        return import_module("mobilenet_chest.sweep")
    if name not in _HOMES:
        raise AttributeError(f"module 'mobilenet_chest' has no attribute '{name}'")
    return getattr(import_module(f"mobilenet_chest.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    dunders = [name for name in globals() if name.startswith("__")]
    return sorted({*dunders, *__all__, "__version__"})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # takes longer than the rest of --help

    try:
        return version("mobilenet-chest")
    except PackageNotFoundError:  # run from a source tree that was not installed
        return "0+unknown"
