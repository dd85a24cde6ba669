"""Which experiment a stored study belongs to: trials of different experiments are never mixed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna

from mobilenet_chest.config import Config, flatten
from mobilenet_chest.errors import StudyError
from mobilenet_chest.sweep.attributes import MAX_RETRIES
from mobilenet_chest.sweep.local_workers import open_study
from mobilenet_chest.sweep.locks import exclusive
from mobilenet_chest.sweep.storage import open_storage


def studies(url: str) -> list[str]:
    """Names of the studies in a storage; a missing SQLite file is not created by asking."""
    if url.startswith("sqlite") and not Path(url.removeprefix("sqlite:///")).exists():
        return []
    return optuna.get_all_study_names(open_storage(url))


def exists(url: str, name: str) -> bool:
    """Whether the storage has the study."""
    return name in studies(url)


def check_same_experiment(config: Config, url: str) -> None:
    """Refuse to mix trials of different experiments in one study; looks without creating anything."""
    if not exists(url, config.study_name):
        return
    study = optuna.load_study(study_name=config.study_name, storage=open_storage(url))
    stored = study.user_attrs.get("definition")
    known = json.loads(stored) if stored else {}
    now = json.loads(json.dumps(_definition(config)))
    if known:  # a field that is newer than the study had its default then
        known = {key: value for key, value in flatten(Config(name="x").resolved()).items() if key in now} | known
    different = sorted(key for key in known.keys() | now.keys() if known.get(key) != now.get(key))
    if different:
        shown = ", ".join(different[:5]) + (f" and {len(different) - 5} more" if len(different) > 5 else "")
        raise StudyError(
            f"study '{config.study_name}' exists with another search or experiment (different: {shown}); give this one "
            "a name of its own with --study NAME, or go back to the values the study was begun with"
        )


def open_or_create(config: Config, url: str) -> optuna.Study:
    """The study of an experiment, made with its definition when there is none."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = open_storage(url)
    with exclusive(url):
        study = optuna.create_study(
            study_name=config.study_name,
            storage=storage,
            directions=[config.study.direction] + ["minimize"] * len(config.study.also),
            load_if_exists=True,
        )
        if "definition" not in study.user_attrs:
            study.set_user_attr("definition", json.dumps(_definition(config)))
        study.set_user_attr(MAX_RETRIES, config.study.max_retries)
    return open_study(config, url)


def _definition(config: Config) -> dict[str, Any]:
    """What makes trials of one study comparable; names, numbers of trials, folders, tracking and gates may differ."""
    fields = config.resolved()
    for key in ("name", "tracking", "device", "gates"):
        del fields[key]
    for key in ("name", "trials", "max_retries", "lease_seconds", "confirm"):
        del fields["study"][key]
    del fields["data"]["root"]
    # a field that is searched is set by the trial: what the file says besides does not matter
    flat = flatten({key: value for key, value in fields.items() if key != "search"})
    searched = {f"search.{path}": distribution for path, distribution in fields["search"].items()}
    return {key: value for key, value in flat.items() if key not in config.search} | searched
