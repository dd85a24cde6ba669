"""Confirmation: the leaders of a study are trained again on fresh seeds, and the one with the best mean is chosen.

The trainings are queued trials of a study of their own, ``STUDY/confirm``. So they get what trials get: one owner each,
resuming after a kill, any number of workers and machines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.config import Config, Distribution
from mobilenet_chest.config.metrics import Direction, as_score
from mobilenet_chest.config.schedulers import AshaConfig, FreezeThawConfig
from mobilenet_chest.config.section import CONFIRM_ENDING
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.optimism import crossfit_mean, optimism
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.attempts import attempt_of
from mobilenet_chest.sweep.claims import counts, ranked_trials
from mobilenet_chest.sweep.locks import exclusive
from mobilenet_chest.sweep.repair import reconcile
from mobilenet_chest.sweep.stored_study import find_study, open_or_create
from mobilenet_chest.tracking.study_run import prune_checkpoints

RunTrials = Callable[[Config, optuna.Study, int], None]
"""Has workers run the queued trials of a study, which is to have so many."""


@dataclass(frozen=True)
class Leader:
    """A trial that was trained again.

    Attributes:
        number: Of the trial.
        claimed: The value that made it a leader.
        mean: Of its values on fresh seeds.
        values: One for each seed.
        run_ids: In MLflow, in the same order.
        median_run: The training with the middle value, of two middles the worse one: no lucky and no unlucky seed.
    """

    number: int
    claimed: float
    mean: float
    values: tuple[float, ...]
    run_ids: tuple[str, ...]
    median_run: str


@dataclass(frozen=True)
class Confirmation:
    """The results of the fresh seeds.

    Attributes:
        trial: The trial with the best mean.
        run_id: Its median training, which from here on is the study's model.
        value: Its mean.
        crossfit: What that choice is worth: each seed scores the trial that the other seeds choose.
        claimant: The best trial of the search itself.
        optimism: What the claimant claimed minus the mean of its fresh seeds.
        seeds: The fresh seeds.
        leaders: All that were trained again on each of them, the best mean first.
        left_out: Trials of which a training failed.
    """

    trial: int
    run_id: str
    value: float
    crossfit: float
    claimant: int
    optimism: Interval
    seeds: tuple[int, ...]
    leaders: tuple[Leader, ...]
    left_out: tuple[int, ...]


def confirm(config: Config, study: optuna.Study, url: str, parent_run: str, run_trials: RunTrials) -> list[str]:
    """Train the leaders of a complete study on fresh seeds, as far as that was not done before.

    Checkpoints are kept of the median trainings of the ``tracking.keep_checkpoints`` best leaders.

    Args:
        config: The experiment, with ``study.confirm``.
        study: Its study.
        url: Its storage.
        parent_run: Its run in MLflow.
        run_trials: Has workers run what is queued.

    Returns:
        What happened, a line each.
    """
    confirm_config, confirming = _queue_trainings(config, study, url, parent_run)
    lines = reconcile(confirming, url, parent_run)
    if any(not trial.state.is_finished() for trial in confirming.get_trials(deepcopy=False)):
        run_trials(confirm_config, confirming, confirm_config.study.trials)
    confirmation = find_confirmation(config, study, url)
    if confirmation is None:
        missing = missing_trainings(config, study, 0, url)
        reason = f"{missing} trainings are missing" if missing else "a training of each leader failed or was deleted"
        return [*lines, f"not confirmed: {reason}"]
    kept = {leader.median_run for leader in confirmation.leaders[: config.tracking.keep_checkpoints]}
    keep: dict[str, bool] = {}
    for trial in confirming.get_trials(deepcopy=False):
        run_id = trial.user_attrs.get(attributes.RUN_ID)
        if counts(trial) and run_id is not None:
            keep |= dict.fromkeys([run_id, *trial.user_attrs.get(attributes.FOLD_RUNS, [])], run_id in kept)
    prune_checkpoints(keep)
    return lines


def missing_trainings(config: Config, study: optuna.Study | None, total: int, url: str) -> int:
    """Return how many trainings :func:`confirm` would begin once the study has its ``total`` trials; creates nothing.

    Args:
        config: The experiment.
        study: Its study, if there is one.
        total: How many trials it is to have; 0 for as many as it has.
        url: Its storage.
    """
    if config.study.confirm is None:
        return 0
    if study is None or sum(map(counts, study.get_trials(deepcopy=False))) < total:
        return min(config.study.confirm.top, total) * config.study.confirm.seeds
    return sum(training is None for trainings in _trainings(config, study, url).values() for training in trainings)


def find_confirmation(config: Config, study: optuna.Study, url: str) -> Confirmation | None:
    """Return the results of the fresh seeds; ``None`` while a training is missing, or where no leader has all.

    A training that failed, or whose run was deleted, leaves its leader out.
    """
    trainings, gone = _trainings(config, study, url), gone_trainings(config, url)
    ended = {
        number: [training for training in row if training is not None] for number, row in trainings.items()
    }  # fmt: skip
    if any(len(ended[number]) < len(trainings[number]) for number in trainings):
        return None
    direction = config.study.direction
    by_number = {trial.number: trial for trial in ranked_trials(study)}
    leaders = [
        _leader(by_number[number], row, direction)
        for number, row in ended.items()
        if all(training.state == TrialState.COMPLETE and training.number not in gone for training in row)
    ]
    if not leaders:
        return None
    claimant, best_first = leaders[0], sorted(leaders, key=lambda leader: -as_score(leader.mean, direction))
    return Confirmation(
        trial=best_first[0].number,
        run_id=best_first[0].median_run,
        value=best_first[0].mean,
        crossfit=crossfit_mean(np.array([leader.values for leader in leaders]), direction),
        claimant=claimant.number,
        optimism=optimism(claimant.claimed, claimant.values, direction),
        seeds=tuple(fresh_seeds(config)),
        leaders=tuple(best_first),
        left_out=tuple(sorted(ended.keys() - {leader.number for leader in leaders})),
    )


def gone_trainings(config: Config, url: str) -> list[int]:
    """Return the numbers of the confirmation's trainings whose runs were deleted, when it was last reconciled."""
    confirming = find_study(url, _confirm_config(config).study_name)
    return [] if confirming is None else list(confirming.user_attrs.get(attributes.GONE, []))


