"""Trackers: they write one run to MLflow, or nowhere."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

from mlflow.entities import RunStatus
from mlflow.exceptions import MlflowException

from mobilenet_chest import plugins
from mobilenet_chest.config import Config, to_yaml
from mobilenet_chest.config.metric_groups import epoch_name, result_name
from mobilenet_chest.data.dataset import TrainVal
from mobilenet_chest.errors import OwnershipLost, TrackingError, TrainingPaused
from mobilenet_chest.liveness import Heartbeat
from mobilenet_chest.tracking.description import run_inputs, run_params, run_tags
from mobilenet_chest.tracking.notes import Outcome, RunNote
from mobilenet_chest.tracking.outbox.outbox import process_outbox
from mobilenet_chest.tracking.outbox.sender import Sender
from mobilenet_chest.tracking.outbox.writes import Write, send
from mobilenet_chest.tracking.provenance import owner_tag
from mobilenet_chest.tracking.run_owners import run_heartbeat
from mobilenet_chest.tracking.runs import full_id, short_id
from mobilenet_chest.tracking.store import connect, experiment_id, store_required, without_password
from mobilenet_chest.tracking.system_metrics import SystemMonitor
from mobilenet_chest.tracking.tags import CONFIRM_KIND, FAILURE, FOLD_KIND, KIND, PARENT_RUN, TRAIN_KIND, TRIAL_KIND

Status = RunStatus
"""How a run ended: FINISHED, FAILED or KILLED; SCHEDULED where a study has paused it."""

TRIAL_KINDS = (TRIAL_KIND, CONFIRM_KIND, FOLD_KIND)
"""Values of the tag ``kind`` of runs that a study's workers write; their study knows whether a worker lives."""

PLUGINS = "plugins"
"""Folder of a run's copies of its plugins, each in a folder named by its digest: to be read by people, never run."""

PARAMS_PER_BATCH = 100
METRICS_PER_BATCH = 1000
"""MLflow refuses more in one call."""


class Tracker(Protocol):
    """What a training writes to."""

    @property
    def run_id(self) -> str | None:
        """Id of the run that is written, once there is one."""

    def run(self, config: Config, data: TrainVal) -> AbstractContextManager[None]:
        """Begin the run on entry; on leaving it ends FINISHED, KILLED (KeyboardInterrupt) or FAILED (other errors).

        After ``TrainingPaused`` it is SCHEDULED: it is resumed later, or never.
        """

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Write results, which are no curves over the epochs; at step 0 those written last count."""

    def log_history(self, records: Sequence[Mapping[str, float]], first: int = 1) -> None:
        """Write the metrics of epochs ``first``, ``first`` + 1, … at once."""

    def log_tags(self, values: Mapping[str, str]) -> None:
        """Set tags."""

    def log_file(self, path: Path, folder: str = "") -> None:
        """Copy a file into the run's artifacts."""

    def remove_file(self, path: str) -> None:
        """Remove a file from the run's artifacts, if it is there."""

    def log_outcome(self, outcome: Outcome) -> None:
        """Say that the run has all its results, and in its description how the training went."""


class NullTracker:
    """A tracker that writes nothing."""

    run_id: str | None = None

    def run(self, config: Config, data: TrainVal) -> AbstractContextManager[None]:
        return nullcontext()

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None: ...

    def log_history(self, records: Sequence[Mapping[str, float]], first: int = 1) -> None: ...

    def log_tags(self, values: Mapping[str, str]) -> None: ...

    def log_file(self, path: Path, folder: str = "") -> None: ...

    def remove_file(self, path: str) -> None: ...

    def log_outcome(self, outcome: Outcome) -> None: ...


