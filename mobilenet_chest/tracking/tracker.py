"""Writing one run to MLflow, or nowhere."""

from __future__ import annotations

import getpass
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunStatus, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from mobilenet_chest.config import Config, flatten, to_yaml
from mobilenet_chest.data.dataset import TrainVal
from mobilenet_chest.errors import OwnershipLost, TrackingError
from mobilenet_chest.tracking.provenance import code_version, identity
from mobilenet_chest.tracking.store import connect, experiment_id

Status = RunStatus
"""How a run ended: FINISHED, FAILED or KILLED."""

OWNER = "owner"
"""Tag: the process that writes the run, or wrote it last, as :func:`~mobilenet_chest.tracking.provenance.identity`."""

PARAMS_PER_BATCH = 100
METRICS_PER_BATCH = 1000
"""MLflow refuses more in one call."""


class Tracker(Protocol):
    """Where a training writes to."""

    @property
    def run_id(self) -> str | None:
        """The run being written, once there is one."""

    def run(self, config: Config, data: TrainVal) -> AbstractContextManager[None]:
        """The run's life: made on entry; on leaving FINISHED, KILLED (KeyboardInterrupt) or FAILED (any other)."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """One batch of metrics."""

    def log_history(self, records: Sequence[Mapping[str, float]]) -> None:
        """Metrics of the first epochs, all at once."""

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""

    def log_file(self, path: Path, folder: str = "") -> None:
        """Copy a file into the run's artifacts."""

    def remove_file(self, path: str) -> None:
        """Remove a file from the run's artifacts, if it is there."""


class NullTracker:
    """Writes nothing."""

    run_id: str | None = None

    def run(self, config: Config, data: TrainVal) -> AbstractContextManager[None]:
        return nullcontext()

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None: ...

    def log_history(self, records: Sequence[Mapping[str, float]]) -> None: ...

    def log_tags(self, tags: Mapping[str, str]) -> None: ...

    def log_file(self, path: Path, folder: str = "") -> None: ...

    def remove_file(self, path: str) -> None: ...


