"""The leaderboard of a study, and what its trials say together: front, importances, cost of stage 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import TrialState

from mobilenet_chest.config import StudyConfig
from mobilenet_chest.config.metrics import as_score
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.attempts import shown_numbers
from mobilenet_chest.sweep.claims import direction_of, value_of
from mobilenet_chest.sweep.feasibility import violations
from mobilenet_chest.sweep.repeats import repeat_of, took_result
from mobilenet_chest.sweep.ties import Ties
from mobilenet_chest.sweep.trial_state import PAUSED, state_name
from mobilenet_chest.training.progress import StageCost

if TYPE_CHECKING:  # takes long to import, and is needed only when a sweep has ended
    import pandas as pd

LEAST_VALUES = 4
"""So many different values it takes to compute importances."""


def leaderboard(study: optuna.Study, objectives: StudyConfig) -> pd.DataFrame:
    """Return one row for each trial, the best first, then paused, pruned and failed ones.

    Columns: trial as people know it, Optuna's number, state, objectives, with several objectives whether it is on their
    front, with constraints those that it violates, where trials repeat others which, seconds, run, parameters.
    """
    import pandas as pd

    order = {name: place for place, name in enumerate(("COMPLETE", PAUSED, "PRUNED", "FAIL"))}
    direction, on_front = direction_of(study), front(study)
    trials = [
        trial
        for trial in study.get_trials(deepcopy=False)
        if state_name(trial) in order and not trial.user_attrs.get(attributes.INTERRUPTED)
    ]
    trials.sort(key=lambda t: (order[state_name(t)], -as_score(value_of(t) or 0, direction), t.number))
    shown, repeated = shown_numbers(study), any(map(repeat_of, trials))
    return pd.DataFrame(
        {
            "trial": shown[trial.number],
            "number": trial.number,
            "state": state_name(trial),
            objectives.metric: value_of(trial),
            **{name: trial.values[place] if trial.values else None for place, name in enumerate(objectives.also, 1)},
            **({"on_front": trial.number in on_front} if objectives.also else {}),
            **({"violates": "; ".join(violations(trial))} if objectives.constraints else {}),
            **({"repeats": str(repeat_of(trial) or "")} if repeated else {}),
            "seconds": trial.duration.total_seconds() if trial.duration else None,
            "run_id": trial.user_attrs.get(attributes.RUN_ID),
            **trial.params,
        }
        for trial in trials
    )


def with_ties(table: pd.DataFrame, ties: Ties, metric: str) -> pd.DataFrame:
    """Return the leaderboard with the ends of each value's 95% interval, and which trials are tied with the best."""
    low = {number: interval.low for number, interval in ties.intervals.items()}
    high = {number: interval.high for number, interval in ties.intervals.items()}
    place = list(table.columns).index(metric) + 1
    wider = table.copy()
    wider.insert(place, f"{metric}_low", table["number"].map(low))
    wider.insert(place + 1, f"{metric}_high", table["number"].map(high))
    wider.insert(place + 2, "tied", table["number"].isin(ties.tied))
    return wider


def front(study: optuna.Study) -> list[int]:
    """Return the numbers of the trials on the Pareto front; none with a single objective."""
    return [t.number for t in study.best_trials if not took_result(t)] if len(study.directions) > 1 else []


def importances(study: optuna.Study) -> dict[str, float]:
    """Return the share of each parameter in the metric's variance (fANOVA, Hutter et al., 2014), largest first.

    Empty with fewer than :data:`LEAST_VALUES` different values: there is too little variance to divide.
    """
    values = {value_of(trial) for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))}
    if len(values) < LEAST_VALUES:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator, **metric_target(study))
    return {path: float(share) for path, share in shares.items()}


def metric_target(study: optuna.Study) -> dict[str, Any]:
    """Return the argument that tells Optuna's plots which of several objectives is meant: the study's metric."""
    return {} if len(study.directions) == 1 else {"target": lambda trial: trial.values[0]}


def stage1_totals(study: optuna.Study) -> dict[str, float]:
    """Return the epochs of stage 1 that all trials together trained and reused, and the seconds that saved."""
    costs = [trial.user_attrs.get(attributes.STAGE1, {}) for trial in study.get_trials(deepcopy=False)]
    return {name: sum(cost.get(name, 0.0) for cost in costs) for name in StageCost().metrics()}
