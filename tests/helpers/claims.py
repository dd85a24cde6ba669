"""Studies whose trials are claimed by hand, without training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.config import Config
from mobilenet_chest.errors import TrainingPaused
from mobilenet_chest.sweep.claims import claim, counts, pause
from mobilenet_chest.sweep.rung_gate import RungGate
from mobilenet_chest.sweep.sampler import TrialSeededSampler
from mobilenet_chest.sweep.space import Values
from mobilenet_chest.sweep.storage import open_storage

RANGE = {"stage2.lr": {"low": 1e-5, "high": 1e-3, "log": True}}
STEMS = {"model.stem": {"choices": ["mean", "sum", "repeat"]}}

Make = Callable[..., Config]
Open = Callable[[Config], optuna.Study]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


@pytest.fixture
def opened(url: str) -> Iterator[Open]:
    """Opens the study, making it when there is none; its connections are closed after the test."""
    storages = []

    def open_it(config: Config) -> optuna.Study:
        storage = open_storage(url)
        storages.append(storage)
        return optuna.create_study(
            study_name=config.study_name,
            storage=storage,
            sampler=TrialSeededSampler(config),
            direction=config.study.direction,
            load_if_exists=True,
        )

    yield open_it
    for storage in storages:
        storage.remove_session()
        storage.engine.dispose()


def numbers(study: optuna.Study, *states: TrialState) -> list[int]:
    return [trial.number for trial in study.get_trials(deepcopy=False, states=states)]


def counted(study: optuna.Study) -> list[FrozenTrial]:
    return [trial for trial in study.get_trials() if counts(trial)]


def taken_by(study: optuna.Study, config: Config, url: str, value: float = 0.5) -> list[dict[str, Any]]:
    """Claim and finish until there is nothing to claim; the values that were run."""
    run = []
    while (claimed := claim(study, config, url)) is not None:
        trial, values = claimed
        study.tell(trial, value)
        run.append(values)
    return run


def halved_by(
    study: optuna.Study, config: Config, url: str, score: Callable[[Values], float], most: int = 10_000
) -> list[tuple[int, int]]:
    """Claim trials and run them to their next pause or their end, without training, until there is nothing to claim.

    Args:
        study: The study.
        config: Its experiment, with ``study.scheduler: asha``.
        url: Its storage.
        score: Value of the metric at all epochs, of a trial's values.
        most: Trials that are claimed at most.

    Returns:
        Number of each claimed trial, and the epoch that it was run to.
    """
    run, total = list[tuple[int, int]](), config.stage1.epochs + config.stage2.epochs
    while len(run) < most and (claimed := claim(study, config, url)) is not None:
        trial, values = claimed
        record = {config.study.metric: score(values)}
        gate, epoch = RungGate(config, config, study, trial), int(trial.user_attrs.get("passed_rung", 0))
        try:
            gate.start([record] * epoch)
            while epoch < total:
                epoch += 1
                gate.add(record)
        except TrainingPaused:
            pause(study, trial)
        else:
            study.tell(trial.number, record[config.study.metric])
        run.append((trial.number, epoch))
    return run
