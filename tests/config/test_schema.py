"""Defaults, ranges and digests of the experiment schema."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mobilenet_chest.config import EPOCH_METRICS, FINAL_METRICS, MODEL_NAMES, Config, StudyConfig, best_direction
from mobilenet_chest.models.zoo import BUILDERS

FIXED = {"name": "fixed", "data": {"dataset": "pneumoniamnist"}, "stage2": {"lr": 3.0e-4}}


def config(**fields: Any) -> Config:
    return Config.model_validate({"name": "x"} | fields)


def test_defaults_are_the_recipe_of_the_report() -> None:
    resolved = config().resolved()
    assert resolved["seed"] == 2024
    assert resolved["data"]["source_size"] == 28
    assert resolved["data"]["image_size"] == 128
    assert resolved["model"] == {
        "name": "mobilenet_v3_large", "weights": "imagenet", "stem": "mean", "hidden": [1280, 640], "dropout": 0.5,
        "pooling": "avg", "attention": "none", "drop_path": None,
    }  # fmt: skip
    augment = resolved["augment"]
    assert {name for name, value in augment.items() if value} == {"hflip"}
    assert augment["hflip"] == 0.5
    assert resolved["loss"]["name"] == "bce"
    optimizer = resolved["optimizer"]
    assert (optimizer["batch_size"], optimizer["accumulation"], optimizer["clip_norm"]) == (48, 2, 1.0)
    assert (optimizer["name"], optimizer["weight_decay"], optimizer["precision"]) == ("adamw", 0.01, "auto")
    stage1, stage2 = resolved["stage1"], resolved["stage2"]
    assert (stage1["epochs"], stage1["lr"], stage1["patience"]) == (30, 1e-3, None)
    assert (stage2["epochs"], stage2["lr"], stage2["patience"]) == (120, 1e-4, 40)
    evaluation = resolved["evaluation"]
    assert [evaluation[f"threshold_{end}"] for end in ("low", "high", "step")] == [0.30, 0.70, 0.01]
    assert resolved["tracking"]["keep_checkpoints"] == 3


def test_model_names_are_those_of_the_zoo() -> None:
    assert tuple(BUILDERS) == MODEL_NAMES


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"seed": -1}, "greater than or equal to 0"),
        ({"seed": 2**32}, "less than 4294967296"),
        ({"name": "a b"}, "match pattern"),
        ({"name": "../x"}, "match pattern"),
        ({"device": "tpu"}, "match pattern"),
        ({"data": {"source_size": 32}}, "28, 64, 128 or 224"),
        ({"data": {"dataset": "phantom", "path": "x.npz"}}, "dataset 'phantom' is generated; remove path"),
        ({"model": {"dropout": 1.0}}, "less than 1"),
        ({"model": {"hidden": [0]}}, "greater than or equal to 1"),
        ({"model": {"name": "timm:"}}, "unknown model 'timm:'"),
        ({"model": {"name": "densnet121"}}, "did you mean 'densenet121'?"),
        ({"augment": {"hflip": 1.1}}, "less than or equal to 1"),
        ({"loss": {"focal_gamma": 2}}, "focal_gamma belongs to name: focal, not to 'bce'"),
        ({"loss": {"name": "focal", "label_smoothing": 0.1}}, "label_smoothing needs name: bce"),
        ({"loss": {"pos_weight": 0}}, "greater than 0"),
        ({"loss": {"name": "focal"}, "augment": {"mixup": 0.2}}, "mixup and cutmix need loss.name: bce"),
        ({"loss": {"pos_weight": "auto"}, "data": {"sampling": "balanced"}}, "correct for the same imbalance"),
        ({"data": {"fold": 1}}, "fold 1 is not one of no folds"),
        ({"data": {"folds": 3, "fold": 3}}, "fold 3 is not one of 3 folds, counted from 0"),
        ({"model": {"drop_path": 0.1}}, "mobilenet_v3_large has no residual branches to leave out"),
        ({"model": {"name": "timm:x", "attention": "se"}}, "timm:x pools by itself"),
        ({"model": {"name": "timm:x", "pooling": "gem"}}, "timm:x pools by itself"),
        ({"optimizer": {"momentum": 0.9}}, "momentum belongs to name: sgd, not to 'adamw'"),
        ({"optimizer": {"name": "schedulefree_adamw"}, "stage2": {"schedule": "cosine"}}, "stage2.schedule must be co"),
        ({"optimizer": {"name": "schedulefree_adamw"}, "stage1": {"ema": 0.9}}, "stage1.ema must be 0"),
        ({"stage2": {"lr_decay": 0}}, "greater than 0"),
        ({"stage2": {"ema": 1}}, "less than 1"),
        ({"augment": {"policy": "auto"}}, "'trivial' or 'rand'"),
        ({"optimizer": {"clip_norm": 0}}, "greater than 0"),
        ({"stage1": {"lr": float("nan")}}, "finite number"),
        ({"stage2": {"epochs": 3, "warmup_epochs": 3}}, "warmup_epochs 3 must be less than epochs 3"),
        ({"stage1": {"epochs": 0}, "stage2": {"epochs": 0}}, "both 0: nothing to train"),
        ({"stage2": {"unfreeze_from": [0, 3]}}, "unfreeze_from [0, 3] must fall"),
        ({"stage2": {"unfreeze_from": []}}, "unfreeze_from [] must fall"),
        ({"stage2": {"unfreeze_from": -1}}, "greater than or equal to 0"),
        ({"stage2": {"resolutions": [128, 64]}}, "resolutions [128, 64] must rise"),
        ({"stage2": {"resolutions": [8, 128]}}, "greater than or equal to 16"),
        ({"stage2": {"resolutions": [64]}}, "stage2.resolutions must end at data.image_size 128, not 64"),
        ({"stage2": {"unfreeze_from": [3, 0], "resolutions": [64, 96, 128]}}, "has 2 phases, resolutions 3"),
        ({"stage2": {"epochs": 1, "resolutions": [64, 128]}}, "1 epochs are too few for 2 phases"),
        ({"study": {"budget": "phase"}}, "study.budget: phase needs stage2.unfreeze_from or stage2.resolutions"),
        ({"evaluation": {"threshold_low": 0.8}}, "threshold_low 0.8 must not exceed threshold_high 0.7"),
        ({"evaluation": {"metric": "val_auc_tta"}}, "'val_loss', 'val_accuracy' or 'val_auc'"),
        ({"study": {"trials": 0}}, "greater than or equal to 1"),
    ],
)
def test_refused(fields: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError) as caught:
        config(**fields)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"data": {"dataset": "phantom"}},
        {"model": {"name": "timm:resnet18", "hidden": []}},
        {"loss": {"name": "focal", "focal_gamma": 0}},
        {"optimizer": {"clip_norm": None}},
        {"stage1": {"epochs": 0}},
        {"stage2": {"epochs": 0, "warmup_epochs": 1}},
        {"device": "cuda:1"},
        {"study": {"metric": "val_loss", "direction": "minimize"}},
        {"study": {"metric": "val_auc_tta", "pruner": "none"}},
    ],
)
def test_accepted(fields: dict[str, Any]) -> None:
    section, wanted = next(iter(fields.items()))
    held = config(**fields).resolved()[section]
    assert (held if not isinstance(wanted, dict) else {key: held[key] for key in wanted}) == wanted


@pytest.mark.parametrize(
    ("stage2", "phases"),
    [
        ({}, [(120, 0, 128)]),
        ({"unfreeze_from": 7}, [(120, 7, 128)]),
        ({"unfreeze_from": [13, 0], "epochs": 5}, [(2, 13, 128), (5, 0, 128)]),
        ({"resolutions": [64, 96, 128], "epochs": 7}, [(2, 0, 64), (4, 0, 96), (7, 0, 128)]),
        ({"resolutions": [64, 128], "unfreeze_from": 4, "epochs": 2}, [(1, 4, 64), (2, 4, 128)]),
        ({"resolutions": [64, 128], "unfreeze_from": [4, 4], "epochs": 0}, [(0, 4, 64), (0, 4, 128)]),
    ],
)
def test_phases_of_stage_2(stage2: dict[str, Any], phases: list[tuple[int, int, int]]) -> None:
    assert list(config(stage2=stage2).stage2.phases(128)) == phases


def test_a_config_cannot_be_changed() -> None:
    made = config()
    with pytest.raises(ValidationError, match="frozen"):
        made.seed = 3  # type: ignore[misc]


def test_names_of_experiment_and_study_default_to_the_name() -> None:
    assert (config().experiment, config().study_name) == ("x", "x")
    named = config(tracking={"experiment": "chest"}, study={"name": "wide"})
    assert (named.experiment, named.study_name) == ("chest", "wide")


# --- digest --------------------------------------------------------------------------------------------------------


def test_the_digest_is_the_same_for_ever() -> None:
    """Runs in people's stores carry it: a new field must not change the digest of an old experiment unnoticed."""
    assert Config.model_validate(FIXED).digest() == "01e33d42c93d5fb2"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"device": "cpu"},
        {"data": {"dataset": "pneumoniamnist", "path": "elsewhere.npz", "root": "folder"}},
        {"tracking": {"experiment": "other", "keep_checkpoints": 0}},
        {"search": {"stage2.lr": {"low": 1e-4, "high": 1e-3}}},
        {"study": {"trials": 3}},
        {"seed": 2024},
        {"data": {"dataset": "pneumoniamnist", "split_seed": None}},
    ],
)
def test_the_digest_ignores_what_does_not_change_the_numbers(change: dict[str, Any]) -> None:
    assert Config.model_validate(FIXED | change).digest() == Config.model_validate(FIXED).digest()


