"""The one place that uses what Optuna keeps private; all other modules use its public names.

Each name has a test in ``tests/sweep/test_optuna_adapter.py`` that fails when a new Optuna changes it.
"""

from __future__ import annotations

import functools
import inspect
import json
import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import optuna
import sqlalchemy
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, Trial, TrialState

from mobilenet_chest import interrupts
from mobilenet_chest.sweep.attributes import PAUSED
from mobilenet_chest.sweep.retries import with_retries
from mobilenet_chest.sweep.trial_state import is_paused

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


@dataclass
class _Look:
    """What was read of studies, by their ids: attributes; trials, with the id above which all are there."""

    attributes: dict[int, dict[str, Any]] = field(default_factory=dict)
    trials: dict[int, tuple[float, list[FrozenTrial]]] = field(default_factory=dict)


class StudyStorage(RetryingStorage):
    """A storage that reads a paused trial once: Optuna reads each trial that has not ended at each look.

    Nothing changes a paused trial but the worker that lets it go on, which changes the mark as well: a trial is paused
    once at most at a rung. So a trial that is marked as it was then is as it was then.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._paused: dict[int, FrozenTrial] = {}
        self._look: _Look | None = None

    @contextmanager
    def one_look(self) -> Iterator[None]:
        """Read trials and attributes of a study once within the block, and again after a write of this storage that
        makes or ends a trial, or changes a study."""
        self._look = _Look()
        try:
            yield
        finally:
            self._look = None

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Return the user attributes of a study."""
        look = self._look or _Look()  # another thread may end the look meanwhile
        if study_id not in look.attributes:
            look.attributes[study_id] = super().get_study_user_attrs(study_id)
        return dict(look.attributes[study_id])

    def _get_trials(
        self, study_id: int, states: Any, included_trial_ids: set[int], trial_id_greater_than: int
    ) -> list[FrozenTrial]:
        """Return trials as Optuna's storage does: those of some ids, and all of higher ids than a given one."""
        look = self._look
        if look is None or states is not None:
            return self._read_trials(study_id, states, included_trial_ids, trial_id_greater_than)
        after, trials = look.trials.get(study_id, (math.inf, []))
        if trial_id_greater_than < after:
            trials = self._read_trials(study_id, None, included_trial_ids, trial_id_greater_than)
            look.trials[study_id] = trial_id_greater_than, trials
        # Optuna's cache asks for ids that it was given in the look, and for higher ones
        return [t for t in trials if t._trial_id in included_trial_ids or t._trial_id > trial_id_greater_than]

    def _read_trials(
        self, study_id: int, states: Any, included_trial_ids: set[int], trial_id_greater_than: int
    ) -> list[FrozenTrial]:
        known: list[FrozenTrial] = []
        if self._paused and states is None:
            marks = with_retries(lambda: self._marks(study_id, trial_id_greater_than))
            wanted = included_trial_ids | {each for each in marks if each > trial_id_greater_than}
            known = [t for t in self._paused.values() if t._trial_id in wanted and marks.get(t._trial_id) == _mark(t)]
            included_trial_ids = wanted - {trial._trial_id for trial in known}
            trial_id_greater_than = max(wanted, default=trial_id_greater_than)
        read = super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)
        self._paused |= {trial._trial_id: trial for trial in read if is_paused(trial)}
        return sorted([*known, *read], key=lambda trial: trial._trial_id)

    def _marks(self, study_id: int, after: int) -> dict[int, int | None]:
        """Return the marks of a study's trials that have one, and of all with ids above ``after``, where they run."""
        trial, mark = models.TrialModel, models.TrialUserAttributeModel
        query = (
            sqlalchemy.select(trial.trial_id, trial.state, mark.value_json)
            .outerjoin(mark, (mark.trial_id == trial.trial_id) & (mark.key == PAUSED))
            .where(trial.study_id == study_id, (trial.trial_id > after) | mark.value_json.is_not(None))
        )
        with self.engine.connect() as connection:
            rows = connection.execute(query).all()
        return {each: _rung(mark) if state == TrialState.RUNNING else None for each, state, mark in rows}


