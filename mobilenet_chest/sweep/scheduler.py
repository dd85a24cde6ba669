"""Which trial gets the next epochs: the rule of ``study.scheduler``, and nothing without one.

The rule of freeze_thaw is imported where it is asked: its scipy.optimize takes 0.4 s, which no other sweep needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from mobilenet_chest.config import Config
from mobilenet_chest.sweep import asha


def rung_epochs(config: Config) -> tuple[int, ...]:
    """Return the epochs, counted over both stages, after which a trial may be paused.

    With freeze_thaw, stage 1 and the first slice of stage 2 are one piece: frozen epochs say little about fine-tuned
    ones.
    """
    if config.study.scheduler != "freeze_thaw":
        return asha.rung_epochs(config)
    first, slice_epochs = config.stage1.epochs, config.study.freeze_thaw.slice
    return tuple(range(first + slice_epochs, first + config.stage2.epochs, slice_epochs))


def epochs_to_expect(config: Config) -> dict[str, Any]:
    """Return the rungs of a study, and how many epochs all its trials train at most; with asha also as a rule."""
    if config.study.scheduler != "freeze_thaw":
        return asha.epochs_to_expect(config)
    every = config.study.trials * (config.stage1.epochs + config.stage2.epochs)
    return {"rungs": list(rung_epochs(config)), "epochs_at_most": every, "epochs_unpaused": every}


def goes_on(
    study: optuna.Study, trials: Sequence[FrozenTrial], config: Config, number: int, epoch: int, new: bool
) -> bool:  # fmt: skip
    """Return whether a trial that has reported its value at a rung goes on at once.

    Args:
        study: The study.
        trials: All its trials, by number.
        config: Its experiment.
        number: Of the trial.
        epoch: Of the rung.
        new: Whether the study has trials that have not begun.
    """
    if config.study.scheduler == "freeze_thaw":
        from mobilenet_chest.sweep import earlier_curves, freeze_thaw

        return freeze_thaw.goes_on(trials, config, number, new, earlier_curves.stored_prior(study))
    return asha.goes_on(trials, config, number, epoch)


def trial_to_thaw(
    study: optuna.Study, trials: Sequence[FrozenTrial], config: Config, idle: bool, new: bool
) -> FrozenTrial | None:
    """Return the paused trial that a worker may go on with; ``None`` if there is none.

    Args:
        study: The study.
        trials: All its trials, by number.
        config: Its experiment.
        idle: Whether nothing else is left to do; a study without a complete trial has no result.
        new: Whether the study has trials that have not begun.
    """
    if config.study.scheduler == "none":
        return None
    if config.study.scheduler == "freeze_thaw":
        from mobilenet_chest.sweep import earlier_curves, freeze_thaw

        return freeze_thaw.trial_to_thaw(trials, config, idle, new, earlier_curves.stored_prior(study))
    return asha.trial_to_thaw(trials, config, idle)


def may_begin(study: optuna.Study, trials: Sequence[FrozenTrial], config: Config) -> bool:
    """Return whether a new trial is worth beginning, where the study has any left."""
    if config.study.scheduler != "freeze_thaw":
        return True
    from mobilenet_chest.sweep import earlier_curves, freeze_thaw

    return freeze_thaw.may_begin(trials, config, earlier_curves.stored_prior(study))
