"""Telling a program of the user's what happens in a sweep: ``study.notify``."""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import IO, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.config import Config
from mobilenet_chest.errors import ConfigError
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.attempts import trial_name
from mobilenet_chest.sweep.claims import best_trial, counted_trials
from mobilenet_chest.sweep.epochs import stored_epochs
from mobilenet_chest.sweep.locks import exclusive
from mobilenet_chest.sweep.trial_state import running_trials

logger = logging.getLogger(__name__)

LIMIT_SECONDS = 30.0
"""How long the program may take before it is killed."""

STUCK_SECONDS = 600.0
"""A trial is stuck that has not finished an epoch for so long, or for :data:`STUCK_EPOCHS` of its epochs."""

STUCK_EPOCHS = 10
"""See :data:`STUCK_SECONDS`; the longer of the two counts."""

MESSAGE_LENGTH = 300
"""Most characters of the program's own errors that are logged."""


def check_notify(command: str | None) -> None:
    """Check that the program of ``study.notify`` is there.

    Raises:
        ConfigError: It is not.
    """
    if command is not None and shutil.which(program := shlex.split(command)[0]) is None:
        raise ConfigError([f"study.notify: no program '{program}' on this machine; give its path, or remove notify"])


@dataclass
class _Call:
    """A program that runs, when it is killed, its errors, and what it was told."""

    process: subprocess.Popen[bytes]
    deadline: float
    errors: IO[bytes]
    event: str


class Notifier:
    """Tells the program of ``study.notify`` what happens in a sweep, each event once over all machines.

    The program gets one JSON document on its standard input: ``event`` (``finished``, ``best_changed``, ``failed`` or
    ``stuck``), ``study``, ``trials`` done, and of a trial ``trial``, ``value``, ``run_id``, ``params`` and ``reason``.
    It runs beside the sweep, without a shell. A failure is logged and changes nothing.

    Args:
        config: The experiment.
        url: The study's storage.
        clock: Seconds, for the limits.
    """

    def __init__(self, config: Config, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._config, self._url, self._clock = config, url, clock
        self._calls: list[_Call] = []
        self._progress: dict[int, tuple[Hashable, float]] = {}

    def update(self, study: optuna.Study, finished: bool = False) -> None:
        """Tell what has happened since the last time; about once a second.

        Args:
            study: The study; one of a confirmation is passed over.
            finished: Whether the study has just become complete.
        """
        if self._config.study.notify is None or study.study_name != self._config.study_name:
            return
        self._reap()
        for event in self._news(study, finished):
            self._start(event)

    def close(self) -> None:
        """Wait for what runs, up to its limit."""
        while self._calls:
            self._reap()
            time.sleep(0.02)

    def _news(self, study: optuna.Study, finished: bool) -> list[dict[str, Any]]:
        """Return the events that nobody was told yet, and note that they are told."""
        with exclusive(self._url):
            counted, told = counted_trials(study), study.user_attrs.get(attributes.NOTIFIED, {})
            failed = [trial for trial in counted if trial.state == TrialState.FAIL]
            stuck, best = self._stuck(study), best_trial(study)
            known = {name: set(told.get(name, ())) for name in ("failed", "stuck")}
            news = [self._event("failed", study, t) for t in failed if t.number not in known["failed"]]
            news += [self._event("stuck", study, t) for t in stuck if t.number not in known["stuck"]]
            if best is not None and best.number != told.get("best"):
                news.append(self._event("best_changed", study, best))
            if finished and told.get("finished") != len(counted):
                news.append(self._event("finished", study, best))
            if news:
                now = {
                    "best": told.get("best") if best is None else best.number,
                    "failed": sorted(known["failed"] | {trial.number for trial in failed}),
                    "stuck": sorted(known["stuck"] | {trial.number for trial in stuck}),
                    "finished": len(counted) if finished else told.get("finished"),
                }
                study.set_user_attr(attributes.NOTIFIED, now)
        return news

    def _event(self, name: str, study: optuna.Study, trial: FrozenTrial | None) -> dict[str, Any]:
        event = {"event": name, "study": study.study_name, "trials": len(counted_trials(study))}
        if trial is None:
            return event
        return event | {
            "trial": trial.number,
            "name": trial_name(study, trial),
            "value": trial.values[0] if trial.values else None,
            "run_id": trial.user_attrs.get(attributes.RUN_ID),
            "params": trial.params,
            "reason": trial.user_attrs.get(attributes.REASON),
        }

    def _stuck(self, study: optuna.Study) -> list[FrozenTrial]:
        """Return the running trials whose epochs stand still, by this process's clock."""
        earlier, self._progress, stuck = self._progress, {}, []
        for trial in running_trials(study):
            epochs = stored_epochs(trial)
            at = None if epochs is None else (epochs.fold, epochs.done)
            before = earlier.get(trial.number)
            since = before[1] if before is not None and before[0] == at else self._clock()
            self._progress[trial.number] = at, since
            longest = max(epochs.stage_seconds.values(), default=0.0) if epochs is not None else 0.0
            if self._clock() - since > max(STUCK_SECONDS, STUCK_EPOCHS * longest):
                stuck.append(trial)
        return stuck

    def _start(self, event: dict[str, Any]) -> None:
        assert self._config.study.notify is not None
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the program has ended
        try:
            process = subprocess.Popen(
                shlex.split(self._config.study.notify),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        except OSError as error:
            errors.close()
            logger.warning("study.notify was not told of %s: %s", event["event"], error)
            return
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(event).encode())
            process.stdin.close()
        except OSError:
            pass  # it does not read; what counts is how it ends
        self._calls.append(_Call(process, self._clock() + LIMIT_SECONDS, errors, event["event"]))

    def _reap(self) -> None:
        """Log how programs have ended, and kill those whose time is up."""
        running = []
        for call in self._calls:
            code = call.process.poll()
            if code is None and self._clock() < call.deadline:
                running.append(call)
                continue
            if code is None:
                _kill(call.process)
            if code != 0:
                call.errors.seek(0)
                said = " ".join(call.errors.read().decode(errors="replace").split())[:MESSAGE_LENGTH]
                how = f"was killed after {LIMIT_SECONDS:g} s" if code is None else f"ended with exit code {code}"
                logger.warning("study.notify (%s) %s%s", call.event, how, f": {said}" if said else "")
            call.errors.close()
        self._calls = running


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a program and, where there are process groups, all that it has started."""
    if os.name == "posix":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
