"""A trial in the contract's words, and the state of a running sweep."""

from __future__ import annotations

import time

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.summary import TrialSummary, status, summarize


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
