"""Members that were interrupted are resumed, and a living process keeps its run."""

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
from mobilenet_chest.errors import CompressionRefused
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.tracking.provenance import identity
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.tags import FAILURE, OWNER
from mobilenet_chest.tracking.tracker import Tracker
from mobilenet_chest.training.epoch import Record

Make = Callable[..., Config]


def recording(epochs: list[int], stop_at: int | None = None) -> Callable[..., object]:
    """Return a display that records epochs, and interrupts the training after one."""

    @contextmanager
    def display(config: Config) -> Iterator[Callable[[int, Record], None]]:
        def on_epoch(epoch: int, record: Record) -> None:
            epochs.append(epoch)
            if epoch == stop_at:
                raise KeyboardInterrupt

        yield on_epoch

    return display


@pytest.mark.slow
def test_an_interrupted_member_is_resumed(tiny: Make) -> None:
    config = tiny()
    uninterrupted = train_members([tiny({"tracking.experiment": "uninterrupted"})])[0].predictions()
    cache.clear()  # a cached stage 1 would have no epochs
    epochs: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        train_members([config], recording(epochs, stop_at=2))
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("members").experiment_id])
    assert (run.info.status, epochs) == ("KILLED", [1, 2])
    # as a kill leaves it: running, and its owner is gone
    client.update_run(run.info.run_id, status="RUNNING")
    client.set_tag(run.info.run_id, OWNER, json.dumps(identity() | {"started": psutil.boot_time() - 1000}))
    # other settings are another training
    (other,) = train_members([with_values(config, {"seed": 8})])
    assert other.run_id != run.info.run_id
    (member,) = train_members([config], recording(epochs))
    assert (member.run_id, epochs) == (run.info.run_id, [1, 2, 3])
    assert member.run.info.status == "FINISHED"
    assert member.predictions().probability.tolist() == uninterrupted.probability.tolist()


def test_a_run_of_a_living_process_is_left_alone(tiny: Make) -> None:
    config = tiny()
    with pytest.raises(KeyboardInterrupt):
        train_members([config], recording([], stop_at=1))
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("members").experiment_id])
    client.update_run(run.info.run_id, status="RUNNING")
    (member,) = train_members([config])
    assert member.run_id != run.info.run_id
    assert client.get_run(run.info.run_id).info.status == "RUNNING"


def test_a_run_ends_only_when_its_check_has_passed(tiny: Make) -> None:
    def refuse(tracker: Tracker, model: Classifier, predictions: Predictions) -> None:
        run = MlflowClient().get_run(str(tracker.run_id))
        assert (run.info.status, "val_auc" in metrics_of(run)) == ("RUNNING", True)
        assert (model.training, len(predictions.row)) == (False, 34)
        raise CompressionRefused("not like its original")

    with pytest.raises(CompressionRefused):
        train_members([tiny()], check=refuse)
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("members").experiment_id])
    assert (run.info.status, run.data.tags[FAILURE]) == ("FAILED", "CompressionRefused: not like its original")
    (member,) = train_members([tiny()])
    assert member.run_id != run.info.run_id
