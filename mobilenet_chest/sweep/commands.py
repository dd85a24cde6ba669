"""What a person may ask of a study from another shell or machine; its workers see it by :mod:`.control`."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import optuna
from optuna.trial import TrialState

from mobilenet_chest.config import active
from mobilenet_chest.errors import StudyError, TrackingError, allowed_names
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.attempts import attempt_of
from mobilenet_chest.sweep.claims import counts
from mobilenet_chest.sweep.control import event_lines, events_text, stops_of
from mobilenet_chest.sweep.locks import exclusive
from mobilenet_chest.sweep.optuna_adapter import set_attributes
from mobilenet_chest.sweep.space import as_stored, outside
from mobilenet_chest.sweep.storage import DEFAULT, check_storage
from mobilenet_chest.sweep.stored_study import find_study, stored_search, stored_studies
from mobilenet_chest.sweep.trial_state import is_paused, running_trials
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.provenance import user
from mobilenet_chest.tracking.store import connect, masked, store_required

logger = logging.getLogger(__name__)

KEPT_EVENTS = 100
"""Events that a study remembers: the last ones."""


def command(name: str, storage: str | None, action: Callable[[optuna.Study, str], str]) -> dict[str, str]:
    """Do something with a stored study, and write it to the study's run in MLflow as an event.

    Args:
        name: Of the study.
        storage: SQLAlchemy address of the studies; ``sqlite:///optuna.db`` by default.
        action: One of the functions below, given the study and the address.

    Returns:
        ``study``, and ``done``: what was done, to continue a sentence.

    Raises:
        StudyError: The storage cannot be used, there is no such study, or what is asked does not fit it.
    """
    url = storage or DEFAULT
    check_storage(url)
    study = find_study(url, name)
    if study is None or not _has_sweep(study):
        known = [each.study_name for each in stored_studies(url) if _has_sweep(each)]
        raise StudyError(f"no study '{name}' in {masked(url)}{allowed_names(name, known or ['none yet'])}")
    if study.user_attrs.get(attributes.ASKED_TRIALS) is None:
        raise StudyError(
            f"study '{name}' was made by an earlier version or another program, whose workers would not obey; continue "
            "it with its sweep command first"
        )
    done = action(study, url)
    log_events(study)
    return {"study": name, "done": done}


def _has_sweep(study: optuna.Study) -> bool:
    """Whether a study is searched here by sweeps of its own: it confirms no other one, and was not imported."""
    return attributes.CONFIRMS not in study.user_attrs and attributes.IMPORTED not in study.user_attrs


def total_in_force(study: optuna.Study) -> int:
    """Return the total of a study as its last command and a person have set it."""
    asked, order = study.user_attrs[attributes.ASKED_TRIALS], study.user_attrs.get(attributes.SET_TRIALS)
    return int(order["trials"] if order is not None and order["instead_of"] == asked else asked)


def pause(study: optuna.Study, url: str) -> str:
    """Have all workers save their trials within an epoch, and wait; return what was done."""
    with exclusive(url):
        if study.user_attrs.get(attributes.STUDY_PAUSED):
            return "is paused already"
        study.set_user_attr(attributes.STUDY_PAUSED, True)
        _record(study, "paused")
    return f"is paused; {_current(study)}"


def resume(study: optuna.Study, url: str) -> str:
    """Have the workers of a paused study go on; return what was done."""
    with exclusive(url):
        if not study.user_attrs.get(attributes.STUDY_PAUSED):
            return "is not paused; nothing to do"
        study.set_user_attr(attributes.STUDY_PAUSED, False)
        _record(study, "resumed")
    return "goes on where its sweep runs; where none runs, run the same sweep command again"


def stop(study: optuna.Study, url: str) -> str:
    """End all sweeps of a study within an epoch, as Ctrl-C would; return what was done."""
    with exclusive(url):
        study.set_user_attr(attributes.STOPS, stops_of(study) + 1)
        _record(study, "stopped")
    return f"is stopped; {_current(study)}; run the same sweep command to continue"


def stop_trial(study: optuna.Study, url: str, number: int) -> str:
    """End a trial after its current epoch as pruned, or take it out of the queue; return what was done.

    Args:
        study: The study.
        url: Its storage.
        number: The trial's, as people know it: that of its first attempt.

    Raises:
        StudyError: It has ended, or there is none.
    """
    with exclusive(url):
        trials = study.get_trials(deepcopy=False)
        attempts = [trial for trial in trials if attempt_of(trial, trials).trial == number]
        open_trials = [trial for trial in trials if not trial.state.is_finished()]
        current = next((trial for trial in attempts if not trial.state.is_finished()), None)
        if current is None:
            known = f"it has ended ({attempts[-1].state.name.lower()})" if attempts else "there is no such trial"
            others = ", ".join(str(attempt_of(trial, trials).trial) for trial in open_trials)
            raise StudyError(
                f"trial {number} of study '{study.study_name}': {known}; running or queued: {others or 'none'}"
            )
        set_attributes(study, current, {attributes.STOP: True})
        if is_paused(current):  # no worker has it
            study.tell(current.number, state=TrialState.PRUNED)
            study.set_user_attr(attributes.REPORTED_TRIALS, None)  # the leaderboard changes
        _record(study, f"trial {number} stopped")
    if is_paused(current):
        return f"trial {number}, which was paused at a rung, has ended as pruned"
    if current.state == TrialState.WAITING:
        return f"trial {number} will not be run: it is taken out of the queue"
    return f"trial {number} ends after its current epoch, as pruned"


def add(study: optuna.Study, url: str, values: Mapping[str, Any]) -> str:
    """Queue a configuration; the sampler gives the fields that it leaves out. Return what was done.

    Args:
        study: The study.
        url: Its storage.
        values: Path -> value of searched fields.

    Raises:
        StudyError: A field is not searched, or a value is outside of the search space.
    """
    queued = _checked(study, values)
    with exclusive(url):
        trials = study.get_trials(deepcopy=False)
        study.enqueue_trial(queued, user_attrs={attributes.ADDED: _who()})
        shown = ", ".join(f"{path}={value}" for path, value in queued.items())
        _record(study, f"trial {len(trials)} added: {shown}")
    total, done = total_in_force(study), sum(map(counts, trials))
    text = f"trial {len(trials)} is queued with {shown}"
    same = [trial.number for trial in trials if counts(trial) and trial.params == queued]
    if same:
        text += f"; trial {same[0]} had the same values"
    if done >= total:
        text += f"; all {total} trials are done: set trials={done + 1} to have it run"
    return text


def set_field(study: optuna.Study, url: str, field: str, value: Any) -> str:
    """Set the total of a study, for its running sweeps and for later ones of the same command; return what was done.

    Args:
        study: The study.
        url: Its storage.
        field: ``trials``; nothing else may change while a study runs.
        value: The new total.

    Raises:
        StudyError: Another field, or no whole number from 1.
    """
    if field.removeprefix("study.") != "trials":
        raise StudyError(f"{field}={value}: {field} cannot be set{allowed_names(field, ['trials'])}")
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise StudyError(f"trials={value}: write a whole number from 1, such as trials=40")
    trials = value
    with exclusive(url):
        before = total_in_force(study)
        asked = study.user_attrs[attributes.ASKED_TRIALS]
        study.set_user_attr(attributes.SET_TRIALS, {"instead_of": asked, "trials": trials})
        _record(study, f"trials set to {trials} (was {before})")
    return f"has {trials} trials in all now (was {before})"


def log_events(study: optuna.Study) -> None:
    """Write the study's events to its run in MLflow; with the store away its next sweep does so."""
    if (run_id := study.user_attrs.get(attributes.RUN_ID)) is None:
        return
    try:
        with store_required():
            connect().set_tag(run_id, tags.EVENTS, events_text(event_lines(study)))
    except TrackingError as error:
        logger.warning("MLflow shows it when the study's sweep runs: %s", error)


