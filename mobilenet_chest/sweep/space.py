"""The search space: from the ``search`` section to Optuna's distributions, values of a trial, and points of a grid."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from mobilenet_chest.config import Choice, Config, Distribution, Scalar, active, is_integer_field
from mobilenet_chest.errors import ConfigError

Values = dict[str, Any]
"""Path of each searched field -> its value in one trial."""


def suggest(trial: Trial, search: Mapping[str, Distribution]) -> Values:
    """Return a trial's values of the active fields of ``search``; unconditional fields are asked first."""
    values: Values = {}
    for conditional in (False, True):
        for path in [path for path, d in search.items() if bool(d.when) is conditional]:
            if path in active(search, values):
                values[path] = _suggest_value(trial, path, search[path])
    return values


def _suggest_value(trial: Trial, path: str, distribution: Distribution) -> Any:
    converted = to_optuna(path, distribution)
    if isinstance(converted, CategoricalDistribution):
        assert distribution.choices is not None
        return distribution.choices[converted.choices.index(trial.suggest_categorical(path, converted.choices))]
    if isinstance(converted, IntDistribution):
        return trial.suggest_int(path, converted.low, converted.high, step=converted.step, log=converted.log)
    assert isinstance(converted, FloatDistribution)
    return trial.suggest_float(path, converted.low, converted.high, step=converted.step, log=converted.log)


def to_optuna(path: str, distribution: Distribution) -> BaseDistribution:
    """Return a distribution in Optuna's form."""
    if distribution.choices is not None:
        return CategoricalDistribution([stored(choice) for choice in distribution.choices])
    assert distribution.low is not None
    assert distribution.high is not None
    if is_integer_field(path):
        step = int(distribution.step or 1)
        return IntDistribution(int(distribution.low), int(distribution.high), log=distribution.log, step=step)
    return FloatDistribution(distribution.low, distribution.high, log=distribution.log, step=distribution.step)


def stored(choice: Choice) -> Scalar | None:
    """Return a choice as Optuna's storage takes it: a list as its JSON text."""
    return json.dumps(choice) if isinstance(choice, list | tuple) else choice


def as_stored(path: str, distribution: Distribution, value: Any) -> Any:
    """Return a value in the type that Optuna stores it in, where it can be had."""
    if distribution.choices is not None:
        return stored(tuple(value) if isinstance(value, list) else value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    whole = isinstance(to_optuna(path, distribution), IntDistribution) and value == int(value)
    return int(value) if whole else float(value)


def from_stored(distribution: Distribution, value: Any) -> Any:
    """Return a stored value as the experiment's field takes it: a list that was stored as its JSON text as a list."""
    choices = {repr(stored(choice)): choice for choice in distribution.choices or ()}
    return choices.get(repr(value), value)


def outside(search: Mapping[str, Distribution], values: Mapping[str, Any]) -> str | None:
    """Return which of the values that a trial was queued with the search space does not have; ``None`` if it has all.

    Another program may queue trials; Optuna takes what it queues with a warning at most.
    """
    for path, value in values.items():
        distribution = search.get(path)
        if distribution is None:
            return f"{path} = {value!r}, which is not searched"
        if not _contains(path, distribution, value):
            allowed = distribution.model_dump(exclude_defaults=True, exclude={"when", "prior"})
            return f"{path} = {value!r}; allowed: {', '.join(f'{name} {bound}' for name, bound in allowed.items())}"
    return None


def _contains(path: str, distribution: Distribution, value: Any) -> bool:
    if distribution.choices is not None:
        same_kind = [c for c in map(stored, distribution.choices) if isinstance(c, bool) == isinstance(value, bool)]
        return value in same_kind
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    assert distribution.low is not None
    assert distribution.high is not None
    room = 1e-9 * max(abs(distribution.low), abs(distribution.high))
    if not distribution.low - room <= value <= distribution.high + room:
        return False
    step = distribution.step or (1 if is_integer_field(path) and not distribution.log else None)
    steps = 0.0 if step is None else (value - distribution.low) / step
    return abs(steps - round(steps)) < 1e-6 and (not is_integer_field(path) or value == int(value))


def grid_points(config: Config) -> list[Values]:
    """Return all points of a grid as Optuna stores them, in a seeded random order, without inactive conditional fields.

    Raises:
        ConfigError: A range has no finite grid: it is logarithmic, or continuous and without a ``step``.
    """
    axes = {path: _axis(path, distribution) for path, distribution in config.search.items()}
    points = []
    for combination in itertools.product(*axes.values()):
        values = dict(zip(axes, combination, strict=True))
        point = {path: values[path] for path in active(config.search, values)}
        if point not in points:
            points.append(point)
    order = np.random.default_rng(config.seed).permutation(len(points))
    return [points[index] for index in order]


def _axis(path: str, distribution: Distribution) -> Sequence[Any]:
    if distribution.choices is not None:
        return [stored(choice) for choice in distribution.choices]
    converted = to_optuna(path, distribution)
    if isinstance(converted, IntDistribution) and not converted.log:
        return range(converted.low, converted.high + 1, converted.step)
    if isinstance(converted, FloatDistribution) and converted.step is not None:
        count = int(np.floor((converted.high - converted.low) / converted.step + 1e-9)) + 1
        return [float(value) for value in np.round(converted.low + converted.step * np.arange(count), 12)]
    raise ConfigError(
        [f"search.{path}: sampler grid needs choices, or low, high and step (without log); or choose another sampler"]
    )
