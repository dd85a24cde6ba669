"""Asynchronous successive halving: which trial waits at a rung, and which goes on.

Li et al., 2020, "A System for Massively Parallel Hyperparameter Tuning" (ASHA). A trial that reaches a rung goes on
when it belongs to the best ``1/reduction`` of all that have reached it, at once or later. Nobody waits for a full rung.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.config import Config
from mobilenet_chest.config.metrics import as_score
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.attempts import attempt_of
from mobilenet_chest.sweep.epochs import SPARED_EPOCHS
from mobilenet_chest.sweep.repeats import took_result
from mobilenet_chest.sweep.trial_state import is_paused

Rungs = Mapping[int, Mapping[int, float]]
"""Epoch of each rung -> trial -> its score there; higher scores are better."""


def rung_epochs(config: Config) -> tuple[int, ...]:
    """Return the epochs, counted over both stages, after which a trial may be paused; none without ``asha``.

    They are ``first`` times the powers of ``reduction``, below the number of all epochs. Where stage 2 has several
    phases, a rung in one of them is moved to the phase's end, but for the last phase: trials are compared when a phase
    has brought what it can.
    """
    if config.study.scheduler != "asha":
        return ()
    total = config.stage1.epochs + config.stage2.epochs
    reduction = config.study.asha.reduction
    ends = [config.stage1.epochs + phase.end for phase in config.stage2.phases(config.data.image_size)][:-1]
    rungs, epoch = set[int](), config.study.asha.first or default_first(config)
    while epoch < total:
        later = [end for end in ends if end >= epoch]
        rungs.add(min(later) if later and epoch > config.stage1.epochs else epoch)
        epoch *= reduction
    return tuple(sorted(rungs - {total}))


def default_first(config: Config) -> int:
    """Return the epoch of the first rung where the experiment gives none.

    It lies in stage 2, because frozen epochs say little about fine-tuned ones, behind the epochs that say too little
    there, and after a share of all epochs that leaves room for two rungs.
    """
    total = config.stage1.epochs + config.stage2.epochs
    first = max(config.stage1.epochs + SPARED_EPOCHS + 1, total // config.study.asha.reduction**2)
    return max(1, min(first, total - 1))


def leaders(rung: Mapping[int, float], reduction: int) -> list[int]:
    """Return the best ``1/reduction`` of the trials that have reached a rung, rounded down, the best first.

    Of trials with equal scores the earlier one is better.

    Args:
        rung: Trial -> score.
        reduction: Share that is kept, as its inverse.
    """
    ranked = sorted(rung, key=lambda trial: (-rung[trial], trial))
    return ranked[: len(rung) // reduction]


def next_to_thaw(rungs: Rungs, paused: Mapping[int, int], reduction: int) -> int | None:
    """Return the paused trial that goes on next: the best leader of the highest rung that has one; else ``None``.

    Args:
        rungs: What was reached.
        paused: Trial -> epoch of the rung at which it waits.
        reduction: Share that is kept, as its inverse.
    """
    for epoch in sorted(rungs, reverse=True):
        waiting = (trial for trial in leaders(rungs[epoch], reduction) if paused.get(trial) == epoch)
        if (trial := next(waiting, None)) is not None:
            return trial
    return None


def front_runner(rungs: Rungs, paused: Mapping[int, int]) -> int | None:
    """Return the best paused trial of the highest rung at which one waits; ``None`` if there is none."""
    for epoch in sorted(rungs, reverse=True):
        waiting = {trial: score for trial, score in rungs[epoch].items() if paused.get(trial) == epoch}
        if waiting:
            return min(waiting, key=lambda trial: (-waiting[trial], trial))
    return None


def most_epochs(trials: int, rungs: Sequence[int], total: int, reduction: int) -> int:
    """Return how many epochs a study trains at most, however its trials turn out.

    Each rung holds back ``reduction - 1`` trials at least. It holds back no more when every trial is better than all
    that came before it.

    Args:
        trials: Trials of the study.
        rungs: Epochs of its rungs, ascending.
        total: Epochs of a whole training.
        reduction: Share that is kept, as its inverse.
    """
    return _epochs(rungs, total, trials, lambda reached: reached - reduction + 1)


def usual_epochs(trials: int, rungs: Sequence[int], total: int, reduction: int) -> int:
    """Return how many epochs it trains where each rung lets ``1/reduction`` go on; arguments as above."""
    return _epochs(rungs, total, trials, lambda reached: reached // reduction)


def epochs_to_expect(config: Config) -> dict[str, Any]:
    """Return the rungs of a study, and how many epochs all its trials train as a rule, at most, and without rungs."""
    rungs, trials = rung_epochs(config), config.study.trials
    total, reduction = config.stage1.epochs + config.stage2.epochs, config.study.asha.reduction
    return {
        "rungs": list(rungs),
        "epochs_usually": usual_epochs(trials, rungs, total, reduction),
        "epochs_at_most": most_epochs(trials, rungs, total, reduction),
        "epochs_unpaused": trials * total,
    }


def _epochs(rungs: Sequence[int], total: int, trials: int, passing: Callable[[int], int]) -> int:
    epochs, before, reached = 0, 0, trials
    for rung in rungs:
        epochs += reached * (rung - before)
        before, reached = rung, max(1, passing(reached))  # one trial at least goes on to the end
    return epochs + reached * (total - before)


def scores_at_rungs(trials: Sequence[FrozenTrial], config: Config) -> dict[int, dict[int, float]]:
    """Return the scores of a study's trials at its rungs.

    Attempts of a trial count as one, under the number of the first. A trial that took another's result does not count.
    Where a trial is paused is a rung, too: a study of before may have had others, and its trials would wait for ever.

    Args:
        trials: All trials of the study, by number.
        config: Its experiment.
    """
    epochs = {*rung_epochs(config), *(int(trial.user_attrs[attributes.PAUSED]) for trial in trials if is_paused(trial))}
    rungs: dict[int, dict[int, float]] = {epoch: {} for epoch in epochs}
    for trial in trials:
        if trial.intermediate_values and not took_result(trial):
            first = attempt_of(trial, trials).trial
            for epoch, value in trial.intermediate_values.items():
                if epoch in rungs:
                    rungs[epoch][first] = as_score(value, config.study.direction)
    return rungs


def trial_to_thaw(trials: Sequence[FrozenTrial], config: Config, idle: bool) -> FrozenTrial | None:
    """Return the paused trial that a worker may go on with; ``None`` if there is none.

    Args:
        trials: All trials of the study, by number.
        config: Its experiment.
        idle: Whether nothing else is left to do. Then the front runner goes on until a trial is complete: a study
            without a complete trial has no result.
    """
    paused = {attempt_of(trial, trials).trial: trial for trial in trials if is_paused(trial)}
    if not paused:
        return None
    waiting = {first: int(trial.user_attrs[attributes.PAUSED]) for first, trial in paused.items()}
    rungs = scores_at_rungs(trials, config)
    chosen = next_to_thaw(rungs, waiting, config.study.asha.reduction)
    if chosen is None and idle and not any(trial.state == TrialState.COMPLETE for trial in trials):
        chosen = front_runner(rungs, waiting)
    return None if chosen is None else paused[chosen]


def goes_on(trials: Sequence[FrozenTrial], config: Config, number: int, epoch: int) -> bool:
    """Return whether a trial that has reported its value at a rung goes on at once.

    Args:
        trials: All trials of the study, by number.
        config: Its experiment.
        number: Of the trial.
        epoch: Of the rung.
    """
    rung = scores_at_rungs(trials, config)[epoch]
    return attempt_of(trials[number], trials).trial in leaders(rung, config.study.asha.reduction)
