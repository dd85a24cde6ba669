"""Constraints of a study: what a finished trial must meet to be its best."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from mobilenet_chest import plugins
from mobilenet_chest.config.metrics import FINAL_METRICS, STRESS_METRICS, CostMetric
from mobilenet_chest.errors import allowed_names

FORM = re.compile(r"\s*(\w+)\s*(<=|>=)\s*(\S+)\s*")

CONSTRAINED = (*FINAL_METRICS, *STRESS_METRICS, *get_args(CostMetric))
"""Metrics and costs that a constraint may be on; those of plugins may be as well."""


class Constraint(NamedTuple):
    """A bound on a metric or a cost of a finished trial.

    Attributes:
        metric: Its name.
        sign: ``<=`` or ``>=``.
        limit: The bound, in the metric's unit.
    """

    metric: str
    sign: Literal["<=", ">="]
    limit: float

    def __str__(self) -> str:
        """Return ``latency_1_ms <= 5``, the form in which an experiment has it."""
        return f"{self.metric} {self.sign} {self.limit:.15g}"

    def violation(self, value: float) -> float:
        """Return by how much a value is beyond the limit, over the limit's size; at most 0 where the constraint is met.

        A share of the limit, so that a sampler that adds violations up can weigh milliseconds against parameters.
        """
        beyond = value - self.limit if self.sign == "<=" else self.limit - value
        return beyond / (abs(self.limit) or 1.0)


def parse_constraints(texts: Sequence[str]) -> tuple[Constraint, ...]:
    """Return constraints from their texts.

    Raises:
        ValueError: A text has another form, an unknown metric or no finite number, or two bound a metric from one side.
    """
    parsed = tuple(map(_parse, texts))
    for place, constraint in enumerate(parsed):
        for earlier in parsed[:place]:
            if (earlier.metric, earlier.sign) == (constraint.metric, constraint.sign):
                raise ValueError(f"constraints '{earlier}' and '{constraint}' bound the same; remove one of them")
    return parsed


def _parse(text: str) -> Constraint:
    match = FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"constraint '{text}': write a metric, <= or >=, and a number, such as 'latency_1_ms <= 5'")
    metric, sign, number = match.groups()
    if metric not in CONSTRAINED and not plugins.may_be("metric", metric):
        known = [*CONSTRAINED, *plugins.names("metric")]
        raise ValueError(f"constraint '{text}': unknown metric '{metric}'{allowed_names(metric, known)}")
    try:
        limit = float(number)
    except ValueError:
        limit = math.nan
    if not math.isfinite(limit):
        raise ValueError(f"constraint '{text}': '{number}' is not a finite number; write one, such as 5 or 5.1e6")
    return Constraint(metric, "<=" if sign == "<=" else ">=", limit)
