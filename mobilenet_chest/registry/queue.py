"""Promoters of one registered model, one at a time: on one machine or many, over SQLite, PostgreSQL or a server.

MLflow has no locks, but it gives out version numbers one by one, within its own database. So the version that a
promotion is about to fill is its place in a queue: it is registered first, open, and the lowest open version has the
turn. A promoter that died is known by its process, on this machine, or by a beat that stands still; its version is
deleted, and MLflow sets no alias at a version that was deleted: what wakes up late can no longer move anything.
"""

from __future__ import annotations

import json
import random
import re
import secrets
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from mobilenet_chest.errors import OwnershipLost
from mobilenet_chest.tracking.provenance import identity, may_be_alive
from mobilenet_chest.tracking.tags import PROMOTER, PROMOTION

IN_PROGRESS, DONE = "in progress", "done"
"""Values of the tag ``promotion``. It turns to done once, after the alias has moved, and never back."""

BEAT_SECONDS = 10.0
POLL_SECONDS = 0.5

LEASE_SECONDS = 60.0
"""A promoter whose beat another one has seen unchanged for so long counts as dead."""

_ATTEMPTS = 20
_FOLDER = re.compile(r"model-[0-9a-f]{8}")


@dataclass
class QueueSlot:
    """An open version, and the right to promote it.

    Attributes:
        client: Of the registry.
        name: Registered model.
        version: Number of the open version.
        folder: Artifact folder of the run, this version's own, for the packed model.
        token: Tells this promotion from all others.
        created_model: Whether the registered model was made for this version.
    """

    client: MlflowClient
    name: str
    version: str
    folder: str
    token: str
    created_model: bool
    _stop: threading.Event = field(default_factory=threading.Event, repr=False)
    _beating: threading.Thread | None = field(default=None, repr=False)

    def check(self) -> None:
        """See that the version is still open and this promotion's.

        Raises:
            OwnershipLost: Another promoter took this one for dead.
        """
        if not self._is_mine():
            raise OwnershipLost(
                f"version {self.version} of '{self.name}' was taken back: this process gave no sign of life for "
                f"{LEASE_SECONDS:g} s and another promotion went ahead; promote again"
            )

    def close(self) -> None:
        """The alias has moved: the next one's turn."""
        self._be_still()
        _close(self.client, self.name, self.version)

    def take_back(self) -> None:
        """As if it had never been, unless the alias stands at it already; an empty model made for it goes too."""
        self._be_still()
        if not self._is_mine():
            return
        version = self.client.get_model_version(self.name, self.version)
        if _take_back(self.client, version) and self.created_model and not _versions(self.client, self.name):
            self.client.delete_registered_model(self.name)

    def _beat(self) -> None:
        count = 0
        while not self._stop.wait(BEAT_SECONDS):
            count += 1
            try:
                self.client.set_model_version_tag(self.name, self.version, PROMOTER, _signed(self.token, count))
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return  # taken back; the promotion finds out at its next check

    def _be_still(self) -> None:
        """The last beat is through: none comes after what is written next."""
        self._stop.set()
        if self._beating is not None:
            self._beating.join()

    def _is_mine(self) -> bool:
        try:
            tags = self.client.get_model_version(self.name, self.version).tags
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return tags.get(PROMOTION) == IN_PROGRESS and _promoter(tags).get("token") == self.token


@contextmanager
def queue_slot(client: MlflowClient, name: str, run_id: str) -> Iterator[QueueSlot]:
    """Wait until every promoter of ``name`` that came before is done, or dead; then have the turn for the block.

    The block closes the turn once the alias has moved; left in any other way, its version is taken back.

    Args:
        client: Of the registry.
        name: Registered model; made if there is none.
        run_id: The run that the version is of.
    """
    while True:
        mine = _register(client, name, run_id)
        mine._beating = threading.Thread(target=mine._beat, daemon=True)
        mine._beating.start()
        try:
            if not _my_turn(mine):
                continue  # taken for dead while it waited: it has done nothing yet, and queues again
            yield mine
            return
        except Exception:
            mine.check()  # one whose version was taken back fails at whatever it does next: this is why
            raise
        finally:
            mine.take_back()


