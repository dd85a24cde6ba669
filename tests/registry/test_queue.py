"""The queue of promotions: who holds the lock, which promoter counts as dead, and what is revoked."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR

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
    for name, seconds in (("POLL_SECONDS", 0.02), ("LEASE_SECONDS", 0.3), ("HEARTBEAT_SECONDS", 0.05)):
        monkeypatch.setattr(queue, name, seconds)
    return MlflowClient()


@pytest.fixture
def run(client: MlflowClient) -> str:
    return str(client.create_run(client.create_experiment("e")).info.run_id)


def in_progress(client: MlflowClient, run: str, promoter: dict[str, Any], folder: str = "model-0000abcd") -> str:
    """Return the number of a version in progress, as another process leaves it."""
    queue._create_model(client, NAME)
    client.log_text(run, "x", f"{folder}/MLmodel")
    held = {tags.PROMOTION: queue.IN_PROGRESS, tags.PROMOTER: json.dumps({"token": "t", "beat": 0, **promoter})}
    return str(client.create_model_version(NAME, f"runs:/{run}/{folder}", run, tags=held).version)


def states(client: MlflowClient) -> dict[str, str]:
    return {str(v.version): v.tags[tags.PROMOTION] for v in client.search_model_versions(f"name = '{NAME}'")}


def artifacts(client: MlflowClient, run: str) -> set[str]:
    return {file.path for file in client.list_artifacts(run)}


def finish(slot: QueueSlot) -> None:
    slot.client.set_registered_model_alias(NAME, "champion", slot.version)
    slot.complete()


def test_a_slot_is_a_version_in_progress_until_the_alias_has_moved(client: MlflowClient, run: str) -> None:
    with queue_slot(client, NAME, run) as slot:
        assert states(client) == {"1": "in progress"}
        version = client.get_model_version(NAME, slot.version)
        assert version.source == f"runs:/{run}/{slot.folder}"
        assert json.loads(version.tags[tags.PROMOTER])["pid"] == identity()["pid"]
        finish(slot)
    assert states(client) == {"1": "done"}
    assert tags.PROMOTER not in client.get_model_version(NAME, "1").tags
    assert alias_version(client, NAME, "champion") == "1"


def test_a_refusal_leaves_nothing(client: MlflowClient, run: str) -> None:
    def refused(slot: QueueSlot) -> None:
        client.log_text(run, "x", f"{slot.folder}/MLmodel")
        raise PromotionRefused(["no"])

    with pytest.raises(PromotionRefused), queue_slot(client, NAME, run) as slot:
        refused(slot)
    assert client.search_registered_models() == []
    assert artifacts(client, run) == set()


def test_a_refusal_leaves_a_model_that_others_queue_for(client: MlflowClient, run: str) -> None:
    def refused() -> None:
        in_progress(client, run, FAR)
        raise PromotionRefused(["no"])

    with pytest.raises(PromotionRefused), queue_slot(client, NAME, run):
        refused()
    assert states(client) == {"2": "in progress"}


def test_one_after_the_other(client: MlflowClient, run: str, caplog: pytest.LogCaptureFixture) -> None:
    order: list[str] = []
    caplog.set_level("INFO", "mobilenet_chest")

    def second() -> None:
        with queue_slot(client, NAME, run) as slot:
            order.append("second")
            finish(slot)

    with queue_slot(client, NAME, run) as slot:
        thread = threading.Thread(target=second)
        thread.start()
        # longer than the lease, but its heartbeat changes
        time.sleep(3 * queue.LEASE_SECONDS)
        order.append("first")
        finish(slot)
    thread.join(20)
    assert order == ["first", "second"]
    assert states(client) == {"1": "done", "2": "done"}
    assert alias_version(client, NAME, "champion") == "2"
    (message,) = [record.getMessage() for record in caplog.records if record.name == queue.__name__]
    assert str(identity()["pid"]) in message
    assert NAME in message


@pytest.mark.parametrize("promoter", [DEAD, FAR], ids=["its process is gone", "its heartbeat is stale"])
def test_the_slot_of_a_dead_promoter_is_revoked(
    promoter: dict[str, Any], client: MlflowClient, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert in_progress(client, run, promoter) == "1"
    if promoter is DEAD:
        monkeypatch.setattr(queue, "LEASE_SECONDS", 1e6)  # it must not wait for the heartbeat
    with queue_slot(client, NAME, run) as slot:
        assert states(client) == {"2": "in progress"}
        assert artifacts(client, run) == set()
        finish(slot)
    assert states(client) == {"2": "done"}


def test_a_promoter_that_died_after_the_alias_had_moved_was_complete(client: MlflowClient, run: str) -> None:
    version = in_progress(client, run, DEAD)
    client.set_registered_model_alias(NAME, "champion", version)
    revoke_dead(client, NAME)
    assert states(client) == {"1": "done"}
    assert alias_version(client, NAME, "champion") == "1"
    assert artifacts(client, run) == {"model-0000abcd"}


def test_promoters_that_may_live_are_not_revoked(client: MlflowClient, run: str) -> None:
    in_progress(client, run, FAR)
    in_progress(client, run, identity())
    in_progress(client, run, DEAD, "model-00000003")
    revoke_dead(client, NAME)
    assert states(client) == {"1": "in progress", "2": "in progress"}
    revoke_dead(client, "no such model")


def test_no_other_folder_is_deleted(client: MlflowClient, run: str) -> None:
    in_progress(client, run, DEAD, "checkpoints")
    revoke_dead(client, NAME)
    assert states(client) == {}
    assert artifacts(client, run) == {"checkpoints"}


def test_a_registration_that_was_sent_twice(client: MlflowClient, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    create = client.create_model_version

    def twice(*given: Any, **more: Any) -> Any:
        create(*given, **more)
        return create(*given, **more)

    monkeypatch.setattr(client, "create_model_version", twice)
    with queue_slot(client, NAME, run) as slot:
        assert states(client) == {"2": "in progress"}
        finish(slot)


def test_a_revoked_promoter_can_move_nothing(client: MlflowClient, run: str) -> None:
    def revoked(slot: QueueSlot) -> None:
        client.delete_model_version(NAME, slot.version)
        client.set_registered_model_alias(NAME, "champion", slot.version)

    with pytest.raises(OwnershipLost, match="version 1 of 'tiny'"), queue_slot(client, NAME, run) as slot:
        revoked(slot)
    assert alias_version(client, NAME, "champion") is None


def test_a_promoter_revoked_while_it_waits_queues_again(client: MlflowClient, run: str) -> None:
    first = in_progress(client, run, identity())
    acquired: list[str] = []

    def waiter() -> None:
        with queue_slot(client, NAME, run) as slot:
            acquired.append(slot.version)
            finish(slot)

    thread = threading.Thread(target=waiter)
    thread.start()
    while "2" not in states(client):
        time.sleep(0.02)
    client.delete_model_version(NAME, "2")
    client.set_model_version_tag(NAME, first, tags.PROMOTION, queue.DONE)
    thread.join(20)
    assert acquired == ["3"]


def test_an_alias_that_a_deletion_removed_is_restored(
    client: MlflowClient, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The revoked promoter woke up and moved the alias, after the other had read the aliases and before it deleted."""
    with queue_slot(client, NAME, run) as slot:
        finish(slot)
    late = in_progress(client, run, DEAD)
    delete = client.delete_model_version

    def woken(name: str, version: str) -> None:
        client.set_registered_model_alias(name, "champion", version)
        delete(name, version)

    monkeypatch.setattr(client, "delete_model_version", woken)
    revoke_dead(client, NAME)
    assert states(client) == {"1": "done"}
    assert alias_version(client, NAME, "champion") == "1"
    assert late == "2"


def test_a_heartbeat_stops_once_its_version_is_deleted(client: MlflowClient, run: str) -> None:
    slot = queue._register(client, NAME, run)
    assert slot._beat(1) is True
    assert json.loads(client.get_model_version(NAME, slot.version).tags[tags.PROMOTER])["beat"] == 1
    client.delete_model_version(NAME, slot.version)
    assert slot._beat(2) is False


def test_a_heartbeat_goes_on_after_an_error_that_may_pass(
    client: MlflowClient, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = queue._register(client, NAME, run)

    def locked(*_: object) -> None:
        raise MlflowException("database is locked", INTERNAL_ERROR)

    monkeypatch.setattr(client, "set_model_version_tag", locked)
    assert slot._beat(1) is True
