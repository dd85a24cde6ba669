"""Sweeps on databases that are empty, raced for, locked or restarted: real processes, real servers."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import yaml
from helpers import forked
from helpers.crew import Crew, crew
from helpers.killed import killed_after_three_claims, killed_in
from helpers.paced import paced, slowly
from helpers.servers import MlflowServer, Postgres
from helpers.sweeps import ROOT, SMALLEST, WAIT_SECONDS, started, steps, sweep_line, trials, wait_for_running_trials
from mlflow import MlflowClient
from optuna.trial import TrialState

from mobilenet_chest.config import parse
from mobilenet_chest.sweep.claims import counts
from mobilenet_chest.tracking.artifacts import artifact
from mobilenet_chest.tracking.run_metrics import metric_history
from mobilenet_chest.tracking.store import connect

TRIALS = 3
EPOCHS = 7
PACE = 0.5
"""Seconds by which an epoch lasts longer, where something happens in the midst of a trial."""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="POSIX signals")]

Empty = Callable[[], str]
Fields = Callable[..., dict[str, Any]]

ACT = """
import os, time
import optuna
from mobilenet_chest.config import parse
from mobilenet_chest.sweep.claims import claim, reap
from mobilenet_chest.sweep.stored_study import open_or_create
from mobilenet_chest.sweep.local_workers import open_study
from mobilenet_chest.sweep.lease import WorkerWatch
from mobilenet_chest.tracking.store import connect, experiment_id

def act(what, url, fields=None):
    if what == "track":
        os.environ["MLFLOW_TRACKING_URI"] = url
        client = connect()
        chest = experiment_id(client, "chest")
        client.create_run(chest)
        return chest
    if what == "runs":
        return len(connect().search_runs(["1"]))
    config = parse(fields)
    if what == "begin":
        return open_or_create(config, url).ask().number
    if what == "queue":
        study = open_or_create(config, url)
        for index in range(config.study.trials):
            study.enqueue_trial({"stage2.lr": 1e-4 * (1 + index)})
        return None
    study = open_study(config, url)
    if what == "reap":
        return reap(study, url, WorkerWatch().alive)
    taken, begun = [], time.time()
    while (claimed := claim(study, config, url)) is not None:
        taken.append(claimed[0].number)
        study.tell(claimed[0], 0.5)
    return taken, begun, time.time()
"""


@pytest.fixture(scope="module")
def eight() -> Iterator[Crew]:
    """Eight processes that race."""
    with crew(8, ACT) as made:
        yield made


# --- races ---------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(600)
def test_eight_processes_on_an_empty_database(empty_database: Empty, eight: Crew, fields: Fields) -> None:
    config = fields(EPOCHS, model=SMALLEST, trials=TRIALS)
    for _ in range(2):
        url = empty_database()
        assert sorted(eight.all_at_once(what="begin", url=url, fields=config)) == list(range(8))
        assert len(trials(url)) == 8
    url = empty_database()  # once: MLflow's migrations take seconds
    assert eight.all_at_once(what="track", url=url) == ["1"] * 8
    assert eight.all_at_once(members=1, what="runs", url=url) == [8]


def test_four_processes_claim_forty_queued_trials(empty_database: Empty, eight: Crew, fields: Fields) -> None:
    url, config = empty_database(), fields(EPOCHS, model=SMALLEST, trials=40)
    eight.all_at_once(members=1, what="queue", url=url, fields=config)
    answers = eight.all_at_once(members=4, what="claim", url=url, fields=config)
    every = sorted(number for taken, _, _ in answers for number in taken)
    assert every == list(range(40))
    assert sum(bool(taken) for taken, _, _ in answers) >= 2  # it was a race
    assert {t.params["stage2.lr"] for t in trials(url)} == {1e-4 * (1 + index) for index in range(40)}
    seconds = max(end for _, _, end in answers) - min(begun for _, begun, _ in answers)
    print(f"{40 / seconds:.1f} claims per second")


def test_four_racing_reapers_make_one_retry(empty_database: Empty, eight: Crew, fields: Fields) -> None:
    url, config = empty_database(), fields(EPOCHS, model=SMALLEST, trials=3)
    eight.all_at_once(members=1, what="queue", url=url, fields=config)
    killed_in(killed_after_three_claims, parse(config), url)
    ended = [
        number for numbers in eight.all_at_once(members=4, what="reap", url=url, fields=config) for number in numbers
    ]
    assert sorted(ended) == [0, 1, 2]
    stored = trials(url)
    assert [t.state for t in stored] == [TrialState.FAIL] * 3 + [TrialState.WAITING] * 3
    assert sorted(t.user_attrs["retry_of"] for t in stored[3:]) == [0, 1, 2]
    assert [t.user_attrs["deaths"] for t in stored[3:]] == [1, 1, 1]


# --- databases that are away for a while ---------------------------------------------------------------------------


@pytest.fixture
def experiment(tmp_path: Path, fields: Fields) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(fields(EPOCHS, model=SMALLEST, trials=TRIALS)), encoding="utf-8")
    return path


def assert_all_complete(url: str, folder: Path) -> None:
    """The total and no more: nothing failed, nothing was queued again, no step is missing."""
    stored = trials(url)
    log = (folder / "err").read_text()
    assert [t.state for t in stored] == [TrialState.COMPLETE] * TRIALS, log
    assert [t.user_attrs for t in stored if "retry_of" in t.user_attrs] == []
    client = MlflowClient()
    for trial in stored:
        assert set(range(3, EPOCHS + 1)) <= trial.intermediate_values.keys()  # stage 1 may be another's
        run = client.get_run(trial.user_attrs["run_id"])
        assert (run.info.status, run.data.tags["trial_state"]) == ("FINISHED", "COMPLETE")
        assert steps(run.info.run_id) == list(range(1, EPOCHS + 1))


@pytest.mark.timeout(600)
def test_postgresql_restarts_in_mid_trial(tracking: Path, postgres: Postgres, experiment: Path) -> None:
    url = postgres.create()
    with started(paced(sweep_line(experiment, "--storage", url), tracking, PACE), tracking) as process:
        wait_for_running_trials(process, tracking, url, least=3, most=EPOCHS - 2)
        begun = time.monotonic()
        postgres.restart()
        print(f"PostgreSQL was away for {time.monotonic() - begun:.1f} s")
        assert process.wait(timeout=WAIT_SECONDS) == 0, (tracking / "err").read_text()
    assert_all_complete(url, tracking)
    for trial in trials(url):
        points = metric_history(MlflowClient(), trial.user_attrs["run_id"], "train_loss")
        seconds = [(late.timestamp - early.timestamp) / 1000 for early, late in pairwise(points)]
        print(f"trial {trial.number}: {median(seconds):.1f} s an epoch, {max(seconds):.1f} s the longest")


LOCKED = f"""
{slowly(PACE)}
import dataclasses
from mobilenet_chest.config import load
from mobilenet_chest.sweep import storage, study
from mobilenet_chest.sweep.local_workers import work

