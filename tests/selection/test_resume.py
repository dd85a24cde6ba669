"""Which runs a training may be resumed from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mobilenet_chest.errors import ConfigError, TrackingError
from mobilenet_chest.selection.resume import last_checkpoint
from mobilenet_chest.training import checkpoint

if TYPE_CHECKING:
    from tests.selection.conftest import Store


def test_an_interrupted_run_gives_its_last_checkpoint_for_the_block(store: Store) -> None:
    with last_checkpoint(store.interrupted, store.config()) as path:
        progress = checkpoint.load(path)["progress"]
    assert (progress["epoch"], progress["stage"], progress["stage_epoch"]) == (2, 2, 1)
    assert len(progress["history"]) == 2
    assert not path.exists()


def test_another_name_or_place_of_the_data_is_still_the_same_experiment(store: Store) -> None:
    moved = store.data.with_name("moved.npz")
    store.data.rename(moved)
    with last_checkpoint(store.interrupted, store.config({"name": "renamed", "data.path": str(moved)})) as path:
        assert path.name == "last.pt"


def test_a_finished_run_is_refused(store: Store) -> None:
    with (
        pytest.raises(TrackingError, match=f"--resume {store.single}: the run is finished"),
        last_checkpoint(store.single, store.config({"seed": 12})),
    ):
        pass


def test_an_unknown_run_is_refused(store: Store) -> None:
    with pytest.raises(TrackingError, match=f"no run {'f' * 32}"), last_checkpoint("f" * 32, store.config()):
        pass


def test_another_experiment_is_refused_with_both_digests(store: Store) -> None:
    other = store.config({"stage2.lr": 1e-3})
    with pytest.raises(ConfigError) as caught, last_checkpoint(store.interrupted, other):
        pass
    assert store.config().digest() in str(caught.value)
    assert other.digest() in str(caught.value)


def test_changed_rows_are_refused(store: Store, rewrite_data: Callable[..., None]) -> None:
    with np.load(store.data) as file:
        images = file["train_images"]
    images ^= 1
    rewrite_data(train_images=images)
    with (
        pytest.raises(TrackingError, match="put the original file back, or train again"),
        last_checkpoint(store.interrupted, store.config()),
    ):
        pass


def test_a_run_that_kept_no_last_checkpoint_is_refused(store: Store) -> None:
    # what a killed process leaves: the run says RUNNING and has no last.pt
    store.client.update_run(store.single, status="RUNNING")
    with (
        pytest.raises(TrackingError, match=rf"run {store.single} has no checkpoints/last\.pt"),
        last_checkpoint(store.single, store.config({"seed": 12})),
    ):
        pass
