"""From the ``search`` section to values of a trial: sampling, grids, samplers and pruners by name."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from mobilenet_chest.config import Choice, Config, Distribution, Scalar, active, is_integer_field
from mobilenet_chest.errors import ConfigError

STARTUP_TRIALS = 4
"""Trials that run to their end before the median of others may prune one."""

Values = dict[str, Any]


def suggest(trial: Trial, search: Mapping[str, Distribution]) -> Values:
    """Values for the fields of ``search`` that are active, unconditional ones first."""
    values: Values = {}
    for conditional in (False, True):
        for path in [path for path, d in search.items() if bool(d.when) is conditional]:
            if path in active(search, values):
                values[path] = _suggest_one(trial, path, search[path])
    return values


def _suggest_one(trial: Trial, path: str, distribution: Distribution) -> Any:
    own = to_optuna(path, distribution)
    if isinstance(own, CategoricalDistribution):
        assert distribution.choices is not None
        return distribution.choices[own.choices.index(trial.suggest_categorical(path, own.choices))]
    if isinstance(own, IntDistribution):
        return trial.suggest_int(path, own.low, own.high, step=own.step, log=own.log)
    assert isinstance(own, FloatDistribution)
    return trial.suggest_float(path, own.low, own.high, step=own.step, log=own.log)


def to_optuna(path: str, distribution: Distribution) -> BaseDistribution:
    """Optuna's own form of a distribution."""
    if distribution.choices is not None:
        return CategoricalDistribution([stored(choice) for choice in distribution.choices])
    assert distribution.low is not None
    assert distribution.high is not None
    if is_integer_field(path):
        step = int(distribution.step or 1)
        return IntDistribution(int(distribution.low), int(distribution.high), log=distribution.log, step=step)
    return FloatDistribution(distribution.low, distribution.high, log=distribution.log, step=distribution.step)


def stored(choice: Choice) -> Scalar | None:
    """A choice as Optuna's storage takes it: a list as its JSON text."""
    return json.dumps(choice) if isinstance(choice, list | tuple) else choice


def grid_points(config: Config) -> list[Values]:
    """Every combination of a grid as Optuna stores it, in a seeded random order, without inactive conditional fields.

    Raises:
        ConfigError: A range without a ``step`` in a field that is not whole-numbered: it has no finite grid.
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
    own = to_optuna(path, distribution)
    if isinstance(own, IntDistribution) and not own.log:
        return range(own.low, own.high + 1, own.step)
    if isinstance(own, FloatDistribution) and own.step is not None:
        count = int(np.floor((own.high - own.low) / own.step + 1e-9)) + 1
        return [float(value) for value in np.round(own.low + own.step * np.arange(count), 12)]
    raise ConfigError(
        [f"search.{path}: sampler grid needs choices, or low, high and step (without log); or choose another sampler"]
    )


def build_pruner(config: Config) -> BasePruner:
    """The pruner of a study. The median prunes in stage 2 only: frozen epochs say little about fine-tuned ones."""
    if config.study.resampling == "kfold":
        return _pruner_of_folds(config)
    if config.study.pruner == "median":
        # epochs count from 1, and Optuna spares the steps *below* the warm-up
        return MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=config.stage1.epochs + 1)
    if config.study.pruner == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=config.stage1.epochs + config.stage2.epochs)
    return NopPruner()


def _pruner_of_folds(config: Config) -> BasePruner:
    """Of trials that report, as steps from 1, the mean of the folds there are by now."""
    if config.study.pruner == "median":
        return _MeanSoFarPruner(n_startup_trials=STARTUP_TRIALS)
    if config.study.pruner == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=config.study.trainings)
    return NopPruner()


class _MeanSoFarPruner(MedianPruner):
    """Holds a trial's present mean against the median of the others'.

    Optuna's takes the best value that the trial has ever reported, which suits epochs: there is a checkpoint of the
    best. A mean over folds has no such past: after an easy first fold it would never be pruned.
    """

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None:
            return False
        present = copy.copy(trial)
        present.intermediate_values = {step: trial.intermediate_values[step]}
        return super().prune(study, present)


class TrialSeededSampler(BaseSampler):
    """A sampler whose random numbers for a trial derive from the study's seed and the trial's number.

    A seeded sampler made anew, by a second worker or when a study is continued, repeats its first suggestions.
    Here it never does, whoever makes it and whenever, and a study of one worker is repeatable from its seed.

    Args:
        config: The experiment; a grid's points are queued as trials, so its sampler is never asked.
    """

    def __init__(self, config: Config) -> None:
        self._kind, self._seed = config.study.sampler, config.seed
        self._unconditional = {p: to_optuna(p, d) for p, d in config.search.items() if not d.when}
        self._inner: BaseSampler = self._make(config.seed)

    def _make(self, seed: int) -> BaseSampler:
        if self._kind == "tpe":
            return TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS, constant_liar=True)
        if self._kind == "qmc":
            # the sequence is the study's: its position is kept in the study, not in the sampler
            independent = RandomSampler(seed=seed)
            with warnings.catch_warnings():
                # Optuna calls the class experimental on every use; a new version is met by the tests first
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return QMCSampler(
                    scramble=True,
                    seed=self._seed,
                    independent_sampler=independent,
                    warn_independent_sampling=False,
                    warn_asynchronous_seeding=False,
                )
        return RandomSampler(seed=seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        digest = hashlib.sha256(f"{self._seed} {trial.number}".encode()).digest()
        self._inner = self._make(int.from_bytes(digest[:4], "big"))
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        if self._kind == "qmc":
            # QMCSampler would take it from the first finished trial, and sample at random until there is one
            return {path: d for path, d in self._unconditional.items() if not d.single()}
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._inner.after_trial(study, trial, state, values)