storage.LOCK_SECONDS = 1
study.run_workers = lambda job, *_, **__: work(dataclasses.replace(job, threads=1))
study.run_sweep(load(sys.argv[1]))
"""


@pytest.mark.timeout(600)
def test_a_database_locked_beyond_the_timeout(tracking: Path, experiment: Path) -> None:
    url = f"sqlite:///{tracking / 'optuna.db'}"
    with started([sys.executable, "-c", LOCKED, str(experiment)], tracking) as process:
        wait_for_running_trials(process, tracking, url, least=3, most=EPOCHS - 2)
        other = sqlite3.connect(tracking / "optuna.db", timeout=30, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(5)
        assert process.poll() is None, (tracking / "err").read_text()
        other.execute("ROLLBACK")
        other.close()
        assert process.wait(timeout=WAIT_SECONDS) == 0, (tracking / "err").read_text()
    assert_all_complete(url, tracking)


# --- everything on servers -----------------------------------------------------------------------------------------


@pytest.mark.timeout(600)
def test_two_machines_with_postgresql_and_a_server(
    tmp_path: Path,
    postgres: Postgres,
    mlflow_server: Callable[..., MlflowServer],
    experiment: Path,
    fields: Fields,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same line typed twice: what the two have in common is a study's address and a server's."""
    server = mlflow_server(backend=postgres.create())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    url, config = postgres.create(), parse(fields(EPOCHS, model=SMALLEST, trials=TRIALS))
    command = [sys.executable, str(ROOT / "sweep.py"), str(experiment), "--storage", url, "--json"]
    folders = [tmp_path / "one", tmp_path / "two"]
    with ExitStack() as stack:
        processes = []
        for folder in folders:
            folder.mkdir()
            processes.append(stack.enter_context(started(command, folder)))
        for process in processes:
            process.wait(timeout=WAIT_SECONDS)
        logs = [(folder / "err").read_text() for folder in folders]
        assert [process.returncode for process in processes] == [0, 0], logs
    results = [json.loads((folder / "out").read_text()) for folder in folders]
    assert results[0]["run_id"] == results[1]["run_id"]
    result = max(results, key=lambda output: len(output["trials"]))
    assert [(t["number"], t["state"]) for t in result["trials"]] == [(n, "COMPLETE") for n in range(TRIALS)]
    assert_all_complete(url, folders[0])
    # nothing of the study is on a disk but the server's
    assert [{path.name for path in folder.iterdir()} for folder in folders] == [{"out", "err"}] * 2

    client = connect()
    (parent,) = client.search_runs([client.get_run(result["run_id"]).info.experiment_id], "tags.kind = 'study'")
    assert (parent.info.status, parent.data.tags["kind"]) == ("FINISHED", "study")
    best = client.get_run(result["best"]["run_id"])
    assert best.info.artifact_uri.startswith("mlflow-artifacts:")
    with artifact(client, best, "config.yaml") as path:
        assert yaml.safe_load(path.read_text())["name"] == "tiny"
    kept = {t["run_id"] for t in result["trials"] if client.list_artifacts(t["run_id"], "checkpoints")}
    assert len(kept) == config.tracking.keep_checkpoints
    assert best.info.run_id in kept

    line = [sys.executable, "-m", "mobilenet_chest", "compare", "tiny", "--json"]
    compared = forked.run(line, cwd=tmp_path, text=True, timeout=WAIT_SECONDS)
    assert compared.returncode == 0, compared.stderr
    (row,) = json.loads(compared.stdout)["rows"]
    assert (row["name"], row["kind"], row["run_id"]) == ("tiny", "study", best.info.run_id)
    assert row["metrics"]["val_auc"] == result["best"]["value"]
    assert sum(counts(t) for t in trials(url)) == TRIALS
