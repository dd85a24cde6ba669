"""Optuna studies over the two-stage training."""

from mobilenet_chest.sweep.confirm import Confirmation
from mobilenet_chest.sweep.study import SweepResult, check, remaining_confirmations, remaining_trials, run_sweep
from mobilenet_chest.sweep.summary import SweepStatus, TrialSummary

__all__ = [
    "Confirmation",
    "SweepResult",
    "SweepStatus",
    "TrialSummary",
    "check",
    "remaining_confirmations",
    "remaining_trials",
    "run_sweep",
]  # fmt: skip
