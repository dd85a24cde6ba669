"""The description of a study and of its trials."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from helpers.confirmations import CONFIRMATION
from optuna.trial import TrialState, create_trial

from mobilenet_chest.config import Config, load
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.sweep.findings import Finding
from mobilenet_chest.sweep.study_note import _among, study_note
from mobilenet_chest.sweep.ties import Ties
from mobilenet_chest.sweep.trial_note import about_trial

TRAINING = "?workflowType=machine_learning"
LR = optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True)
VALUES = (0.9, 0.89, 0.86, 0.81, 0.74, 0.65)
TIES = Ties({number: Interval(value, value - 0.05, value + 0.05) for number, value in enumerate(VALUES)}, [0, 1, 2])


@pytest.fixture
def config() -> Config:
    """An experiment of 8 trials that searches the learning rate."""
    loaded = load(Path(__file__).parents[2] / "experiments" / "quickstart.yaml")
    distribution = next(iter(loaded.search.values()))
    study = loaded.study.model_copy(update={"name": "tiny study", "trials": 8, "metric": "val_auc"})
    return loaded.model_copy(update={"search": {"stage2.lr": distribution}, "study": study})


@pytest.fixture
def study() -> optuna.Study:
    """Six complete trials and a failed one."""
    study = optuna.create_study(direction="maximize")
    for number, value in enumerate(VALUES):
        study.add_trial(create_trial(params={"stage2.lr": 1e-4 * (number + 1)}, distributions={"stage2.lr": LR},
                                     value=value, user_attrs={"run_id": f"{number}" * 32}))  # fmt: skip
    study.add_trial(create_trial(state=TrialState.FAIL, params={"stage2.lr": 1e-3}, distributions={"stage2.lr": LR}))
    study.set_user_attr("run_id", "f" * 32)
    return study


def rows(note: str) -> list[list[str]]:
    """The cells of the note's table."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in note.splitlines() if line.startswith("|")]


def test_before_any_trial_it_says_what_is_searched(config: Config) -> None:
    note = study_note(config, optuna.create_study(direction="maximize"))
    assert "`tiny study`" in note
    assert "`stage2.lr`" in note
    assert "0 of 8 trials have ended: none yet." in note
    assert not rows(note)


def test_while_it_runs_the_five_best_are_listed(config: Config, study: optuna.Study) -> None:
    note = study_note(config, study, experiment="7")
    heading, _, *trials = rows(note)
    assert heading == ["trial", "validation AUC", "`stage2.lr`", "run"]
    assert [row[0] for row in trials] == ["0", "1", "2", "3", "4"]
    assert trials[0] == ["0", "0.9", "0.0001", f"[00000000](#/experiments/7/runs/{'0' * 32}{TRAINING})"]
    assert "7 of 8 trials have ended: 6 complete, 1 failed." in note
    assert "the same command continues" in note
    assert "report.html" not in note


def test_at_the_end_it_has_intervals_ties_next_steps_and_artifacts(config: Config, study: optuna.Study) -> None:
    complete = config.model_copy(update={"study": config.study.model_copy(update={"trials": 7})})
    note = study_note(complete, study, TIES, ended=True, experiment="7")
    assert "**Trial 0 is the best: validation AUC 0.9** (95% interval 0.850 to 0.950)" in note
    assert "indistinguishable from 2 of the 5 other complete trials: 1, 2." in note
    heading, _, first, second, *_, fifth = rows(note)
    assert heading[2:4] == ["95% interval", ""]
    assert [first[3], second[3], fifth[3]] == ["best", "tied", ""]
    assert first[2] == "0.850–0.950"
    assert "`mobilenet-chest promote 'tiny study'`" in note
    assert f"[report.html](#/experiments/7/runs/{'f' * 32}/artifacts/report.html{TRAINING})" in note
    assert "confirmation.csv" not in note


def test_findings_are_noted_with_the_change_to_try(config: Config, study: optuna.Study) -> None:
    finding = Finding("edge", "the best values of stage2.weight_decay lie at its upper end", "search: {x: {high: 1}}")
    note = study_note(config, study, TIES, ended=True, findings=[finding])
    assert (
        "**Notes on the search:**\n\n- the best values of stage2.weight\\_decay lie at its upper end; "
        "try `search: {x: {high: 1}}`.\n\n**Next:**"
    ) in note
    assert "Notes on the search" not in study_note(config, study, TIES, ended=True)


def test_ties_in_words() -> None:
    assert _among(["4"], 1) == "the other complete trial, 4"
    assert _among(["4", "2"], 2) == "all 2 other complete trials"
    assert _among([*"987654"], 8) == "6 of the 8 other complete trials: 9, 8, 7, 6, 5 and more"
    assert _among(["7", "1, second attempt"], 4) == "2 of the 4 other complete trials: 7; 1, second attempt"


def test_a_confirmation_is_the_answer(config: Config, study: optuna.Study) -> None:
    note = study_note(config, study, None, CONFIRMATION, ended=True)
    assert note.startswith("**Trial 1 is confirmed: validation AUC 0.895** on average over 2 fresh seeds.")
    assert "+0.020 (95% interval −0.010 to +0.050)" in note
    assert "confirmation.csv" in note


def test_the_dashboard_has_no_links_into_mlflow(config: Config, study: optuna.Study) -> None:
    note = study_note(config, study, TIES, ended=True)
    assert "](#" not in note
    assert "`00000000`" in note
    assert f"`{'f' * 32}`" in note


def test_a_trial_and_one_that_repeats_it(config: Config, study: optuna.Study) -> None:
    trial = study.trials[1]
    assert about_trial(config, study, trial) == "**Trial 1 of study `tiny study`**: `stage2.lr` 0.0002."
    trial.user_attrs["confirms"] = {"study": "tiny study", "trial": 1, "seed": 77}
    about = about_trial(config, study, trial)
    assert about.startswith("**Trial 1 of study `tiny study`, trained again on the fresh seed 77**")
    trial.user_attrs["first_attempt"] = 0
    assert about_trial(config, study, trial).startswith("**Trial 0 of study")


def test_a_trial_is_called_as_a_person_has_seen_it(config: Config, study: optuna.Study) -> None:
    interrupted = study.trials[0]
    again = optuna.trial.create_trial(
        value=0.99, params=interrupted.params, distributions=interrupted.distributions,
        user_attrs={"retry_of": 0, "run_id": "f" * 32},
    )  # fmt: skip
    study.add_trial(again)
    name, (best,) = "0, second attempt", study.trials[-1:]
    note = study_note(config, study, ended=True)
    assert note.startswith(f"**Trial {name} is the best: validation AUC 0.99")
    assert f"\n| {name} | 0.99" in note
    assert about_trial(config, study, best).startswith(f"**Trial {name} of study")
    confirmed = replace(CONFIRMATION, trial=best.number)
    assert study_note(config, study, None, confirmed, ended=True).startswith(f"**Trial {name} is confirmed")


def test_a_single_complete_trial_is_no_optimistic_choice(config: Config, study: optuna.Study) -> None:
    alone = optuna.create_study(direction="maximize")
    alone.add_trial(study.trials[0])
    note = study_note(config, alone, replace(TIES, tied=[]), ended=True)
    assert "optimistic" not in note
    assert "indistinguishable" not in note
