"""What the tests of the registry share: what it holds, what lies in the artifact folders, and damage to them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd
import yaml
from mlflow import MlflowClient

from helpers.stores import Store
from mobilenet_chest.registry.promotion import Promotion
from mobilenet_chest.tracking.store import tracking_uri

Promoted = tuple[Store, Promotion]
"""A store in which the study was promoted, and that promotion."""


def registered_models(client: MlflowClient) -> dict[str, Any]:
    """Return name -> (alias -> version, versions with run and tags) of all registered models."""
    return {
        model.name: (
            {alias: str(version) for alias, version in model.aliases.items()},
            sorted((v.version, v.run_id, str(v.tags)) for v in client.search_model_versions(f"name = '{model.name}'")),
        )
        for model in client.search_registered_models()
    }


def artifact_sizes(folder: Path) -> dict[str, int]:
    """Return relative path -> size of every artifact of a store."""
    return {
        str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("mlruns/**/*") if path.is_file()
    }


def artifact(store: Store, run_id: str, path: str = "") -> Path:
    """Return the path of a run's artifact, or of its artifact folder."""
    (found,) = (store.folder / "mlruns").glob(f"**/{run_id}/artifacts/{path}")
    return found


def change_probability(store: Store, run_id: str, by: float = 0.01) -> None:
    """Change one of a run's stored probabilities."""
    path = artifact(store, run_id, "predictions/val.parquet")
    table = pd.read_parquet(path)
    table.loc[7, "probability_tta"] += by if table.loc[7, "probability_tta"] < 0.5 else -by
    table.to_parquet(path, index=False)


def remove_run(run_id: str, for_good: bool) -> None:
    """Move a run to MLflow's trash, or delete it for good."""
    MlflowClient().delete_run(run_id)
    if for_good:  # what `mlflow gc` does to a run in the trash
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        SqlAlchemyStore(tracking_uri(), "mlruns")._hard_delete_run(run_id)


def set_gates(store: Store, run_id: str, gates: dict[str, Any]) -> None:
    """Change a run's stored experiment as if its file had had these gates."""
    path = artifact(store, run_id, "config.yaml")
    fields = yaml.safe_load(path.read_text(encoding="utf-8")) | {"gates": gates}
    path.write_text(yaml.safe_dump(fields), encoding="utf-8")


def predict_here(model: Path, images: Any) -> Any:
    """Do in this process what :func:`package.predict_in_fresh_process` does in another."""
    return mlflow.pyfunc.load_model(str(model)).predict(images)["probability"].to_numpy()


def compared_images(promotion: Promotion) -> int:
    """Return the number of validation images on which the registered model was compared with its run."""
    match = re.search(r"on (\d+) validation images", promotion.reasons[0])
    return 0 if match is None else int(match[1])