class MlflowTracker:
    """A tracker that writes to the store that MLflow's own variables name.

    While the store is away the training continues: writes that cannot be sent are kept on the disk in order
    (:mod:`~.outbox.journal`). They are sent with a later write, at the end of the command, or by ``mobilenet-chest
    repair``.

    Args:
        kind: The tag ``kind``: train, trial, confirm, fold or study.
        name: Name of the run in MLflow's user interface.
        tags: Further tags.
        about: First paragraph of the run's description: what it tries, in Markdown. A run of kind ``train`` says by
            itself how it differs from the defaults; others have no description without it.
        searched: Paths of the fields that a search varies, whose values are parameters of the run even where they are
            the defaults.
        parent: Id of the run that this one is nested under.
        resume: Id of a run to continue instead of making one, or its first digits. Steps that it has are not written
            again.
        on_start: Called with the run's id before anything is trained.
        guard: Entered around every write. It raises ``OwnershipLost`` when another process owns the run by now, and no
            other process can take the run while it is held.

    Raises:
        TrackingError: The store cannot be used.
    """

    def __init__(
        self,
        kind: str = TRAIN_KIND,
        *,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        about: str | None = None,
        searched: Collection[str] = (),
        parent: str | None = None,
        resume: str | None = None,
        on_start: Callable[[str], None] = lambda run_id: None,
        guard: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.experiment_id: str | None = None
        """Of the run, once it is written to."""
        self._guard = guard
        self._client = connect()
        self._name, self._searched = name, searched
        self.run_id = None if resume is None else full_id(self._client, resume)
        self._note = RunNote(kind, about, kind in TRIAL_KINDS)
        self._on_start = on_start
        self._logged: set[tuple[str, int]] = set()
        self._tags = {KIND: kind, **(tags or {})} | ({PARENT_RUN: parent} if parent else {})
        self._sender: Sender | None = None
        self._heartbeat: Heartbeat | None = None

    @contextmanager
    def run(self, config: Config, data: TrainVal) -> Iterator[None]:
        resumed = self.run_id is not None
        self._note.prepare(config, data.name)
        if self.run_id is None:
            self.start(config, data)
        else:
            self.take_over()
            self.log_tags(self._note.running())
            self._read_steps(self.run_id)
        assert self.run_id is not None
        self._on_start(self.run_id)
        monitor = SystemMonitor(self.run_id, resumed, self.log_metrics) if config.tracking.system_metrics else None
        if monitor is not None:
            monitor.start()
        status: int | None = Status.FAILED
        try:
            yield
            status = Status.FINISHED
        except KeyboardInterrupt:
            status = Status.KILLED
            self.log_tags(self._note.interrupted(self.run_id))
            raise
        except TrainingPaused:
            status = Status.SCHEDULED
            self.log_tags(self._note.paused())
            raise
        except OwnershipLost:
            status = None  # the new owner says how it ends
            raise
        except Exception as error:
            failure = without_password(f"{type(error).__name__}: {error}")
            self.log_tags({FAILURE: failure[:5000]} | self._note.failed(failure))
            raise
        finally:
            if monitor is not None:
                monitor.finish()
            self.leave()
            if status is not None:
                self.end(status)

    def start(self, config: Config, data: TrainVal) -> str:
        """Make the run with its parameters, tags, datasets and ``config.yaml``, and return its id.

        Raises:
            TrackingError: The store is away, or it or its artifact folder cannot be written. If the run was made, it is
                FAILED.
        """
        self._note.prepare(config, data.name)
        with store_required():
            run = self._client.create_run(
                experiment_id(self._client, config.experiment),
                run_name=self._name or config.name,
                tags=self._tags | run_tags(config, data) | self._note.running(),
            )
        self.experiment_id = str(run.info.experiment_id)
        self._own(str(run.info.run_id))
        try:
            self._describe(config, data)
        except (OSError, MlflowException) as error:
            self.end(Status.FAILED)
            raise TrackingError(
                f"run {short_id(self.run_id)}: its config.yaml cannot be stored at {run.info.artifact_uri} "
                f"({error}); make that "
                "place writable, or set MLFLOW_TRACKING_URI to another store"
            ) from error
        except BaseException:
            self.end(Status.KILLED)
            raise
        return str(run.info.run_id)

    def take_over(self) -> None:
        """Make this process the owner of the run that it resumes, and the run RUNNING.

        Raises:
            TrackingError: The store is away, or pending writes of the owner before cannot be sent.
        """
        assert self.run_id is not None
        process_outbox().flush_run(self.run_id)
        # the owner first: a run that is RUNNING under a dead owner, or as an ended trial, would be closed by others
        with store_required(), self._guard():
            send(self._client, self.run_id, {"tags": self._tags | owner_tag()})
            self._client.update_run(self.run_id, status="RUNNING")
            self.experiment_id = str(self._client.get_run(self.run_id).info.experiment_id)
        self._own(self.run_id)

    def _read_steps(self, run_id: str) -> None:
        with store_required():
            for name in self._client.get_run(run_id).data.metrics:
                self._logged |= {(name, point.step) for point in self._client.get_metric_history(run_id, name)}

    def _own(self, run_id: str) -> None:
        """Write to the run as its owner from now on: what cannot be sent is kept, and a heartbeat is written."""
        self.run_id = run_id
        self._sender = Sender(self._client, run_id, self._guard, process_outbox())
        if self._tags[KIND] not in TRIAL_KINDS:
            self._heartbeat = run_heartbeat(self._sender).start()

    def leave(self) -> None:
        """Write no further heartbeat to the run; its end is left to others."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
            self._heartbeat = None

    def _describe(self, config: Config, data: TrainVal) -> None:
        params = list(run_params(config, self._searched).items())
        for first in range(0, len(params), PARAMS_PER_BATCH):
            self._write({"params": dict(params[first : first + PARAMS_PER_BATCH])})
        self._write(run_inputs(config, data))
        with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as folder:
            file = Path(folder) / "config.yaml"
            file.write_text(to_yaml(config), encoding="utf-8")
            self.log_file(file)
            for plugin in filter(None, map(plugins.loaded, config.plugins)):
                copy = Path(folder) / plugin.path.name
                copy.write_bytes(plugin.contents)
                self.log_file(copy, f"{PLUGINS}/{plugin.sha256[:12]}")

    def end(self, status: int) -> None:
        """Set the run's final status."""
        self.leave()
        if self._sender is not None:
            self._sender.flush_next()  # no later write would send the pending ones
        self._write({"status": Status.to_string(status), "time": _now()})

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        self._log([(result_name(name), value, step) for name, value in metrics.items()])

    def log_history(self, records: Sequence[Mapping[str, float]], first: int = 1) -> None:
        epochs = enumerate(records, first)
        self._log([(epoch_name(name), value, step) for step, record in epochs for name, value in record.items()])

    def _log(self, points: Sequence[tuple[str, float, int]]) -> None:
        now = _now()
        # step 0 is of results, which a run that resumes may have anew
        new = [point for point in points if point[2] == 0 or (point[0], point[2]) not in self._logged]
        batch = [[name, float(value), now, step] for name, value, step in new]
        for first in range(0, len(batch), METRICS_PER_BATCH):
            self._write({"metrics": batch[first : first + METRICS_PER_BATCH]})

    def log_tags(self, values: Mapping[str, str]) -> None:
        if values:
            self._write({"tags": dict(values)})

    def log_file(self, path: Path, folder: str = "") -> None:
        self._write({"upload": f"{folder}/{path.name}".lstrip("/")}, path)

    def remove_file(self, path: str) -> None:
        self._write({"remove": path})

    def log_outcome(self, outcome: Outcome) -> None:
        self.log_tags(self._note.outcome(outcome))

    def _write(self, write: Write, file: Path | None = None) -> None:
        if self._sender is not None:
            self._sender.write(write, file)
            return
        assert self.run_id is not None
        # a run that has ended, or that another process owns: nothing is kept for it
        with store_required(), self._guard():
            send(self._client, self.run_id, write, file)


def _now() -> int:
    return int(time.time() * 1000)
