"""The queue of promoters: who is served, who counts as dead, and what the dead leave behind."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from mobilenet_chest.errors import OwnershipLost, PromotionRefused
from mobilenet_chest.registry import queue
from mobilenet_chest.registry.queue import QueueSlot, alias_version, queue_slot, revoke_dead
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.provenance import identity

NAME = "tiny"
DEAD = {**identity(), "pid": 2**22 + 1}
FAR = {"host": "elsewhere", "pid": 1, "started": 1.0}


@pytest.fixture
def client(tracking: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    for name, seconds in (("POLL_SECONDS", 0.02), ("LEASE_SECONDS", 0.3), ("BEAT_SECONDS", 0.05)):
        monkeypatch.setattr(queue, name, seconds)
    return MlflowClient()


@pytest.fixture
def run(client: MlflowClient) -> str:
    return str(client.create_run(client.create_experiment("e")).info.run_id)


def opened(client: MlflowClient, run: str, promoter: dict[str, Any], folder: str = "model-0000abcd") -> str:
    """An open version, as another process leaves it."""
    queue._create_model(client, NAME)
    version_tags = {tags.PROMOTION: queue.IN_PROGRESS, tags.PROMOTER: json.dumps({"token": "t", "beat": 0, **promoter})}
    client.log_text(run, "x", f"{folder}/MLmodel")
    return str(client.create_model_version(NAME, f"runs:/{run}/{folder}", run, tags=version_tags).version)


def states(client: MlflowClient) -> dict[str, str]:
    return {str(v.version): v.tags[tags.PROMOTION] for v in client.search_model_versions(f"name = '{NAME}'")}


def artifacts(client: MlflowClient, run: str) -> set[str]:
    return {file.path for file in client.list_artifacts(run)}


def finish(mine: QueueSlot) -> None:
    mine.client.set_registered_model_alias(NAME, "champion", mine.version)
    mine.close()


def test_a_turn_is_an_open_version_that_is_closed_after_the_alias_has_moved(client: MlflowClient, run: str) -> None:
    with queue_slot(client, NAME, run) as mine:
        assert states(client) == {"1": "in progress"}
        version = client.get_model_version(NAME, mine.version)
        assert version.source == f"runs:/{run}/{mine.folder}"
        assert json.loads(version.tags[tags.PROMOTER])["pid"] == identity()["pid"]
        finish(mine)
    assert states(client) == {"1": "done"}
    assert tags.PROMOTER not in client.get_model_version(NAME, "1").tags
    assert alias_version(client, NAME, "champion") == "1"


def test_a_refusal_leaves_nothing(client: MlflowClient, run: str) -> None:
    def refused(mine: QueueSlot) -> None:
        client.log_text(run, "x", f"{mine.folder}/MLmodel")
        raise PromotionRefused(["no"])

    with pytest.raises(PromotionRefused), queue_slot(client, NAME, run) as mine:
        refused(mine)
    assert client.search_registered_models() == []
    assert artifacts(client, run) == set()


def test_a_refusal_leaves_a_model_that_others_wait_for(client: MlflowClient, run: str) -> None:
    def refused() -> None:
        opened(client, run, FAR)
        raise PromotionRefused(["no"])

    with pytest.raises(PromotionRefused), queue_slot(client, NAME, run):
        refused()
    assert states(client) == {"2": "in progress"}


def test_one_after_the_other(client: MlflowClient, run: str, capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []

    def second() -> None:
        with queue_slot(client, NAME, run) as mine:
            said.append("second")
            finish(mine)

    with queue_slot(client, NAME, run) as mine:
        thread = threading.Thread(target=second)
        thread.start()
        # longer than the lease: this one beats, so it is alive
        time.sleep(3 * queue.LEASE_SECONDS)
        said.append("first")
        finish(mine)
    thread.join(20)
    assert said == ["first", "second"]
    assert states(client) == {"1": "done", "2": "done"}
    assert alias_version(client, NAME, "champion") == "2"
    assert "waiting for process" in capsys.readouterr().err


@pytest.mark.parametrize("promoter", [DEAD, FAR], ids=["its process is gone", "its beat stands still"])
def test_what_a_dead_one_left_is_taken_back(
    promoter: dict[str, Any], client: MlflowClient, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert opened(client, run, promoter) == "1"
    if promoter is DEAD:
        monkeypatch.setattr(queue, "LEASE_SECONDS", 1e6)  # nothing is waited for
    with queue_slot(client, NAME, run) as mine:
        assert states(client) == {"2": "in progress"}
        assert artifacts(client, run) == set()
        finish(mine)
    assert states(client) == {"2": "done"}


def test_one_that_died_after_the_alias_had_moved_got_through(client: MlflowClient, run: str) -> None:
    version = opened(client, run, DEAD)
    client.set_registered_model_alias(NAME, "champion", version)
    revoke_dead(client, NAME)
    assert states(client) == {"1": "done"}
    assert alias_version(client, NAME, "champion") == "1"
    assert artifacts(client, run) == {"model-0000abcd"}


def test_clearing_leaves_those_that_may_live(client: MlflowClient, run: str) -> None:
    opened(client, run, FAR)
    opened(client, run, identity())
    opened(client, run, DEAD, "model-00000003")
    revoke_dead(client, NAME)
    assert states(client) == {"1": "in progress", "2": "in progress"}
    revoke_dead(client, "no such model")


def test_clearing_deletes_no_other_folder(client: MlflowClient, run: str) -> None:
    opened(client, run, DEAD, "checkpoints")
    revoke_dead(client, NAME)
    assert states(client) == {}
    assert artifacts(client, run) == {"checkpoints"}


def test_a_registration_that_was_sent_twice(client: MlflowClient, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    create = client.create_model_version

    def twice(*given: Any, **more: Any) -> Any:
        create(*given, **more)
        return create(*given, **more)

    monkeypatch.setattr(client, "create_model_version", twice)
    with queue_slot(client, NAME, run) as mine:
        assert states(client) == {"2": "in progress"}
        finish(mine)


def test_one_taken_for_dead_can_move_nothing(client: MlflowClient, run: str) -> None:
    def overtaken(mine: QueueSlot) -> None:
        client.delete_model_version(NAME, mine.version)
        client.set_registered_model_alias(NAME, "champion", mine.version)

    with (
        pytest.raises(OwnershipLost, match="version 1 of 'tiny' was taken back"),
        queue_slot(client, NAME, run) as mine,
    ):
        overtaken(mine)
    assert alias_version(client, NAME, "champion") is None


def test_one_taken_for_dead_while_it_waited_queues_again(client: MlflowClient, run: str) -> None:
    first = opened(client, run, identity())
    found: list[str] = []

    def waiter() -> None:
        with queue_slot(client, NAME, run) as mine:
            found.append(mine.version)
            finish(mine)

    thread = threading.Thread(target=waiter)
    thread.start()
    while "2" not in states(client):
        time.sleep(0.02)
    client.delete_model_version(NAME, "2")
    client.set_model_version_tag(NAME, first, tags.PROMOTION, queue.DONE)
    thread.join(20)
    assert found == ["3"]


def test_an_alias_that_went_with_a_deletion_comes_back(
    client: MlflowClient, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The promoter taken for dead woke up, and moved the alias, after the other had looked and before it deleted."""
    with queue_slot(client, NAME, run) as mine:
        finish(mine)
    late = opened(client, run, DEAD)
    delete = client.delete_model_version

    def woken(name: str, version: str) -> None:
        client.set_registered_model_alias(name, "champion", version)
        delete(name, version)

    monkeypatch.setattr(client, "delete_model_version", woken)
    revoke_dead(client, NAME)
    assert states(client) == {"1": "done"}
    assert alias_version(client, NAME, "champion") == "1"
    assert late == "2"
