"""Pruners by name: what they spare, and what they prune."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import optuna
from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner

from mobilenet_chest.config import Config
from mobilenet_chest.sweep.pruner import build_pruner
from mobilenet_chest.sweep.sampler import STARTUP_TRIALS

Make = Callable[..., Config]


def test_each_pruner_by_its_name(phantom_config: Make) -> None:
    made = {
        name: build_pruner(phantom_config({"study": {"pruner": name}, "stage1.epochs": 3}))
        for name in ("median", "hyperband", "none")
    }
    assert {name: type(pruner) for name, pruner in made.items()} == {
        "median": MedianPruner,
        "hyperband": HyperbandPruner,
        "none": NopPruner,
    }


def test_the_median_spares_the_first_trials_the_frozen_stage_and_one_epoch_more(phantom_config: Make) -> None:
    config = phantom_config({"study": {"pruner": "median"}, "stage1.epochs": 2})
    study = optuna.create_study(direction="maximize", pruner=build_pruner(config))

    def pruned_at(value: float) -> int | None:
        trial = study.ask()
        for epoch in range(1, 5):
            trial.report(value, epoch)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                return epoch
        study.tell(trial, value)
        return None

    good_then_bad = [pruned_at(value) for value in (0.9, 0.9, 0.9, *[0.1] * (STARTUP_TRIALS - 3))]
    assert good_then_bad == [None] * STARTUP_TRIALS
    assert pruned_at(0.95) is None
    # the frozen stage is over after epoch 2; the first epoch of stage 2 says too little
    assert pruned_at(0.1) == 4


def test_the_mean_of_the_folds_so_far_is_held_against_the_median_of_means(phantom_config: Make) -> None:
    """Optuna's own takes the best that a trial has reported: an easy first fold would spare it for good."""
    config = phantom_config({"study": {"pruner": "median", "resampling": "kfold", "folds": 3}, "stage1.epochs": 2})
    study = optuna.create_study(direction="maximize", pruner=build_pruner(config))

    def pruned_after(*means: float) -> int | None:
        trial = study.ask()
        for fold, mean in enumerate(means, 1):
            trial.report(mean, fold)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                return fold
        study.tell(trial, means[-1])
        return None

    assert [pruned_after(0.9, 0.8, 0.8) for _ in range(STARTUP_TRIALS)] == [None] * STARTUP_TRIALS
    assert pruned_after(0.85, 0.85, 0.85) == 1
    assert pruned_after(0.95, 0.79, 0.8) == 2
    assert pruned_after(0.9, 0.85, 0.8) is None


def test_wilcoxon_compares_with_the_best_fold_by_fold(phantom_config: Make) -> None:
    """Means so far fall from an easy fold to hard ones, in good trials too: only pairs of folds say who is behind."""
    config = phantom_config({"study": {"pruner": "wilcoxon", "resampling": "kfold", "folds": 6}})
    study = optuna.create_study(direction="maximize", pruner=build_pruner(config))

    def pruned_after(*values: float) -> int | None:
        trial = study.ask()
        for fold in range(1, len(values) + 1):
            trial.report(float(np.mean(values[:fold])), fold)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                return fold
        study.tell(trial, float(np.mean(values)))
        return None

    best = np.array([0.95, 0.91, 0.90, 0.85, 0.80, 0.75])
    assert pruned_after(*best) is None
    assert pruned_after(*(best - [0.01, 0.02, 0.03, 0.04, 0.05, 0.06])) == 4  # p = 1/16
    assert pruned_after(*(best + np.array([-0.01, 0.001, -0.02, 0.002, -0.03, 0.003]))) is None
    assert pruned_after(*(best + 0.01)) is None
    # of a trial that took the result of an earlier one no folds are known
    study.add_trial(optuna.trial.create_trial(value=0.99))
    assert pruned_after(*(best - 0.1)) is None


def test_hyperband_has_folds_for_its_resource(phantom_config: Make) -> None:
    pruner = build_pruner(phantom_config({"study": {"pruner": "hyperband", "resampling": "kfold", "folds": 9}}))
    assert isinstance(pruner, HyperbandPruner)
    assert (pruner._min_resource, pruner._max_resource) == (1, 9)


def test_pruning_over_folds_spares_trainings_and_finds_as_good_a_trial(phantom_config: Make) -> None:
    """Thirty simulated studies: configurations that differ, folds that do, and chance in each training."""
    settings = {"resampling": "kfold", "sampler": "random"}
    trainings, behind = {}, {}
    for name in ("none", "median", "wilcoxon"):
        config, random = phantom_config({"study": settings | {"pruner": name}}), np.random.default_rng(0)
        trainings[name], behind[name] = 0, []
        for _ in range(30):
            quality, easy = random.normal(0.9, 0.02, 20), random.normal(0, 0.02, 5)
            study = optuna.create_study(direction="maximize", pruner=build_pruner(config))
            for values in quality[:, None] + easy + random.normal(0, 0.01, (20, 5)):
                trial, state = study.ask(), optuna.trial.TrialState.COMPLETE
                for fold in range(1, 6):
                    trainings[name] += 1
                    trial.report(values[:fold].mean(), fold)
                    if trial.should_prune() and fold < 5:
                        state = optuna.trial.TrialState.PRUNED
                        break
                study.tell(trial, values.mean() if state.name == "COMPLETE" else None, state=state)
            behind[name].append(quality.max() - quality[study.best_trial.number])
    assert trainings["none"] == 30 * 20 * 5
    assert 0.45 < trainings["median"] / trainings["none"] < 0.65
    assert np.mean(behind["median"]) - np.mean(behind["none"]) < 0.001
    assert np.mean(behind["median"]) < 0.003  # a trial at random is 0.037 behind
    # after four of five folds at the earliest
    assert 0.8 < trainings["wilcoxon"] / trainings["none"] < 0.9
    assert np.mean(behind["wilcoxon"]) - np.mean(behind["none"]) < 0.001
