"""Parents of compressed networks: found, checked, and trained on as any other run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from helpers.trackers import FolderTracker, assert_same

from mobilenet_chest.config import Config, with_values
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import ConfigError, TrackingError
from mobilenet_chest.selection.resume import find_resume_point
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifacts import run_config, trained_model
from mobilenet_chest.tracking.parents import as_begun, parent_weights, training_tracker, with_parent
from mobilenet_chest.training.predict import predict_logits
from mobilenet_chest.two_stage import train

if TYPE_CHECKING:
    from pathlib import Path

    from helpers.stores import Store


def pruned(store: Store, values: dict[str, Any] | None = None) -> Config:
    """Return an experiment that prunes the store's single training."""
    compress = {"method": "prune", "parent": store.single[:8], "ratio": 0.5}
    return store.config({"stage1": {"epochs": 0}, "stage2.epochs": 2, "compress": compress} | (values or {}))


def test_a_pruned_training_is_a_run_whose_model_loads(store: Store) -> None:
    config = with_parent(pruned(store))
    result = train(config, training_tracker(config))
    assert result.run_id is not None
    run = store.run(result.run_id)
    labels = {name: run.data.tags[name] for name in (tags.KIND, tags.COMPRESSION, tags.PARENT_RUN)}
    assert labels == {tags.KIND: "compressed", tags.COMPRESSION: "prune", tags.PARENT_RUN: store.single}
    stored = run_config(store.client, run)
    assert stored == result.config == config
    images = load_train_val(config.data).val.images
    loaded = trained_model(store.client, run, stored)
    assert torch.equal(predict_logits(loaded, images), predict_logits(result.model, images))
    parent = trained_model(store.client, store.run(store.single), store.single_config)
    assert result.metrics["parameters"] < 0.5 * sum(value.numel() for value in parent.parameters())
    with pytest.raises(TrackingError, match="finished"):
        find_resume_point(result.run_id, stored)


def test_a_ratio_is_filled_in_where_every_method_has_one(store: Store) -> None:
    values: dict[str, Any] = {"compress.ratio": None}
    assert with_parent(pruned(store, values)).compress.ratio == 0.3
    config = with_parent(pruned(store, values | {"search": {"compress.method": {"choices": ["prune", "int8-qat"]}}}))
    assert (config.compress.ratio, config.compress.parent) == (None, store.single)
    assert with_values(config, {"compress.method": "int8-qat"}).compress.quantizes


def test_what_is_made_of_a_trial_belongs_to_its_study(store: Store) -> None:
    config = with_parent(pruned(store, {"compress.parent": "dropout-study", "model.dropout": 0.5}))
    assert config.compress.parent == store.trials[store.best]
    tracker = training_tracker(config)
    run = store.run(tracker.start(config, load_train_val(config.data)))
    tracker.leave()
    assert run.data.tags[tags.STUDY] == "dropout-study"


@pytest.mark.slow
def test_the_ratio_of_a_target_is_found_when_the_run_begins(store: Store) -> None:
    config = with_parent(pruned(store, {"compress.ratio": None, "compress.target": {"flops": 0.3}}))
    assert config.compress.ratio is not None
    assert config.compress.reached is not None
    assert 0.2 < config.compress.reached <= 0.3
    assert with_parent(config) is config


def test_a_run_says_its_target_and_what_reaches_it(store: Store) -> None:
    found = {"compress.ratio": 0.45, "compress.target": {"flops": 0.3}, "compress.reached": 0.29}
    config = with_parent(pruned(store, found))
    tracker = training_tracker(config)
    run = store.run(tracker.start(config, load_train_val(config.data)))
    tracker.leave()
    labels = {name: run.data.tags[f"{tags.COMPRESSION}_{name}"] for name in ("target", "ratio", "reached")}
    assert labels == {
        "target": "flops 0.3",
        "ratio": "0.45",
        "reached": "0.29",
    }
    # a ratio that is measured again may be another one
    again = config.compress.model_copy(update={"ratio": 0.9, "reached": 0.1})
    assert as_begun(config.model_copy(update={"compress": again}), run.info.run_id[:8]) == config


def test_zeroed_weights_of_a_run_stay_zeros(store: Store) -> None:
    config = pruned(store, {"compress.method": "unstructured"})
    result = train(config)
    weights = torch.cat([value.flatten() for name, value in result.model.named_parameters() if value.ndim == 4])
    assert 0.3 < float((weights == 0).double().mean()) < 0.7


@pytest.mark.slow
@pytest.mark.parametrize("method", ["prune", "unstructured"])
def test_resumed_is_as_never_interrupted(store: Store, tmp_path: Path, method: str) -> None:
    config = with_parent(pruned(store, {"compress.method": method}))
    whole = train(config)
    with pytest.raises(KeyboardInterrupt):
        train(config, FolderTracker(tmp_path), _stop)
    assert_same(train(config, resume=FolderTracker(tmp_path).resume_point()), whole)


def _stop(epoch: int, _record: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"model.hidden": [9]}, "model.hidden"),
        ({"compress.weights_sha256": "a" * 64}, "compress.weights_sha256: aaaa"),
    ],
)
def test_another_network_than_the_parents_is_refused(store: Store, values: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        parent_weights(with_parent(pruned(store, values)))


def test_parents_that_cannot_be_used(store: Store) -> None:
    with pytest.raises(TrackingError, match=f"{store.interrupted[:8]} is KILLED"):
        with_parent(pruned(store, {"compress.parent": store.interrupted}))
    with pytest.raises(TrackingError, match="no run"):
        with_parent(pruned(store, {"compress.parent": "f" * 32}))
    config = with_parent(pruned(store, {"data.folds": 2, "data.fold": 0}))
    with pytest.raises(TrackingError, match="was trained and validated on rows with digest"):
        parent_weights(config)
