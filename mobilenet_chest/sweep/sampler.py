"""A sampler whose suggestions depend on the study's seed and the trial's number only."""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Sequence
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.config import Config
from mobilenet_chest.sweep.earlier_trials import EarlierTrials
from mobilenet_chest.sweep.optuna_adapter import StudyView, trials_once_read
from mobilenet_chest.sweep.priors import PriorDraws
from mobilenet_chest.sweep.sampler_choice import choose_sampler
from mobilenet_chest.sweep.space import to_optuna
from mobilenet_chest.sweep.trial_state import is_paused

STARTUP_TRIALS = 4
"""Trials that TPE and GP sample at random, and that run to their end before the median of others may prune one."""


LEARNS_FROM = {"tpe": (TrialState.COMPLETE, TrialState.PRUNED), "gp": (TrialState.COMPLETE,)}
"""States of the trials that a sampler learns from; it draws at random until it has :data:`STARTUP_TRIALS` of them."""


class PausedAsPruned:
    """Shows paused trials as pruned ones: a sampler learns from what they have reached."""

    def __init__(self) -> None:
        self._shown: dict[int, tuple[FrozenTrial, FrozenTrial]] = {}

    def show(self, trial: FrozenTrial) -> FrozenTrial:
        """Return a trial as it is to be seen."""
        if not is_paused(trial):
            return trial
        paused, pruned = self._shown.get(trial.number, (None, None))
        if paused is not trial or pruned is None:
            pruned = copy.copy(trial)
            pruned.state = TrialState.PRUNED
            self._shown[trial.number] = trial, pruned  # a copy costs more than all the rest of a look
        return pruned


class TrialSeededSampler(BaseSampler):
    """Draws a trial's random numbers from a seed made of the study's seed and the trial's number.

    An ordinary seeded sampler starts again from its seed in every new worker and at every resume, and so repeats its
    first suggestions. This one never does, and a study of one worker is repeatable from its seed.

    Where the sampler draws at random, some of the trials are drawn around the priors of the search instead. One that
    learns sees the trials of earlier studies beside the first of its own.

    Args:
        config: The experiment; a grid's points are queued as trials, so its sampler is never asked.
        kind: Name of the sampler; by default that of the experiment, or the one that ``auto`` chooses for it.
    """

    def __init__(self, config: Config, kind: str | None = None) -> None:
        self._kind, self._seed = kind or choose_sampler(config).name, config.seed
        self._unconditional = {p: to_optuna(p, d) for p, d in config.search.items() if not d.when}
        self._priors, self._paused = PriorDraws(config), PausedAsPruned()
        self._earlier = EarlierTrials(config, LEARNS_FROM.get(self._kind, ()))
        self._inner: BaseSampler = self._make(config.seed)

    def _make(self, seed: int) -> BaseSampler:
        if self._kind == "tpe":
            return TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS, constant_liar=True)
        if self._kind == "gp":
            return GPSampler(seed=seed, n_startup_trials=STARTUP_TRIALS, warn_independent_sampling=False)
        if self._kind == "cmaes":
            # its state is in the trials themselves, so a new one continues where the last one was
            return CmaEsSampler(seed=seed, warn_independent_sampling=False)
        if self._kind == "qmc":
            with warnings.catch_warnings():
                # Optuna warns of the experimental class on every use; the tests would notice a change
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return QMCSampler(
                    scramble=True,
                    seed=self._seed,  # one sequence for the whole study, which stores the position in it
                    independent_sampler=RandomSampler(seed=seed),
                    warn_independent_sampling=False,
                    warn_asynchronous_seeding=False,
                )
        return RandomSampler(seed=seed)

    def _seen(self, study: optuna.Study, trial: FrozenTrial) -> optuna.Study:
        """Return the study as the sampler sees it: with trials of earlier ones where it learns, while these count."""
        around_priors = self._draws_around_priors(study, trial)

        def show(trials: list[FrozenTrial]) -> list[FrozenTrial]:
            own = list(map(self._paused.show, trials))
            return own if around_priors else [*self._earlier.beside(own), *own]

        return cast(optuna.Study, StudyView(study, show))

    def _draws_around_priors(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether a trial is drawn around the priors, which is where the sampler would draw it at random.

        A sequence would have gaps, and a model needs the trials of its own.
        """
        if not self._priors.chosen(trial.number):
            return False
        if self._kind not in LEARNS_FROM:
            return self._kind == "random"
        own = map(self._paused.show, trials_once_read(study))
        return sum(each.state in LEARNS_FROM[self._kind] for each in own) < STARTUP_TRIALS

    # the methods below are Optuna's interface: each is handed on to the sampler that was seeded for the trial

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._earlier.read(study)
        digest = hashlib.sha256(f"{self._seed} {trial.number}".encode()).digest()
        self._inner = self._make(int.from_bytes(digest[:4], "big"))
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        if self._kind == "qmc":
            # QMCSampler takes it from the first finished trial, and samples at random until there is one
            return {path: d for path, d in self._unconditional.items() if not d.single()}
        return self._inner.infer_relative_search_space(self._seen(study, trial), trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._inner.sample_relative(self._seen(study, trial), trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if self._priors.has(param_name) and self._draws_around_priors(study, trial):
            return self._priors.draw(trial.number, param_name, param_distribution)
        return self._inner.sample_independent(self._seen(study, trial), trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._inner.after_trial(study, trial, state, values)
