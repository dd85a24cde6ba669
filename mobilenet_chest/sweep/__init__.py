"""Optuna studies over the two-stage training."""

from mobilenet_chest.sweep.study import SweepResult, SweepStatus, TrialSummary, check, run_sweep, trials_to_come

__all__ = ["SweepResult", "SweepStatus", "TrialSummary", "check", "run_sweep", "trials_to_come"]