def test_the_digest_tells_apart_what_does() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"seed": 1},
        {"data": {"dataset": "breastmnist"}},
        {"data": {"dataset": "pneumoniamnist", "source_size": 64}},
        {"data": {"dataset": "pneumoniamnist", "image_size": 64}},
        {"data": {"dataset": "pneumoniamnist", "split_seed": 0}},
        {"data": {"dataset": "pneumoniamnist", "split_seed": 1}},
        {"data": {"dataset": "pneumoniamnist", "classes": ["pneumonia", "normal"]}},
        {"data": {"dataset": "pneumoniamnist", "drop_duplicates": True}},
        {"model": {"stem": "sum"}},
        {"model": {"hidden": [640, 1280]}},
        {"augment": {"hflip": 0}},
        {"loss": {"name": "focal"}},
        {"optimizer": {"accumulation": 1}},
        {"stage1": {"lr": 2e-3}},
        {"stage2": {"lr": 2e-3}},
        {"evaluation": {"folds": 3}},
    ]
    assert len({Config.model_validate(FIXED | change).digest() for change in changes}) == len(changes)


# --- study ---------------------------------------------------------------------------------------------------------


def test_losses_fall_and_everything_else_rises() -> None:
    assert [best_direction(metric) for metric in EPOCH_METRICS] == ["minimize", "maximize", "maximize"]
    assert {best_direction(metric) for metric in FINAL_METRICS if metric != "val_loss"} == {"maximize"}


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"metric": "val_acuracy"}, "unknown metric 'val_acuracy'; did you mean 'val_accuracy'?"),
        ({"metric": "val_loss"}, "val_loss is to minimize, not to maximize"),
        ({"direction": "minimize"}, "val_auc is to maximize, not to minimize"),
        ({"metric": "val_accuracy_crossfit"}, "pruner 'median' needs a metric known after every epoch"),
        ({"metric": "test_auc"}, "unknown metric 'test_auc'"),
        ({"also": ["parameters"]}, "pruner 'median' cannot prune with several objectives (also: parameters)"),
        ({"also": ["parameters", "parameters"], "pruner": "none"}, "an objective twice"),
        ({"also": ["speed"], "pruner": "none"}, "'latency_1_ms', 'parameters' or 'train_seconds'"),
        ({"folds": 3}, "folds 3 are for resampling: kfold, and it is holdout"),
        ({"folds": 3, "resampling": "reshuffle"}, "folds 3 are for resampling: kfold, and it is reshuffle"),
        ({"folds": 1, "resampling": "kfold"}, "greater than or equal to 2"),
        ({"resampling": "kfold", "budget": "phase"}, "with resampling: kfold the pruner decides between them"),
        ({"resampling": "reshuffle", "metric": "val_sensitivity"}, "needs a metric known after every epoch"),
        ({"resampling": "bootstrap"}, "'holdout', 'reshuffle' or 'kfold'"),
        ({"confirm": {"top": 0}}, "greater than or equal to 1"),
        ({"confirm": {"seeds": 1}}, "greater than or equal to 2"),
    ],
)
def test_a_study_that_cannot_be(fields: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError) as caught:
        StudyConfig.model_validate(fields)
    assert part in str(caught.value)


