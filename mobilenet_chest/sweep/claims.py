"""Which trial a worker runs next, and what becomes of the trials of dead workers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from mobilenet_chest.config import Config, StudyConfig
from mobilenet_chest.config.formats import times
from mobilenet_chest.config.metrics import Direction, as_score
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.attempts import trial_name
from mobilenet_chest.sweep.feasibility import feasible
from mobilenet_chest.sweep.lease import revocable, worker_record
from mobilenet_chest.sweep.locks import exclusive
from mobilenet_chest.sweep.optuna_adapter import existing_trial, one_look, queued_values, set_attributes, stored_trial
from mobilenet_chest.sweep.repeats import find_repeat, note_repeat, take_result, took_result
from mobilenet_chest.sweep.scheduler import may_begin, trial_to_thaw
from mobilenet_chest.sweep.space import Values, outside, suggest
from mobilenet_chest.sweep.trial_state import is_paused, running_trials

logger = logging.getLogger(__name__)

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)

DUPLICATE_TRIES = 20
"""How often a claim is repeated because its values were tried before; a small space may have no others left."""


def value_of(trial: FrozenTrial) -> float | None:
    """Return a trial's value of the study's metric, if it has one; further objectives come behind it.

    That of a paused trial is its last report.
    """
    if is_paused(trial) and trial.intermediate_values:
        return float(trial.intermediate_values[max(trial.intermediate_values)])
    return trial.values[0] if trial.values else None


def direction_of(study: optuna.Study) -> Direction:
    """Return the direction in which the study's metric gets better."""
    return "maximize" if study.directions[0] == StudyDirection.MAXIMIZE else "minimize"


def ranked_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the complete trials, the best value of the study's metric first; of equal ones the earlier first.

    Left out are trials that violate a constraint, that have another's result, or whose run was deleted in MLflow:
    nothing could be done with the best of those.
    """
    complete, direction = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)), direction_of(study)
    complete = [trial for trial in complete if feasible(trial) and not took_result(trial)]
    if gone := study.user_attrs.get(attributes.GONE):
        complete = [trial for trial in complete if trial.number not in gone]
    return sorted(complete, key=lambda trial: (-as_score(trial.values[0], direction), trial.number))


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """Return the first of :func:`ranked_trials`, if there is any."""
    return next(iter(ranked_trials(study)), None)


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts towards the study's total: it is done, paused, or has failed without an interrupt."""
    failed = trial.state == TrialState.FAIL and not trial.user_attrs.get(attributes.INTERRUPTED)
    return trial.state in FINISHED or failed or is_paused(trial)


def counted_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that count, by number."""
    return [trial for trial in study.get_trials(deepcopy=False) if counts(trial)]


def has_claimable(study: optuna.Study, trials: Sequence[FrozenTrial], config: Config) -> bool:
    """Whether a study with these trials has one left for a worker: a new one, or a paused one that may go on."""
    return has_unbegun(study, trials, config) or find_thawed(study, trials, config) is not None


def has_unbegun(study: optuna.Study, trials: Sequence[FrozenTrial], config: Config) -> bool:
    """Whether a study with these trials has one left that nobody has run or runs, and that is worth running.

    What was queued again after a death, or by hand, is run in any case.
    """
    if config.study.sampler == "grid" and not any(t.state == TrialState.WAITING for t in trials):
        return False
    if sum(map(_counts_or_runs, trials)) >= config.study.trials:
        return False
    return any(map(_is_asked_for, trials)) or may_begin(study, trials, config)


def _is_asked_for(trial: FrozenTrial) -> bool:
    asked = attributes.RETRY_OF in trial.user_attrs or attributes.ADDED in trial.user_attrs
    return asked and trial.state == TrialState.WAITING


def find_thawed(study: optuna.Study, trials: Sequence[FrozenTrial], config: Config) -> FrozenTrial | None:
    """Return the paused trial that may go on now, if there is one."""
    if config.study.scheduler == "none":
        return None
    busy = any(trial.state in (TrialState.RUNNING, TrialState.WAITING) and not is_paused(trial) for trial in trials)
    new = has_unbegun(study, trials, config)
    return trial_to_thaw(study, trials, config, idle=not busy and not new, new=new)


def claim(study: optuna.Study, config: Config, url: str) -> tuple[Trial, Values] | None:
    """Return the next trial and its values, or ``None`` when no trial of the study may begin or go on.

    A paused trial that may go on goes before a new one.

    Only one process at a time claims: counting, asking and sampling are one step. Otherwise two workers could both run
    the last trial, a queued trial, or the same point of a sequence.
    """
    with exclusive(url), one_look(study):
        trials = study.get_trials(deepcopy=False)
        if (paused := find_thawed(study, trials, config)) is not None:
            return _thaw(study, config, paused)
        tries = 0
        while has_unbegun(study, trials, config):
            trial = study.ask()
            trial.set_user_attr(attributes.WORKER, worker_record(config.study.lease_seconds))
            # a database that committed the queueing and then lost the connection was asked a second time
            origin = trial.user_attrs.get(attributes.RETRY_OF)
            if origin is not None and any(
                t.user_attrs.get(attributes.RETRY_OF) == origin for t in trials[: trial.number]
            ):
                fail_trial(study, trial, "queued twice")
            elif attributes.STOP in trial.user_attrs:
                fail_trial(study, trial, "taken out of the queue by hand")
            elif foreign := outside(config.search, queued_values(stored_trial(study, trial))):
                logger.warning("%s is not run: it was queued with %s", trial_name(study, trial), foreign)
                fail_trial(study, trial, f"it was queued with {foreign}")
            else:
                values = suggest(trial, config.search)
                tries += 1
                if _begins(config, study, trial, trials, proposed=tries <= DUPLICATE_TRIES):
                    return trial, values
            trials = study.get_trials(deepcopy=False)
        return None


def _begins(
    config: Config, study: optuna.Study, trial: Trial, others: Sequence[FrozenTrial], proposed: bool
) -> bool:  # fmt: skip
    """Whether a claimed trial is to be trained; one whose values were tried before may end here.

    Args:
        config: The experiment.
        study: Its study.
        trial: The trial.
        others: The study's trials before it was claimed.
        proposed: Whether the sampler may be asked for others, where it has proposed the values.
    """
    values = trial.params
    same = [t for t in others if t.number != trial.number and _counts_or_runs(t) and t.params == values]
    if not same or attributes.RETRY_OF in trial.user_attrs:
        return True
    if proposed and attributes.ADDED not in trial.user_attrs:
        fail_trial(study, trial, "these values had been tried already")
        return False
    repeat = find_repeat(config, trial, same)
    if repeat is None:
        return True
    note_repeat(trial, repeat)
    if repeat.kind != "result":
        return True
    take_result(study, trial, others[repeat.trial])
    return False


def _thaw(study: optuna.Study, config: Config, paused: FrozenTrial) -> tuple[Trial, Values]:
    """Make a paused trial this process's; a worker that is killed in between leaves it paused, or to be reaped."""
    rung = paused.user_attrs[attributes.PAUSED]
    taken = {attributes.PASSED_RUNG: rung, attributes.WORKER: worker_record(config.study.lease_seconds)}
    study.set_user_attr(attributes.REPORTED_TRIALS, None)  # the leaderboard changes
    set_attributes(study, paused, taken | {attributes.PAUSED: None})
    trial = existing_trial(study, paused)
    logger.info("%s goes on after epoch %d", trial_name(study, trial), rung)
    return trial, suggest(trial, config.search)


