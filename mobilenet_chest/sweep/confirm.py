"""Confirmation: the leaders of a study are trained again on fresh seeds, and the one with the best mean is chosen.

The trainings are queued trials of a study of their own, ``STUDY/confirm``, so that what goes for trials goes for them:
one owner each, going on after a kill, any number of workers and machines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.config import Config, Distribution
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.optimism import crossfit_mean, optimism
from mobilenet_chest.sweep.attributes import CONFIRMS
from mobilenet_chest.sweep.claims import counts, ranked_trials
from mobilenet_chest.sweep.locks import exclusive
from mobilenet_chest.sweep.objective import FOLD_RUNS
from mobilenet_chest.sweep.repair import reconcile
from mobilenet_chest.sweep.storage import open_storage
from mobilenet_chest.sweep.stored_study import exists, open_or_create
from mobilenet_chest.tracking.study_run import prune_checkpoints

Work = Callable[[Config, optuna.Study, int], None]
"""Has workers do what waits in a study, which is to have so many trials."""


@dataclass(frozen=True)
class Leader:
    """A trial that was trained again.

    Attributes:
        number: Of the trial.
        claimed: The value that made it a leader.
        mean: Of its values on fresh seeds.
        values: One for each seed.
        run_ids: In MLflow, in the same order.
        median_run: The training whose value is the middle one, of two the worse: neither a lucky nor an unlucky seed.
    """

    number: int
    claimed: float
    mean: float
    values: tuple[float, ...]
    run_ids: tuple[str, ...]
    median_run: str


@dataclass(frozen=True)
class Confirmation:
    """What the fresh seeds have shown.

    Attributes:
        trial: The trial with the best mean.
        run_id: Its median training: what the study stands for from here on.
        value: Its mean.
        crossfit: What that choice is worth, each seed scoring the trial that the others choose.
        claimant: The trial that the search itself puts first.
        optimism: What the claimant claimed less what its fresh seeds showed.
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


def confirm(config: Config, study: optuna.Study, url: str, parent_run: str, work: Work) -> list[str]:
    """Train the leaders of a study that has all its trials on fresh seeds, as far as that is not done.

    Checkpoints are kept of the median trainings of the ``tracking.keep_checkpoints`` best leaders.

    Args:
        config: The experiment, with ``study.confirm``.
        study: Its study.
        url: Its storage.
        parent_run: Its run in MLflow.
        work: Has workers do what waits.

    Returns:
        What is to be said of it, a line each.
    """
    own, confirming = _queued(config, study, url, parent_run)
    said = reconcile(confirming, url, parent_run)
    if any(not trial.state.is_finished() for trial in confirming.get_trials(deepcopy=False)):
        work(own, confirming, own.study.trials)
    found = outcome(config, study, url)
    if found is None:
        missing = trainings(config, study, 0, url)
        why = f"{missing} trainings are still to come" if missing else "of each leader a training has failed"
        return [*said, f"not confirmed: {why}"]
    kept = {leader.median_run for leader in found.leaders[: config.tracking.keep_checkpoints]}
    attributes = [trial.user_attrs for trial in confirming.get_trials(deepcopy=False) if counts(trial)]
    runs = {one["run_id"]: [one["run_id"], *one.get(FOLD_RUNS, [])] for one in attributes if "run_id" in one}
    prune_checkpoints({run: own in kept for own, of_trial in runs.items() for run in of_trial})
    return said


def trainings(config: Config, study: optuna.Study | None, total: int, url: str) -> int:
    """How many :func:`confirm` would begin once the study has all of its ``total`` trials; creates nothing."""
    if config.study.confirm is None:
        return 0
    wanted = min(config.study.confirm.top, total) * config.study.confirm.seeds
    if study is None or sum(map(counts, study.get_trials(deepcopy=False))) < total:
        return wanted
    found = _trained(config, study, url)
    return sum(trial is None for trials in found.values() for trial in trials)


