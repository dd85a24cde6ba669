"""The report that commands log to MLflow by themselves: at a sweep's end, and when the test split was opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobilenet_chest.cli.format import error_line
from mobilenet_chest.errors import MobilenetChestError
from mobilenet_chest.report import has_report, log_report
from mobilenet_chest.tracking.store import as_tracking_lost

if TYPE_CHECKING:
    from mobilenet_chest.config import Config
    from mobilenet_chest.sweep import SweepResult

MOST_TRIALS = 200
"""Complete trials of a study whose report is logged by itself: that of more takes minutes, and is asked for."""


def log_sweep_report(config: Config, result: SweepResult) -> None:
    """Log the report of a study, unless it is there and nothing is new, or the experiment wants no plots."""
    complete = sum(trial.state == "COMPLETE" for trial in result.trials)
    if config.tracking.plots and complete <= MOST_TRIALS and (result.new_trials or not _has_report(result.run_id)):
        log_quietly(result.study)


def log_quietly(reference: str) -> None:
    """Log the report about a study or run; what prevents it is a line on stderr, and the command goes on."""
    try:
        with as_tracking_lost():
            log_report(reference)
    except MobilenetChestError as error:
        error_line(f"the report is not logged: {error}")


def _has_report(run_id: str) -> bool:
    try:
        return has_report(run_id)
    except MobilenetChestError:
        return True  # nothing could be logged either
