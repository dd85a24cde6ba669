"""A server's times and counts in MLflow, once an hour: a run of kind ``serving`` for each server that lives so long."""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from mobilenet_chest.deploy.serving.meters import Meters, Totals
from mobilenet_chest.files import write_whole
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.client import answer_within
from mobilenet_chest.tracking.store import experiment_id, reason

logger = logging.getLogger(__name__)

EXPERIMENT = "serving"

HOUR = 3600.0

ANSWER_SECONDS = 5
"""How long the store may take; the server's answers never wait for it."""

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class HourlyLog:
    """Logs what a server's meters have counted since the last time. While the store is away, hours become longer.

    Args:
        meters: Of the server.
        name: Of the registered model.
        version: Returns the version that answers now.
        connect: Returns a client of the tracking store.
        state: File from which the process that takes the place of a dead one goes on; ``None`` where none does.
    """

    def __init__(
        self, meters: Meters, name: str, version: Callable[[], str], connect: Callable[[], MlflowClient],
        state: Path | None = None,
    ) -> None:  # fmt: skip
        self._meters, self._name, self._version, self._connect = meters, name, version, connect
        self._before, self._since = meters.totals(), time.monotonic()
        self._run_id: str | None = None
        self._client: MlflowClient | None = None
        self._step = 0
        self._state = state
        if state is not None and state.exists():
            self._continue(json.loads(state.read_text(encoding="utf-8")))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="hourly", daemon=True)

    def start(self) -> None:
        """Log from now on."""
        self._keep()
        self._thread.start()

    def close(self) -> None:
        """Stop, and end the run if there is one; a store that is away does not hold this up."""
        self._stop.set()
        if self._client is None or self._run_id is None:
            return
        try:
            with answer_within(1, retries=0):
                self._client.set_terminated(self._run_id)
        except Exception as error:  # whatever a store fails with, the server stops
            logger.warning("the server's run %s was not ended: %s", self._run_id, reason(error))

    def log(self) -> bool:
        """Log the hour that has passed; return whether the store took it."""
        totals, now = self._meters.totals(), time.monotonic()
        try:
            with answer_within(ANSWER_SECONDS):
                self._client = self._client or self._connect()
                self._run_id = self._run_id or self._new_run(self._client)
                for name, value in hour_metrics(self._before, totals, now - self._since).items():
                    self._client.log_metric(self._run_id, name, value, step=self._step)
        except Exception as error:  # whatever a store fails with, the server goes on
            logger.warning("the server's hour was not logged, the next one will have it: %s", reason(error))
            return False
        self._before, self._since, self._step = totals, now, self._step + 1
        self._keep()
        return True

    def _keep(self) -> None:
        if self._state is None:
            return
        kept = {"before": self._before._asdict(), "since": self._since, "step": self._step, "run_id": self._run_id}
        with suppress(OSError):  # then one that comes in this place begins a run of its own
            write_whole(self._state, json.dumps(kept))

    def _continue(self, kept: Mapping[str, Any]) -> None:
        before = kept["before"]
        # JSON has made texts of the ends of buckets
        stages = {stage: {float(end): count for end, count in each.items()} for stage, each in before["stages"].items()}
        self._before, self._since = Totals(**before | {"stages": stages}), kept["since"]
        self._step, self._run_id = kept["step"], kept["run_id"]

    def _new_run(self, client: MlflowClient) -> str:
        named = {tags.KIND: tags.SERVING_KIND, tags.SERVED_MODEL: self._name, tags.SERVED_VERSION: self._version()}
        run = client.create_run(experiment_id(client, EXPERIMENT), tags=named, run_name=f"server of {self._name}")
        return str(run.info.run_id)

    def _work(self) -> None:
        due = self._since + HOUR
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self.log()
            due = time.monotonic() + HOUR


def hour_metrics(before: Totals, after: Totals, seconds: float) -> dict[str, float]:
    """Return the metrics of an hour by their names in MLflow.

    Args:
        before: What had been counted when it began.
        after: What had been counted at its end.
        seconds: How long it was.
    """
    metrics = {
        "serving/images_per_second": (after.images - before.images) / seconds,
        "serving/requests_per_second": (after.requests - before.requests) / seconds,
        "serving/refused_requests": float(after.refused - before.refused),
        "serving/failed_requests": float(after.failed - before.failed),
    }
    for stage, counts in after.stages.items():
        earlier = before.stages.get(stage, {})
        cumulative = {bound: count - earlier.get(bound, 0.0) for bound, count in counts.items()}
        if cumulative[math.inf]:
            metrics |= {f"serving/{stage}_{name}_ms": 1000 * _quantile(cumulative, share)
                        for name, share in QUANTILES.items()}  # fmt: skip
    return metrics


def _quantile(cumulative: Mapping[float, float], share: float) -> float:
    """Return a quantile in seconds, interpolated within its bucket, as Prometheus does."""
    wanted, lower, below = share * cumulative[math.inf], 0.0, 0.0
    for bound in sorted(cumulative):
        count = cumulative[bound]
        if count >= wanted:
            if math.isinf(bound):
                return lower
            return lower + (bound - lower) * (wanted - below) / (count - below)
        lower, below = bound, count
    return lower
