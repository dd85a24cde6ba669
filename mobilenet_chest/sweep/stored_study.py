"""The study in its storage, and the experiment it belongs to: trials of different experiments are never mixed."""

from __future__ import annotations

import json
from typing import Any

import optuna

from mobilenet_chest.config import Config, Distribution, best_direction, flatten
from mobilenet_chest.config.data import CHEST
from mobilenet_chest.errors import StudyError
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.dashboard import name_metrics
from mobilenet_chest.sweep.local_workers import open_study
from mobilenet_chest.sweep.locks import exclusive
from mobilenet_chest.sweep.sampler_choice import choose_sampler
from mobilenet_chest.sweep.storage import open_storage
from mobilenet_chest.tracking.database import is_sqlite, sqlite_file

SEARCH = "search."
"""How fields of a definition begin that say what is searched."""

SHOWN = 5
"""How many differing fields an error names."""

CHANGEABLE = ("name", "trials", "workers", "max_retries", "lease_seconds", "confirm", "notify", "stop_when")
"""Fields of the section ``study`` that another command may give another value: trials stay comparable."""


def stored_studies(url: str, name: str | None = None) -> list[optuna.Study]:
    """Return the studies of a storage, or the one of a name, without the samplers and pruners of their experiments.

    A missing SQLite file is not created.
    """
    if is_sqlite(url) and ((file := sqlite_file(url)) is None or not file.exists()):
        return []
    storage = open_storage(url)
    names = [each for each in optuna.get_all_study_names(storage) if name in (None, each)]
    return [optuna.load_study(study_name=each, storage=storage) for each in names]


def find_study(url: str, name: str) -> optuna.Study | None:
    """Return a study of :func:`stored_studies`; ``None`` if there is none of that name."""
    return next(iter(stored_studies(url, name)), None)


def check_same_experiment(config: Config, url: str) -> None:
    """Check that a stored study of that name, if any, belongs to the experiment; nothing is created.

    Raises:
        StudyError: It belongs to another search or experiment.
    """
    study = find_study(url, config.study_name)
    if study is None:
        return
    if attributes.IMPORTED in study.user_attrs:
        raise StudyError(f"study '{config.study_name}' was imported; name this study otherwise with --study NAME")
    stored = json.loads(study.user_attrs.get(attributes.DEFINITION, "{}"))
    stored.pop("study.workers", None)  # studies of before have it
    current = json.loads(json.dumps(_definition(config)))
    if stored:  # a field that is newer than the study had its default then
        defaults = flatten(Config(name="x").resolved())
        stored = {path: value for path, value in defaults.items() if path in current} | stored
    different = sorted(path for path in stored.keys() | current.keys() if stored.get(path) != current.get(path))
    if different:
        hidden = len(different) - SHOWN
        shown = ", ".join(different[:SHOWN]) + (f" and {hidden} more" if hidden > 0 else "")
        raise StudyError(
            f"study '{config.study_name}' exists with another search or experiment (different: {shown}); name this "
            "study otherwise with --study NAME, or restore the values that the study was created with"
        )


def stored_search(study: optuna.Study) -> dict[str, Distribution]:
    """Return the search space of a stored study; empty for one of another program."""
    stored = json.loads(study.user_attrs.get(attributes.DEFINITION, "{}"))
    found = {path.removeprefix(SEARCH): fields for path, fields in stored.items() if path.startswith(SEARCH)}
    return {path: Distribution.model_validate(fields) for path, fields in found.items()}


def open_or_create(config: Config, url: str) -> optuna.Study:
    """Return the study of an experiment with its sampler and pruner; a new one gets the experiment's definition."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = open_storage(url)
    with exclusive(url):
        study = optuna.create_study(
            study_name=config.study_name,
            storage=storage,
            directions=[config.study.direction, *map(best_direction, config.study.also)],
            load_if_exists=True,
        )
        if attributes.DEFINITION not in study.user_attrs:
            study.set_user_attr(attributes.DATA_NAME, config.data.title)
            study.set_user_attr(attributes.DEFINITION, json.dumps(_definition(config)))
        if config.study.sampler == "auto" and attributes.SAMPLER not in study.user_attrs:
            study.set_user_attr(attributes.SAMPLER, choose_sampler(config)._asdict())
        study.set_user_attr(attributes.ASKED_TRIALS, config.study.trials)
        study.set_user_attr(attributes.MAX_RETRIES, config.study.max_retries)
        name_metrics(config, study)
    return open_study(config, url, storage)


def _definition(config: Config) -> dict[str, Any]:
    """Return the fields that make a study's trials comparable: not names, counts, folders, tracking and gates."""
    fields = config.resolved()
    for key in ("name", "tracking", "device", "gates"):
        del fields[key]
    for key in CHANGEABLE:
        del fields["study"][key]
    del fields["data"]["root"], fields["data"]["name"]
    fields["plugins"] = [plugin["sha256"] for plugin in fields["plugins"]]
    # a file without a data set's name was ChestMNIST's before others could be read
    fields["data"]["dataset"] = fields["data"]["dataset"] or CHEST
    # the trial sets a searched field: what the file says of it besides does not matter
    flat = flatten({key: value for key, value in fields.items() if key != "search"})
    searched = {f"{SEARCH}{path}": _without_no_prior(distribution) for path, distribution in fields["search"].items()}
    return {path: value for path, value in flat.items() if path not in config.search} | searched


def _without_no_prior(distribution: dict[str, Any]) -> dict[str, Any]:
    """Return a searched field without a prior that is unset: studies of before there were priors are the same."""
    return {name: value for name, value in distribution.items() if name != "prior" or value is not None}
