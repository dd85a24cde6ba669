"""The pruners of a study, by name."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Collection
from types import SimpleNamespace
from typing import cast

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, WilcoxonPruner
from optuna.trial import FrozenTrial

from mobilenet_chest.config import Config
from mobilenet_chest.sweep.epochs import SPARED_EPOCHS
from mobilenet_chest.sweep.sampler import STARTUP_TRIALS
from mobilenet_chest.sweep.splits import trainings


def build_pruner(config: Config) -> BasePruner:
    """Return the pruner of a study: of trials that report epochs, or with ``kfold`` the mean of the folds so far."""
    if config.study.pruner == "hyperband":
        kfold = config.study.resampling == "kfold"
        steps = trainings(config) if kfold else config.stage1.epochs + config.stage2.epochs
        return HyperbandPruner(min_resource=1, max_resource=steps)
    if config.study.pruner == "none":
        return NopPruner()
    if config.study.pruner == "wilcoxon":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return FoldsPruner()
    if config.study.resampling == "kfold":
        return MeanSoFarPruner(n_startup_trials=STARTUP_TRIALS)
    # Prunes in stage 2 only: frozen epochs say little about fine-tuned ones. Epochs count from 1, and Optuna spares the
    # steps below the warm-up.
    return MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=config.stage1.epochs + SPARED_EPOCHS + 1)


class MeanSoFarPruner(MedianPruner):
    """Prunes a trial whose current mean is worse than the median of the others' means at the same fold.

    ``MedianPruner`` takes the best value that the trial has ever reported. That suits epochs: there is a checkpoint of
    the best one. A mean over folds has no such past: after an easy first fold the trial would never be pruned.
    """

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether to end the trial after its latest report."""
        step = trial.last_step
        if step is None:
            return False
        latest = copy.copy(trial)
        latest.intermediate_values = {step: trial.intermediate_values[step]}
        return super().prune(study, latest)


class FoldsPruner(WilcoxonPruner):
    """Prunes a trial that a signed-rank test finds worse than the best one on the folds that it has (p below 0.1).

    Trials report the mean of their folds so far, and the test compares fold with fold.
    """

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether to end the trial after its latest report."""
        try:
            best = study.best_trial
        except ValueError:  # none is complete, or meets the constraints
            return False
        folds = trial.intermediate_values.keys()
        if not folds <= best.intermediate_values.keys():
            return False  # the best one took its result from an earlier trial
        # of the best one, the same folds: Optuna spares a trial whose mean is above the best one's mean, and later
        # folds may be harder
        compared = SimpleNamespace(best_trial=_fold_by_fold(best, folds), direction=study.direction)
        return super().prune(cast(optuna.Study, compared), _fold_by_fold(trial, folds))


def _fold_by_fold(trial: FrozenTrial, folds: Collection[int]) -> FrozenTrial:
    """Return a copy of a trial with the value of each of some folds instead of the mean of the folds so far."""
    sums = {0: 0.0} | {fold: fold * mean for fold, mean in trial.intermediate_values.items()}
    single = copy.copy(trial)
    single.intermediate_values = {fold: sums[fold] - sums[fold - 1] for fold in folds}
    return single
