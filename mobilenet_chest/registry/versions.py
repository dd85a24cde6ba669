"""Which versions of registered models there are: of a run, and where one that is asked for is not there."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from mobilenet_chest.errors import nearest
from mobilenet_chest.registry.queue import DONE
from mobilenet_chest.tracking import tags

SHOWN = 5
"""Versions named in a message, the newest first."""


def unknown_model(client: MlflowClient, name: str) -> str | None:
    """Return which registered models there are, where there is none of this name; ``None`` where there is."""
    names = [model.name for model in client.search_registered_models()]
    if name in names:
        return None
    return f"{nearest(name, names)} (registered: {', '.join(sorted(names)) or 'none yet'})"


def newest_version(client: MlflowClient, run_id: str) -> ModelVersion | None:
    """Return the newest promoted version of a run, under any name; ``None`` where it was not promoted."""
    promoted = [
        version
        for version in client.search_model_versions(f"run_id = '{run_id}'")
        if version.tags.get(tags.PROMOTION) == DONE
    ]
    return max(promoted, key=lambda version: version.creation_timestamp, default=None)


def versions_left(client: MlflowClient, name: str) -> str:
    """Return the promoted versions of a registered model with their runs, the newest first, as words."""
    promoted = [
        version
        for version in client.search_model_versions(f"name = '{name}'")
        if version.run_id and version.tags.get(tags.PROMOTION) == DONE
    ]
    promoted.sort(key=lambda version: -int(version.version))
    shown = ", ".join(f"version {version.version} (run {str(version.run_id)[:8]})" for version in promoted[:SHOWN])
    more = f" and {len(promoted) - SHOWN} older ones" if len(promoted) > SHOWN else ""
    return f"left: {shown or 'none'}{more}"