def outcome(config: Config, study: optuna.Study, url: str) -> Confirmation | None:
    """What :func:`confirm` gives, from what is there."""
    found = _trained(config, study, url)
    if any(trial is None for trials in found.values() for trial in trials):
        return None
    sign = 1 if config.study.direction == "maximize" else -1
    by_number = {trial.number: trial for trial in ranked_trials(study)}
    leaders = [
        _leader(by_number[number], [trial for trial in trials if trial is not None], sign)
        for number, trials in found.items()
        if all(trial is not None and trial.state == TrialState.COMPLETE for trial in trials)
    ]
    if not leaders:
        return None
    claimant, best_first = leaders[0], sorted(leaders, key=lambda leader: -sign * leader.mean)
    return Confirmation(
        trial=best_first[0].number,
        run_id=best_first[0].median_run,
        value=best_first[0].mean,
        crossfit=crossfit_mean(np.array([leader.values for leader in leaders]), config.study.direction),
        claimant=claimant.number,
        optimism=optimism(claimant.claimed, claimant.values, config.study.direction),
        seeds=tuple(fresh_seeds(config)),
        leaders=tuple(best_first),
        left_out=tuple(sorted(found.keys() - {leader.number for leader in leaders})),
    )


def fresh_seeds(config: Config) -> list[int]:
    """Seeds of the confirmation, derived from the study's; the same for all leaders, which share stage 1 in each."""
    assert config.study.confirm is not None
    texts = (f"{config.seed} confirm {index}" for index in range(config.study.confirm.seeds))
    return [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") for text in texts]


def _queued(config: Config, study: optuna.Study, url: str, parent_run: str) -> tuple[Config, optuna.Study]:
    """The study of the confirmation, with all that is not there yet queued; machines that share it do so in turn."""
    own = _own(config)
    confirming = open_or_create(own, url)
    with exclusive(url):
        confirming.set_user_attr(CONFIRMS, config.study_name)
        confirming.set_user_attr("run_id", parent_run)
        there = [t.user_attrs[CONFIRMS] for t in confirming.get_trials(deepcopy=False)]
        for trial in _leaders(config, study):
            for seed in fresh_seeds(config):
                confirms = {"study": config.study_name, "trial": trial.number, "seed": seed}
                if confirms not in there:
                    confirming.enqueue_trial(trial.params | _seeded(config, seed), user_attrs={CONFIRMS: confirms})
        total = sum(counts(trial) or not trial.state.is_finished() for trial in confirming.get_trials(deepcopy=False))
    return own.model_copy(update={"study": own.study.model_copy(update={"trials": total})}), confirming


def _own(config: Config) -> Config:
    """The experiment of the confirmation: all its trials are queued, as those of a grid are, and none is pruned."""
    settings = {"name": f"{config.study_name}/confirm", "sampler": "grid", "pruner": "none", "confirm": None}
    if config.study.resampling == "reshuffle":
        settings["resampling"] = "holdout"  # by the fresh seed, not anew for each of them
    again = dict.fromkeys(_seeded(config, 0), Distribution(low=0, high=2**32 - 1))
    search = {path: distribution for path, distribution in config.search.items() if path not in again} | again
    return config.model_copy(update={"study": config.study.model_copy(update=settings), "search": search})


def _seeded(config: Config, seed: int) -> dict[str, int]:
    """Fields that a fresh seed sets: where trials vary the rows, it does too."""
    return {"seed": seed} | ({} if config.study.resampling == "holdout" else {"data.split_seed": seed})


def _leaders(config: Config, study: optuna.Study) -> list[FrozenTrial]:
    """The best trials; of two with the same values, which fresh seeds would not tell apart, the better one."""
    assert config.study.confirm is not None
    found: list[FrozenTrial] = []
    for trial in ranked_trials(study):
        if len(found) < config.study.confirm.top and trial.params not in [other.params for other in found]:
            found.append(trial)
    return found


def _trained(config: Config, study: optuna.Study, url: str) -> dict[int, list[FrozenTrial | None]]:
    """For each leader, the search's first first, its training on each fresh seed, once that has ended."""
    name, ended = _own(config).study_name, list[FrozenTrial]()
    if exists(url, name):
        confirming = optuna.load_study(study_name=name, storage=open_storage(url))
        ended = [trial for trial in confirming.get_trials(deepcopy=False) if counts(trial)]
    there = {(t.user_attrs[CONFIRMS]["trial"], t.user_attrs[CONFIRMS]["seed"]): t for t in ended}
    return {t.number: [there.get((t.number, seed)) for seed in fresh_seeds(config)] for t in _leaders(config, study)}


def _leader(trial: FrozenTrial, trainings: Sequence[FrozenTrial], sign: int) -> Leader:
    values, runs = (tuple(t.values[0] for t in trainings), tuple(t.user_attrs["run_id"] for t in trainings))
    best_first = sorted(range(len(values)), key=lambda index: -sign * values[index])
    return Leader(
        trial.number, trial.values[0], float(np.mean(values)), values, runs, runs[best_first[len(values) // 2]]
    )
