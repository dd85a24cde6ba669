"""The queue of promotions to one registered model: one at a time, on one machine or many, over any MLflow store.

MLflow has no locks, but its database gives out version numbers one by one. So a version is a queue slot. A promotion
first registers the version that it will fill, tagged as in progress. The lowest version in progress holds the lock.

A promoter that died is recognised by its process, on this machine, or by its missed heartbeats. Its slot is revoked:
the version is deleted. MLflow sets no alias to a deleted version, so a promoter that wakes up late can move nothing.
"""

from __future__ import annotations

import json
import logging
import random
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from mobilenet_chest.errors import OwnershipLost
from mobilenet_chest.liveness import Heartbeat, Watch
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.provenance import identity, may_be_alive

logger = logging.getLogger(__name__)

IN_PROGRESS, DONE = "in progress", "done"
"""Values of the version tag ``promotion``. It becomes done once, after the alias has moved, and never changes back."""

HEARTBEAT_SECONDS = 10.0
POLL_SECONDS = 0.5

LEASE_SECONDS = 60.0
"""A promoter counts as dead when its heartbeat was seen unchanged for so long."""

_ATTEMPTS = 20
_MODEL_FOLDER = re.compile(r"model-[0-9a-f]{8}")


@dataclass
class QueueSlot:
    """A version in progress, and with it a place in the queue of promotions.

    Attributes:
        client: Client of the registry.
        name: Registered model.
        version: Number of the version.
        folder: Artifact folder of the run for this version's model files.
        token: Tells this promotion from all others.
        created_model: Whether the registered model was created for this version.
        heartbeat: Writes this process's heartbeat into the version's tag.
    """

    client: MlflowClient
    name: str
    version: str
    folder: str
    token: str
    created_model: bool
    heartbeat: Heartbeat = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.heartbeat = Heartbeat(self._beat, HEARTBEAT_SECONDS, name="promotion heartbeat")

    def check_held(self) -> None:
        """Check that the version is still in progress and belongs to this promotion.

        Raises:
            OwnershipLost: Another promoter revoked the slot.
        """
        if not self.is_held():
            raise OwnershipLost(
                f"the queue slot of this promotion (version {self.version} of '{self.name}') was revoked: this process "
                f"sent no heartbeat for {LEASE_SECONDS:g} s, and another promotion went ahead; promote again"
            )

    def is_held(self) -> bool:
        """Return whether the version is still in progress and belongs to this promotion."""
        try:
            version = self.client.get_model_version(self.name, self.version)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return version.tags.get(tags.PROMOTION) == IN_PROGRESS and _promoter(version.tags).get("token") == self.token

    def complete(self) -> None:
        """Mark the version as done, which releases the lock; to be called once the alias has moved."""
        self.heartbeat.stop()
        _complete(self.client, self.name, self.version)

    def withdraw(self) -> None:
        """Delete the version, unless it is done or an alias points to it; delete an empty model created for it."""
        self.heartbeat.stop()
        if not self.is_held():
            return
        version = self.client.get_model_version(self.name, self.version)
        if _revoke(self.client, version) and self.created_model and not _versions(self.client, self.name):
            self.client.delete_registered_model(self.name)

    def _beat(self, number: int) -> bool:
        try:
            self.client.set_model_version_tag(self.name, self.version, tags.PROMOTER, _signed(self.token, number))
        except MlflowException as error:
            # other errors may pass; a revoked slot does not come back, and the next check_held() reports it
            return bool(error.error_code != "RESOURCE_DOES_NOT_EXIST")
        return True


@contextmanager
def queue_slot(client: MlflowClient, name: str, run_id: str) -> Iterator[QueueSlot]:
    """Queue for ``name``, wait until all earlier promotions are done or dead, and hold the lock for the block.

    The block calls :meth:`QueueSlot.complete` once the alias has moved. Left in any other way, the version is deleted.

    Args:
        client: Client of the registry.
        name: Registered model; created if there is none.
        run_id: The run that the version is made from.

    Raises:
        OwnershipLost: The slot was revoked while the block ran.
    """
    while True:
        slot = _register(client, name, run_id)
        slot.heartbeat.start()
        try:
            if not _acquire(slot):
                continue  # revoked while it waited: nothing was done yet, so it queues again
            yield slot
            return
        except Exception:
            slot.check_held()  # a promotion without its version fails anywhere; this gives the reason
            raise
        finally:
            slot.withdraw()