def revoke_dead(client: MlflowClient, name: str) -> None:
    """Take back, or finish, what promoters of this machine left open when they were killed."""
    for version in _versions(client, name):
        if PROMOTER not in version.tags or may_be_alive(_promoter(version.tags)):
            continue
        if version.tags.get(PROMOTION) == IN_PROGRESS:
            _take_back(client, version)
        else:
            client.delete_model_version_tag(name, version.version, PROMOTER)


def alias_version(client: MlflowClient, name: str, alias: str) -> str | None:
    """Number of the version that an alias stands at; ``None`` without such a model or alias."""
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
            tags = {PROMOTION: IN_PROGRESS, PROMOTER: _signed(token, 0)}
            version = client.create_model_version(name, f"runs:/{run_id}/{folder}", run_id=run_id, tags=tags).version
            return QueueSlot(client, name, str(version), folder, token, created)
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


def _my_turn(mine: QueueSlot) -> bool:
    """Wait for it; false when the version was taken back meanwhile."""
    unchanged: Counter[tuple[str, str]] = Counter()
    told = False
    while mine._is_mine():
        before = [
            version
            for version in _versions(mine.client, mine.name)
            if version.tags.get(PROMOTION) == IN_PROGRESS and int(version.version) < int(mine.version)
        ]
        if not before:
            return True
        for version in before:
            promoter = _promoter(version.tags)
            # looks are counted, not seconds: while the server is away nobody can beat, nor look
            unchanged[str(version.version), str(version.tags.get(PROMOTER))] += 1
            stale = unchanged[str(version.version), str(version.tags.get(PROMOTER))] * POLL_SECONDS > LEASE_SECONDS
            # one with this promotion's own token: the answer to its registration was lost, and it was sent again
            if stale or not may_be_alive(promoter) or promoter.get("token") == mine.token:
                _take_back(mine.client, version)
            elif not told:
                who = f"process {promoter['pid']} on {promoter['host']}"
                print(f"waiting for {who}, which is promoting to '{mine.name}'", file=sys.stderr)
                told = True
        time.sleep(POLL_SECONDS)
    return False


def _take_back(client: MlflowClient, version: ModelVersion) -> bool:
    """Delete an open version and what was packed for it; one that an alias stands at got through, and is closed."""
    name = version.name
    try:
        before = client.get_registered_model(name).aliases
        if str(version.version) in {str(number) for number in before.values()}:
            _close(client, name, version.version)
            return False
        client.delete_model_version(name, version.version)
        after = client.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False  # another was quicker
        raise
    for alias in before.keys() - after.keys():
        # its promoter woke up between the two and moved the alias, which the deletion took along: back to where it was
        client.set_registered_model_alias(name, alias, str(before[alias]))
    _remove_packed(client, version)
    return True


def _remove_packed(client: MlflowClient, version: ModelVersion) -> None:
    run_id, folder = version.run_id or "", str(version.source).rpartition("/")[2]
    if not _FOLDER.fullmatch(folder):
        return
    try:
        if folder in {file.path for file in client.list_artifacts(run_id)}:
            get_artifact_repository(client.get_run(run_id).info.artifact_uri).delete_artifacts(folder)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # of a run that is gone, all artifacts are
            raise


def _close(client: MlflowClient, name: str, version: str) -> None:
    client.set_model_version_tag(name, version, PROMOTION, DONE)
    client.delete_model_version_tag(name, version, PROMOTER)


def _versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    versions: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", max_results=1000, page_token=token)
        versions += page
        token = page.token
        if not token:
            return versions


def _signed(token: str, beat: int) -> str:
    return json.dumps({**identity(), "token": token, "beat": beat})


def _promoter(tags: Mapping[str, str]) -> dict[str, Any]:
    promoter: dict[str, Any] = json.loads(tags[PROMOTER])
    return promoter
