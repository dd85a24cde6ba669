"""Which runs can be resumed, and from which point."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

from mobilenet_chest.errors import ConfigError, TrackingError
from mobilenet_chest.selection.resume import find_resume_point
from mobilenet_chest.tracking.provenance import identity
from mobilenet_chest.tracking.tags import OWNER

if TYPE_CHECKING:
    from helpers.stores import Store


def checkpoints(store: Store, run_id: str) -> Path:
    """The folder of a run's checkpoints."""
    (folder,) = store.folder.glob(f"mlruns/*/{run_id}/artifacts/checkpoints")
    return folder


def test_an_interrupted_run_is_resumed_where_it_was_interrupted(store: Store) -> None:
    point = find_resume_point(store.interrupted, store.config())
    assert point is not None
    progress = point.progress
    assert (progress.epoch, progress.stage, progress.stage_epoch) == (2, 2, 1)
    assert len(progress.history) == 2


def test_another_name_or_place_of_the_data_is_still_the_same_experiment(store: Store) -> None:
    moved = store.data.with_name("moved.npz")
    store.data.rename(moved)
    assert find_resume_point(store.interrupted, store.config({"name": "renamed", "data.path": str(moved)})) is not None


def test_a_finished_run_is_refused(store: Store) -> None:
    with pytest.raises(TrackingError, match=f"--resume {store.single[:8]}: .*finished"):
        find_resume_point(store.single, store.single_config)
    assert {file.name for file in checkpoints(store, store.single).iterdir()} == {"best.pt", "stage1_best.pt"}


def test_an_unknown_run_is_refused(store: Store) -> None:
    with pytest.raises(TrackingError, match=f"no run {'f' * 32}"):
        find_resume_point("f" * 32, store.config())


def test_another_experiment_is_refused_with_both_digests(store: Store) -> None:
    other = store.config({"stage2.lr": 1e-3})
    with pytest.raises(ConfigError) as caught:
        find_resume_point(store.interrupted, other)
    assert store.config().digest() in str(caught.value)
    assert other.digest() in str(caught.value)


def test_changed_rows_are_refused(store: Store, rewrite_data: Callable[..., None]) -> None:
    with np.load(store.data) as file:
        images = file["train_images"]
    images ^= 1
    rewrite_data(train_images=images)
    with pytest.raises(TrackingError, match=str(store.run(store.interrupted).data.tags["data_digest"])):
        find_resume_point(store.interrupted, store.config())


def test_a_trial_is_refused(store: Store) -> None:
    store.client.update_run(store.trials[0], status="KILLED")
    with pytest.raises(TrackingError, match=rf"{store.trials[0][:8]}: .*\btrial\b.*sweep\.py"):
        find_resume_point(store.trials[0], store.config())


def test_a_run_of_a_living_process_is_refused(store: Store) -> None:
    store.client.update_run(store.interrupted, status="RUNNING")
    owner = json.loads(store.run(store.interrupted).data.tags[OWNER])  # this process, or another of this test run
    with pytest.raises(TrackingError, match=rf"process {owner['pid']} on "):
        find_resume_point(store.interrupted, store.config())
    # the owner was killed: no process of this pid started at that time
    gone = identity() | {"started": psutil.boot_time() - 1000}
    store.client.set_tag(store.interrupted, OWNER, json.dumps(gone))
    assert find_resume_point(store.interrupted, store.config()) is not None


def test_a_run_that_was_killed_before_its_first_checkpoint_has_no_resume_point(store: Store) -> None:
    for file in checkpoints(store, store.interrupted).glob("last-*.pt"):
        file.unlink()
    assert find_resume_point(store.interrupted, store.config()) is None
