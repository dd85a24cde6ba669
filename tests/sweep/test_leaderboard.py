"""The leaderboard of a study, and what its trials say together."""

from __future__ import annotations

import math

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from mobilenet_chest.config import StudyConfig
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.leaderboard import (
    LEAST_VALUES,
    front,
    importances,
    leaderboard,
    metric_target,
    stage1_totals,
    with_ties,
)
from mobilenet_chest.sweep.ties import Ties

LR = FloatDistribution(0, 1)
AUC = StudyConfig()
LOSS = StudyConfig(metric="val_loss", direction="minimize")


def filled(direction: str) -> optuna.Study:
    """Trials 0 to 3 complete (1 and 2 are equal), 4 failed, 5 interrupted, 6 pruned."""
    study = optuna.create_study(direction=direction)
    for number, value in enumerate((0.7, 0.9, 0.9, 0.8)):
        study.add_trial(create_trial(value=value, params={"lr": 0.1 * number}, distributions={"lr": LR},
                                     user_attrs={attributes.RUN_ID: f"r{number}"}))  # fmt: skip
    study.add_trial(create_trial(state=TrialState.FAIL))
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={attributes.INTERRUPTED: True}))
    study.add_trial(create_trial(state=TrialState.PRUNED, intermediate_values={1: 0.1}))
    return study


@pytest.mark.parametrize(
    ("objectives", "order"), [(AUC, [1, 2, 3, 0, 6, 4]), (LOSS, [0, 3, 1, 2, 6, 4])], ids=["maximize", "minimize"]
)
def test_the_best_trial_comes_first_then_pruned_and_failed_ones(objectives: StudyConfig, order: list[int]) -> None:
    table = leaderboard(filled(objectives.direction), objectives)
    assert list(table["number"]) == order
    assert list(table["trial"]) == list(map(str, order))
    assert list(table["state"]) == ["COMPLETE"] * 4 + ["PRUNED", "FAIL"]
    assert list(table.columns) == ["trial", "number", "state", objectives.metric, "seconds", "run_id", "lr"]
    assert table.set_index("number")["run_id"].to_dict() | {4: None, 6: None} == {
        0: "r0", 1: "r1", 2: "r2", 3: "r3", 4: None, 6: None
    }  # fmt: skip


def test_intervals_and_ties_stand_beside_the_values() -> None:
    table = leaderboard(filled("maximize"), AUC)
    wider = with_ties(table, Ties({1: Interval(0.9, 0.85, 0.95), 3: Interval(0.8, 0.75, 0.85)}, [1, 3]), "val_auc")
    assert list(wider.columns)[:7] == ["trial", "number", "state", "val_auc", "val_auc_low", "val_auc_high", "tied"]
    rows = wider.set_index("number")
    assert (rows.loc[1, "val_auc_low"], rows.loc[3, "val_auc_high"]) == (0.85, 0.85)
    assert math.isnan(rows.loc[0, "val_auc_low"])
    assert list(wider.loc[wider["tied"], "number"]) == [1, 3]
    assert "tied" not in table.columns


def test_a_front_needs_several_objectives() -> None:
    assert front(filled("maximize")) == []
    study = optuna.create_study(directions=["maximize", "minimize"])
    for values in ((0.9, 5.0), (0.8, 1.0), (0.7, 2.0)):
        study.add_trial(create_trial(values=values))
    assert front(study) == [0, 1]
    table = leaderboard(study, StudyConfig(also=("parameters",), pruner="none"))
    assert list(table["on_front"]) == [True, True, False]
    assert list(table["parameters"]) == [5.0, 1.0, 2.0]
    assert metric_target(study)["target"](study.trials[0]) == 0.9
    assert metric_target(filled("maximize")) == {}


def test_importances_need_different_values() -> None:
    few = filled("maximize")  # four complete trials with three values
    assert importances(few) == {}
    few.add_trial(create_trial(value=0.1, params={"lr": 0.9}, distributions={"lr": LR}))
    assert len({trial.value for trial in few.trials if trial.state == TrialState.COMPLETE}) == LEAST_VALUES
    assert importances(few) == {"lr": pytest.approx(1)}


def test_importances_of_several_parameters_are_shares() -> None:
    study = optuna.create_study(direction="maximize")
    spaces = {"lr": LR, "dropout": LR}
    for number in range(6):
        params = {"lr": 0.1 * number, "dropout": 0.5 * (number % 2)}
        study.add_trial(create_trial(value=0.9 - 0.1 * number, params=params, distributions=spaces))
    shares = importances(study)
    assert sum(shares.values()) == pytest.approx(1)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert next(iter(shares)) == "lr"


def test_the_cost_of_stage_1_is_a_sum_over_the_trials() -> None:
    study = filled("maximize")
    for trained, reused, saved in ((3, 0, 0.0), (0, 3, 1.5)):
        cost = {"stage1_epochs_trained": trained, "stage1_epochs_reused": reused, "saved_seconds": saved}
        study.add_trial(create_trial(value=0.5, user_attrs={attributes.STAGE1: cost}))
    assert stage1_totals(study) == {"stage1_epochs_trained": 3, "stage1_epochs_reused": 3, "saved_seconds": 1.5}
