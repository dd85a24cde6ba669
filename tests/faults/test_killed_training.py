"""A training killed outright, again and again, is in the end as if it had never been: bit for bit."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from helpers import forked
from helpers.sweeps import mounted
from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.config import Config, to_yaml
from mobilenet_chest.tracking.artifact_writer import CHECKPOINT_SECONDS
from mobilenet_chest.tracking.artifacts import artifact, resume_point
from mobilenet_chest.tracking.run_metrics import metric_history, metrics_of
from mobilenet_chest.training import checkpoint

ROOT = Path(__file__).parents[2]
TIMED = ("epoch_seconds", "images_per_second", "train_seconds", "saved_seconds")
KILLS = 4
WAIT_SECONDS = 120

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="POSIX signals")]


def training(experiment: Path, *more: str, largest: int | None = None) -> subprocess.Popen[str]:
    """Start a training; ``largest``: bytes that a file of it may have."""

    command = [sys.executable, str(ROOT / "train.py"), str(experiment), "--json", *more]
    # a cache would leave the second training no stage 1 to be killed in; one thread sums in one order
    environment = os.environ | {"MOBILENET_CHEST_CACHE": "off", "OMP_NUM_THREADS": "1"}
    process = forked.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    if largest is not None:
        psutil.Process(process.pid).rlimit(psutil.RLIMIT_FSIZE, (largest, largest))
    return process


def checkpoints() -> set[tuple[str, int]]:
    return {(file.name, file.stat().st_mtime_ns) for file in Path("mlruns").glob("*/*/artifacts/checkpoints/last-*.pt")}


def histories(run: Run) -> dict[str, dict[int, float]]:
    """Metrics by name and step; none of them twice."""
    metrics = {}
    for name in metrics_of(run):
        points = metric_history(MlflowClient(), run.info.run_id, name)
        metrics[name] = {point.step: point.value for point in points}
        assert len(metrics[name]) == len(points), f"{name} has a step twice"
    return metrics


def left(run: Run) -> tuple[dict[str, torch.Tensor], pd.DataFrame]:
    with artifact(MlflowClient(), run, "checkpoints/best.pt") as path:
        weights = checkpoint.load(path)["model"]
    with artifact(MlflowClient(), run, "predictions/val.parquet") as path:
        return weights, pd.read_parquet(path)


@pytest.mark.timeout(600)
def test_killed_again_and_again(tracking: Path, phantom_config: Callable[..., Config]) -> None:
    experiment = tracking / "tiny.yaml"
    values = {
        "model": {"weights": "none", "hidden": [16]},
        "augment": {"rotation": 5, "mixup": 0.2},
        "stage1.epochs": 3,
        "stage2": {"epochs": 12, "schedule": "cosine", "ema": 0.9, "patience": None},
    }
    experiment.write_text(to_yaml(phantom_config(values)), encoding="utf-8")
    whole = training(experiment)
    answer, errors = whole.communicate(timeout=WAIT_SECONDS)
    assert whole.returncode == 0, errors
    client, chance = MlflowClient(), random.Random(11)
    expected = client.get_run(json.loads(answer)["run_id"])

    resume: list[str] = []
    logged: dict[str, dict[int, float]] = {}
    for _ in range(KILLS):
        before, deadline = checkpoints(), time.monotonic() + WAIT_SECONDS
        process = training(experiment, *resume)
        while checkpoints() <= before and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate(timeout=WAIT_SECONDS)
        assert process.returncode == -signal.SIGKILL, errors
        runs = client.search_runs([expected.info.experiment_id])
        (run,) = [run for run in runs if run.info.run_id != expected.info.run_id]
        resume = ["--resume", run.info.run_id]
        if "resumes after epoch" in errors:
            assert_little_was_lost(errors, logged)
        logged = histories(client.get_run(run.info.run_id))
    last = training(experiment, *resume)
    _, errors = last.communicate(timeout=WAIT_SECONDS)
    assert last.returncode == 0, errors
    assert_little_was_lost(errors, logged)

    run = client.get_run(run.info.run_id)
    assert run.info.status == "FINISHED"
    resumed, others = histories(run), histories(expected)
    assert resumed.keys() == others.keys()
    for name, points in resumed.items():
        assert points.keys() == others[name].keys(), name
        if name not in TIMED:
            assert points == others[name], name
    assert sorted(resumed["train_loss"]) == list(range(1, 16))
    weights, predictions = left(run)
    expected_weights, expected_predictions = left(expected)
    assert all(torch.equal(value, weights[name]) for name, value in expected_weights.items())
    for column in expected_predictions:
        assert np.array_equal(predictions[column], expected_predictions[column])


@pytest.mark.parametrize("signals", [(signal.SIGTERM,), (signal.SIGINT, signal.SIGINT)])
def test_ended_in_order(
    tracking: Path, phantom_config: Callable[..., Config], signals: tuple[signal.Signals, ...]
) -> None:
    experiment = tracking / "tiny.yaml"
    values = {"model": {"weights": "none", "hidden": [16]}, "stage2": {"epochs": 40, "patience": None}}
    experiment.write_text(to_yaml(phantom_config(values)), encoding="utf-8")
    process = training(experiment)
    while len(checkpoints()) < 2:
        time.sleep(0.01)
    for number in signals:
        process.send_signal(number)
        time.sleep(0.05)
    answer, errors = process.communicate(timeout=WAIT_SECONDS)
    assert (process.returncode, answer) == (130, ""), errors
    assert "Traceback" not in errors, errors
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert run.info.status == "KILLED"
    stands = resume_point(client, run)
    assert stands is not None
    # an epoch is saved before its metrics are logged
    assert stands.progress.epoch - max(histories(run)["train_loss"]) in (0, 1)
    with artifact(client, run, "checkpoints/best.pt") as path:
        assert 1 <= checkpoint.load(path)["best_epoch"] <= stands.progress.epoch
    assert errors.rstrip().endswith(f"--resume {run.info.run_id[:8]}")


@pytest.mark.timeout(400)
def test_a_full_disk(tracking: Path, phantom_config: Callable[..., Config]) -> None:
    """Stage 1's checkpoint fits, stage 2's larger one does not: one line, exit 1, and what was kept before is whole."""
    experiment = tracking / "tiny.yaml"
    values = {"model": {"weights": "none", "hidden": [16]}, "stage2": {"epochs": 8, "patience": None}}
    experiment.write_text(to_yaml(phantom_config(values)), encoding="utf-8")
    process = training(experiment)
    while not checkpoints():
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=WAIT_SECONDS)
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    resume = ["--resume", run.info.run_id]
    stood = resume_point(client, run)
    assert stood is not None
    (kept,) = Path("mlruns").glob("*/*/artifacts/checkpoints/last-*.pt")

    limited = training(experiment, *resume, largest=kept.stat().st_size * 5 // 4)
    answer, errors = limited.communicate(timeout=WAIT_SECONDS)
    assert (limited.returncode, answer) == (1, "")
    assert "Traceback" not in errors
    last = errors.strip().splitlines()[-1]
    assert re.search(r"checkpoints/[a-z0-9_-]+\.pt cannot be written \(File too large\); make room", last)
    assert last.rstrip().endswith(f"--resume {run.info.run_id[:8]}")
    assert client.get_run(run.info.run_id).info.status == "FAILED"
    stands = resume_point(client, run)
    assert stands is not None
    assert stands.progress.epoch == stood.progress.epoch

    again = training(experiment, *resume)
    answer, errors = again.communicate(timeout=WAIT_SECONDS)
    assert again.returncode == 0, errors
    assert sorted(histories(client.get_run(run.info.run_id))["train_loss"]) == list(range(1, 10))


@pytest.mark.timeout(400)
def test_a_folder_that_becomes_read_only(tracking: Path, phantom_config: Callable[..., Config]) -> None:
    experiment = tracking / "tiny.yaml"
    values = {"model": {"weights": "none", "hidden": [16]}, "stage2": {"epochs": 30, "patience": None}}
    experiment.write_text(to_yaml(phantom_config(values)), encoding="utf-8")
    client = MlflowClient()
    with mounted(tracking / "mlruns", 500) as remount:
        process = training(experiment)
        while len(checkpoints()) < 2:
            time.sleep(0.01)
        while process.poll() is None:
            try:
                remount("ro")
                break
            except subprocess.CalledProcessError:  # a file in it is open at the moment
                time.sleep(0.02)
        answer, errors = process.communicate(timeout=WAIT_SECONDS)
        assert (process.returncode, answer) == (1, ""), errors
        assert "Traceback" not in errors
        assert re.search(r"cannot be written \(Read-only file system\); make room", errors)
        (run,) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
        assert run.info.status == "FAILED"
        assert resume_point(client, run) is not None
        remount("rw")
        again = training(experiment, "--resume", run.info.run_id)
        _, errors = again.communicate(timeout=WAIT_SECONDS)
        assert again.returncode == 0, errors
        assert "resumes after epoch" in errors
        assert sorted(histories(client.get_run(run.info.run_id))["train_loss"]) == list(range(1, 32))


def assert_little_was_lost(errors: str, logged: dict[str, dict[int, float]]) -> None:
    """One epoch, or those within a second of the last checkpoint."""
    message = re.search(r"resumes after epoch (\d+)", errors)
    assert message is not None, errors
    lost = [seconds for step, seconds in logged["epoch_seconds"].items() if step > int(message[1])]
    assert len(lost) <= 1 or sum(lost[:-1]) <= CHECKPOINT_SECONDS
