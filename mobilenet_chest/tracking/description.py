"""What a run is described by when it is made: tags, parameters, datasets."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from mobilenet_chest.config import Config, flatten
from mobilenet_chest.data.data_file import open_file
from mobilenet_chest.data.dataset import TrainVal
from mobilenet_chest.errors import DataError
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.environment import hardware, software
from mobilenet_chest.tracking.outbox.writes import Write
from mobilenet_chest.tracking.provenance import code_version, owner_tag, user
from mobilenet_chest.tracking.run_settings import settings_text

MOST_ORIGIN = 10_000
"""Characters of an import's description that a run records; MLflow takes 65,535 for all of a dataset's source."""


def run_tags(config: Config, data: TrainVal) -> dict[str, str]:
    """Return the tags that every run has."""
    return {
        tags.MODEL: config.model.name,
        tags.WEIGHTS: config.model.weights,
        tags.DATASET: data.name,
        tags.CONFIG_DIGEST: config.digest(),
        tags.SETTINGS: settings_text(config),
        tags.DATA_DIGEST: data.digest,
        tags.VAL_DIGEST: data.val.digest[:16],
        tags.CLASSES: " / ".join(data.classes),
        "mlflow.user": user(),
        "mlflow.source.name": Path(sys.argv[0]).name,
        "mlflow.source.git.commit": code_version()[tags.GIT_COMMIT],
        tags.SOFTWARE: software(),
        tags.HARDWARE: hardware(config.device),
        **code_version(),
        **owner_tag(),
    }


def run_params(config: Config, searched: Collection[str] = ()) -> dict[str, str]:
    """Return what a person looks at first, as text by dotted path; ``config.yaml`` has all fields.

    These are the fields that a search varies, which come first, and those that differ from their defaults.

    Args:
        config: The experiment.
        searched: Paths of fields to return with their defaults too.
    """
    fields = flatten(config.resolved() if config.search else config.training_fields())
    defaults = flatten(Config(name=config.name).resolved())
    shown = {*searched, *(["data.fold"] if config.data.folds is not None else [])}
    return {
        path: value if isinstance(value, str) else json.dumps(value)
        for path, value in sorted(fields.items(), key=lambda field: field[0] not in searched)
        if path in shown or (_is_given(value) if path.startswith("search.") else value != defaults.get(path))
    }


def _is_given(value: Any) -> bool:
    """Return whether a field of a distribution is not at its default."""
    return value is not None and value is not False and value != {}


def run_inputs(config: Config, data: TrainVal) -> Write:
    """Return the write that adds training and validation rows as datasets of MLflow."""
    inputs: list[dict[str, Any]] = []
    origin = _origin(config)
    for context, split in (("train", data.train), ("val", data.val)):
        schema = {"images": ["uint8", list(split.images.shape)], "labels": ["uint8", [len(split)]]}
        profile = {"rows": len(split), "classes": data.counts()[context]}
        inputs.append(
            {
                "context": context,
                "name": f"{data.name}_{context}",
                "digest": split.digest[:16],
                "source_type": "local" if config.data.path else "code",
                "source": json.dumps({"uri": data.source, **origin}),
                "schema": json.dumps(schema),
                "profile": json.dumps(profile),
            }
        )
    return {"inputs": inputs}


def _origin(config: Config) -> dict[str, Any]:
    """Return, under ``import``, what pictures the data file was made of and how, where the file says it."""
    try:
        text = open_file(config.data).text("import")
        return {} if text is None or len(text) > MOST_ORIGIN else {"import": json.loads(text)}
    except (DataError, ValueError):  # a description less is no reason to lose a training
        return {}
