"""The leaderboard that ``sweep`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobilenet_chest.cli.tables import ID, Table
from mobilenet_chest.config.formats import number, with_interval
from mobilenet_chest.config.metrics import as_score
from mobilenet_chest.tracking.runs import short_id

if TYPE_CHECKING:
    from mobilenet_chest.config import Config
    from mobilenet_chest.sweep import SweepResult

SHOWN_TRIALS = 20
"""Rows of the leaderboard; the study's run has them all in ``leaderboard.csv``."""


def leaderboard(config: Config, result: SweepResult) -> Table:
    """Return a table of the first :data:`SHOWN_TRIALS` trials: the best first, then paused, pruned and failed ones.

    Fields that were searched have a column each, the last ones.
    """
    paths, also = list(config.search), config.study.also
    headings = ["trial", "state", config.study.metric, "", ID, *also, *paths]
    title = f"study {result.study}: {len(result.trials)} trials, {result.new_trials} new"
    rows = Table(headings, left=["trial", "state", "", ID], title=title)
    order = {"COMPLETE": 0, "PAUSED": 1, "PRUNED": 2}
    direction = config.study.direction
    ranked = sorted(
        result.trials,
        key=lambda trial: (order.get(trial.state, 3), -as_score(trial.value or 0, direction), trial.number),
    )
    for trial in ranked[:SHOWN_TRIALS]:
        value = with_interval(trial.value, result.ties.intervals.get(trial.number))
        mark = "best" if trial.number == result.best.number else "tied" if trial.number in result.ties.tied else ""
        mark = "violates" if trial.violates else mark or trial.repeats or ""
        further = [number(value) for value in trial.also] or [""] * len(also)
        values = [number(trial.params.get(path)) for path in paths]
        run = short_id(trial.run_id) or "none"
        rows.add_row(trial.label, trial.state.lower(), value, mark, run, *further, *values)
    return rows
