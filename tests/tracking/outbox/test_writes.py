"""Writes as plain data: sent twice, they change nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import DataError
from mobilenet_chest.tracking.description import run_inputs
from mobilenet_chest.tracking.outbox.writes import remove_artifacts, send
from mobilenet_chest.tracking.run_metrics import metric_history
from mobilenet_chest.tracking.store import connect

NAN = float("nan")


@pytest.fixture
def client(tracking: Path) -> MlflowClient:
    return connect()


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    return str(client.create_run("0").info.run_id)


def test_the_same_again_changes_nothing(
    client: MlflowClient, run_id: str, phantom_config: Callable[..., Config], tmp_path: Path
) -> None:
    config, file = phantom_config(), tmp_path / "note.txt"
    file.write_text("once")
    writes: list[dict[str, Any]] = [
        {"metrics": [["val_auc", 0.1 + 0.2, 1764000000000, 1], ["val_auc", 0.5, 1764000000007, 2]]},
        {"metrics": [["val_loss", NAN, 1764000000000, 1], ["val_loss", float("inf"), 1764000000000, 2]]},
        {"params": {"seed": "7"}},
        {"tags": {"note": "mine"}},
        run_inputs(config, load_train_val(config.data)),
        {"upload": "notes/note.txt"},
        {"upload": "note.txt"},
        {"remove": "notes/note.txt"},
        {"status": "FINISHED", "time": 1764000000010},
    ]
    for write in [*writes, *writes[:4], *(one for one in writes for _ in range(3))]:
        send(client, run_id, write, file if "upload" in write else None)
    run = client.get_run(run_id)
    points = [(point.step, point.value, point.timestamp) for point in metric_history(client, run_id, "val_auc")]
    assert sorted(points) == [(1, 0.1 + 0.2, 1764000000000), (2, 0.5, 1764000000007)]
    assert len(metric_history(client, run_id, "val_loss")) == 2
    assert (run.data.params, run.data.tags["note"]) == ({"seed": "7"}, "mine")
    assert [item.tags[0].value for item in run.inputs.dataset_inputs] == ["train", "val"]
    assert [file.path for file in client.list_artifacts(run_id) if not file.is_dir] == ["note.txt"]
    assert client.list_artifacts(run_id, "notes") == []
    assert (run.info.status, run.info.end_time) == ("FINISHED", 1764000000010)


def test_no_write_at_all(client: MlflowClient, run_id: str) -> None:
    with pytest.raises(DataError, match=r"no write to a run is \{'metric': 1\}"):
        send(client, run_id, {"metric": 1})


def test_two_workers_delete_the_same_artifacts_at_once(client: MlflowClient) -> None:
    """Each misses files that the other has deleted; nothing fails, and nothing is left."""
    for number in range(8):
        run_id = client.create_run("0").info.run_id
        run = client.get_run(run_id)
        folder = Path(run.info.artifact_uri.removeprefix("file://")) / "checkpoints"
        folder.mkdir(parents=True)
        for file in range(200):
            (folder / f"{file}.pt").touch()
        together = threading.Barrier(2)

        def delete(run: Run = run, together: threading.Barrier = together) -> None:
            together.wait()
            remove_artifacts(run, "checkpoints")

        with ThreadPoolExecutor(2) as workers:
            for future in [workers.submit(delete) for _ in range(2)]:
                future.result()
        assert not folder.exists(), number
