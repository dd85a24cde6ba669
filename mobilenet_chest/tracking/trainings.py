"""Trainings of an equal experiment that were made before: finished ones to use again, interrupted ones to resume."""

from __future__ import annotations

from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.config import Config
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.parents import training_labels
from mobilenet_chest.tracking.provenance import code_version
from mobilenet_chest.tracking.run_owners import living_owner
from mobilenet_chest.tracking.runs import search_runs


def find_finished_training(
    client: MlflowClient, config: Config, data_digest: str, teacher: str | None = None
) -> Run | None:
    """Return the latest finished training of an equal experiment, on the same rows, with the same code and teacher."""
    runs = find_finished_runs(client, config.experiment, _training_tags(config, data_digest))
    return next((run for run in runs if run.data.tags.get(tags.TEACHER) == teacher), None)


def find_unfinished_training(
    client: MlflowClient, config: Config, data_digest: str, teacher: str | None = None
) -> Run | None:
    """Return the latest such training that was interrupted or killed, as in :func:`find_finished_training`."""
    unfinished = [
        run
        for status in ("KILLED", "RUNNING")
        for run in _with_status(client, config.experiment, _training_tags(config, data_digest), status)
        if run.data.tags.get(tags.TEACHER) == teacher and living_owner(run) is None
    ]
    return max(unfinished, key=lambda run: int(run.info.start_time), default=None)


def find_refused_training(
    client: MlflowClient, config: Config, data_digest: str, teacher: str | None = None
) -> Run | None:
    """Return the latest such training whose compressed model was refused, as in :func:`find_finished_training`."""
    failed = _with_status(client, config.experiment, _training_tags(config, data_digest), "FAILED")
    refused = (run for run in failed if tags.COMPRESSION_REFUSED in run.data.tags)
    return next((run for run in refused if run.data.tags.get(tags.TEACHER) == teacher), None)


def find_finished_runs(client: MlflowClient, experiment: str, run_tags: Mapping[str, str]) -> list[Run]:
    """Return the finished runs of an MLflow experiment that have these tags and were made with the present code."""
    return _with_status(client, experiment, run_tags, "FINISHED")


def _training_tags(config: Config, data_digest: str) -> dict[str, str]:
    return {**training_labels(config), tags.CONFIG_DIGEST: config.digest(), tags.DATA_DIGEST: data_digest}


def _with_status(client: MlflowClient, name: str, run_tags: Mapping[str, str], status: str) -> list[Run]:
    experiment = client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage != "active":
        return []
    query = " AND ".join(f"tags.{tag} = '{value}'" for tag, value in {**run_tags, **code_version()}.items())
    return search_runs(client, [experiment.experiment_id], f"{query} AND attributes.status = '{status}'")