def pause(study: optuna.Study, trial: Trial) -> None:
    """Let a running trial wait at the rung that it has reported last, for any worker to go on with."""
    rung = max(stored_trial(study, trial).intermediate_values)
    set_attributes(study, trial, {attributes.WORKER: None, attributes.PAUSED: rung})


def fail_trial(study: optuna.Study, trial: Trial | FrozenTrial, reason: str) -> None:
    """End a running trial as interrupted, so that it does not count, and store the reason."""
    set_attributes(study, trial, {attributes.INTERRUPTED: True, attributes.REASON: reason})
    study.tell(trial.number, state=TrialState.FAIL)


def requeue(study: optuna.Study, trial: FrozenTrial, deaths: int) -> None:
    """Queue the values of an interrupted trial again, once, to be resumed in the same MLflow run."""
    trials = study.get_trials(deepcopy=False)
    if not any(t.user_attrs.get(attributes.RETRY_OF) == trial.number for t in trials):
        names = (
            attributes.RUN_ID, attributes.CONFIRMS, attributes.FIRST_ATTEMPT, attributes.REPEATS, attributes.ADDED,
            attributes.PASSED_RUNG,
        )  # fmt: skip
        kept = {name: trial.user_attrs[name] for name in names if name in trial.user_attrs}
        retry = {attributes.RETRY_OF: trial.number, attributes.DEATHS: deaths}
        study.enqueue_trial(queued_values(trial), user_attrs=retry | kept)


def reap(study: optuna.Study, url: str, alive: Callable[[FrozenTrial], bool]) -> list[int]:
    """End the trials of dead workers and queue their values again.

    Args:
        study: The study.
        url: Its storage.
        alive: Whether a running trial's worker is alive.

    Returns:
        Numbers of the trials that were ended.
    """
    ended = []
    with exclusive(url):
        max_retries = _max_retries(study)
        for trial in running_trials(study):
            if alive(trial):
                continue
            with revocable(url, trial) as held:
                # read again under the lock: the worker may have told its result since
                now = stored_trial(study, trial)
                if held and now.state == TrialState.RUNNING and not is_paused(now):
                    _retry_or_fail(study, trial, max_retries, "its worker died")
                    ended.append(trial.number)
    return ended


def release(study: optuna.Study, url: str, trial: Trial, reason: str) -> None:
    """End a trial that this worker cannot go on with, for a reason outside of the trial, and queue its values again.

    Counts as a death of a worker: at most ``study.max_retries`` times.
    """
    with exclusive(url):
        _retry_or_fail(study, stored_trial(study, trial), _max_retries(study), reason)


def _counts_or_runs(trial: FrozenTrial) -> bool:
    return counts(trial) or trial.state == TrialState.RUNNING


def _max_retries(study: optuna.Study) -> int:
    return int(study.user_attrs.get(attributes.MAX_RETRIES, StudyConfig().max_retries))


def _retry_or_fail(study: optuna.Study, trial: FrozenTrial, max_retries: int, reason: str) -> None:
    deaths = int(trial.user_attrs.get(attributes.DEATHS, 0)) + 1
    if deaths > max_retries:
        set_attributes(study, trial, {attributes.REASON: f"{reason} {times(deaths)}"})
        study.tell(trial.number, state=TrialState.FAIL)
        return
    # Queued first: if this process is killed between the two, the trial is reaped again and requeue() sees the copy.
    # In the other order the values would be lost.
    if queued_values(trial):
        requeue(study, trial, deaths)
    fail_trial(study, trial, reason)
