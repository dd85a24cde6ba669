"""The curves of earlier studies: read from studies in short, kept by a new study, and of use to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from helpers.studies import LR, summary

from mobilenet_chest.config import Config
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.curve_scales import USUAL, ScalePrior, Scales
from mobilenet_chest.sweep.earlier_curves import (
    MOST_EPOCHS,
    MOST_STUDIES,
    MOST_TRIALS,
    curves_of,
    learn_curves,
    stored_prior,
)
from mobilenet_chest.sweep.first_trials import learned_from, queue_first_trials
from mobilenet_chest.sweep.learning_curves import Curve, CurveModel
from mobilenet_chest.sweep.stored_study import open_or_create
from mobilenet_chest.sweep.study_summary import StudySummary, summaries

RATES = (1e-5, 1e-4, 1e-3, 3e-3, 1e-2)
EPOCHS = 12


def curve(end: float, pace: float, generator: np.random.Generator) -> dict[int, float]:
    values = end - 0.3 * np.exp(-np.arange(1, EPOCHS + 1) / pace) + 0.003 * generator.normal(size=EPOCHS)
    return {epoch: round(float(value), 4) for epoch, value in enumerate(values, 1)}


def curved(name: str, pace: float = 1.0, seed: int = 0, **fields: Any) -> StudySummary:
    """Return a study in short with a curve of each trial; a small pace is a fast one."""
    generator = np.random.default_rng(seed)
    study = summary(name, {rate: 0.7 + 0.03 * place for place, rate in enumerate(RATES)}, stage2_epochs=EPOCHS)
    trials = [
        trial.model_copy(update={"curve": curve(float(trial.value or 0), pace, generator)}) for trial in study.trials
    ]
    return StudySummary.model_validate(study.model_dump() | {"trials": [t.model_dump() for t in trials]} | fields)


def told_prior(studies: list[StudySummary]) -> ScalePrior:
    """Return the prior that a new study has of them, stored and read again."""
    study = optuna.create_study()
    learned = learn_curves(studies)
    assert learned is not None
    study.set_user_attr(attributes.CURVES, json.loads(json.dumps(learned)))
    return stored_prior(study)


def test_the_curves_of_a_study_in_short() -> None:
    study = curved("a")
    found = curves_of(study)
    assert [each.place[0] for each in found] == pytest.approx([0, 1 / 3, 2 / 3, 0.8257, 1], abs=1e-3)
    assert found[0].epochs.tolist() == list(range(1, EPOCHS + 1))
    assert found[0].scores.tolist() == [study.trials[0].curve[epoch] for epoch in range(1, EPOCHS + 1)]
    falling = StudySummary.model_validate(study.model_dump() | {"direction": "minimize"})
    assert curves_of(falling)[0].scores.tolist() == (-found[0].scores).tolist()
    assert curves_of(summary("b", {1e-4: 0.8})) == []


def test_a_study_knows_how_fast_curves_rise_from_those_that_agree_on_it() -> None:
    fast, slow = (
        told_prior([curved(f"s{seed}", pace, seed) for seed in range(4)]) for pace in (0.7, 6.0)
    )  # fmt: skip
    assert fast.ratio.half < 0.75 * slow.ratio.half
    # three curves of a new study after one epoch, and one whole: how much the others still gain is not seen in them
    places = [np.full(1, place) for place in (0.0, 0.3, 0.6, 0.9)]
    whole = np.array(list(curve(0.8, 6.0, np.random.default_rng(9)).values()))
    known = [Curve(place, np.array([1.0]), whole[:1] + 0.02 * number) for number, place in enumerate(places)]
    gains = [CurveModel(known, EPOCHS, prior).predict(known).mean - known[0].scores[0] for prior in (fast, slow)]
    assert (gains[1] > gains[0]).all()


def test_studies_without_curves_say_nothing() -> None:
    short = curved("short")
    one_epoch = short.model_copy(update={
        "trials": tuple(t.model_copy(update={"curve": {1: t.curve[1]}}) for t in short.trials)
    })  # fmt: skip
    few = short.model_copy(update={"trials": short.trials[:3]})
    assert learn_curves([summary("a", {1e-4: 0.8}), one_epoch, few]) is None
    assert stored_prior(optuna.create_study()) == USUAL


def test_the_last_studies_are_read() -> None:
    studies = [curved(f"s{number}", seed=number) for number in range(MOST_STUDIES + 2)]
    learned = learn_curves([*studies, summary("without curves", {1e-4: 0.8})])
    assert learned is not None
    assert learned["studies"] == [f"s{number}" for number in range(2, MOST_STUDIES + 2)]
    assert set(learned["ratio"]) == set(Scales._fields)


def test_a_study_in_the_store_gives_its_curves(
    phantom_config: Callable[..., Config], url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Curves are of stage 2; a new study keeps what they say, and MLflow and the user hear of it."""
    stages = {"stage1": {"epochs": 2}, "stage2": {"epochs": EPOCHS}, "search": LR}
    earlier = phantom_config({"name": "earlier", "study": {"trials": len(RATES)}} | stages)
    study, source = open_or_create(earlier, url), curved("x")
    for trial in source.trials:
        assert trial.value is not None
        study.add_trial(optuna.trial.create_trial(
            params={"stage2.lr": trial.params["stage2.lr"]},
            distributions={"stage2.lr": optuna.distributions.FloatDistribution(1e-5, 1e-2, log=True)},
            value=trial.value,
            intermediate_values={1: 0.5, 2: 0.6} | {epoch + 2: value for epoch, value in trial.curve.items()}
            | ({5: float("nan")} if trial.number == 0 else {}),
        ))  # fmt: skip
    (found,) = summaries(url)
    assert found.stage2_epochs == EPOCHS
    assert found.trials[1].curve == source.trials[1].curve
    assert found.trials[0].curve == {epoch: value for epoch, value in source.trials[0].curve.items() if epoch != 3}

    thawing = {"scheduler": "freeze_thaw", "pruner": "none", "trials": 4, "sampler": "random", "learn_from": "all"}
    new = phantom_config({"name": "new", "study": thawing} | stages)
    begun = open_or_create(new, url)
    with caplog.at_level("INFO", "mobilenet_chest"):
        queue_first_trials(new, begun, url)
    assert begun.user_attrs[attributes.CURVES]["studies"] == ["earlier"]
    assert stored_prior(begun) != USUAL
    assert learned_from(begun) == ["earlier"]
    assert any("curves" in record.getMessage() for record in caplog.records)

    other = phantom_config({"name": "other", "study": thawing | {"scheduler": "none"}} | stages)
    plain = open_or_create(other, url)
    queue_first_trials(other, plain, url)
    assert attributes.CURVES not in plain.user_attrs