def _record(study: optuna.Study, event: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    events = [*study.user_attrs.get(attributes.EVENTS, []), {"time": now, "event": event, "by": _who()}]
    study.set_user_attr(attributes.EVENTS, events[-KEPT_EVENTS:])


def _who() -> str:
    return f"{user()}@{socket.gethostname()}"


def _current(study: optuna.Study) -> str:
    return f"running trials, which are saved within an epoch and queued again: {len(running_trials(study))}"


def _checked(study: optuna.Study, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as Optuna stores them, those without a condition first."""
    search = stored_search(study)
    if not values:
        raise StudyError(f"study '{study.study_name}': give a value, such as {next(iter(search))}=…; "
                         f"searched: {', '.join(search)}")  # fmt: skip
    for path in values:
        if path not in search:
            raise StudyError(f"{path} is not searched by study '{study.study_name}'{allowed_names(path, search)}")
    queued = {path: as_stored(path, search[path], value) for path, value in values.items()}
    if (wrong := outside(search, queued)) is not None:
        raise StudyError(f"study '{study.study_name}': {wrong}")
    for path in set(values) - set(active(search, values)):
        needed = " ".join(f"{parent}={required}" for parent, required in search[path].when.items())
        raise StudyError(f"{path} is searched only with {needed}; add that, or leave {path} out")
    return queued
