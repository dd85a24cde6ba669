"""Finding finished runs and studies in MLflow, and reading back what they left."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from mobilenet_chest.config import Config, load
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import ConfigError, TrackingError, nearest
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.models.zoo import build_model
from mobilenet_chest.tracking.store import all_experiment_ids, tracking_uri
from mobilenet_chest.tracking.study_run import nested_runs, search_all
from mobilenet_chest.training import checkpoint

RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Candidate:
    """A run to compare or promote, and the study it is the best trial of, if it was named by its study."""

    run: Run
    study: Run | None = None

    @property
    def run_id(self) -> str:
        """Of the run itself."""
        return str(self.run.info.run_id)

    @property
    def name(self) -> str:
        """Of the study, or of the run."""
        return str(self.study.data.tags["study"] if self.study else self.run.info.run_name)


def find(client: MlflowClient, reference: str) -> list[Candidate]:
    """What a name on the command line stands for.

    Args:
        client: The tracking store.
        reference: A run id; else a study's name, which stands for its best complete trial; else an experiment's
            name, which stands for the best trials of its studies and all its finished single trainings.

    Raises:
        TrackingError: There is none of these, or nothing finished in it.
    """
    if RUN_ID.fullmatch(reference):
        return [_of_run(client, get_run(client, reference))]
    studies = search_all(client, all_experiment_ids(client), "tags.kind = 'study'")
    named = [run for run in studies if run.data.tags.get("study") == reference]
    if named:
        return [best_of_study(client, named[0])]
    experiment = client.get_experiment_by_name(reference)
    if experiment is not None and experiment.lifecycle_stage == "active":
        found = everything(client, [experiment.experiment_id])
        if not found:
            raise TrackingError(f"experiment '{reference}' has no finished run yet; wait, or run it again to go on")
        return found
    names = {run.data.tags.get("study", "") for run in studies} | {e.name for e in client.search_experiments()}
    known = ", ".join(sorted(names - {"", "Default"})) or "none yet: run sweep.py first"
    raise TrackingError(
        f"no run, study or experiment '{reference}' at {tracking_uri()}{nearest(reference, names)} (there are: {known})"
    )


def find_one(client: MlflowClient, reference: str) -> Candidate:
    """As :func:`find`, for commands that want a single run.

    Raises:
        TrackingError: It stands for several.
    """
    found = find(client, reference)
    if len(found) > 1:
        names = ", ".join(f"{candidate.name} ({candidate.run_id})" for candidate in found[:5])
        raise TrackingError(f"'{reference}' stands for {len(found)} runs; name one of them: {names}")
    return found[0]


def everything(client: MlflowClient, experiments: list[str]) -> list[Candidate]:
    """The best trial of each study and each finished single training."""
    found = []
    for study in search_all(client, experiments, "tags.kind = 'study'"):
        if best := _best_trial(client, study):
            found.append(Candidate(best, study))
    finished = "tags.kind = 'train' AND attributes.status = 'FINISHED'"
    return found + [Candidate(run) for run in search_all(client, experiments, finished)]


def best_of_study(client: MlflowClient, study: Run) -> Candidate:
    """The complete trial with the best finite value of the study's metric; the earlier one where two are equal.

    Raises:
        TrackingError: No trial is complete.
    """
    best = _best_trial(client, study)
    if best is None:
        raise TrackingError(f"study '{study.data.tags.get('study')}' has no complete trial; continue it with sweep.py")
    return Candidate(best, study)


def _best_trial(client: MlflowClient, study: Run) -> Run | None:
    metric, sign = study.data.tags["metric"], -1 if study.data.tags["direction"] == "maximize" else 1
    complete = [
        run
        for run in nested_runs(client, study.info.run_id)
        if run.data.tags.get("trial_state") == "COMPLETE" and math.isfinite(run.data.metrics.get(metric, math.nan))
    ]
    return min(complete, key=lambda r: (sign * r.data.metrics[metric], int(r.data.tags["trial"])), default=None)


def _of_run(client: MlflowClient, run: Run) -> Candidate:
    if run.data.tags.get("kind") == "study":
        return best_of_study(client, run)
    return Candidate(run)


def get_run(client: MlflowClient, run_id: str) -> Run:
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        raise TrackingError(
            f"no run {run_id} at {tracking_uri()}; `mobilenet-chest compare` lists the ones there are"
        ) from error


def run_config(client: MlflowClient, run: Run) -> Config:
    """The resolved experiment of a run, from its ``config.yaml``.

    Raises:
        TrackingError: The run has none, or it is not one of ours.
    """
    with artifact(client, run, "config.yaml") as path:
        try:
            return load(path)
        except ConfigError as error:
            raise TrackingError(f"run {run.info.run_id}: its config.yaml no longer fits the schema: {error}") from error


def stored_predictions(client: MlflowClient, run: Run, split: str) -> pd.DataFrame:
    """``predictions/<split>.parquet`` of a run: row, label, probability, probability_tta."""
    with artifact(client, run, f"predictions/{split}.parquet") as path:
        return pd.read_parquet(path)


def trained_model(client: MlflowClient, run: Run, config: Config) -> Classifier:
    """The network with the weights of the run's ``checkpoints/best.pt``, in evaluation mode on the CPU."""
    with artifact(client, run, "checkpoints/best.pt") as path:
        contents = checkpoint.load(path)
    # random weights to begin with: every one of them is replaced
    untrained = config.model.model_copy(update={"weights": "none"})
    model = build_model(untrained, load_train_val(config.data).channels)
    model.load_state_dict(contents["model"])
    model.eval()
    return model


@contextmanager
def artifact(client: MlflowClient, run: Run, path: str) -> Iterator[Path]:
    """A local copy of a run's artifact, for the length of the block.

    Raises:
        TrackingError: The run has no such artifact.
    """
    folder, _, _ = path.rpartition("/")
    if path not in {file.path for file in client.list_artifacts(run.info.run_id, folder or None)}:
        removed = run.data.tags.get("checkpoints_removed")
        why = f": {removed}; raise tracking.keep_checkpoints to keep more" if "checkpoints" in path and removed else ""
        raise TrackingError(f"run {run.info.run_id} has no {path}{why}")
    with tempfile.TemporaryDirectory(prefix="mobilenet-chest-") as copy:
        yield Path(download_artifacts(run_id=run.info.run_id, artifact_path=path, dst_path=copy))
