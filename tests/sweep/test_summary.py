"""A trial in the contract's words, and the state of a running sweep."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import asdict

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.summary import TrialSummary, kept_trials, status, summarize
from mobilenet_chest.training.epochs import Epochs


def trial(
    state: str, value: float | None = None, reports: dict[int, float] | None = None, **user_attrs: object
) -> FrozenTrial:
    return optuna.create_trial(
        state=TrialState[state], value=value, params={"x": 0.5}, distributions={"x": FloatDistribution(0, 1)},
        intermediate_values=reports or {}, user_attrs=user_attrs,
    )  # fmt: skip


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(direction="maximize")


def test_a_trial_in_the_contracts_words(study: optuna.Study) -> None:
    study.add_trial(trial("COMPLETE", 0.9, run_id="r"))
    study.add_trial(trial("PRUNED", reports={1: 0.7, 3: 0.6}))
    study.add_trial(trial("FAIL", reason="it does not train"))
    assert list(map(summarize, study.trials)) == [
        TrialSummary(0, "COMPLETE", 0.9, "r", {"x": 0.5}),
        TrialSummary(1, "PRUNED", 0.6, None, {"x": 0.5}),  # its last report
        TrialSummary(2, "FAIL", None, None, {"x": 0.5}, "it does not train"),
    ]


def test_further_objectives_come_behind_the_value() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.add_trial(optuna.create_trial(values=[0.9, 12.0]))
    summary = summarize(study.trials[0])
    assert (summary.value, summary.also) == (0.9, (12.0,))


def test_the_state_of_a_sweep(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 130.0)
    study.add_trial(trial("COMPLETE", 0.8))
    begun = status(study, total=5, started=100.0, before=1)
    assert (begun.seconds, begun.seconds_left, begun.confirming) == (30.0, None, False)
    study.add_trial(trial("COMPLETE", 0.9))
    study.add_trial(trial("PRUNED", reports={1: 0.1}))
    study.add_trial(trial("FAIL", interrupted=True))  # does not count
    study.ask({"x": FloatDistribution(0, 1)}).report(0.4, 2)
    later = status(study, total=5, started=100.0, before=1)
    assert later.states == {"COMPLETE": 2, "PRUNED": 1}
    assert later.seconds_left == 30.0  # two more in 30 s, two are left
    assert later.best is not None
    assert (later.best.number, later.best.value) == (1, 0.9)
    assert [(running.number, running.value) for running in later.running] == [(4, 0.4)]


def test_a_confirmation_shows_the_trial_that_is_repeated(study: optuna.Study) -> None:
    study.set_user_attr(attributes.CONFIRMS, "tiny")
    study.enqueue_trial({}, user_attrs={attributes.CONFIRMS: {"study": "tiny", "trial": 7, "seed": 1}})
    study.ask()
    state = status(study, total=2, started=time.time(), before=0)
    assert (state.confirming, state.best) == (True, None)
    assert [running.number for running in state.running] == [7]


def epochs(done: int, **changed: object) -> dict[str, object]:
    state = Epochs(done, 10, 2, "val_auc", (0.5,), 0.5, 0.3, 100.0, (2, 8), {1: 1.0, 2: 3.0})
    return asdict(dataclasses.replace(state, **changed))  # type: ignore[arg-type]


def test_running_trials_have_their_epochs_and_the_time_left(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 130.0)
    study.add_trial(trial("FAIL", interrupted=True))
    study.enqueue_trial({}, user_attrs={attributes.RETRY_OF: 0})
    study.ask().set_user_attr(attributes.EPOCHS, epochs(4))
    study.ask()
    state = status(study, total=4, started=100.0, before=0)
    again, fresh = state.running
    assert (again.label, again.number, again.attempt_of, again.seconds_left) == ("0, second attempt", 1, 0, 6 * 3.0)
    assert again.epochs is not None
    assert (again.epochs.done, again.epochs.stage_seconds) == (4, {1: 1.0, 2: 3.0})
    assert (fresh.label, fresh.epochs, fresh.seconds_left) == ("2", None, None)
    # none has ended: the rest of the running one, and two more of the four in pairs
    assert state.seconds_left == 18.0 + (2 * 1.0 + 8 * 3.0) * 2 / 2


def test_ended_trials_are_listed_by_their_first_numbers(study: optuna.Study) -> None:
    study.add_trial(trial("FAIL", interrupted=True))
    study.add_trial(trial("COMPLETE", 0.8, retry_of=0))
    state = status(study, total=2, started=time.time(), before=0)
    assert [(ended.label, ended.number) for ended in state.ended] == [("0, second attempt", 1)]
    assert state.best is not None
    assert state.best.label == "0, second attempt"


def test_what_an_interrupted_sweep_has_kept(study: optuna.Study) -> None:
    study.add_trial(trial("COMPLETE", 0.8))
    study.add_trial(trial("FAIL", interrupted=True, epochs=epochs(7)))
    study.enqueue_trial({}, user_attrs={attributes.RETRY_OF: 1})
    study.enqueue_trial({})  # a point of a grid, which nobody has begun
    kept = kept_trials(study)
    assert kept.finished == 1
    (interrupted,) = kept.interrupted
    assert interrupted.epochs is not None
    assert (interrupted.label, interrupted.epochs.done) == ("1", 7)
