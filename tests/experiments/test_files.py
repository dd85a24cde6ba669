"""The experiments that come along: each can be read, and the recipe says what the report says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from mobilenet_chest.config import flatten, load, with_values
from mobilenet_chest.sweep.first_trials import first_trials
from mobilenet_chest.sweep.space import suggest, to_optuna
from mobilenet_chest.sweep.studies_file import import_studies
from mobilenet_chest.sweep.study_summary import summaries

FOLDER = Path(__file__).parents[2] / "experiments"
FILES = sorted(FOLDER.rglob("*.yaml")) + sorted(FOLDER.rglob("*.yml"))
SWEEPS = {
    "quickstart.yaml", "mobilenet_v3_large_sweep.yaml", "efficientnet_lite0_sweep.yaml",
    "efficientnet_lite0_confirmed.yaml", "shift_sweep.yaml", "sweep_models.yaml", "sweep_wide.yaml",
}  # fmt: skip

# the source report's recipe, sections 2 and 8.1
RECIPE: dict[str, Any] = {
    "seed": 2024,
    "data.dataset": "chestmnist",
    "data.classes": ["cardiomegaly", "pneumothorax"],
    "data.source_size": 28,
    "data.image_size": 128,
    "data.path": None,
    "model.name": "mobilenet_v3_large",
    "model.weights": "imagenet",
    "model.stem": "mean",
    "model.hidden": [1280, 640],
    "model.dropout": 0.5,
    "augment.hflip": 0.5,
    "loss.name": "bce",
    "loss.focal_gamma": None,
    "optimizer.name": "adamw",
    "optimizer.weight_decay": 0.01,
    "optimizer.batch_size": 48,
    "optimizer.accumulation": 2,
    "optimizer.clip_norm": 1.0,
    "optimizer.precision": "auto",
    "stage1.epochs": 30,
    "stage1.lr": 1e-3,
    "stage1.schedule": "constant",
    "stage1.warmup_epochs": 0,
    "stage1.patience": None,
    "stage2.epochs": 120,
    "stage2.lr": 1e-4,
    "stage2.schedule": "constant",
    "stage2.warmup_epochs": 0,
    "stage2.patience": 40,
    "evaluation.metric": "val_accuracy",
    "evaluation.threshold_low": 0.30,
    "evaluation.threshold_high": 0.70,
    "evaluation.threshold_step": 0.01,
}


def test_how_many_there_are() -> None:
    assert [str(path.relative_to(FOLDER)) for path in FILES] == [
        "baselines/densenet121.yaml",
        "baselines/densenet121_gray.yaml",
        "baselines/efficientnet_b0.yaml",
        "baselines/mobilenet_v2.yaml",
        "baselines/mobilenet_v3_small.yaml",
        "baselines/resnet50.yaml",
        "chestmnist/mobilenet_v3_large.yaml",
        "chestmnist/mobilenet_v3_large_sweep.yaml",
        "chestmnist/sweep_models.yaml",
        "chestmnist/sweep_wide.yaml",
        "pneumoniamnist/densenet121.yaml",
        "pneumoniamnist/efficientnet_lite0.yaml",
        "pneumoniamnist/efficientnet_lite0_best.yaml",
        "pneumoniamnist/efficientnet_lite0_confirmed.yaml",
        "pneumoniamnist/efficientnet_lite0_sweep.yaml",
        "pneumoniamnist/mobilenet_v3_large.yaml",
        "pneumoniamnist/shift.yaml",
        "pneumoniamnist/shift_sweep.yaml",
        "quickstart.yaml",
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_can_be_read(path: Path) -> None:
    config = load(path)
    assert bool(config.search) == (path.name in SWEEPS)
    for field, distribution in config.search.items():
        to_optuna(field, distribution)


def test_each_has_a_name_of_its_own() -> None:
    names = [load(path).name for path in FILES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("field", "value"), RECIPE.items(), ids=RECIPE)
def test_the_recipe(field: str, value: Any) -> None:
    recipe = flatten(load(FOLDER / "chestmnist" / "mobilenet_v3_large.yaml").resolved())
    assert recipe[field] == value


@pytest.mark.parametrize("path", sorted(FOLDER.glob("baselines/*.yaml")), ids=lambda path: path.stem)
def test_the_baselines_get_the_same_selection_as_the_recipe(path: Path) -> None:
    """The report's DenseNet was given more of it than its MobileNet."""
    recipe, baseline = (
        flatten(load(file).resolved()) for file in (FOLDER / "chestmnist" / "mobilenet_v3_large.yaml", path)
    )
    different = {key for key in recipe if recipe[key] != baseline[key]}
    assert {"name", "model.name", "model.hidden"} <= different <= {"name", "model.name", "model.stem", "model.hidden"}


def test_quickstart_needs_no_network() -> None:
    config = load(FOLDER / "quickstart.yaml")
    assert (config.data.dataset, config.data.path, config.model.weights) == ("phantom", None, "none")
    assert config.study.trials == 6


def test_the_chestmnist_sweep_searches_what_the_report_leaves_open() -> None:
    config = load(FOLDER / "chestmnist" / "mobilenet_v3_large_sweep.yaml")
    assert list(config.search) == [
        "stage1.lr",
        "stage2.lr",
        "model.dropout",
        "model.stem",
        "optimizer.weight_decay",
        "loss.name",
        "loss.focal_gamma",
    ]
    assert config.search["loss.focal_gamma"].when == {"loss.name": "focal"}


def test_the_wide_sweep_is_over_everything_that_trains_a_network() -> None:
    """But for what belongs to one architecture or another optimiser, and what a cheaper fidelity or a teacher sets."""
    config = load(FOLDER / "chestmnist" / "sweep_wide.yaml")
    sections = config.model_dump(include={"augment", "loss", "optimizer", "model"})
    everything = set(flatten(sections)) | {f"stage2.{name}" for name in type(config.stage2).model_fields}
    assert "augment.crop.scale" in config.search  # the section itself is null where nothing is cropped
    assert everything - set(config.search) == {
        "augment.crop", "augment.custom", "augment.hflip",
        "loss.distill_weight", "loss.distill_temperature", "model.name",
        "model.weights", "model.drop_path", "optimizer.momentum", "optimizer.batch_size", "optimizer.accumulation",
        "optimizer.clip_norm", "optimizer.precision", "stage2.epochs", "stage2.warmup_epochs", "stage2.patience",
        "stage2.resolutions",
    }  # fmt: skip


def test_every_point_of_the_wide_sweep_is_an_experiment() -> None:
    """The check when the file is read sees the first combinations only: 200 of the sampler's own are tried here."""
    config = load(FOLDER / "chestmnist" / "sweep_wide.yaml")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(200):
        values = suggest(study.ask(), config.search)
        assert with_values(config, values).search == {}


def test_a_fresh_store_learns_from_the_studies_that_come_along(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'fresh.db'}"
    done = import_studies(FOLDER / "studies.json", storage=url)
    assert [each["done"] for each in done] == ["imported, 20 trials"] * 7
    assert len({study.data.digest for study in summaries(url)}) == 7
    config = load(FOLDER / "quickstart.yaml", ["study.learn_from=all"])
    # the quickstart also searches a field that they do not, so its sampler sees none of them, and it begins with four
    first = first_trials(config, url)
    assert len(first) == 4
    assert all({"stage2.lr", "model.dropout"} >= each.values.keys() > set() for each in first)
    rates = [each.values["stage2.lr"] for each in first if "stage2.lr" in each.values]
    assert rates
    assert all(5e-4 <= rate <= 5e-3 for rate in rates)
