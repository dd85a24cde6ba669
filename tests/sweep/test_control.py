"""What workers see of what is asked of their study."""

from __future__ import annotations

import pytest
from helpers.claims import RANGE, Make, Open

from mobilenet_chest.sweep import attributes, commands
from mobilenet_chest.sweep import control as control_module
from mobilenet_chest.sweep.control import SHOWN_LENGTH, Control, TrialHeld, commanded_study, events_text, in_force


def test_a_worker_holds_its_trial_while_the_study_is_paused(
    phantom_config: Make, opened: Open, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_module, "LOOK_SECONDS", 3600.0)
    study = opened(phantom_config({"search": RANGE}))
    trial, control = study.ask(), Control(study)
    assert control.ends(study, trial) is False
    commands.pause(study, url)
    assert control.paused
    assert control.ends(study, trial) is False  # it has looked not long ago
    with pytest.raises(TrialHeld):
        Control(study).ends(study, trial)
    commands.resume(study, url)
    assert not control.paused
    assert Control(study).ends(study, trial) is False


def test_a_stop_is_for_the_commands_that_had_begun(phantom_config: Make, opened: Open, url: str) -> None:
    study = opened(phantom_config({"search": RANGE}))
    begun = Control(study)
    commands.stop(study, url)
    assert begun.stopped
    assert not Control(study).stopped
    assert Control(study, begun.stops).stopped  # another worker of the stopped command


def test_a_trial_that_is_stopped_ends(phantom_config: Make, opened: Open, url: str) -> None:
    study = opened(phantom_config({"search": RANGE}))
    first, second = study.ask(), study.ask()
    commands.stop_trial(study, url, number=1)
    assert [Control(study).ends(study, trial) for trial in (first, second)] == [False, True]


def test_a_confirmation_obeys_the_study_that_it_confirms(phantom_config: Make, opened: Open, url: str) -> None:
    study = opened(phantom_config({"name": "main", "search": RANGE}))
    confirming = opened(phantom_config({"name": "main-confirm", "search": RANGE}))
    confirming.set_user_attr(attributes.CONFIRMS, "main")
    commands.pause(study, url)
    assert Control(confirming).paused
    assert commanded_study(confirming).study_name == "main"


def test_a_total_set_by_hand_stands_in_for_the_one_that_was_asked(phantom_config: Make, opened: Open, url: str) -> None:
    asked = phantom_config({"search": RANGE, "study": {"trials": 20}})
    study = opened(asked)
    study.set_user_attr(attributes.ASKED_TRIALS, 20)
    assert in_force(asked, study) is asked
    for trials in (40, 30):
        commands.set_field(study, url, "trials", trials)
        assert in_force(asked, study).study.trials == trials
        assert in_force(in_force(asked, study), study).study.trials == trials
    later = phantom_config({"search": RANGE, "study": {"trials": 25}})
    assert in_force(later, study).study.trials == 25  # a command with another number has the last word


def test_mlflow_shows_the_last_events_that_fit_a_tag() -> None:
    lines = [f"{number} {'x' * 90}" for number in range(100)]
    shown = events_text(lines)
    assert 0.9 * SHOWN_LENGTH < len(shown) <= SHOWN_LENGTH
    assert shown.splitlines() == lines[-len(shown.splitlines()) :]
    assert events_text(lines[:2]) == "\n".join(lines[:2])
    assert events_text(["x" * 9000]) == "x" * SHOWN_LENGTH
