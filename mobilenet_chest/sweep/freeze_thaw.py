"""Freeze–thaw: the next slice of epochs goes to the trial, begun or new, that is expected to gain most in a second.

Swersky, Snoek and Adams, 2014, "Freeze-Thaw Bayesian Optimization". What a trial is expected to gain is told from all
curves of the study (:mod:`~mobilenet_chest.sweep.learning_curves`), what it costs from the seconds of its epochs.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.config import Config, Distribution
from mobilenet_chest.config.metrics import as_score
from mobilenet_chest.sweep.attempts import attempt_of
from mobilenet_chest.sweep.curve_scales import USUAL, ScalePrior
from mobilenet_chest.sweep.epochs import stored_epochs
from mobilenet_chest.sweep.feasibility import feasible
from mobilenet_chest.sweep.influence import place_in_range
from mobilenet_chest.sweep.learning_curves import Curve, CurveModel, expected_gain
from mobilenet_chest.sweep.repeats import took_result
from mobilenet_chest.sweep.space import stored
from mobilenet_chest.sweep.trial_state import is_paused

Floats = NDArray[np.float64]

LEAST_CURVES = 4
"""Trials that are begun before any goes on: fewer curves say nothing of new ones."""

MOST_CURVES = 100
"""Most trials that are considered, the best so far: a hundred take a second."""

IMAGINED = 64
"""Random configurations whose mean is what a new trial is expected to gain."""


class Rates(NamedTuple):
    """What trials are expected to gain in a second, in units of the study's metric.

    Attributes:
        begun: First attempt of a trial that has begun and is not complete -> its rate.
        new: Of a trial that has not begun.
    """

    begun: Mapping[int, float]
    new: float


class BegunTrial(NamedTuple):
    """A trial that has a curve: the number of its first attempt, and its latest attempt."""

    first: int
    trial: FrozenTrial
    curve: Curve


_latest: tuple[Hashable, Rates] | None = None
"""The last answer of :func:`rates`: the driver of a sweep asks many times a second, and the curves change seldom."""


def goes_on(
    trials: Sequence[FrozenTrial], config: Config, number: int, new: bool, prior: ScalePrior = USUAL
) -> bool:  # fmt: skip
    """Return whether a trial that has reported its value at the end of a slice goes on at once.

    Args:
        trials: All trials of the study, by number.
        config: Its experiment.
        number: Of the trial.
        new: Whether a new trial may begin instead.
        prior: What earlier studies say of the curves.
    """
    found = rates(trials, config, prior)
    own = attempt_of(trials[number], trials).trial
    paused = {attempt_of(trial, trials).trial for trial in trials if is_paused(trial)}
    others = [rate for first, rate in found.begun.items() if first in paused and first != own]
    rate = found.begun.get(own, 0.0)
    return rate >= least_rate(config) and rate >= max([*others, found.new if new else 0.0], default=0.0)


def trial_to_thaw(
    trials: Sequence[FrozenTrial], config: Config, idle: bool, new: bool, prior: ScalePrior = USUAL
) -> FrozenTrial | None:
    """Return the paused trial that a worker may go on with; ``None`` if there is none.

    Args:
        trials: All trials of the study, by number.
        config: Its experiment.
        idle: Whether nothing else is left to do. Then the most promising one goes on until a trial is complete: a study
            without a complete trial has no result.
        new: Whether a new trial may begin instead.
        prior: What earlier studies say of the curves.
    """
    paused = {attempt_of(trial, trials).trial: trial for trial in trials if is_paused(trial)}
    if not paused:
        return None
    found = rates(trials, config, prior)
    first = max(paused, key=lambda trial: (found.begun.get(trial, -math.inf), -trial))
    rate = found.begun.get(first, -math.inf)
    if idle and not any(trial.state == TrialState.COMPLETE for trial in trials):
        return paused[first]
    return paused[first] if rate >= least_rate(config) and rate > (found.new if new else 0.0) else None


def may_begin(trials: Sequence[FrozenTrial], config: Config, prior: ScalePrior = USUAL) -> bool:
    """Return whether a new trial is expected to gain enough."""
    return rates(trials, config, prior).new >= least_rate(config)


def least_rate(config: Config) -> float:
    """Return the gain in a second below which a study ends."""
    return config.study.stop_rule.gain_per_second


def rates(trials: Sequence[FrozenTrial], config: Config, prior: ScalePrior = USUAL) -> Rates:
    """Return what trials are expected to gain in a second of training to their end.

    With fewer than :data:`LEAST_CURVES` curves a new trial comes first, and then the best trial so far.
    """
    global _latest
    known = _known(trials, config), prior
    if _latest is None or _latest[0] != known:
        _latest = known, _rates(trials, config, prior)
    return _latest[1]


def _known(trials: Sequence[FrozenTrial], config: Config) -> Hashable:
    """Return what the rates depend on; a finished epoch changes it."""
    seen = tuple(
        (trial.number, trial.state, *list(trial.intermediate_values.items())[-1:], str(_seconds_by_stage(trial)))
        for trial in trials
    )
    return config.study_name, config.seed, config.study.direction, seen


def _rates(trials: Sequence[FrozenTrial], config: Config, prior: ScalePrior) -> Rates:
    begun = begun_trials(trials, config)
    scores = {each.first: float(each.curve.scores.max()) for each in begun}
    open_trials = [each for each in begun if not each.trial.state.is_finished()]
    if len(begun) < LEAST_CURVES or len({score for each in begun for score in each.curve.scores}) < LEAST_CURVES:
        order = sorted(open_trials, key=lambda each: (scores[each.first], -each.first))
        return Rates({each.first: 1e6 + place for place, each in enumerate(order)}, new=math.inf)
    begun = sorted(begun, key=lambda each: -scores[each.first])[:MOST_CURVES]
    open_trials = [each for each in begun if not each.trial.state.is_finished()]
    complete = [
        scores[each.first] for each in begun if each.trial.state == TrialState.COMPLETE and feasible(each.trial)
    ]
    best = max(complete or scores.values())
    model = CurveModel([each.curve for each in begun], config.stage2.epochs, prior)
    nothing = np.empty(0)
    imagined = [Curve(place, nothing, nothing) for place in _imagined(config, len(trials))]
    predicted = model.predict([*(each.curve for each in open_trials), *imagined])
    reached = np.array([*(scores[each.first] for each in open_trials), *([-math.inf] * IMAGINED)])
    gains = expected_gain(predicted.mean, predicted.deviation, reached, best)
    places = np.stack([*(each.curve.place for each in open_trials), *(each.place for each in imagined)])
    left = [config.stage2.epochs - each.curve.epochs[-1] for each in open_trials]
    seconds = _epoch_seconds(begun, places) * np.array([*left, *([config.stage2.epochs] * IMAGINED)])
    per_second = gains / seconds
    of_begun = {each.first: float(rate) for each, rate in zip(open_trials, per_second, strict=False)}
    return Rates(of_begun, new=float(per_second[len(open_trials) :].mean()))


def begun_trials(trials: Sequence[FrozenTrial], config: Config) -> list[BegunTrial]:
    """Return the trials that have a value at the end of a slice; attempts of a trial count as one."""
    points: dict[int, dict[float, float]] = {}
    latest: dict[int, FrozenTrial] = {}
    for trial in trials:
        if took_result(trial):
            continue
        first = attempt_of(trial, trials).trial
        reported = {float(epoch - config.stage1.epochs): value for epoch, value in trial.intermediate_values.items()}
        if trial.state == TrialState.COMPLETE:
            reported[float(config.stage2.epochs)] = trial.values[0]  # what the study compares, at the end
        points.setdefault(first, {}).update(
            {epoch: as_score(value, config.study.direction) for epoch, value in reported.items() if epoch > 0}
        )
        latest[first] = trial
    return [
        BegunTrial(first, latest[first], Curve(place_of(latest[first].params, config.search), *_arrays(values)))
        for first, values in points.items()
        if values and all(map(math.isfinite, values.values()))
    ]


def _arrays(points: Mapping[float, float]) -> tuple[Floats, Floats]:
    epochs = sorted(points)
    return np.array(epochs), np.array([points[epoch] for epoch in epochs])


def place_of(values: Mapping[str, Any], search: Mapping[str, Distribution]) -> Floats:
    """Return a configuration as float64 (d,): a range's value from 0 to 1, and for a choice one coordinate each.

    Args:
        values: As Optuna stores them. A field that is not active is in the middle of its range, or has no choice.
        search: The search space.
    """
    coordinates: list[float] = []
    for path, distribution in search.items():
        if (place := place_in_range(distribution)) is not None:
            coordinates.append(place(values[path]) if path in values else 0.5)
        elif distribution.choices is not None and len(distribution.choices) > 1:
            chosen = repr(values.get(path)) if path in values else None
            coordinates.extend(0.7 * (repr(stored(choice)) == chosen) for choice in distribution.choices)
    return np.array(coordinates)


def _imagined(config: Config, number: int) -> list[Floats]:
    """Return the places of random configurations, others for each number of trials."""
    generator = np.random.default_rng([config.seed, number])
    places = []
    for _ in range(IMAGINED):
        coordinates: list[float] = []
        for distribution in config.search.values():
            if place_in_range(distribution) is not None:
                coordinates.append(float(generator.random()))
            elif distribution.choices is not None and len(distribution.choices) > 1:
                chosen = generator.integers(len(distribution.choices))
                coordinates.extend(0.7 * (choice == chosen) for choice in range(len(distribution.choices)))
        places.append(np.array(coordinates))
    return places


def _seconds_by_stage(trial: FrozenTrial) -> Mapping[int, float]:
    epochs = stored_epochs(trial)
    return epochs.stage_seconds if epochs is not None else {}


def _epoch_seconds(begun: Sequence[BegunTrial], places: Floats) -> Floats:
    """Return the seconds of an epoch of stage 2 at some places (n, d): float64 (n,), learned from those of the trials.

    Their logarithm is linear in the places, with a penalty of one; 1 second each where none was timed.
    """
    timed = [
        (each.curve.place, math.log(seconds))
        for each in begun
        if (seconds := _seconds_by_stage(each.trial).get(2, 0.0)) > 0
    ]
    if not timed:
        return np.ones(len(places))
    where, logarithms = np.stack([place for place, _ in timed]), np.array([value for _, value in timed])
    centre, middle = where.mean(0), logarithms.mean()
    apart = where - centre
    slope = np.linalg.solve(apart.T @ apart + np.eye(where.shape[1]), apart.T @ (logarithms - middle))
    result: Floats = np.exp(middle + (places - centre) @ slope)
    return result
