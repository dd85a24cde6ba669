"""Defaults, ranges and digests of the experiment schema."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mobilenet_chest.config import MODEL_NAMES, Config
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


def test_every_field_says_what_it_is() -> None:
    """The table of fields in the manual is made of these descriptions."""
    schema = Config.model_json_schema()
    sections = {"Config": schema, **schema["$defs"]}
    unsaid = [
        f"{section}.{name}"
        for section, model in sections.items()
        for name, field in model.get("properties", {}).items()
        if "description" not in field and "$ref" not in field
    ]
    assert unsaid == []


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"seed": -1}, "greater than or equal to 0"),
        ({"seed": 2**32}, "less than 4294967296"),
        ({"name": "a b"}, "match pattern"),
        ({"name": "../x"}, "match pattern"),
        ({"device": "tpu"}, "match pattern"),
        ({"model": {"dropout": 1.0}}, "less than 1"),
        ({"model": {"hidden": [0]}}, "greater than or equal to 1"),
        ({"model": {"name": "timm:"}}, "unknown model 'timm:'"),
        ({"model": {"name": "densnet121"}}, "did you mean 'densenet121'?"),
        ({"loss": {"name": "focal"}, "augment": {"mixup": 0.2}}, "mixup and cutmix need loss.name: bce"),
        ({"evaluation": {"metric": "stress_auc_mean"}}, "metric stress_auc_mean needs stressed validation"),
        ({"evaluation": {"threshold_on": "stress"}}, "threshold_on stress needs stressed validation"),
        ({"evaluation": {"stress": {"every": 0}}}, "greater than or equal to 1"),
        ({"evaluation": {"metric": "heldout_stress_auc_mean"}}, "unknown metric 'heldout_stress_auc_mean'"),
        ({"study": {"metric": "stress_auc_worst"}}, "stress_auc_worst needs stressed validation"),
        ({"study": {"also": ["stress_auc_mean"], "pruner": "none"}}, "stress_auc_mean needs stressed validation"),
        ({"study": {"metric": "heldout_stress_auc_mean"}}, "unknown metric 'heldout_stress_auc_mean'"),
        (
            {"evaluation": {"metric": "stress_auc_mean", "stress": {"every": 20}}, "stage1": {"patience": 10}},
            "stage1.patience 10 would end before the next stressed epoch; give 20 or more",
        ),
        ({"loss": {"pos_weight": "auto"}, "data": {"sampling": "balanced"}}, "correct for the same imbalance"),
        ({"loss": {"distill_weight": 0.5}, "augment": {"cutmix": 1}}, "loss.distill_weight must be 0"),
        ({"model": {"drop_path": 0.1}}, "drop_path 0.1: mobilenet_v3_large"),
        ({"model": {"name": "timm:x", "attention": "se"}}, "timm:x pools by itself"),
        ({"model": {"name": "timm:x", "pooling": "gem"}}, "timm:x pools by itself"),
        ({"optimizer": {"name": "schedulefree_adamw"}, "stage2": {"schedule": "cosine"}}, "stage2.schedule must be co"),
        ({"optimizer": {"name": "schedulefree_adamw"}, "stage1": {"ema": 0.9}}, "stage1.ema must be 0"),
        ({"stage1": {"epochs": 0}, "stage2": {"epochs": 0}}, "both 0: nothing to train"),
        ({"stage2": {"resolutions": [64]}}, "stage2.resolutions must end at data.image_size 128, not 64"),
        ({"study": {"budget": "phase"}}, "study.budget: phase needs stage2.unfreeze_from or stage2.resolutions"),
        ({"evaluation": {"threshold_low": 0.8}}, "threshold_low 0.8 is above threshold_high 0.7"),
        ({"evaluation": {"metric": "val_auc_tta"}}, "Allowed: val_loss, val_accuracy, val_auc"),
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
    section, expected = next(iter(fields.items()))
    held = config(**fields).resolved()[section]
    assert (held if not isinstance(expected, dict) else {key: held[key] for key in expected}) == expected


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
        {"augment": {"crop": {}}},
        {"augment": {"crop": {"scale": [0.2, 1]}}},
        {"augment": {"gamma": 0.5}},
        {"augment": {"jpeg": 50}},
        {"loss": {"name": "focal"}},
        {"evaluation": {"stress": {}}},
        {"evaluation": {"stress": {"every": 3}}},
        {"evaluation": {"stress": {}, "threshold_on": "stress"}},
        {"optimizer": {"accumulation": 1}},
        {"stage1": {"lr": 2e-3}},
        {"stage2": {"lr": 2e-3}},
        {"evaluation": {"folds": 3}},
    ]
    assert len({Config.model_validate(FIXED | change).digest() for change in changes}) == len(changes)


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
            {"search": SEARCH, "study": {"leave_out": "site"}, "data": {"split_seed": 3}},
            "data.split_seed 3 divides the rows, and so does study.resampling: kfold",
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
