"""The one place that uses what Optuna keeps private; all other modules use its public names.

Each name has a test in ``tests/sweep/test_optuna_adapter.py`` that fails when a new Optuna changes it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, Trial

from mobilenet_chest import interrupts
from mobilenet_chest.sweep.retries import with_retries

MIGRATIONS = Path(optuna.__file__).parent / "storages" / "_rdb" / "alembic"
"""Where Optuna keeps the versions of its tables."""

OPTUNA_TABLES = ("studies", "trials", "version_info")
"""Tables that Optuna's database has had in every version."""

CALLED_BY_CACHE = (
    "_create_new_trial", "_get_best_trial_id", "_get_trials", "_set_trial_param",
    "get_trial_id_from_study_id_trial_number",
)  # fmt: skip
"""Methods of ``RDBStorage`` that Optuna's cache calls besides the public ones."""

RETRIED = (*sorted(BaseStorage.__abstractmethods__), *CALLED_BY_CACHE)
"""Methods of :class:`RetryingStorage` that are repeated while the database is away."""


class RetryingStorage(RDBStorage):
    """A storage whose calls wait for a database that is locked or restarting, instead of failing the caller's trial.

    Raises:
        SweepFailed: From each call; as :func:`~mobilenet_chest.sweep.retries.with_retries`.
        WriteFailed: Likewise.
    """


def _retried(method: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(method)

    @functools.wraps(method)
    def call(self: RDBStorage, *arguments: Any, **options: Any) -> Any:
        tries = 0

        def attempt() -> Any:
            nonlocal tries
            tries += 1
            try:
                # a transaction cut short by Ctrl-C would keep the database locked
                with interrupts.deferred():
                    return method(self, *arguments, **options)
            except UpdateFinishedTrialError:
                # the first try may have been committed before its connection was lost: then the trial has ended as told
                given = signature.bind(self, *arguments, **options).arguments
                if tries == 1 or "state" not in given or self.get_trial(given["trial_id"]).state != given["state"]:
                    raise
                return True

        return with_retries(attempt)

    return call


for _name in RETRIED:
    setattr(RetryingStorage, _name, _retried(getattr(RDBStorage, _name)))


def trial_id(trial: Trial | FrozenTrial) -> int:
    """Return a trial's id in the storage, which is unique over all its studies; its number is unique in one study."""
    return trial._trial_id


def stored_trial(study: optuna.Study, trial: Trial | FrozenTrial) -> FrozenTrial:
    """Return a trial as the storage has it now."""
    return study._storage.get_trial(trial._trial_id)


def set_attributes(study: optuna.Study, trial: Trial | FrozenTrial, attributes: Mapping[str, Any]) -> None:
    """Set user attributes of a trial, also of one that another process runs.

    Raises:
        UpdateFinishedTrialError: The trial has ended.
    """
    for name, value in attributes.items():
        study._storage.set_trial_user_attr(trial._trial_id, name, value)


def study_system_attributes(study: optuna.Study) -> dict[str, Any]:
    """Return the attributes of a study that Optuna and its companions keep."""
    return study._storage.get_study_system_attrs(study._study_id)


def set_study_system_attribute(study: optuna.Study, name: str, value: Any) -> None:
    """Set such an attribute: Optuna's own method for it is deprecated, and its dashboard uses the storage as well."""
    study._storage.set_study_system_attr(study._study_id, name, value)


def queued_values(trial: FrozenTrial) -> dict[str, Any]:
    """Return the values of a trial, with those it was queued with and has not asked for yet."""
    return dict(trial.system_attrs.get("fixed_params", {})) | trial.params


def sibling_study(study: optuna.Study, name: str) -> optuna.Study:
    """Return another study of the same storage."""
    return optuna.load_study(study_name=name, storage=study._storage)
