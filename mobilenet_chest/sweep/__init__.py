"""Optuna studies over the two-stage training."""

from mobilenet_chest.sweep.confirm import Confirmation
from mobilenet_chest.sweep.study import SweepResult, check, confirmations_to_come, run_sweep, trials_to_come
from mobilenet_chest.sweep.summary import SweepStatus, TrialSummary

__all__ = [
    "Confirmation", "SweepResult", "SweepStatus", "TrialSummary", "check", "confirmations_to_come", "run_sweep",
    "trials_to_come",
]  # fmt: skip
