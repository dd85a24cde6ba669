"""Accesses to the test split that race and die: real processes, real signals, an SQLite store and a server."""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient

from mobilenet_chest.errors import SealedError
from mobilenet_chest.selection.evaluate import evaluate
from mobilenet_chest.selection.ledger import accesses
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.two_stage import train

if TYPE_CHECKING:
    from helpers.servers import MlflowServer

    from mobilenet_chest.config import Config

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="POSIX signals")]

SCRIPT = Path(__file__).with_name("opener.py")
# the same as for promoters: a fork server is started once for all tests
PRELOAD = ["mobilenet_chest.registry.promote", "mlflow.pyfunc.loaders.code_model", "timm", "torch.export"]
RACERS = 6
WAIT_SECONDS = 240
HEAD_START = 1.0
"""Seconds until all of them have started."""


def opener(run_id: str, answer: Path, *, again: bool = False, dies: bool = False, at: float = 0) -> ForkServerProcess:
    names = ("MLFLOW_TRACKING_URI", "MOBILENET_CHEST_CACHE", "OMP_NUM_THREADS", "NO_PROXY")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    given = {"folder": str(Path.cwd()), "environment": environment, "run": run_id, "answer": str(answer),
             "again": again, "dies": dies, "at": at}  # fmt: skip
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    process: ForkServerProcess = context.Process(target=runpy.run_path, args=(str(SCRIPT), {"given": given}))
    process.start()
    return process


def race(run_ids: list[str], folder: Path, again: bool) -> list[int]:
    """Return the exit codes of as many processes as there are runs, which open the test split for them at once."""
    answers = [folder / f"{'again' if again else 'first'}{place}.json" for place in range(len(run_ids))]
    at = time.time() + HEAD_START
    processes = [opener(run, answer, again=again, at=at) for run, answer in zip(run_ids, answers, strict=True)]
    for process, answer in zip(processes, answers, strict=True):
        process.join(WAIT_SECONDS)
        assert process.exitcode == 0, answer.with_suffix(".log").read_text()
    return [json.loads(answer.read_text())["code"] for answer in answers]


@pytest.mark.parametrize("store", ["sqlite", "server"])
def test_six_at_once(
    store: str, tracking: Path, mlflow_server: Callable[[], MlflowServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two trials of one study, three processes each: one of them is the first, and with --again none is lost."""
    if store == "server":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server().uri)
    client = MlflowClient()
    study = client.create_run("0", tags={"kind": "study", "study": "s"})
    under = {"mlflow.parentRunId": study.info.run_id, "kind": "trial"}
    trials = [client.create_run("0", tags=under).info.run_id for _ in range(2)]

    assert sorted(race(trials * (RACERS // 2), tracking, again=False)) == [0] + [3] * (RACERS - 1)
    (first,) = accesses(client, study)
    assert race(trials * (RACERS // 2), tracking, again=True) == [0] * RACERS
    log = accesses(client, study)
    assert len(log) == 1 + RACERS
    assert [access.again for access in log] == [False] + [True] * RACERS
    assert log[0] == first
    assert len({access.who for access in log}) == 1 + RACERS
    for access in log:  # each result is that of the process that logged the access
        assert str(access.who).endswith(f", process {access.result['test_auc']:.0f}")
    counts = [sum(access.run_id == trial for access in log) for trial in trials]
    assert [client.get_run(trial).data.tags["test_evaluations"] for trial in trials] == [str(n) for n in counts]
    numbers = {name for name in client.get_run(study.info.run_id).data.params if name.count("_") == 2}
    assert numbers == {f"test_opening_{number}" for number in range(1, 2 + RACERS)}


def test_killed_after_the_rows_were_read(tracking: Path, phantom_config: Callable[..., Config]) -> None:
    """It is on record, without a result, and counts."""
    model = {"name": "timm:mobilenetv2_050", "weights": "none", "hidden": [8]}
    run_id = str(train(phantom_config({"model": model}), MlflowTracker()).run_id)
    process = opener(run_id, tracking / "killed.json", dies=True)
    process.join(WAIT_SECONDS)
    assert process.exitcode == -signal.SIGKILL, (tracking / "killed.log").read_text()
    run = MlflowClient().get_run(run_id)
    (access,) = accesses(MlflowClient(), run)
    assert (access.result, access.again) == ({}, False)
    assert len(str(access.digest)) == 16
    assert run.data.tags["test_evaluations"] == "1"
    assert not [name for name in metrics_of(run) if name.startswith("test_")]
    with pytest.raises(SealedError, match="once"):
        evaluate(run_id, "test")
    evaluation = evaluate(run_id, "test", again=True)
    assert [(bool(entry.result), entry.again, entry.digest) for entry in evaluation.openings] == [
        (False, False, access.digest), (True, True, access.digest),
    ]  # fmt: skip
    assert evaluation.test_evaluations == 2
