"""Sending a run's writes to a store that may be away for a while."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from mlflow import MlflowClient

from mobilenet_chest.errors import OwnershipLost, WriteFailed
from mobilenet_chest.tracking.client import answer_within, is_away
from mobilenet_chest.tracking.outbox.delivery import OWN, TURN, flush_journal
from mobilenet_chest.tracking.outbox.journal import Journal
from mobilenet_chest.tracking.outbox.writes import Write, send
from mobilenet_chest.tracking.store import masked, reason, tracking_uri

TIMEOUT_SECONDS, UPLOAD_TIMEOUT_SECONDS = 5, 10
"""How long a training waits for an answer before it goes on and keeps the write for later."""

RETRY_SECONDS, LONGEST_RETRY_SECONDS = 5.0, 60.0
"""Between two tries to deliver what waits: ten times as long as the last one took, within these."""

DELIVERY_SECONDS = 2.0
"""How long a training stands still for deliveries at a time."""


class Sender:
    """Sends the writes of this process to a run of its own, in order; with the store away it keeps them on the disk.

    Args:
        client: The store.
        run_id: The run.
        guard: Entered around every write; it raises ``OwnershipLost`` when the run is another process's by now, and
            then what waits is discarded.
    """

    def __init__(self, client: MlflowClient, run_id: str, guard: Callable[[], AbstractContextManager[None]]) -> None:
        self._client, self._run_id, self._guard = client, run_id, guard
        self._journal = Journal.of_run(run_id, guard)
        self._due = 0.0
        OWN[self._journal.folder.name] = self._journal

    def write(self, write: Write, file: Path | None = None) -> None:
        """Send a write now, or keep it for later.

        Raises:
            OwnershipLost: As the guard says.
            WriteFailed: It can be neither sent nor kept.
            MlflowException: The store refuses it, or one that has waited.
        """
        with TURN:
            try:
                with self._guard():
                    if self._journal.has_pending or not self._sent(write, file):
                        self._journal.append(write, file)
                self._deliver()
            except OwnershipLost:
                self._journal.remove()
                raise

    def make_haste(self) -> None:
        """Try to deliver what waits with the next write, however short a time ago the last try was."""
        self._due = 0.0

    def _sent(self, write: Write, file: Path | None) -> bool:
        """Whether the store has taken it; otherwise it is away."""
        started = time.monotonic()
        try:
            timeout = UPLOAD_TIMEOUT_SECONDS if {"upload", "remove"} & write.keys() else TIMEOUT_SECONDS
            with answer_within(timeout, retries=0):
                send(self._client, self._run_id, write, file)
        except Exception as error:
            if not is_away(error):
                raise
            self._put_off(started)
            print(
                f"tracking store {masked(tracking_uri())} is away ({reason(error)}); run {self._run_id} goes on, and "
                f"what it should get waits in {self._journal.folder}",
                file=sys.stderr,
            )
            return False
        return True

    def _deliver(self) -> None:
        """Try to deliver what waits, if anything does and the last try was not a moment ago."""
        started = time.monotonic()
        if not self._journal.has_pending or started < self._due:
            return
        line = None
        try:
            line = flush_journal(self._journal, self._client, DELIVERY_SECONDS, UPLOAD_TIMEOUT_SECONDS)
        except Exception as error:
            if not is_away(error):
                if isinstance(error, OSError):
                    why = f"what waited for its store cannot be written there ({error.strerror or error})"
                    raise WriteFailed(f"run {self._run_id}: {why}") from error
                raise
        self._put_off(started)
        if line is not None:
            print(line, file=sys.stderr)

    def _put_off(self, started: float) -> None:
        now = time.monotonic()
        self._due = now + min(max(RETRY_SECONDS, 10 * (now - started)), LONGEST_RETRY_SECONDS)
