"""Which trial a worker does next, and whose trials were left behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from mobilenet_chest.config import Config, StudyConfig
from mobilenet_chest.sweep.lease import heartbeat_of, revocable
from mobilenet_chest.sweep.space import Values, suggest
from mobilenet_chest.sweep.storage import exclusive

MAX_RETRIES = "max_retries"
"""Attribute of a study: ``study.max_retries`` of the command that went on with it last."""

CONFIRMS = "confirms"
"""Attribute of a confirmation: which study's; and of its trials: ``study`` and ``trial`` trained again, on ``seed``."""

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


def value_of(trial: FrozenTrial) -> float | None:
    """The study's metric, once a trial has one; further objectives come behind it."""
    return trial.values[0] if trial.values else None


def ranked_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The complete trials, the best value of the study's metric first; the earlier one where two are equal."""
    sign = -1 if study.directions[0] == optuna.study.StudyDirection.MAXIMIZE else 1
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(complete, key=lambda trial: (sign * trial.values[0], trial.number))


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """The first of :func:`ranked_trials`."""
    return next(iter(ranked_trials(study)), None)


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts towards the study's total: done, or failed by itself, not interrupted from outside."""
    return trial.state in FINISHED or (trial.state == TrialState.FAIL and not trial.user_attrs.get("interrupted"))


def _taken(trial: FrozenTrial) -> bool:
    return counts(trial) or trial.state == TrialState.RUNNING


def claimable(trials: Sequence[FrozenTrial], config: Config) -> bool:
    """Whether a study with these trials has one left that nobody has done or does."""
    if config.study.sampler == "grid" and not any(t.state == TrialState.WAITING for t in trials):
        return False
    return sum(map(_taken, trials)) < config.study.trials


def claim(study: optuna.Study, config: Config, url: str) -> tuple[Trial, Values] | None:
    """The next trial and its values, or ``None`` when all trials of the study are done or in other hands.

    One process at a time: counting, asking and sampling are one step, so that no two workers run the last trial, a
    queued trial, or the same point of a sequence.
    """
    with exclusive(url):
        trials = study.get_trials(deepcopy=False)
        done_before = [t.params for t in trials if _taken(t)]
        for last_try in (False,) * 20 + (True,):
            if not claimable(study.get_trials(deepcopy=False), config):
                return None
            trial = study.ask()
            trial.set_user_attr("worker", heartbeat_of(config.study.lease_seconds))
            # the same values queued twice, by a database that did it and then lost the connection
            origin = trial.user_attrs.get("retry_of")
            if origin is not None and any(t.user_attrs.get("retry_of") == origin for t in trials[: trial.number]):
                fail_trial(study, trial.number, "queued twice")
                continue
            values = suggest(trial, config.search)
            if trial.params not in done_before or last_try or "retry_of" in trial.user_attrs:
                return trial, values
            # The same values and seed would give the same numbers: not worth a training. Small spaces only.
            fail_trial(study, trial.number, "these values had been tried already")
    raise AssertionError("unreachable: the last try returns")


def fail_trial(study: optuna.Study, number: int, reason: str) -> None:
    """End a running trial so that it does not count, with the reason kept."""
    set_attributes(study, number, {"interrupted": True, "reason": reason})
    study.tell(number, state=TrialState.FAIL)


def requeue(study: optuna.Study, trial: FrozenTrial, deaths: int) -> None:
    """Queue the values of an interrupted trial again, once, to go on in its run."""
    if not any(t.user_attrs.get("retry_of") == trial.number for t in study.get_trials(deepcopy=False)):
        kept = {name: trial.user_attrs[name] for name in ("run_id", CONFIRMS) if name in trial.user_attrs}
        study.enqueue_trial(queued_values(trial), user_attrs={"retry_of": trial.number, "deaths": deaths} | kept)


def queued_values(trial: FrozenTrial) -> Values:
    """The values a trial has, and those it was queued with but had not asked for yet when its worker died."""
    return dict(trial.system_attrs.get("fixed_params", {})) | trial.params


def reap(study: optuna.Study, url: str, alive: Callable[[Mapping[str, Any] | None], bool]) -> list[int]:
    """End the trials whose worker is gone and queue their values again.

    Args:
        study: The study.
        url: Its storage.
        alive: Whether the worker that a trial names (``None``: none) is still at work.

    Returns:
        Numbers of the trials ended.
    """
    ended = []
    with exclusive(url):
        most = _max_retries(study)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if alive(trial.user_attrs.get("worker")):
                continue
            with revocable(url, trial._trial_id) as free:
                if free and study._storage.get_trial(trial._trial_id).state == TrialState.RUNNING:
                    _try_again(study, trial, most, "its worker died")
                    ended.append(trial.number)
    return ended


def release(study: optuna.Study, url: str, trial: Trial, why: str) -> None:
    """End a trial that this worker has and cannot go on with, for a reason outside of it, and queue its values again.

    Counts as a death: up to ``study.max_retries``.
    """
    with exclusive(url):
        _try_again(study, study._storage.get_trial(trial._trial_id), _max_retries(study), why)


def _max_retries(study: optuna.Study) -> int:
    return int(study.user_attrs.get(MAX_RETRIES, StudyConfig().max_retries))


def _try_again(study: optuna.Study, trial: FrozenTrial, most: int, why: str) -> None:
    deaths = int(trial.user_attrs.get("deaths", 0)) + 1
    if deaths > most:
        set_attributes(study, trial.number, {"reason": f"{why} {deaths} times"})
        study.tell(trial.number, state=TrialState.FAIL)
    else:
        # in this order: killed in between, the next to look finds the values queued and the trial still to be ended
        if queued_values(trial):
            requeue(study, trial, deaths)
        fail_trial(study, trial.number, why)


def set_attributes(study: optuna.Study, number: int, attributes: Mapping[str, Any]) -> None:
    """Set user attributes of a trial that is not finished yet."""
    trial_id = study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
    for key, value in attributes.items():
        study._storage.set_trial_user_attr(trial_id, key, value)
