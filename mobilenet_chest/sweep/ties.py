"""What the validation images can tell of a study's trials: intervals of their values, and ties with the best."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from mobilenet_chest.errors import TrackingError
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.metric_intervals import metric_intervals
from mobilenet_chest.evaluation.paired import indistinguishable
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.sweep.summary import TrialSummary
from mobilenet_chest.tracking.run_predictions import load_run_predictions
from mobilenet_chest.tracking.runs import nested_runs
from mobilenet_chest.tracking.store import connect, store_required
from mobilenet_chest.tracking.study_run import ANSWER_SECONDS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ties:
    """Complete trials, by their numbers.

    Attributes:
        intervals: 95% intervals of the metric.
        tied: The best trial and those indistinguishable from it. Empty where there are none, or where that cannot be
            tested: predictions do not reproduce the metric, or trials were scored on different images.
    """

    intervals: dict[int, Interval]
    tied: list[int]


def find_ties(metric: str, trials: Sequence[TrialSummary], best: TrialSummary, parent_run: str) -> Ties:
    """Return intervals and ties of a study's trials, from the predictions that their runs have stored.

    With the tracking store away both are empty, and a warning is logged.

    Args:
        metric: The study's.
        trials: All trials of the study; complete ones count.
        best: The best of them.
        parent_run: The study's run in MLflow.
    """
    complete = {trial.run_id: trial for trial in trials if trial.state == "COMPLETE" and not trial.took_result}
    try:
        with store_required(ANSWER_SECONDS):
            runs = [run for run in nested_runs(connect(), parent_run) if run.info.run_id in complete]
            predictions = {
                complete[run_id].number: stored
                for run_id, stored in load_run_predictions(runs).items()
                if isinstance(stored, RunPredictions)
            }
    except TrackingError as error:
        logger.warning("trials are shown without intervals: %s", error)
        return Ties({}, [])
    values = {trial.number: trial.value for trial in complete.values() if trial.value is not None}
    intervals = {
        number: interval
        for number, stored in predictions.items()
        for interval in metric_intervals("val", {metric: values[number]}, stored).values()
    }
    best_predictions = predictions.get(best.number)
    if best_predictions is None or best.number not in intervals:
        return Ties(intervals, [])
    others = {number: stored for number, stored in predictions.items() if number != best.number and number in intervals}
    if any(stored.images_digest != best_predictions.images_digest for stored in others.values()):
        return Ties(intervals, [])
    as_good = indistinguishable(metric, best_predictions, list(others.values()))
    tied = [number for number, tie in zip(others, as_good, strict=True) if tie]
    return Ties(intervals, sorted([best.number, *tied]) if tied else [])