class MlflowTracker:
    """Writes a run to the store that MLflow's own variables name.

    Args:
        kind: The tag ``kind``: train, trial or study.
        name: Name of the run as the user interface shows it.
        tags: Further tags.
        parent: Run that this one is nested under.
        resume: Run to go on with instead of making one. Steps it has already are not logged again.
        on_start: Called with the run's id, once it is known and before anything is trained.
        guard: Entered around every write to the run. It raises ``OwnershipLost`` when the run is another process's by
            now, and no other process can take the run while it is held.

    Raises:
        TrackingError: The store cannot be used.
    """

    def __init__(
        self,
        kind: str = "train",
        *,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        parent: str | None = None,
        resume: str | None = None,
        on_start: Callable[[str], None] = lambda run_id: None,
        guard: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.run_id = resume
        self._guard = guard
        self._client = connect()
        self._name = name
        self._on_start = on_start
        self._there: set[tuple[str, int]] = set()
        self._tags = {"kind": kind, **(tags or {})} | ({"mlflow.parentRunId": parent} if parent else {})

    @contextmanager
    def run(self, config: Config, data: TrainVal) -> Iterator[None]:
        resumed = self.run_id is not None
        if self.run_id is None:
            self.start(config, data)
        else:
            self._take_over(self.run_id)
        assert self.run_id is not None
        self._on_start(self.run_id)
        monitor = None
        if config.tracking.system_metrics:
            monitor = SystemMetricsMonitor(self.run_id, resume_logging=resumed)
        if monitor is not None:
            monitor.start()
        status: int | None = Status.FAILED
        try:
            yield
            status = Status.FINISHED
        except KeyboardInterrupt:
            status = Status.KILLED
            raise
        except OwnershipLost:
            status = None  # how it ends is for its new owner to say
            raise
        except Exception as error:
            self.log_tags({"failure": f"{type(error).__name__}: {error}"[:5000]})
            raise
        finally:
            if monitor is not None:
                monitor.finish()
            if status is not None:
                self.end(status)

    def start(self, config: Config, data: TrainVal) -> str:
        """Make the run, with its parameters, tags, dataset and ``config.yaml``; returns its id.

        Raises:
            TrackingError: The store or its artifact folder cannot be written; the run, if made, is FAILED.
        """
        run = self._client.create_run(
            experiment_id(self._client, config.experiment),
            run_name=self._name or config.name,
            tags=self._tags | run_tags(config, data),
        )
        self.run_id = str(run.info.run_id)
        try:
            self._describe(self.run_id, config, data)
        except (OSError, MlflowException) as error:
            self.end(Status.FAILED)
            raise TrackingError(
                f"run {self.run_id}: its config.yaml cannot be stored at {run.info.artifact_uri} ({error}); make that "
                "place writable, or set MLFLOW_TRACKING_URI to another store"
            ) from error
        except BaseException:
            self.end(Status.KILLED)
            raise
        return self.run_id

    def _take_over(self, run_id: str) -> None:
        # whose it is first: a run that is RUNNING under a dead owner, or a trial that has ended, would be closed
        with self._guard():
            self.log_tags(self._tags | owner_tag())
            self._client.update_run(run_id, status="RUNNING")
        for name in self._client.get_run(run_id).data.metrics:
            self._there |= {(name, point.step) for point in self._client.get_metric_history(run_id, name)}

    def _describe(self, run_id: str, config: Config, data: TrainVal) -> None:
        fields = config.resolved() if config.search else config.training_fields()
        params = [Param(key, _text(value)) for key, value in flatten(fields).items()]
        for first in range(0, len(params), PARAMS_PER_BATCH):
            self._client.log_batch(run_id, params=params[first : first + PARAMS_PER_BATCH])
        self._client.log_inputs(run_id, _datasets(config, data))
        self._client.log_text(run_id, to_yaml(config), "config.yaml")

    def end(self, status: int) -> None:
        """Set the run's final status."""
        assert self.run_id is not None
        with self._guard():
            self._client.set_terminated(self.run_id, Status.to_string(status))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        self._log(_metrics(metrics, step))

    def log_history(self, records: Sequence[Mapping[str, float]]) -> None:
        batch = [metric for step, record in enumerate(records, 1) for metric in _metrics(record, step)]
        for first in range(0, len(batch), METRICS_PER_BATCH):
            self._log(batch[first : first + METRICS_PER_BATCH])

    def _log(self, batch: list[Metric]) -> None:
        assert self.run_id is not None
        with self._guard():
            self._client.log_batch(self.run_id, metrics=[m for m in batch if (m.key, m.step) not in self._there])

    def log_tags(self, tags: Mapping[str, str]) -> None:
        assert self.run_id is not None
        with self._guard():
            self._client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def log_file(self, path: Path, folder: str = "") -> None:
        assert self.run_id is not None
        with self._guard():
            self._client.log_artifact(self.run_id, str(path), folder or None)

    def remove_file(self, path: str) -> None:
        assert self.run_id is not None
        with self._guard():
            remove_artifacts(self._client.get_run(self.run_id), path)


def _metrics(values: Mapping[str, float], step: int) -> list[Metric]:
    now = int(time.time() * 1000)
    return [Metric(key, float(value), now, step) for key, value in values.items()]


def run_tags(config: Config, data: TrainVal) -> dict[str, str]:
    """The tags that every run has."""
    return {
        "model": config.model.name,
        "weights": config.model.weights,
        "dataset": config.data.dataset,
        "config_digest": config.digest(),
        "data_digest": data.digest,
        "classes": " / ".join(data.classes),
        "mlflow.user": _user(),
        "mlflow.source.name": Path(sys.argv[0]).name,
        "mlflow.source.git.commit": code_version()["git_commit"],
        **code_version(),
        **owner_tag(),
    }


def owner_tag() -> dict[str, str]:
    """The process that writes a run."""
    return {OWNER: json.dumps(identity())}


def remove_artifacts(run: Run, path: str) -> None:
    """Delete a run's file or folder of artifacts, if it is there."""
    get_artifact_repository(run.info.artifact_uri).delete_artifacts(path)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without an account, as containers have
        return "unknown"


def _datasets(config: Config, data: TrainVal) -> list[DatasetInput]:
    source = json.dumps({"uri": data.source})
    inputs = []
    for context, split in (("train", data.train), ("val", data.val)):
        schema = {"images": ["uint8", list(split.images.shape)], "labels": ["uint8", [len(split)]]}
        profile = {"rows": len(split), "classes": data.counts()[context]}
        dataset = Dataset(
            name=f"{config.data.dataset}_{context}",
            digest=split.digest[:16],
            source_type="local" if config.data.path else "code",
            source=source,
            schema=json.dumps(schema),
            profile=json.dumps(profile),
        )
        inputs.append(DatasetInput(dataset, tags=[InputTag("mlflow.data.context", context)]))
    return inputs


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
