"""What a run says of itself when it is made: parameters, tags, datasets."""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from typing import Any

from mobilenet_chest.config import Config, flatten
from mobilenet_chest.data.dataset import TrainVal
from mobilenet_chest.tracking.outbox.writes import Write
from mobilenet_chest.tracking.provenance import code_version, owner_tag


def run_tags(config: Config, data: TrainVal) -> dict[str, str]:
    """The tags that every run has."""
    return {
        "model": config.model.name,
        "weights": config.model.weights,
        "dataset": config.data.dataset,
        "config_digest": config.digest(),
        "data_digest": data.digest,
        "val_digest": data.val.digest[:16],
        "classes": " / ".join(data.classes),
        "mlflow.user": user(),
        "mlflow.source.name": Path(sys.argv[0]).name,
        "mlflow.source.git.commit": code_version()["git_commit"],
        **code_version(),
        **owner_tag(),
    }


def run_params(config: Config) -> dict[str, str]:
    """The resolved experiment by dotted paths, as text."""
    fields = config.resolved() if config.search else config.training_fields()
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in flatten(fields).items()}


def run_inputs(config: Config, data: TrainVal) -> Write:
    """Training and validation rows as MLflow's datasets."""
    inputs: list[dict[str, Any]] = []
    for context, split in (("train", data.train), ("val", data.val)):
        schema = {"images": ["uint8", list(split.images.shape)], "labels": ["uint8", [len(split)]]}
        profile = {"rows": len(split), "classes": data.counts()[context]}
        inputs.append(
            {
                "context": context,
                "name": f"{config.data.dataset}_{context}",
                "digest": split.digest[:16],
                "source_type": "local" if config.data.path else "code",
                "source": json.dumps({"uri": data.source}),
                "schema": json.dumps(schema),
                "profile": json.dumps(profile),
            }
        )
    return {"inputs": inputs}


def user() -> str:
    """Name of the account, as MLflow records users."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without an account, as containers have
        return "unknown"
