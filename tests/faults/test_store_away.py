"""A training whose tracking server goes away: real processes, a real server, real signals."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import forked
from helpers.servers import MlflowServer
from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.config import Config, to_yaml
from mobilenet_chest.tracking.artifacts import artifact
from mobilenet_chest.tracking.run_metrics import metric_history, metrics_of
from mobilenet_chest.training import checkpoint

ROOT = Path(__file__).parents[2]
EPOCHS = 12
AWAY_SECONDS = 15.0
WAIT_SECONDS = 150

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(os.name != "posix", reason="POSIX signals"),
]


@pytest.fixture(scope="module")
def _server(_empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(_empty_database, folder / "server.db")
    server = MlflowServer(folder)
    yield server
    server.kill()


@pytest.fixture
def server(_server: MlflowServer, tracking: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowServer:
    """A server that is there; the working folder is the test's own."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", _server.uri)
    if not _server.runs:
        _server.start()
    return _server


@pytest.fixture
def experiment(tracking: Path, phantom_config: Callable[..., Config]) -> Path:
    path = tracking / f"{tracking.name}.yaml"
    values: dict[str, Any] = {
        "name": tracking.name,
        "model": {"name": "timm:mobilenetv2_050", "weights": "none", "hidden": [8]},
        "stage2": {"epochs": EPOCHS - 1, "patience": None},
        "tracking.plots": True,
    }
    path.write_text(to_yaml(phantom_config(values)), encoding="utf-8")
    return path