SEARCH = {"stage2.lr": {"low": 1e-4, "high": 1e-3}}


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        (
            {"search": SEARCH | {"data.split_seed": {"low": 0, "high": 9}}},
            "search.data.split_seed: a trial would choose",
        ),
        ({"search": SEARCH | {"data.fold": {"low": 0, "high": 2}}, "data": {"folds": 3}}, "search.data.fold: a trial"),
        (
            {"search": SEARCH, "study": {"resampling": "reshuffle"}, "data": {"split_seed": 1}},
            "data.split_seed 1 divides the rows, and so does study.resampling: reshuffle",
        ),
        (
            {"search": SEARCH, "study": {"resampling": "reshuffle"}, "data": {"folds": 3}},
            "data.folds 3 divides the rows, and so does study.resampling: reshuffle",
        ),
        (
            {"search": SEARCH, "study": {"resampling": "kfold"}, "data": {"folds": 3}},
            "data.folds 3 divides the rows, and so does study.resampling: kfold",
        ),
    ],
)
def test_rows_that_are_chosen_twice(fields: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError) as caught:
        config(**fields)
    assert part in str(caught.value)


def test_trainings_of_a_trial() -> None:
    found = {
        how: config(search=SEARCH, data={"split_seed": 2} if how == "kfold" else {}, study={"resampling": how})
        for how in ("holdout", "reshuffle", "kfold")
    }
    assert {how: one.study.trainings for how, one in found.items()} == {"holdout": 1, "reshuffle": 1, "kfold": 5}
    assert config(study={"resampling": "kfold", "folds": 3, "metric": "val_sensitivity"}).study.trainings == 3
    # what a trial has become of: one training
    assert config(data={"split_seed": 2}, study={"resampling": "reshuffle"}).data.divided
