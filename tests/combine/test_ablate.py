"""Ablations: choices as written on the command line, pairs by seed, and their interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest
from mlflow import MlflowClient

from mobilenet_chest.combine.ablate import (
    ABLATION_METRICS,
    USUAL_VALUES,
    ablate,
    ablation_row,
    mean_difference,
    parse_choices,
    settings_text,
)
from mobilenet_chest.combine.distill import distill
from mobilenet_chest.combine.ensemble import seed_ensemble
from mobilenet_chest.combine.members import Member, train_members
from mobilenet_chest.config import Config, with_values
from mobilenet_chest.errors import ConfigError
from mobilenet_chest.tracking.run_metrics import metrics_of

Make = Callable[..., Config]


def test_choices() -> None:
    assert parse_choices("augment.mixup, stage2.ema=0.9,stage2.resolutions=[16,32]") == [
        {"augment.mixup": 0.2}, {"stage2.ema": 0.9}, {"stage2.resolutions": [16, 32]}
    ]  # fmt: skip
    (choice,) = parse_choices("optimizer.name=sgd+stage2.lr=1.0e-2")
    assert choice == {"optimizer.name": "sgd", "stage2.lr": 0.01}
    assert settings_text(choice) == "optimizer.name=sgd+stage2.lr=0.01"
    with pytest.raises(ConfigError) as caught:
        parse_choices("augment.mixupp,stage2.lr")
    first, second = caught.value.problems
    assert first.startswith("--over augment.mixupp: ")
    assert "'augment.mixup'?" in first
    assert second.startswith("--over stage2.lr: ")


@pytest.mark.parametrize("path", USUAL_VALUES)
def test_every_usual_value_fits(path: str, tiny: Make) -> None:
    model = {"name": "efficientnet_b0", "weights": "none"}
    config = tiny({"model": model})
    assert with_values(config, {path: USUAL_VALUES[path]}) != config


def test_the_interval_is_student_s() -> None:
    """Of 1, 2 and 6: mean 3, standard deviation sqrt(7), t(0.975, 2) = 4.3027."""
    difference = mean_difference([1.0, 2.0, 6.0])
    assert difference.mean == 3
    half = 4.302653 * math.sqrt(7) / math.sqrt(3)
    assert (difference.low, difference.high) == (pytest.approx(3 - half), pytest.approx(3 + half))
    assert difference.each == (1.0, 2.0, 6.0)
    # five folds of which each trains on four: 1/5 becomes 1/5 + 1/4
    plain, wide = (
        mean_difference([1.0, 2.0, 6.0, 4.0, 3.0]),
        mean_difference([1.0, 2.0, 6.0, 4.0, 3.0], test_share=0.25),
    )
    assert (wide.high - wide.mean) / (plain.high - plain.mean) == pytest.approx(1.5)
    alone = mean_difference([0.5])
    assert alone.mean == 0.5
    assert math.isnan(alone.low)


def test_stress_metrics_count_where_all_trainings_have_them() -> None:
    def member(run_id: str, **stress: float) -> Member:
        metrics = dict.fromkeys((*ABLATION_METRICS, "train_seconds"), 1.0) | stress
        run = SimpleNamespace(info=SimpleNamespace(run_id=run_id), data=SimpleNamespace(metrics=metrics))
        return cast(Member, SimpleNamespace(run=run, run_id=run_id))

    with_it = member("a", stress_auc_mean=0.8), member("b", stress_auc_mean=0.9)
    row = ablation_row({"stage2.ema": 0.5}, [with_it[1]], [with_it[0]])
    assert list(row.metrics) == [*ABLATION_METRICS, "stress_auc_mean"]
    assert row.differences["stress_auc_mean"].mean == pytest.approx(0.1)
    assert list(ablation_row({"stage2.ema": 0.5}, [with_it[1]], [member("c")]).metrics) == list(ABLATION_METRICS)


@pytest.mark.slow
def test_an_ablation(tiny: Make) -> None:
    config = tiny()
    rows = ablate(config, parse_choices("augment.mixup,stage2.ema=0.5"), seeds=2)
    assert [row.choice for row in rows] == [{}, {"augment.mixup": 0.2}, {"stage2.ema": 0.5}]
    runs = [[MlflowClient().get_run(run_id) for run_id in row.run_ids] for row in rows]
    for row, group in zip(rows, runs, strict=True):
        assert [run.data.params["seed"] for run in group] == ["7", "8"]
        metrics = [metrics_of(run)["val_auc"] for run in group]
        assert row.metrics["val_auc"] == pytest.approx(sum(metrics) / 2)
    assert rows[0].differences == {}
    assert rows[0].times_slower == 1
    for row, group in zip(rows[1:], runs[1:], strict=True):
        pairs = [(metrics_of(run), metrics_of(base)) for run, base in zip(group, runs[0], strict=True)]
        each = [metrics["val_auc"] - base["val_auc"] for metrics, base in pairs]
        assert row.differences["val_auc"].each == pytest.approx(each)
    assert [run.data.params["augment.mixup"] for run in runs[1]] == ["0.2", "0.2"]
    again = ablate(config, parse_choices("stage2.ema=0.5"), seeds=2)
    assert [row.run_ids for row in again] == [rows[0].run_ids, rows[2].run_ids]


@pytest.mark.slow
def test_folds_instead_of_seeds(tiny: Make) -> None:
    rows = ablate(tiny(), [{"stage2.ema": 0.5}], folds=2)
    for row in rows:
        runs = [MlflowClient().get_run(run_id) for run_id in row.run_ids]
        assert [(run.data.params["data.fold"], run.data.params["seed"]) for run in runs] == [("0", "7"), ("1", "7")]
    difference = rows[1].differences["val_loss"]
    assert mean_difference(difference.each, test_share=1.0) == difference


@pytest.mark.slow
def test_a_teacher_for_one_choice(tiny: Make) -> None:
    """The baseline is the plain training from before the teacher."""
    config = tiny()
    plain = train_members([with_values(config, {"seed": seed}) for seed in (7, 8)])
    teacher = seed_ensemble(config, 2)
    rows = ablate(config, parse_choices("loss.distill_weight"), seeds=2, teacher=teacher.run_id)
    assert list(rows[0].run_ids) == [member.run_id for member in plain]
    taught = [MlflowClient().get_run(run_id) for run_id in rows[1].run_ids]
    assert [run.data.tags["teacher"] for run in taught] == [teacher.run_id] * 2
    assert [run.data.params["loss.distill_weight"] for run in taught] == ["0.5"] * 2
    assert 0 not in rows[1].differences["val_loss"].each
    # `distill` finds the same run
    assert distill(config, teacher.run_id).run_id == rows[1].run_ids[0]
    for choices, more, named in (
        ("stage2.ema", {}, "--over loss.distill_weight"),
        ("loss.distill_weight", {"folds": 2}, "--seeds"),
    ):
        with pytest.raises(ConfigError, match=f"--teacher {teacher.run_id}: .*{named}"):
            ablate(config, parse_choices(choices), teacher=teacher.run_id, **more)
    with pytest.raises(ConfigError, match="--teacher RUN_ID"):
        ablate(config, parse_choices("loss.distill_weight"), seeds=1)


def test_choices_that_are_refused(tiny: Make) -> None:
    for choice, named in (
        ({"stage2.epochs": 2}, "--over stage2.epochs=2: "),
        ({"data.fold": 1}, "--over data.fold: "),
        ({"seed": 3}, "--over seed: "),
        ({"stage2.emma": 3}, "'ema'"),
    ):
        with pytest.raises(ConfigError, match=named):
            ablate(tiny(), [choice], seeds=1)
    assert MlflowClient().get_experiment_by_name("members") is None
