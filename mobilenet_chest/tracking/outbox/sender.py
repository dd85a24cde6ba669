"""Sender: the writes of this process to one run, with a store that may be away for a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from mlflow import MlflowClient

from mobilenet_chest.errors import OwnershipLost, WriteFailed
from mobilenet_chest.tracking.client import answer_within, is_away
from mobilenet_chest.tracking.outbox.delivery import flush_journal
from mobilenet_chest.tracking.outbox.outbox import Outbox
from mobilenet_chest.tracking.outbox.writes import Write, send
from mobilenet_chest.tracking.runs import short_id
from mobilenet_chest.tracking.store import masked, reason, tracking_uri

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS, UPLOAD_TIMEOUT_SECONDS = 5, 10
"""How long a training waits for an answer before it goes on and keeps the write for later."""

RETRY_SECONDS, LONGEST_RETRY_SECONDS = 5.0, 60.0
"""Between two attempts to send pending writes: ten times as long as the last attempt took, within these."""

DELIVERY_SECONDS = 2.0
"""How long a training waits at a time while pending writes are sent."""


class Sender:
    """Sends this process's writes to a run in order, and keeps them on the disk while the store is away.

    Args:
        client: The store.
        run_id: The run.
        guard: Entered around every write. It raises ``OwnershipLost`` when another process owns the run by now; pending
            writes are discarded then.
        outbox: Has the journal of the run.
    """

    def __init__(
        self, client: MlflowClient, run_id: str, guard: Callable[[], AbstractContextManager[None]], outbox: Outbox
    ) -> None:
        self._client, self._run_id, self._guard = client, run_id, guard
        self._journal = outbox.open_journal(run_id, guard)
        self._due = 0.0

    def write(self, write: Write, file: Path | None = None) -> None:
        """Send a write now, or keep it for later.

        Raises:
            OwnershipLost: The guard says so.
            WriteFailed: The write can be neither sent nor kept.
            MlflowException: The store refuses the write, or a pending one.
        """
        with self._journal.turn:
            try:
                with self._guard():
                    # behind a pending write nothing is sent directly: the store gets all of them in order
                    if self._journal.has_pending or not self._sent(write, file):
                        self._journal.append(write, file)
                self._flush()
            except OwnershipLost:
                self._journal.remove()
                raise

    def send_or_drop(self, write: Callable[[], Write | None]) -> None:
        """Send a write that is worth nothing later; it is not kept when the store is away.

        Args:
            write: Called when no other thread writes the run; ``None``: there is nothing to send any more.

        Raises:
            MlflowException: The store refuses it, or is away.
        """
        with self._journal.turn, answer_within(TIMEOUT_SECONDS):
            contents = write()
            if contents is not None:
                send(self._client, self._run_id, contents)

    def flush_next(self) -> None:
        """Attempt to send pending writes with the next write, even if the last attempt was a moment ago."""
        self._due = 0.0

    def _sent(self, write: Write, file: Path | None) -> bool:
        """Return whether the store has taken the write; otherwise the store is away."""
        started = time.monotonic()
        try:
            timeout = UPLOAD_TIMEOUT_SECONDS if {"upload", "remove"} & write.keys() else TIMEOUT_SECONDS
            with answer_within(timeout, retries=0):
                send(self._client, self._run_id, write, file)
        except Exception as error:
            if not is_away(error):
                raise
            self._postpone(started)
            logger.warning(
                f"tracking store {masked(tracking_uri())} is away ({reason(error)}); run "
                f"{short_id(self._run_id)} continues, and "
                f"its writes are kept in {self._journal.folder} until the store is back"
            )
            return False
        return True

    def _flush(self) -> None:
        """Attempt to send pending writes, if there are any and the last attempt was not a moment ago."""
        started = time.monotonic()
        if not self._journal.has_pending or started < self._due:
            return
        line = None
        try:
            line = flush_journal(self._journal, self._client, DELIVERY_SECONDS, UPLOAD_TIMEOUT_SECONDS)
        except Exception as error:
            if not is_away(error):
                if isinstance(error, OSError):
                    why = f"a pending write cannot be written to the store's folder ({error.strerror or error})"
                    raise WriteFailed(f"run {short_id(self._run_id)}: {why}") from error
                raise
        self._postpone(started)
        if line is not None:
            logger.info(line)

    def _postpone(self, started: float) -> None:
        now = time.monotonic()
        self._due = now + min(max(RETRY_SECONDS, 10 * (now - started)), LONGEST_RETRY_SECONDS)
