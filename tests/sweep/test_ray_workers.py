"""Sweeps on a Ray cluster: real nodes on this machine, and the command line that is typed."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from helpers.sweeps import anew, family, started, steps, sweep_line, trials, wait_for_running_trials
from mlflow import MlflowClient
from optuna.trial import TrialState

from mobilenet_chest.config import Config
from mobilenet_chest.errors import ClusterError, MissingExtraError
from mobilenet_chest.sweep import ray_workers
from mobilenet_chest.sweep.claims import counts
from mobilenet_chest.sweep.local_workers import Job
from mobilenet_chest.sweep.ray_workers import on_ray

ROOT = Path(__file__).parents[2]
TRIALS = 4
WAIT_SECONDS = 240

ON_LOOPBACK = {
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # all of it on 127.0.0.1
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # else whatever else runs here comes first
}

TWO_NODES = """
import sys
from ray.cluster_utils import Cluster
here = {"num_cpus": 1, "node_ip_address": "127.0.0.1"}
cluster = Cluster(initialize_head=True, head_node_args=here | {"include_dashboard": False})
second = cluster.add_node(**here, num_gpus=1)
print(cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(second, allow_graceful=False)
    print("removed", flush=True)
cluster.shutdown()
"""

# real actors, whose time is up before they begin; what the cluster has left meanwhile is printed
ONE_GPU_FOR_TWO = """
import json, sys, ray
from mobilenet_chest.config import load
from mobilenet_chest.errors import ClusterError
from mobilenet_chest.sweep import ray_cluster
from mobilenet_chest.sweep.ray_workers import on_ray
from mobilenet_chest.sweep.stored_study import open_or_create
from mobilenet_chest.sweep.supervisor import Forecast
from mobilenet_chest.sweep.local_workers import Job
url, left = "sqlite:///gpu.db", []
config = load("tiny.yaml", ["device=auto"])
open_or_create(config, url)
def look():
    left.append(ray.available_resources().get("GPU", 0))
    return Forecast(claimable=0 not in left, running=False, begins=True, trials=0)
with on_ray(config, 2, storage=url, address=sys.argv[1]) as launch:
    left.append(ray.available_resources().get("GPU", 0))  # a busy machine may look for the first time when it is given
    job = Job(config, url, parent_run="none", deadline=0.0, threads=99)
    launch(job, 2, look, lambda: left.append("lost"))
    ray_cluster.socket.gethostname = lambda: "elsewhere"
    refusals = []
    for storage in ("sqlite:///optuna.db", "postgresql+psycopg://ann:hush@db/x"):
        try:
            ray_cluster.check_shared(storage)
        except ClusterError as error:
            refusals.append(str(error))
print(json.dumps({"left": left, "refusals": refusals}))
"""


def test_ray_that_is_not_installed(phantom_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as missing, on_ray(phantom_config(), 1):
        pass
    assert str(missing.value) == ("--launcher ray needs packages that are not installed; type: pip install -e '.[ray]'")


def test_a_gpu_by_its_number_means_nothing_in_a_cluster(phantom_config: Callable[..., Config]) -> None:
    refused = pytest.raises(ClusterError, match=r"device: cuda:1 .*--launcher ray .*cuda or auto")
    with refused, on_ray(phantom_config({"device": "cuda:1"}), 1):
        pass


def test_an_address_without_ray_is_a_mistake(tmp_path: Path) -> None:
    words = [sys.executable, str(ROOT / "sweep.py"), "--address", "127.0.0.1:6379"]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("--address 127.0.0.1:6379 ")
    assert list(tmp_path.iterdir()) == []


def test_an_actor_works_as_a_worker_process_does(
    phantom_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So it shows the log at the level of its job; Ray passes it on to the driver's stderr."""
    jobs: list[Job] = []
    monkeypatch.setattr(ray_workers, "work_until_terminated", jobs.append)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {**os.environ, "MLFLOW_TRACKING_URI": "of the node", "AWS_REGION": "there"})
    job = Job(phantom_config(), "sqlite:///optuna.db", parent_run="none", deadline=None, threads=1)
    actor = ray_workers._Worker({"MLFLOW_TRACKING_URI": "of the driver"}, str(tmp_path))
    actor.work(job)
    assert jobs == [job]
    assert os.environ["MLFLOW_TRACKING_URI"] == "of the driver"
    assert "AWS_REGION" not in os.environ


@pytest.fixture
def experiment(tracking: Path, fields: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Path:
    """``tiny.yaml`` in the working folder, which has an empty tracking store."""
    for name, value in ON_LOOPBACK.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tracking / "tiny.yaml").write_text(yaml.safe_dump(fields(10, trials=TRIALS)), encoding="utf-8")
    return tracking