def test_a_large_study_is_read_in_part() -> None:
    """The model's time grows with the third power of trials and epochs, and a file may have thousands of each."""
    curve = {epoch: epoch / 1000 for epoch in range(1, 1001)}
    trial = {"state": "COMPLETE", "params": {"stage2.lr": 1e-3}, "value": 0.8, "seconds": 1.0, "curve": curve}
    many = summary("many", {}, stage2_epochs=1000, trials=[trial | {"number": number} for number in range(200)])
    curves = curves_of(many)
    assert len(curves) == MOST_TRIALS
    assert {len(each.epochs) for each in curves} == {MOST_EPOCHS}
    assert (curves[0].epochs[0], curves[0].epochs[-1]) == (1, 1000)


def test_means_of_folds_are_no_curve(phantom_config: Callable[..., Config], url: str) -> None:
    config = phantom_config({
        "name": "folds", "stage1": {"epochs": 1}, "stage2": {"epochs": 5}, "search": LR,
        "study": {"trials": 1, "resampling": "kfold", "folds": 4},
    })  # fmt: skip
    study = open_or_create(config, url)
    study.add_trial(optuna.trial.create_trial(
        params={"stage2.lr": 1e-3},
        distributions={"stage2.lr": optuna.distributions.FloatDistribution(1e-5, 1e-2, log=True)},
        value=0.8,
        intermediate_values={1: 0.7, 2: 0.8, 3: 0.75, 4: 0.8},
    ))  # fmt: skip
    (found,) = summaries(url)
    assert (found.stage2_epochs, found.trials[0].curve) == (None, {})


def test_where_epochs_are_searched_there_is_no_curve(phantom_config: Callable[..., Config], url: str) -> None:
    search = LR | {"stage1.epochs": {"choices": [1, 2]}}
    config = phantom_config({"name": "a", "search": search, "study": {"trials": 1}})
    study = open_or_create(config, url)
    study.add_trial(optuna.trial.create_trial(
        params={"stage2.lr": 1e-3, "stage1.epochs": 2},
        distributions={
            "stage2.lr": optuna.distributions.FloatDistribution(1e-5, 1e-2, log=True),
            "stage1.epochs": optuna.distributions.CategoricalDistribution([1, 2]),
        },
        value=0.8,
        intermediate_values={3: 0.7},
    ))  # fmt: skip
    (found,) = summaries(url)
    assert found.trials[0].curve == {}
