"""Trainings that were interrupted among others go on where they stood."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
from mlflow import MlflowClient

from mobilenet_chest import cache
from mobilenet_chest.combine.members import train_members
from mobilenet_chest.config import Config, with_values
from mobilenet_chest.tracking.provenance import identity
from mobilenet_chest.tracking.tags import OWNER
from mobilenet_chest.training.epoch import Record

Make = Callable[..., Config]


def watching(seen: list[int], stop_at: int | None = None) -> Callable[..., object]:
    @contextmanager
    def watch(config: Config) -> Iterator[Callable[[int, Record], None]]:
        def on_epoch(epoch: int, record: Record) -> None:
            seen.append(epoch)
            if epoch == stop_at:
                raise KeyboardInterrupt

        yield on_epoch

    return watch


def test_an_interrupted_member_goes_on(tiny: Make) -> None:
    config = tiny()
    whole = train_members([tiny({"tracking": {"experiment": "whole"}})])[0].predictions()
    cache.clear()  # or there would be no stage 1 to be seen
    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        train_members([config], watching(seen, stop_at=2))
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("members").experiment_id])
    assert (run.info.status, seen) == ("KILLED", [1, 2])
    # as a kill leaves it: running, and in the hands of nobody
    client.update_run(run.info.run_id, status="RUNNING")
    client.set_tag(run.info.run_id, OWNER, json.dumps(identity() | {"started": psutil.boot_time() - 1000}))
    # other settings are another training
    (other,) = train_members([with_values(config, {"seed": 8})])
    assert other.run_id != run.info.run_id
    (member,) = train_members([config], watching(seen))
    assert (member.run_id, seen) == (run.info.run_id, [1, 2, 3])
    assert member.run.info.status == "FINISHED"
    assert member.predictions().probability.tolist() == whole.probability.tolist()


def test_a_run_in_living_hands_is_left_alone(tiny: Make) -> None:
    config = tiny()
    with pytest.raises(KeyboardInterrupt):
        train_members([config], watching([], stop_at=1))
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("members").experiment_id])
    client.update_run(run.info.run_id, status="RUNNING")
    (member,) = train_members([config])
    assert member.run_id != run.info.run_id
    assert client.get_run(run.info.run_id).info.status == "RUNNING"
