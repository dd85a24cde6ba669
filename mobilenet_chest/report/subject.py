"""What a page is about: a study, a run or several names, read from MLflow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.config.metrics import STRESS_METRICS, Direction, as_score
from mobilenet_chest.errors import TrackingError
from mobilenet_chest.report.details import RunDetails, run_details
from mobilenet_chest.selection.compare import compare
from mobilenet_chest.selection.rank import DEFAULT_RANKING
from mobilenet_chest.selection.rows import Row
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifacts import artifact
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.run_settings import settings_of
from mobilenet_chest.tracking.runs import Candidate, find_run, find_runs, ranked_trials, short_id


@dataclass(frozen=True, eq=False)
class Subject:
    """All that one page is about.

    Attributes:
        kind: A study, one run, or several names.
        names: As they were given.
        metric: The rows are ranked by it.
        direction: Of the metric.
        study: The study's own run, where the page is about one.
        rows: Best first.
        base: The row of the baseline.
        leader: The best of the rows but the baseline; of a study, the run that the study stands for.
        baseline: The baseline's run; ``None`` without one.
        trials: ``leaderboard.csv`` of the study; ``None`` before its end.
        confirmation: ``confirmation.csv`` of the study; ``None`` where it has none.
    """

    kind: Literal["study", "run", "comparison"]
    names: tuple[str, ...]
    metric: str
    direction: Direction
    study: Run | None
    rows: list[Row]
    base: Row | None
    leader: RunDetails
    baseline: RunDetails | None
    trials: pd.DataFrame | None
    confirmation: pd.DataFrame | None

    @property
    def leader_row(self) -> Row:
        """The row of the leader."""
        return next(row for row in self.rows if row.run_id == self.leader.run_id)

    def shown_number(self, number: str) -> str:
        """Return what a person reads of a trial of the study: its number, or ``0, second attempt``.

        Args:
            number: Optuna's.
        """
        if self.trials is None or "number" not in self.trials:
            return number
        found = self.trials.loc[self.trials["number"] == int(number), "trial"]
        return str(found.iloc[0]) if len(found) else number

    @property
    def is_confirmed(self) -> bool:
        """Whether the page is about a study whose best trials were trained again on fresh seeds."""
        return self.study is not None and bool(self.study.data.tags.get(tags.CONFIRMED_RUN))


def read_subject(client: MlflowClient, references: Sequence[str], baseline: str | None) -> Subject:
    """Find the runs that the names stand for, and read what the page needs of them.

    Args:
        client: Of the tracking store.
        references: Names as :func:`~mobilenet_chest.tracking.runs.find_runs` takes them. For one study all complete
            trials become rows; for several names the rows are those of ``compare``.
        baseline: Run or study to compare the others with.

    Raises:
        TrackingError: A name stands for nothing, or for a run that has not finished.
    """
    candidates = list({c.run_id: c for reference in references for c in find_runs(client, reference)}.values())
    base = None if baseline is None else find_run(client, baseline)
    study = candidates[0].study if len(references) == len(candidates) == 1 else None
    metric, direction_tag = DEFAULT_RANKING
    if study is not None:
        metric, direction_tag = study.data.tags[tags.METRIC], study.data.tags[tags.DIRECTION]
        trials = (Candidate(run, study) for run in ranked_trials(client, study))
        candidates = [candidates[0], *(trial for trial in trials if trial.run_id != candidates[0].run_id)]
    direction = cast(Direction, direction_tag)
    _check_finished([*candidates, *([base] if base else [])])
    compared = references if study is None else [candidate.run_id for candidate in candidates]
    # stressed copies are not stored: such a metric ranks, without an interval or a difference
    rows = compare(compared, baseline=baseline, metric=None if metric in STRESS_METRICS else metric)
    if study is not None:
        rows = _named_as_trials(rows, candidates)
    ranked = sorted(rows, key=lambda row: _rank(row, metric, direction))
    leader = candidates[0]
    if study is None and len(candidates) > 1:
        best = next(row.run_id for row in ranked if base is None or row.run_id != base.run_id)
        leader = next(candidate for candidate in candidates if candidate.run_id == best)
    return Subject(
        kind="study" if study is not None else "run" if len(candidates) == 1 else "comparison",
        names=tuple(references),
        metric=metric,
        direction=direction,
        study=study,
        rows=ranked,
        base=rows[0] if base else None,
        leader=run_details(client, leader, leader.name if study is None else _trial_name(leader.run)),
        baseline=run_details(client, base, base.name) if base else None,
        trials=_csv(client, study, "leaderboard.csv"),
        confirmation=_csv(client, study, "confirmation.csv"),
    )


def _check_finished(candidates: Sequence[Candidate]) -> None:
    for candidate in candidates:
        if "threshold" not in metrics_of(candidate.run):
            raise TrackingError(
                f"run {short_id(candidate.run_id)} has not finished: it has no threshold; resume or repeat it first"
            )


def _rank(row: Row, metric: str, direction: Direction) -> float:
    """Return a sort key, the best row first. A row without the metric is last: a baseline may be older than it."""
    value = row.metrics.get(metric)
    return math.inf if value is None else -as_score(value, direction)


def _named_as_trials(rows: Sequence[Row], candidates: Sequence[Candidate]) -> list[Row]:
    names = {candidate.run_id: _trial_name(candidate.run) for candidate in candidates}
    return [replace(row, name=names.get(str(row.run_id), row.name)) for row in rows]


def _trial_name(run: Run) -> str:
    """Return what the page calls a run of its study; runs of early versions do not say it themselves."""
    if (name := run.data.tags.get(tags.TRIAL_NAME)) is not None:
        return str(name)
    seed = f", seed {settings_of(run)['seed']}" if run.data.tags.get(tags.KIND) != tags.TRIAL_KIND else ""
    return f"trial {run.data.tags[tags.TRIAL]}{seed}"


def _csv(client: MlflowClient, study: Run | None, name: str) -> pd.DataFrame | None:
    """Return a table that a finished study has written; ``None`` where there is none of that name."""
    if study is None or name not in {file.path for file in client.list_artifacts(study.info.run_id)}:
        return None
    with artifact(client, study, name) as path:
        return pd.read_csv(path)
