"""Whether trials meet the constraints of their study, as Optuna's samplers and tables know it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from optuna.trial import FrozenTrial, Trial

from mobilenet_chest.config import Config
from mobilenet_chest.config.constraints import parse_constraints
from mobilenet_chest.config.formats import number
from mobilenet_chest.sweep import attributes


def constrained_metrics(config: Config) -> set[str]:
    """Return the metrics that the study's constraints are on."""
    return {constraint.metric for constraint in parse_constraints(config.study.constraints)}


def record_constraints(config: Config, trial: Trial, metrics: Mapping[str, float]) -> list[str] | None:
    """Tell Optuna how far a trial is from each constraint, and note in the trial which ones it violates.

    Args:
        config: The experiment.
        trial: The trial, which has not ended yet.
        metrics: Its final metrics. One that was stopped early may lack some.

    Returns:
        The constraints that it violates, each with the trial's value; ``None`` where the study has no constraints.
    """
    constraints = [c for c in parse_constraints(config.study.constraints) if c.metric in metrics]
    if not constraints:
        return None
    violated = []
    for constraint in constraints:
        value = metrics[constraint.metric]
        # a score without a value meets no constraint, and Optuna takes no NaN
        violation = 1.0 if math.isnan(value) else constraint.violation(value)
        trial.set_constraint(str(constraint), violation)
        if violation > 0:
            violated.append(f"{constraint} (is {number(value)})")
    trial.set_user_attr(attributes.VIOLATES, violated)
    return violated


def violations(trial: FrozenTrial) -> tuple[str, ...]:
    """Return the constraints that a trial violates, each with the trial's value."""
    return tuple(trial.user_attrs.get(attributes.VIOLATES, ()))


def feasible(trial: FrozenTrial) -> bool:
    """Whether a trial meets all constraints, in Optuna's sense: it has none that is above 0."""
    return all(value <= 0 for value in trial.constraints.values())
