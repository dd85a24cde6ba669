"""Optuna studies over the two-stage training; the only package that imports Optuna.

``from mobilenet_chest import sweep`` gives this package, which is also a function: ``sweep(config, workers=2)`` is
:func:`run_sweep`.
"""

import sys
from types import ModuleType

from mobilenet_chest.sweep.confirm import Confirmation
from mobilenet_chest.sweep.preflight import check, kept, remaining_confirmations, remaining_trials
from mobilenet_chest.sweep.result import SweepResult
from mobilenet_chest.sweep.study import run_sweep
from mobilenet_chest.sweep.summary import RunningTrial, SweepStatus, TrialSummary

__all__ = [
    "Confirmation", "RunningTrial", "SweepResult", "SweepStatus", "TrialSummary", "check", "kept",
    "remaining_confirmations", "remaining_trials", "run_sweep",
]  # fmt: skip


class _CallablePackage(ModuleType):
    """A package that can be called: its name is also that of the public function, whatever was imported before."""

    __call__ = staticmethod(run_sweep)


sys.modules[__name__].__class__ = _CallablePackage
