"""Which rows a trial is trained and scored on: ``study.resampling``."""

from __future__ import annotations

import hashlib
from typing import Any

import optuna
from optuna.trial import Trial

from mobilenet_chest.config import Config, with_values
from mobilenet_chest.data.dataset import TrainVal, load_train_val


def division(config: Config, study: optuna.Study, trial: Trial) -> dict[str, Any]:
    """Fields of the experiment that give a trial rows of its own; none where all trials have the same.

    With ``reshuffle`` (Nagler et al., 2024, "Reshuffling Resampling Splits Can Improve Generalization of Hyperparameter
    Optimization") a trial that was queued again has the rows of the one that was interrupted.
    """
    if config.study.resampling != "reshuffle":
        return {}
    trials, number = study.get_trials(deepcopy=False), trial.number
    while (earlier := trials[number].user_attrs.get("retry_of")) is not None:
        number = earlier
    return {"data.split_seed": split_seed(config.seed, number)}


def split_seed(seed: int, number: int) -> int:
    """``data.split_seed`` of a trial, from the study's seed and the trial's number: below 2**32."""
    digest = hashlib.sha256(f"{seed} split {number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def check_division(config: Config) -> None:
    """Divide the rows as the first trial will.

    Raises:
        DataError: They are too few for that.
    """
    first: dict[str, Any] = {
        "reshuffle": {"data.split_seed": split_seed(config.seed, 0)},
        "kfold": {"data.folds": config.study.trainings},
    }.get(config.study.resampling, {})
    load_train_val(with_values(config, first).data)


def rows_of_trials(config: Config, data: TrainVal) -> str:
    """What trials do with the rows, for the end of a sentence; empty where all have the file's own split."""
    rows = f"the {len(data.train) + len(data.val)} rows of train and val"
    return {
        "holdout": "",
        "reshuffle": f"; each divides {rows} anew, {len(data.val)} for validation",
        "kfold": f"; each trains {config.study.trainings} times, on folds of {rows}",
    }[config.study.resampling]


def scored_on(config: Config) -> str:
    """What a trial's value is of, for the end of a sentence."""
    return {
        "holdout": "on the validation split",
        "reshuffle": "on a split of its own",
        "kfold": f"in the mean of {config.study.trainings} folds",
    }[config.study.resampling]