def revoke_dead(client: MlflowClient, name: str) -> None:
    """Delete, or complete, the versions that killed promoters of this machine left in progress."""
    for version in _versions(client, name):
        if tags.PROMOTER not in version.tags or may_be_alive(_promoter(version.tags)):
            continue
        if version.tags.get(tags.PROMOTION) == IN_PROGRESS:
            _revoke(client, version)
        else:
            client.delete_model_version_tag(name, version.version, tags.PROMOTER)


def alias_version(client: MlflowClient, name: str, alias: str) -> str | None:
    """Return the number of the version that an alias points to; ``None`` without such a model or alias."""
    try:
        return str(client.get_model_version_by_alias(name, alias).version)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _register(client: MlflowClient, name: str, run_id: str) -> QueueSlot:
    token, folder = secrets.token_hex(8), f"model-{secrets.token_hex(4)}"
    created = False
    for attempt in range(_ATTEMPTS):
        try:
            created = _create_model(client, name) or created
            version = client.create_model_version(
                name,
                f"runs:/{run_id}/{folder}",
                run_id=run_id,
                tags={tags.PROMOTION: IN_PROGRESS, tags.PROMOTER: _signed(token, 0)},
            )
            return QueueSlot(client, name, str(version.version), folder, token, created)
        except MlflowException as error:
            # others took the same number more often than MLflow tries, or a refusal removed the empty model just now
            passing = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "RESOURCE_DOES_NOT_EXIST")
            if error.error_code not in passing or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(random.uniform(0, POLL_SECONDS))
    raise AssertionError("unreachable")


def _create_model(client: MlflowClient, name: str) -> bool:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return False
    return True


def _acquire(slot: QueueSlot) -> bool:
    """Wait for the lock. Return False when the slot was revoked meanwhile."""
    # each reading counts one interval at most: while the server is away, nobody can send or read a heartbeat
    watch = Watch(gap=POLL_SECONDS)
    announced = False
    while slot.is_held():
        earlier = [
            version
            for version in _versions(slot.client, slot.name)
            if version.tags.get(tags.PROMOTION) == IN_PROGRESS and int(version.version) < int(slot.version)
        ]
        if not earlier:
            return True
        watch.look({str(version.version): version.tags.get(tags.PROMOTER) for version in earlier})
        for version in earlier:
            promoter = _promoter(version.tags)
            # a version with this slot's token: the reply to its registration was lost, and MLflow sent it again
            duplicate = promoter.get("token") == slot.token
            if duplicate or not may_be_alive(promoter) or watch.stale(str(version.version), LEASE_SECONDS):
                _revoke(slot.client, version)
            elif not announced:
                process = f"process {promoter['pid']} on {promoter['host']}"
                logger.info("waiting for %s, which is promoting to '%s'", process, slot.name)
                announced = True
        time.sleep(POLL_SECONDS)
    return False


def _revoke(client: MlflowClient, version: ModelVersion) -> bool:
    """Delete a version in progress and its model files; return whether it was deleted.

    A version that an alias points to was promoted in full: it is completed instead.
    """
    name = version.name
    try:
        before = client.get_registered_model(name).aliases
        if str(version.version) in {str(number) for number in before.values()}:
            _complete(client, name, version.version)
            return False
        client.delete_model_version(name, version.version)
        after = client.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False  # another process deleted it first
        raise
    for alias in before.keys() - after.keys():
        # its promoter woke up between reading and deleting, and moved the alias, which the deletion removed: restore it
        client.set_registered_model_alias(name, alias, str(before[alias]))
    _delete_model_files(client, version)
    return True


def _delete_model_files(client: MlflowClient, version: ModelVersion) -> None:
    run_id, folder = version.run_id or "", str(version.source).rpartition("/")[2]
    if not _MODEL_FOLDER.fullmatch(folder):
        return  # never delete a folder that no promotion made
    try:
        if folder in {file.path for file in client.list_artifacts(run_id)}:
            get_artifact_repository(client.get_run(run_id).info.artifact_uri).delete_artifacts(folder)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # a deleted run has no artifacts left
            raise


def _complete(client: MlflowClient, name: str, version: str) -> None:
    client.set_model_version_tag(name, version, tags.PROMOTION, DONE)
    client.delete_model_version_tag(name, version, tags.PROMOTER)


def _versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    versions: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", max_results=1000, page_token=token)
        versions += page
        token = page.token
        if not token:
            return versions


def _signed(token: str, heartbeat: int) -> str:
    return json.dumps({**identity(), "token": token, "beat": heartbeat})


def _promoter(version_tags: Mapping[str, str]) -> dict[str, Any]:
    promoter: dict[str, Any] = json.loads(version_tags[tags.PROMOTER])
    return promoter
