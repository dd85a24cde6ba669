"""A study's description while its sweep runs."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from helpers.stores import Store
from optuna.trial import create_trial

from mobilenet_chest.config import Config, load
from mobilenet_chest.sweep.live_note import LiveNote
from mobilenet_chest.tracking.tags import NOTE
from mobilenet_chest.tracking.tracker import MlflowTracker

LR = optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True)


class Written(MlflowTracker):
    """Keeps what would be written."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.experiment_id = "7"

    def log_tags(self, values: dict[str, str]) -> None:  # type: ignore[override]
        self.notes.append(values[NOTE])


@pytest.fixture
def config() -> Config:
    loaded = load(Path(__file__).parents[2] / "experiments" / "quickstart.yaml")
    return loaded.model_copy(update={"study": loaded.study.model_copy(update={"name": "live"})})


def test_it_is_written_when_a_trial_has_ended(config: Config) -> None:
    study, written = optuna.create_study(study_name="live", direction="maximize"), Written()
    note = LiveNote(config, written)
    for _ in range(3):
        note.update(study)
    study.add_trial(create_trial(params={"lr": 1e-3}, distributions={"lr": LR}, value=0.75))
    for _ in range(3):
        note.update(study)
    assert ["0.75" in text for text in written.notes] == [False, True]


def test_a_confirmation_s_study_is_left_alone(config: Config) -> None:
    written = Written()
    LiveNote(config, written).update(optuna.create_study(study_name="live/confirm"))
    assert not written.notes


def test_a_finished_study_s_run_has_its_note(store: Store) -> None:
    note = store.run(store.study_run).data.tags[NOTE]
    assert f"**Trial {store.best} is the best: validation AUC" in note
    assert "2 of 2 trials have ended: 2 complete." in note
    assert all(run_id in note for run_id in store.trials)
