"""Optuna studies over the two-stage training; the only package that imports Optuna."""

from mobilenet_chest.sweep.confirm import Confirmation
from mobilenet_chest.sweep.preflight import check, kept, remaining_confirmations, remaining_trials
from mobilenet_chest.sweep.result import SweepResult
from mobilenet_chest.sweep.study import run_sweep
from mobilenet_chest.sweep.summary import RunningTrial, SweepStatus, TrialSummary

__all__ = [
    "Confirmation", "RunningTrial", "SweepResult", "SweepStatus", "TrialSummary", "check", "kept",
    "remaining_confirmations", "remaining_trials", "run_sweep",
]  # fmt: skip