def on_ray_line(*words: str) -> list[str]:
    return sweep_line(Path("tiny.yaml"), "--launcher", "ray", *words)


@contextmanager
def two_nodes(log: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """A cluster of two nodes with a CPU each, its address, and what takes the second node away."""
    with (
        log.open("wb") as err,
        subprocess.Popen(
            [sys.executable, "-c", TWO_NODES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, text=True
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        reading, writing = process.stdout, process.stdin

        def remove() -> None:
            writing.write("remove\n")
            writing.flush()
            assert reading.readline().strip() == "removed"

        try:
            address = reading.readline().strip()
            assert address.startswith("127.0.0.1:"), log.read_text()
            yield address, remove
        finally:
            children = family(process.pid)
            writing.close()
            try:
                process.wait(timeout=30)
            finally:
                for left in psutil.wait_procs(children, timeout=5)[1]:
                    left.kill()


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_a_node_is_removed_in_mid_sweep(experiment: Path) -> None:
    with two_nodes(experiment / "cluster.log") as (address, remove):
        asked = subprocess.run(
            [sys.executable, "-c", ONE_GPU_FOR_TWO, address], capture_output=True, text=True, timeout=120, check=False
        )
        assert asked.returncode == 0, asked.stderr
        answer = json.loads(asked.stdout)
        # the one GPU was given away, the second worker was not needed any more when the first had ended in order
        assert set(answer["left"]) == {0, 1}
        assert len(answer["refusals"]) == 2
        assert answer["refusals"][0].startswith("--storage sqlite:///optuna.db is a file of one machine")
        assert answer["refusals"][1].startswith("tracking store sqlite:///")

        with started(
            on_ray_line("--address", address, "--json", "stage2.epochs=30"), experiment, start=anew
        ) as process:
            wait_for_running_trials(process, experiment, trials_wanted=2, most=20)
            remove()
            code = process.wait(timeout=WAIT_SECONDS)
        log = (experiment / "err").read_text()
        assert code == 0, log
        assert log.count("a worker was lost") == 1
        assert "Traceback" not in log
        assert len(json.loads((experiment / "out").read_text())["trials"]) == TRIALS

    everything = trials()
    complete = [t for t in everything if t.state == TrialState.COMPLETE]
    assert len(complete) == len([t for t in everything if counts(t)]) == TRIALS
    assert len({t.params["stage2.lr"] for t in complete}) == TRIALS
    lost = [t for t in everything if not counts(t)]
    assert [(t.state, t.user_attrs["reason"]) for t in lost] == [(TrialState.FAIL, "its worker died")]
    again = [t for t in complete if t.user_attrs.get("retry_of") == lost[0].number]
    assert [(t.params, t.user_attrs["run_id"]) for t in again] == [(lost[0].params, lost[0].user_attrs["run_id"])]
    client = MlflowClient()
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()], max_results=1000)
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(runs) == TRIALS + 1
    for trial in complete:
        assert steps(trial.user_attrs["run_id"]) == [*range(1, 33)]


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_ctrl_c_ends_the_actors_trials_in_order(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an address: a cluster for this sweep, on loopback only, that ends with it."""
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hush-hush")
    with tempfile.TemporaryDirectory(prefix="ray") as ray_folder:  # a short path, as the sockets in it need
        monkeypatch.setenv("RAY_TMPDIR", ray_folder)
        with started(on_ray_line("stage2.epochs=60"), experiment, start=anew) as process:
            wait_for_running_trials(process, experiment, trials_wanted=2, most=30)
            children = family(process.pid)
            places = [
                connection.laddr.ip
                for child in children
                for connection in child.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN
            ]
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            assert process.wait(timeout=WAIT_SECONDS) == 130
            assert psutil.wait_procs(children, timeout=10)[1] == []
        logs = [path for path in Path(ray_folder).rglob("*") if path.is_file()]
        assert len(logs) > 10
        assert [path for path in logs if b"hush-hush" in path.read_bytes()] == []
    assert places
    assert {place.removeprefix("::ffff:") for place in places} == {"127.0.0.1"}
    log = (experiment / "err").read_text()
    assert "interrupted; run the same command to continue" in log
    assert "Traceback" not in log
    stored = trials()
    assert {t.state for t in stored} <= {TrialState.FAIL, TrialState.WAITING, TrialState.COMPLETE}
    assert [t.user_attrs["reason"] for t in stored if t.state == TrialState.FAIL] == ["interrupted"] * 2
    client = MlflowClient()
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()], max_results=1000)
    ends = [run.info.status for run in runs]
    complete = len([t for t in stored if t.state == TrialState.COMPLETE])
    assert (ends.count("KILLED"), ends.count("FINISHED"), len(ends)) == (3, complete, 3 + complete)