def reconcile_confirmation(config: Config, url: str, parent_run: str) -> list[str]:
    """Bring the confirmation's runs into agreement with its study; return what was done, a line each."""
    confirming = find_study(url, _confirm_config(config).study_name)
    return [] if confirming is None else reconcile(confirming, url, parent_run)


def fresh_seeds(config: Config) -> list[int]:
    """Return the seeds of the confirmation, derived from the study's.

    All leaders have the same: where they agree in stage 1, they share it on each seed.
    """
    assert config.study.confirm is not None
    texts = (f"{config.seed} confirm {index}" for index in range(config.study.confirm.seeds))
    return [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") for text in texts]


def _queue_trainings(config: Config, study: optuna.Study, url: str, parent_run: str) -> tuple[Config, optuna.Study]:
    """Return experiment and study of the confirmation, with all missing trainings queued."""
    confirm_config = _confirm_config(config)
    confirming = open_or_create(confirm_config, url)
    with exclusive(url):  # machines that share the study queue each training once
        confirming.set_user_attr(attributes.CONFIRMS, config.study_name)
        confirming.set_user_attr(attributes.RUN_ID, parent_run)
        queued = [trial.user_attrs[attributes.CONFIRMS] for trial in confirming.get_trials(deepcopy=False)]
        searched = study.get_trials(deepcopy=False)
        for trial in _leading_trials(config, study):
            for seed in fresh_seeds(config):
                confirms = {"study": config.study_name, "trial": trial.number, "seed": seed}
                if confirms not in queued:
                    values = trial.params | _seed_fields(config, seed)
                    first = attempt_of(trial, searched).trial
                    named = {attributes.CONFIRMS: confirms, attributes.FIRST_ATTEMPT: first}
                    confirming.enqueue_trial(values, user_attrs=named)
        trials = confirming.get_trials(deepcopy=False)
        total = sum(counts(trial) or not trial.state.is_finished() for trial in trials)
    settings = confirm_config.study.model_copy(update={"trials": total})
    return confirm_config.model_copy(update={"study": settings}), confirming


def _confirm_config(config: Config) -> Config:
    """Return the experiment of the confirmation: its trials are queued, as a grid's are; none is pruned or paused."""
    settings: dict[str, Any] = {
        "name": f"{config.study_name}{CONFIRM_ENDING}",
        "sampler": "grid",
        "pruner": "none",
        "scheduler": "none",
        "asha": AshaConfig(),
        "freeze_thaw": FreezeThawConfig(),
        "stop_when": None,
        "confirm": None,
    }
    if config.study.resampling == "reshuffle":
        settings["resampling"] = "holdout"  # the fresh seed splits the rows, not the number of the training
    seeds = dict.fromkeys(_seed_fields(config, 0), Distribution(low=0, high=2**32 - 1))
    search = {path: distribution for path, distribution in config.search.items() if path not in seeds} | seeds
    return config.model_copy(update={"study": config.study.model_copy(update=settings), "search": search})


def _seed_fields(config: Config, seed: int) -> dict[str, int]:
    """Return the fields that a fresh seed sets: where trials differ in their rows, it splits the rows too."""
    fixed = config.study.resampling == "holdout" or config.study.leave_out is not None
    return {"seed": seed} | ({} if fixed else {"data.split_seed": seed})


def _leading_trials(config: Config, study: optuna.Study) -> list[FrozenTrial]:
    """Return the best trials; of several with the same values only the best: fresh seeds would not tell them apart."""
    assert config.study.confirm is not None
    leading: list[FrozenTrial] = []
    for trial in ranked_trials(study):
        if len(leading) < config.study.confirm.top and trial.params not in [leader.params for leader in leading]:
            leading.append(trial)
    return leading


def _trainings(config: Config, study: optuna.Study, url: str) -> dict[int, list[FrozenTrial | None]]:
    """Return each leader's trainings, one a fresh seed, ``None`` until it has ended; the search's best leader first."""
    confirming = find_study(url, _confirm_config(config).study_name)
    trials = [] if confirming is None else confirming.get_trials(deepcopy=False)
    ended = {}
    for trial in filter(counts, trials):
        confirms = trial.user_attrs[attributes.CONFIRMS]
        ended[confirms["trial"], confirms["seed"]] = trial
    seeds = fresh_seeds(config)
    return {leader.number: [ended.get((leader.number, seed)) for seed in seeds]
            for leader in _leading_trials(config, study)}  # fmt: skip


def _leader(trial: FrozenTrial, trainings: Sequence[FrozenTrial], direction: Direction) -> Leader:
    values = tuple(training.values[0] for training in trainings)
    run_ids = tuple(training.user_attrs[attributes.RUN_ID] for training in trainings)
    best_first = sorted(range(len(values)), key=lambda index: -as_score(values[index], direction))
    median_run = run_ids[best_first[len(values) // 2]]
    return Leader(trial.number, trial.values[0], float(np.mean(values)), values, run_ids, median_run)
