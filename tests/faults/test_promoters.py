"""Promoters that race, die and are stopped: real processes, real signals, an SQLite store and a server."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import forked
from helpers.servers import MlflowServer
from mlflow import MlflowClient

from mobilenet_chest.registry import queue
from mobilenet_chest.registry.package import load_registered
from mobilenet_chest.registry.promote import promote
from mobilenet_chest.registry.rollback import rollback
from mobilenet_chest.tracking import tags

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="POSIX signals")]

SCRIPT = Path(__file__).with_name("promoter.py")
WAIT_SECONDS = 240
SEED = 5


class Promoter:
    """A process that promotes a run; ``options`` as in ``promoter.py``."""

    def __init__(self, run: str, answer: Path, **options: Any) -> None:
        self.run, self.answer = run, answer
        given = {"run": run, "answer": str(answer), "options": options}
        self.process = forked.Popen([sys.executable, str(SCRIPT), json.dumps(given)])
        self.pid: int = self.process.pid

    def ended(self) -> dict[str, Any] | None:
        """Wait for its end and return the outcome; ``None`` if it was killed."""
        if self.process.wait(WAIT_SECONDS) == -signal.SIGKILL:
            return None
        assert self.answer.exists(), self.answer.with_suffix(".log").read_text()
        answer: dict[str, Any] = json.loads(self.answer.read_text())
        return answer


def until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def versions() -> dict[str, str]:
    """Return version -> state."""
    return {str(v.version): v.tags[tags.PROMOTION] for v in MlflowClient().search_model_versions("name = 'tiny'")}


def champion() -> str | None:
    number = queue.alias_version(MlflowClient(), "tiny", "champion")
    return None if number is None else str(MlflowClient().get_model_version("tiny", number).run_id)


def assert_it_loads() -> None:
    model, *_ = load_registered("models:/tiny@champion")
    assert len(model.predict(np.zeros((2, 9, 9), np.uint8))) == 2


def assert_nothing_in_progress(folder: Path, besides: Collection[str] = ()) -> None:
    client = MlflowClient()
    versions = client.search_model_versions("name = 'tiny'")
    assert {version.tags[tags.PROMOTION] for version in versions} == {queue.DONE}
    assert all(tags.PROMOTER not in version.tags for version in versions)
    packed = {path.name for path in folder.glob("mlruns/*/*/artifacts/model-*")}
    assert packed == {str(version.source).rpartition("/")[2] for version in versions} | set(besides)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("store", ["sqlite", "server"])
def test_eight_at_once_and_one_killed(
    store: str, runs: list[str], mlflow_server: Callable[..., MlflowServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, chance = Path.cwd(), random.Random(SEED)
    if store == "server":
        server = mlflow_server(backend=f"sqlite:///{folder / 'mlflow.db'}")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    order = runs.copy()
    chance.shuffle(order)
    promoters = [Promoter(run, folder / f"{place}.json") for place, run in enumerate(order)]
    victim = chance.choice(promoters)
    until(lambda: versions_known() > 0)
    time.sleep(chance.uniform(0, 4))
    victim.process.kill()
    seen: list[str] = []
    outcomes = {}
    for promoter in promoters:
        outcomes[promoter.run] = promoter.ended()
        seen.append(str(champion()))
    # the champion only ever gets better
    assert [runs.index(run) for run in seen if run in runs] == sorted(runs.index(run) for run in seen if run in runs)
    finished = [run for run, outcome in outcomes.items() if outcome is not None]
    assert len(finished) >= 7
    for run in finished:
        outcome = outcomes[run]
        assert outcome is not None
        assert outcome["code"] in (0, 3), outcome
        assert outcome["code"] == 0 or "the run is worse" in outcome["reasons"][0]
    best = max(finished, key=runs.index)
    assert outcomes[best] is not None
    assert champion() in (best, victim.run)
    assert runs.index(str(champion())) >= runs.index(best)
    assert_it_loads()
    before = champion()
    again = promote(str(before))
    assert again.reasons == ["the alias 'champion' already points to this run"]
    assert champion() == before
    assert_nothing_in_progress(folder)
    assert MlflowClient().get_registered_model("tiny").aliases.keys() == {"champion"}


def versions_known() -> int:
    return len(MlflowClient().search_model_versions("name = 'tiny'"))


STEPS = [
    # a step of the promotion, whether the process dies before or after it, and whether the alias has moved by then
    ("create_model_version", "after", False),
    ("set_model_version_tag:sha256", "after", False),
    ("log_artifacts", "after", False),
    ("predict_in_fresh_process", "after", False),
    ("evaluate_run", "after", False),
    ("update_model_version", "after", False),
    ("set_registered_model_alias", "before", False),
    ("set_registered_model_alias", "after", True),
    ("set_model_version_tag:done", "after", True),
]


@pytest.mark.timeout(600)
def test_killed_at_every_step(runs: list[str]) -> None:
    """The champion is the old version or the new one, and loads; the next promotion removes what was in progress."""
    old, new, tracking = runs[3], runs[5], Path.cwd()
    assert promote(old).version == "1"
    promote(new, name="other")
    (packed,) = tracking.glob(f"mlruns/*/{new}/artifacts/model-*")
    client = MlflowClient()
    for number, (step, when, moved) in enumerate(STEPS):
        if step == "evaluate_run":
            client.delete_tag(new, "test_digest")  # so that there is something to evaluate
        dying = Promoter(new, tracking / f"{number}.json", packed=str(packed), strike=(step, when))
        assert dying.ended() is None, f"{step} was not reached"
        expected = new if moved else old
        assert champion() == expected, step
        assert_it_loads()
        # the next promotion, here of the champion itself, deletes what the killed one left
        assert promote(expected).reasons == ["the alias 'champion' already points to this run"]
        assert_nothing_in_progress(tracking, besides={packed.name})
        if moved:
            assert rollback("tiny").version == "1"
        assert champion() == old
    last = Promoter(new, tracking / "last.json", packed=str(packed)).ended()
    assert last is not None
    assert last["code"] == 0, last
    assert champion() == new
    assert_it_loads()
    assert_nothing_in_progress(tracking, besides={packed.name})


@pytest.mark.timeout(600)
def test_stopped_beyond_its_lease(runs: list[str]) -> None:
    """A promoter that wakes up after another promotion went ahead moves nothing and reports it."""
    tracking = Path.cwd()
    seconds = {"LEASE_SECONDS": 2.0, "HEARTBEAT_SECONDS": 0.2, "POLL_SECONDS": 0.1}
    sleeper = Promoter(
        runs[7], tracking / "sleeper.json", seconds=seconds, strike=("set_registered_model_alias", "before"),
        signal="SIGSTOP",
    )  # fmt: skip
    until(lambda: stopped(sleeper.pid))
    assert champion() is None
    (theirs,) = versions()
    other = Promoter(runs[2], tracking / "other.json", seconds=seconds).ended()
    assert other is not None
    assert other["code"] == 0, other
    assert champion() == runs[2]
    os.kill(sleeper.pid, signal.SIGCONT)
    late = sleeper.ended()
    assert late is not None
    assert late["code"] == 1
    assert f"version {theirs} of 'tiny'" in late["reasons"][0]
    assert champion() == runs[2]
    assert_nothing_in_progress(tracking)


def stopped(pid: int) -> bool:
    import psutil

    return psutil.Process(pid).status() == psutil.STATUS_STOPPED