def python(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    environment = os.environ | {"MOBILENET_CHEST_CACHE": "off", "OMP_NUM_THREADS": "1"} | variables
    command = [sys.executable, *arguments]
    return forked.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def training(experiment: Path, *more: str, epoch_seconds: float = 0.0, patience: float = 30.0) -> subprocess.Popen[str]:
    """``train.py`` as it is, but that every epoch lasts longer, so that there is time for something to happen."""
    code = (
        "import sys, time\n"
        "from mobilenet_chest import two_stage\n"
        "from mobilenet_chest.cli import main\n"
        "last = two_stage.ArtifactWriter.save_last\n"
        "def slowly(*arguments):\n"
        f"    time.sleep({epoch_seconds})\n"
        "    last(*arguments)\n"
        "two_stage.ArtifactWriter.save_last = slowly\n"
        "from mobilenet_chest.tracking.outbox import outbox\n"
        f"outbox.PATIENCE_SECONDS = {patience}\n"
        "main('train')\n"
    )
    return python("-c", code, str(experiment), "--json", *more, PYTHONPATH=str(ROOT))


REPAIRING_SLOWLY = """
import sys, time
from mobilenet_chest.cli import main
from mobilenet_chest.tracking.outbox.journal import Journal
mark_sent = Journal.mark_sent
def slowly(*arguments):  # what is killed is killed between a write and the mark that it was sent
    time.sleep(0.5)
    mark_sent(*arguments)
Journal.mark_sent = slowly
sys.argv = ["mobilenet-chest", "repair"]
main()
"""


def repair() -> tuple[int, str, str]:
    process = python("-m", "mobilenet_chest", "repair", PYTHONPATH=str(ROOT))
    answer, errors = process.communicate(timeout=WAIT_SECONDS)
    return process.returncode, answer, errors


def until_epoch(experiment: Path, epoch: int) -> Run:
    """Wait until the experiment's only run has logged an epoch."""
    client, deadline = MlflowClient(), time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        stored = client.get_experiment_by_name(experiment.stem)
        for run in client.search_runs([stored.experiment_id]) if stored else []:
            if any(point.step >= epoch for point in metric_history(client, run.info.run_id, "train_loss")):
                return run
        time.sleep(0.1)
    pytest.fail(f"no epoch {epoch}")


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def pending_epochs(folder: Path) -> set[int]:
    """Return the epochs whose metrics are in the journals of the outbox."""
    epochs = set()
    for journal in folder.glob(".mobilenet-chest/spool/*/writes.jsonl"):
        for line in journal.read_text().splitlines():
            try:
                epochs |= {step for _, _, _, step in json.loads(line).get("metrics", [])}
            except ValueError:
                continue  # it is being written
    return epochs


def assert_whole(run_id: str) -> dict[str, dict[int, float]]:
    """Check that a run is FINISHED with each metric once a step and artifacts that can be read; return its metrics."""
    client = MlflowClient()
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    metrics = {}
    for name in metrics_of(run):
        points = metric_history(client, run_id, name)
        metrics[name] = {point.step: point.value for point in points}
        assert len(metrics[name]) == len(points), f"{name} has a step twice"
    for name in ("train_loss", "train_accuracy", "val_accuracy", "lr", "epoch_seconds", "images_per_second", "stage"):
        assert sorted(set(metrics[name]) - {0}) == list(range(1, EPOCHS + 1)), name
    assert set(metrics["val_auc"]) == set(range(EPOCHS + 1))
    assert metrics["threshold"].keys() == {0}
    paths = {
        file.path for folder in ("", "checkpoints", "predictions", "plots")
        for file in client.list_artifacts(run_id, folder or None) if not file.is_dir
    }  # fmt: skip
    assert paths == {
        "config.yaml", "checkpoints/stage1_best.pt", "checkpoints/best.pt", "predictions/val.parquet",
        "plots/reliability.png", "plots/threshold_curve.png", "plots/training_curves.png", "plots/val_predictions.png",
    }  # fmt: skip
    for name in ("stage1_best.pt", "best.pt"):
        with artifact(client, run, f"checkpoints/{name}") as path:
            checkpoint.load(path)
    return metrics


def test_away_for_a_while(server: MlflowServer, experiment: Path, tracking: Path) -> None:
    process = training(experiment, epoch_seconds=2.0)
    run = until_epoch(experiment, 2)
    server.kill()
    time.sleep(AWAY_SECONDS)
    assert pending_epochs(tracking), "nothing was kept while the server was away"
    server.start()
    answer, errors = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 0, errors
    assert json.loads(answer)["run_id"] == run.info.run_id
    assert errors.count(f"tracking store {server.uri} is away") == 1
    assert re.search(rf"run {run.info.run_id[:8]}: \d+ pending writes sent", errors)
    assert_whole(run.info.run_id)
    assert list((tracking / ".mobilenet-chest" / "spool").iterdir()) == []


def test_away_for_good(server: MlflowServer, experiment: Path, tracking: Path) -> None:
    process = training(experiment, epoch_seconds=0.4, patience=3.0)
    run = until_epoch(experiment, 2)
    server.kill()
    answer, errors = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 1
    assert json.loads(answer)["run_id"] == run.info.run_id
    (spool,) = (tracking / ".mobilenet-chest" / "spool").iterdir()
    assert re.fullmatch(
        rf"run {run.info.run_id[:8]}: \d+ writes could not be sent to {server.uri}; they are pending in {spool}, and "
        r"`mobilenet-chest repair` sends them when the store is back",
        errors.splitlines()[-1],
    )
    assert "Traceback" not in errors

    server.start()
    code, answer, errors = repair()
    assert code == 0, errors
    assert f"run {run.info.run_id[:8]}: " in answer
    assert "KILLED" not in answer
    assert server.uri + "/#" not in answer + errors  # MLflow itself would print the address, with its password
    assert_whole(run.info.run_id)
    assert not spool.exists()


def test_killed_while_it_was_away(server: MlflowServer, experiment: Path, tracking: Path) -> None:
    """A repair sends what the dead process had kept, though a first repair is killed while it sends; the training
    resumes from there."""
    process = training(experiment, epoch_seconds=1.1)
    run = until_epoch(experiment, 2)
    server.kill()
    until(lambda: max(pending_epochs(tracking), default=0) >= 5)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=WAIT_SECONDS)
    kept = max(pending_epochs(tracking))
    server.start()
    (spool,) = (tracking / ".mobilenet-chest" / "spool").iterdir()
    killed = python("-c", REPAIRING_SLOWLY, PYTHONPATH=str(ROOT))
    until((spool / "position").exists)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=WAIT_SECONDS)
    assert spool.exists()
    code, answer, errors = repair()
    assert code == 0, errors
    assert "pending writes sent" in answer
    assert f"train run {run.info.run_id[:8]}: its process is gone, KILLED" in answer
    steps = [point.step for point in metric_history(MlflowClient(), run.info.run_id, "train_loss")]
    assert sorted(steps) == list(range(1, kept + 1))

    process = training(experiment, "--resume", run.info.run_id)
    answer, errors = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 0, errors
    assert f"run {run.info.run_id[:8]} resumes after epoch {kept}" in errors
    assert_whole(run.info.run_id)
