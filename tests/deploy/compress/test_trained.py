"""Compression by training: the experiment made of the original's, and the run that comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mobilenet_chest.config import Config
from mobilenet_chest.deploy.compress.compress import compress
from mobilenet_chest.deploy.compress.trained import compressed_config
from mobilenet_chest.errors import ConfigError, UserError

if TYPE_CHECKING:
    from helpers.stores import Store


def original(store: Store) -> Config:
    """Return an experiment with all that its compressed form does not inherit."""
    stage2 = {"epochs": 6, "lr": 1e-3, "unfreeze_from": [9, 0], "resolutions": [16, 32]}
    study = {"name": "s", "budget": "phase", "metric": "val_auc"}
    return store.config({"stage1": {"epochs": 3}, "stage2": stage2, "study": study})


def test_the_experiment_is_the_originals_with_all_layers_at_full_size(store: Store) -> None:
    config = compressed_config(original(store), "ab" * 16, "prune", ["compress.ratio=0.6", "stage2.epochs=2"])
    assert (config.stage1.epochs, config.stage2.epochs, config.stage2.lr) == (0, 2, 1e-3)
    assert (config.stage2.unfreeze_from, config.stage2.resolutions) == ((0,), None)
    assert (config.compress.method, config.compress.parent, config.compress.ratio) == ("prune", "ab" * 16, 0.6)
    assert (config.experiment, config.study.metric, config.study.name) == ("tiny-runs", "val_auc", None)
    assert (config.data, config.model) == (original(store).data, original(store).model)


@pytest.mark.parametrize("override", ["compress.ratio=2", "stage9.lr=1", "stage1.epochs=1", "nonsense"])
def test_overrides_are_checked(store: Store, override: str) -> None:
    with pytest.raises(ConfigError):
        compressed_config(original(store), "ab" * 16, "prune", [override])


def test_methods_that_train_nothing_take_no_overrides(store: Store) -> None:
    with pytest.raises(UserError, match="compress.ratio=0.5: --method fp16 trains nothing"):
        compress(store.single, "fp16", ["compress.ratio=0.5"])


@pytest.mark.slow
def test_pruned_and_compared_with_its_original(store: Store) -> None:
    result = compress(store.single, "prune", ["compress.ratio=0.5", "stage2.epochs=2"])
    run = store.run(result.run_id)
    labels = {name: run.data.tags[name] for name in ("kind", "compression", "mlflow.parentRunId")}
    assert labels == {"kind": "compressed", "compression": "prune", "mlflow.parentRunId": store.single}
    assert result.choices == {"ratio": "0.5"}
    assert result.metrics["size_ratio"] < 0.5
    assert set(result.differences) == {"val_auc", "val_accuracy_crossfit"}
    # the same command again finds the run
    assert compress(store.single, "prune", ["compress.ratio=0.5", "stage2.epochs=2"]) == result


@pytest.mark.slow
def test_zeros_take_no_room_where_they_are_zipped(store: Store) -> None:
    result = compress(store.single, "unstructured", ["compress.ratio=0.8", "stage2.epochs=1"])
    assert result.metrics["size_ratio"] == pytest.approx(1, abs=0.02)
    assert result.metrics["zipped_ratio"] < 0.5
