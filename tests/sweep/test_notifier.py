"""The program of ``study.notify``: what it is told, and that its failures change nothing."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.claims import RANGE, Make, Open
from optuna.trial import TrialState

from mobilenet_chest.errors import ConfigError
from mobilenet_chest.sweep import attributes, notifier
from mobilenet_chest.sweep.claims import claim
from mobilenet_chest.sweep.notifier import Notifier, check_notify


@pytest.fixture
def told(tmp_path: Path) -> tuple[str, Callable[[], list[dict[str, Any]]]]:
    """A program that keeps each document in a file of its own, and what it was told so far."""
    script = tmp_path / "keep.sh"
    script.write_text(f"#!/bin/sh\ncat > {tmp_path}/told.$$.json\n", encoding="utf-8")
    script.chmod(0o755)

    def read() -> list[dict[str, Any]]:
        documents = [json.loads(file.read_text(encoding="utf-8")) for file in tmp_path.glob("told.*.json")]
        return sorted(documents, key=lambda document: (document["trials"], document["event"]))

    return shlex.quote(str(script)), read


def test_each_event_is_told_once(phantom_config: Make, opened: Open, url: str, told: Any) -> None:
    command, read = told
    config = phantom_config({"search": RANGE, "study": {"trials": 4, "sampler": "random", "notify": command}})
    study = opened(config)
    for value in (0.5, None, 0.7, 0.6):
        claimed = claim(study, config, url)
        assert claimed is not None
        study.tell(claimed[0], value, state=TrialState.FAIL if value is None else TrialState.COMPLETE)
        for _ in range(2):  # two machines, or a tick later
            machine = Notifier(config, url)
            machine.update(study)
            machine.close()
    last = Notifier(config, url)
    last.update(study, finished=True)
    last.close()
    events = read()
    assert [(event["event"], event["trials"], event["trial"]) for event in events] == [
        ("best_changed", 1, 0), ("failed", 2, 1), ("best_changed", 3, 2), ("finished", 4, 2)
    ]  # fmt: skip
    assert events[2]["value"] == 0.7
    assert events[2]["params"] == study.get_trials()[2].params
    assert {event["study"] for event in events} == {study.study_name}


def test_a_trial_whose_epochs_stand_still_is_stuck(phantom_config: Make, opened: Open, url: str, told: Any) -> None:
    command, read = told
    config = phantom_config({"search": RANGE, "study": {"trials": 1, "notify": command}})
    study, now = opened(config), [0.0]
    assert claim(study, config, url) is not None
    watch = Notifier(config, url, clock=lambda: now[0])
    for moment in (0.0, notifier.STUCK_SECONDS - 1, notifier.STUCK_SECONDS + 1, notifier.STUCK_SECONDS + 2):
        now[0] = moment
        watch.update(study)
    watch.close()
    assert [(event["event"], event["trial"]) for event in read()] == [("stuck", 0)]
    assert study.user_attrs[attributes.NOTIFIED]["stuck"] == [0]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sh -c 'echo no mail >&2; exit 3'", "exit code 3: no mail"),
        ("sleep 60", "killed"),
        ("/nothing/here", "told of"),
    ],
)
def test_a_failure_is_logged_and_changes_nothing(
    phantom_config: Make, opened: Open, url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
    command: str, said: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(notifier, "LIMIT_SECONDS", 0.3 if command.startswith("sleep") else 30.0)
    config = phantom_config({"search": RANGE, "study": {"trials": 1, "notify": command}})
    study = opened(config)
    claimed = claim(study, config, url)
    assert claimed is not None
    study.tell(claimed[0], 0.5)
    machine = Notifier(config, url)
    machine.update(study)
    machine.close()
    assert said in caplog.text
    assert len(caplog.records) == 1


def test_a_program_that_is_not_there_is_said_before_training() -> None:
    check_notify(None)
    check_notify(f"{shlex.quote(sys.executable)} -c pass")
    with pytest.raises(ConfigError, match=r"notify: no program 'no-such-program'"):
        check_notify("no-such-program --now")
