"""The rows that a trial is trained and scored on, by ``study.resampling``."""

from __future__ import annotations

import hashlib
from typing import Any

import optuna
from optuna.trial import Trial

from mobilenet_chest.config import Config, with_values
from mobilenet_chest.config.search import DEFAULT_FOLDS
from mobilenet_chest.data.dataset import TrainVal, load_sites, load_train_val
from mobilenet_chest.sweep import attributes


def split_fields(config: Config, study: optuna.Study, trial: Trial) -> dict[str, Any]:
    """Return the fields of the experiment that give a trial a split of its own; empty where all trials share one.

    With ``reshuffle`` (Nagler et al., 2024, "Reshuffling Resampling Splits Can Improve Generalization of Hyperparameter
    Optimization") a trial that was queued again has the split of the interrupted one: on other rows its run could not
    be resumed.
    """
    if config.study.resampling != "reshuffle":
        return {}
    trials, number = study.get_trials(deepcopy=False), trial.number
    while (earlier := trials[number].user_attrs.get(attributes.RETRY_OF)) is not None:
        number = earlier
    return {"data.split_seed": split_seed(config.seed, number)}


def split_seed(seed: int, number: int) -> int:
    """Return ``data.split_seed`` of a trial, below 2**32, from the study's seed and the trial's number.

    By number, not by order of the claims: the trial has the same split whichever worker runs it.
    """
    digest = hashlib.sha256(f"{seed} split {number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def trainings(config: Config) -> int:
    """Return the number of trainings of a trial: one for each fold or site, or one."""
    if config.study.resampling != "kfold":
        return 1
    return config.study.folds or len(site_names(config)) or DEFAULT_FOLDS


def site_names(config: Config) -> tuple[str, ...]:
    """Return the sites that a trial leaves out in turn, in the order of its folds; none without ``study.leave_out``.

    Raises:
        DataError: A site cannot be left out.
    """
    return tuple(load_sites(config.data)) if config.study.leave_out == "site" else ()


def fold_fields(config: Config, fold: int) -> dict[str, Any]:
    """Return the fields of the experiment that give a trial's training its fold, counted from 0."""
    by_site = {"data.fold_by": "site"} if config.study.leave_out == "site" else {}
    return {"data.folds": trainings(config), "data.fold": fold} | by_site


def check_split(config: Config) -> None:
    """Split the rows as the first trial will.

    Raises:
        DataError: There are too few rows.
    """
    first: dict[str, Any] = {}
    if config.study.resampling == "kfold":
        first = fold_fields(config, 0)
    elif config.study.resampling == "reshuffle":
        first = {"data.split_seed": split_seed(config.seed, 0)}
    load_train_val(with_values(config, first).data)


def rows_of_trials(config: Config, data: TrainVal) -> str:
    """Return what trials do with the rows, to end a sentence; empty where all have the split of the file."""
    rows = f"the {len(data.train) + len(data.val)} rows of train and val"
    if config.study.leave_out == "site":
        counts = ", ".join(f"{site} ({count})" for site, count in load_sites(config.data).items())
        return f"; each trains {trainings(config)} times, leaving out one site of {rows}: {counts}"
    return {
        "holdout": "",
        "reshuffle": f"; each splits {rows} differently, {len(data.val)} for validation",
        "kfold": f"; each trains {trainings(config)} times, on folds of {rows}",
    }[config.study.resampling]


def scored_on(config: Config) -> str:
    """Return the rows that a trial's value was measured on, to end a sentence."""
    if config.study.leave_out == "site":
        return f"on average over {trainings(config)} sites, each left out in turn"
    return {
        "holdout": "on the validation split",
        "reshuffle": "on a split of its own",
        "kfold": f"on average over {trainings(config)} folds",
    }[config.study.resampling]
