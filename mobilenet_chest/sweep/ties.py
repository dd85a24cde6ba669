"""What the validation images can tell of a study's trials: intervals of their values, and ties with the best."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from mobilenet_chest.errors import TrackingError
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.metric_intervals import metric_intervals
from mobilenet_chest.evaluation.paired import indistinguishable
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.sweep.summary import TrialSummary
from mobilenet_chest.tracking.runs import nested_runs
from mobilenet_chest.tracking.scored import load_scored
from mobilenet_chest.tracking.store import connect, store_required
from mobilenet_chest.tracking.study_run import ANSWER_SECONDS


@dataclass(frozen=True)
class Ties:
    """What is known of complete trials, by their numbers.

    Attributes:
        intervals: 95% intervals of the metric.
        tied: The best, and those that cannot be told from it; empty where there is none, or it cannot be tested:
            predictions that do not give the metric again, or trials of other images.
    """

    intervals: dict[int, Interval]
    tied: list[int]


def find_ties(metric: str, trials: Sequence[TrialSummary], best: TrialSummary, parent_run: str) -> Ties:
    """Of a study's trials, from the predictions in their runs; with the store away, nothing, and a line on stderr."""
    complete = {trial.run_id: trial for trial in trials if trial.state == "COMPLETE"}
    try:
        with store_required(ANSWER_SECONDS):
            runs = [run for run in nested_runs(connect(), parent_run) if run.info.run_id in complete]
            found = {
                complete[run_id].number: one
                for run_id, one in load_scored(runs).items()
                if isinstance(one, RunPredictions)
            }
    except TrackingError as error:
        print(f"trials are shown without intervals: {error}", file=sys.stderr)
        return Ties({}, [])
    values = {trial.number: trial.value for trial in complete.values() if trial.value is not None}
    intervals = {
        number: interval
        for number, one in found.items()
        for interval in metric_intervals("val", {metric: values[number]}, one).values()
    }
    others = {number: one for number, one in found.items() if number != best.number and number in intervals}
    first = found.get(best.number)
    if (
        first is None
        or best.number not in intervals
        or any(one.images_digest != first.images_digest for one in others.values())
    ):
        return Ties(intervals, [])
    told = indistinguishable(metric, first, list(others.values()))
    tied = [number for number, as_good in zip(others, told, strict=True) if as_good]
    return Ties(intervals, sorted([best.number, *tied]) if tied else [])