def _writing(name: str) -> Callable[..., Any]:
    @functools.wraps(getattr(RetryingStorage, name))
    def call(self: StudyStorage, *arguments: Any, **options: Any) -> Any:
        try:
            return getattr(super(StudyStorage, self), name)(*arguments, **options)
        finally:
            if self._look is not None:
                self._look = _Look()

    return call


DETAILS = (
    "_set_trial_param", "set_trial_param", "set_trial_intermediate_value",
    "set_trial_system_attr", "set_trial_user_attr",
)  # fmt: skip
"""Writes after which a look is not taken anew: a sampler asks twice about the others while it fills its own trial."""

for _name in RETRIED:
    if not _name.lstrip("_").startswith(("get_", "check_")) and _name not in DETAILS:
        setattr(StudyStorage, _name, _writing(_name))


def one_look(study: optuna.Study) -> AbstractContextManager[None]:
    """Read a study once within a block that asks several questions about it, and again after a write as
    :meth:`StudyStorage.one_look` says. What other processes write meanwhile is seen after that, or in the next block.
    """
    backend = cast(_CachedStorage, study._storage)._backend
    return backend.one_look() if isinstance(backend, StudyStorage) else nullcontext()


def _mark(trial: FrozenTrial) -> Any:
    return trial.user_attrs[PAUSED]


def _rung(mark: str | None) -> int | None:
    return None if mark is None or mark == "null" else int(mark)


def trial_id(trial: Trial | FrozenTrial) -> int:
    """Return a trial's id in the storage, which is unique over all its studies; its number is unique in one study."""
    return trial._trial_id


def stored_trial(study: optuna.Study, trial: Trial | FrozenTrial) -> FrozenTrial:
    """Return a trial as the storage has it now."""
    return study._storage.get_trial(trial._trial_id)


def stored_state(study: optuna.Study, trial: Trial | FrozenTrial, *names: str) -> tuple[TrialState, dict[str, Any]]:
    """Return a trial's state as the storage has it now, and those user attributes of some names that it has.

    One query, where :func:`stored_trial` makes seven: this is asked before each write to a trial's run.

    Raises:
        KeyError: There is no such trial.
    """
    table, attribute = models.TrialModel, models.TrialUserAttributeModel
    query = (
        sqlalchemy.select(table.state, attribute.key, attribute.value_json)
        .outerjoin(attribute, (attribute.trial_id == table.trial_id) & attribute.key.in_(names))
        .where(table.trial_id == trial._trial_id)
    )

    backend = cast(_CachedStorage, study._storage)._backend

    def read() -> Sequence[Any]:
        with interrupts.deferred(), backend.engine.connect() as connection:
            return connection.execute(query).all()

    rows = with_retries(read)
    if not rows:
        raise KeyError(trial._trial_id)
    return rows[0][0], {key: json.loads(value) for _, key, value in rows if key is not None}


def existing_trial(study: optuna.Study, trial: FrozenTrial) -> Trial:
    """Return a stored trial as one that this process runs: its values are those that it has, none is sampled."""
    return Trial(study, trial._trial_id)


def trials_once_read(study: optuna.Study) -> list[FrozenTrial]:
    """Return the study's trials as a sampler sees them: read once for each new trial."""
    return study._get_trials(deepcopy=False, use_cache=True)


class StudyView:
    """A study as a sampler sees it, with other trials than it has.

    Args:
        study: The study.
        show: Returns the trials that are to be seen, for those of the study.
    """

    def __init__(self, study: optuna.Study, show: Callable[[list[FrozenTrial]], list[FrozenTrial]]) -> None:
        self._viewed, self._show = study, show

    def __getattr__(self, name: str) -> Any:
        return getattr(self._viewed, name)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        shown = self._show(self._viewed._get_trials(deepcopy=deepcopy, use_cache=use_cache))
        return [trial for trial in shown if states is None or trial.state in states]


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
