"""What is stored for optuna-dashboard."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from mobilenet_chest.config import load
from mobilenet_chest.sweep.dashboard import PART, VERSION, name_metrics, save_note

dashboard_note = pytest.importorskip("optuna_dashboard._note", reason="needs the extra 'dashboard'")


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    return optuna.create_study(storage=f"sqlite:///{tmp_path / 'optuna.db'}")


def attributes(study: optuna.Study) -> dict[str, object]:
    return dict(study._storage.get_study_system_attrs(study._study_id))


@pytest.mark.parametrize("length", [0, 1, 2045, 2046, 9000])
def test_the_dashboard_reads_the_note(study: optuna.Study, length: int) -> None:
    save_note(study, "x" * 5000)
    save_note(study, "y" * length)
    assert dashboard_note.get_note(study) == "y" * length


def test_the_same_note_is_written_once(study: optuna.Study) -> None:
    for _ in range(3):
        save_note(study, "short")
    assert attributes(study)[VERSION] == 1
    assert attributes(study)[f"{PART}0"] == "short"
    save_note(study, "other")
    assert attributes(study)[VERSION] == 2


def test_a_note_of_the_dashboard_s_own_is_replaced(study: optuna.Study) -> None:
    dashboard_note.save_note(study, "z" * 6000)
    save_note(study, "ours")
    assert dashboard_note.get_note(study) == "ours"


def test_a_trial_has_a_note_of_its_own(study: optuna.Study) -> None:
    first, second = study.ask(), study.ask()
    save_note(study, "of the study")
    save_note(study, "x" * 3000, first)
    for _ in range(2):
        save_note(study, "of the first", first)
    assert [dashboard_note.get_note(each) for each in (study, first, second)] == ["of the study", "of the first", ""]
    assert attributes(study)[f"dashboard:{first._trial_id}:note_ver"] == 2


def test_objectives_have_the_names_of_the_metrics(study: optuna.Study) -> None:
    config = load(Path(__file__).parents[2] / "experiments" / "quickstart.yaml")
    for _ in range(2):
        name_metrics(config, study)
    assert study.metric_names == [config.study.metric]
