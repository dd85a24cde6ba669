"""What a trial's epochs have brought, written into the study and read back."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from helpers.records import nine_epochs, record

from mobilenet_chest.config import Config, parse
from mobilenet_chest.errors import WriteFailed
from mobilenet_chest.sweep import attributes, epochs
from mobilenet_chest.sweep.epochs import EpochReporter, shown_metric, stored_epochs
from mobilenet_chest.training.epochs import reached, summarize_epochs


@pytest.fixture
def config() -> Config:
    return nine_epochs()


HISTORY = [record(1, 0.6), record(1, 0.7, seconds=4.0), record(2, 0.9, seconds=8.0), record(2, 0.8, seconds=10.0)]


def test_a_metric_of_finished_runs_is_followed_by_the_one_that_chooses_epochs() -> None:
    fields: dict[str, Any] = {"name": "x", "study": {"metric": "val_auc_tta", "pruner": "none"}}
    assert shown_metric(parse(fields | {"evaluation": {"metric": "val_loss"}})) == "val_loss"


def test_epochs_are_written_once_a_second_and_read_back(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(epochs.time, "monotonic", lambda: clock[0])
    study = optuna.create_study()
    trial = study.ask()

    def written() -> tuple[int, int]:
        stored = stored_epochs(study.get_trials()[0])
        assert stored is not None
        return stored.done, len(stored.values)

    assert stored_epochs(study.get_trials()[0]) is None
    reporter = EpochReporter(config, trial)
    assert written() == (0, 0)
    for epoch, (seconds, each) in enumerate(zip((0.5, 1.0, 1.5), HISTORY, strict=False), 1):
        clock[0] = seconds
        reporter.add(epoch, each)
    assert written() == (2, 2)
    reporter.finish(HISTORY)
    assert written() == (4, 4)
    assert stored_epochs(study.get_trials()[0]) == summarize_epochs(config, 4, HISTORY, "val_auc")
    assert study.get_trials()[0].user_attrs[attributes.TRAININGS] == [reached(config, HISTORY, "val_auc")]


def test_a_full_disk_does_not_end_a_training_because_of_its_live_view(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def full(_: object, name: str, value: object) -> None:
        tried.append(name)
        raise WriteFailed("no room")

    trial = optuna.create_study().ask()
    monkeypatch.setattr(type(trial), "set_user_attr", full)
    EpochReporter(config, trial).add(1, HISTORY[0])
    assert tried
    assert attributes.EPOCHS not in trial.user_attrs
