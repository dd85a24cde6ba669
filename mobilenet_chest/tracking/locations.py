"""Where artifacts are: folders of this machine may have been moved since MLflow noted them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.errors import TrackingError
from mobilenet_chest.tracking.database import is_sqlite, read_schema
from mobilenet_chest.tracking.store import store_required, tracking_uri


def local_folder(uri: str) -> Path | None:
    """Return the folder of an artifact address of this machine; ``None`` for one that a server or cloud keeps."""
    if uri.startswith("file:"):
        return Path(unquote(urlsplit(uri).path))
    return Path(uri) if Path(uri).is_absolute() else None


def moved_hint(run: Run) -> str:
    """Return what a message on a missing artifact adds where the folder of the run's artifacts is not there."""
    folder = local_folder(run.info.artifact_uri)
    if folder is None or folder.exists():
        return ""
    return f": there is no folder {folder}; if it was moved, link its place to where it is: {_link(folder)}"


def check_experiment(name: str) -> None:
    """Check that artifacts of an MLflow experiment can be written where it keeps them; nothing is left behind.

    Raises:
        TrackingError: The experiment is deleted, or its artifacts are in a folder that was moved.
    """
    if is_sqlite(tracking_uri()) and read_schema(tracking_uri()) is None:
        return  # a fresh store: MLflow would make it
    with store_required():
        experiment = MlflowClient().get_experiment_by_name(name)
    if experiment is None:
        return
    if experiment.lifecycle_stage != "active":
        raise TrackingError(
            f"MLflow experiment '{name}' is deleted; bring it back with `mlflow experiments restore`, or set "
            "tracking.experiment to another name"
        )
    folder = local_folder(experiment.artifact_location)
    # mlruns/1 is made when it is needed, but the folder that holds mlruns was there when the experiment was made
    if folder is not None and not folder.exists() and not folder.parent.parent.exists():
        gone = folder.parent.parent
        raise TrackingError(
            f"MLflow experiment '{name}' keeps its artifacts in {folder}, and there is no {gone} any more; link it to "
            f"where it was moved: {_link(gone)}, or set tracking.experiment to another name"
        )


def _link(folder: Path) -> str:
    return f"ln -s NEW_PLACE '{folder}'"
