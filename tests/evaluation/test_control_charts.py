"""Control charts: false alarms as rare as stated, and each shift on the chart that is made for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from helpers import streams

from mobilenet_chest.evaluation import cumulative
from mobilenet_chest.evaluation.control_charts import ALWAYS, RATE, Chart, control_charts
from mobilenet_chest.evaluation.cumulative import cumulative_charts, standard_values
from mobilenet_chest.evaluation.drift import Films
from mobilenet_chest.evaluation.exchangeable import Floats

STREAMS = 500
"""``experiments/results/monitoring.md`` has the figures of 2,000."""


def out(charts: list[Chart], window: Films) -> set[str]:
    return {chart.key for chart in charts if chart.is_out(chart.measure(window))}


@pytest.fixture(scope="module")
def charts() -> list[Chart]:
    return control_charts(streams.reference(1, 300, features=4), 60)


def stable() -> Films:
    return streams.films(np.random.default_rng(5), 60, features=4)


def test_stable_films_are_in_control(charts: list[Chart]) -> None:
    assert {chart.key for chart in charts} == {*ALWAYS, "abstains", "features"}
    assert out(charts, stable()) == set()
    for chart in charts:
        assert isinstance(chart.measure(stable()), float)
        assert chart.low <= chart.stable <= chart.high
        assert not chart.is_out(chart.high)


def test_each_shift_has_its_chart(charts: list[Chart]) -> None:
    films = stable()
    bright, flat, inverted, small, blurred = (films.pictures.copy() for _ in range(5))
    bright[:, 2] += 60
    flat[:, 3] = 0
    inverted[:, 2], inverted[:, 4:6] = 255 - inverted[:, 2], inverted[:, 5:3:-1]
    small[:, :2] /= 2
    assert "exposure" in out(charts, replace(films, pictures=bright))
    assert {"contrast", "unlike"} <= out(charts, replace(films, pictures=flat))
    assert "inverted" in out(charts, replace(films, pictures=inverted))
    assert out(charts, replace(films, pictures=small)) == {"size"}
    blurred[:, 6] *= 0.8
    assert out(charts, replace(films, pictures=blurred)) == {"detail"}
    assert films.features is not None
    moved = films.features + np.array([0, 3, 0, 0], np.float32)
    assert out(charts, replace(films, features=moved)) == {"features"}
    certain = replace(films, probability=np.full(60, 0.999), calibrated=np.full(60, 0.99))
    assert {"psi", "ks", "class_1"} <= out(charts, certain)
    unsure = np.random.default_rng(1).uniform(0.45, 0.55, 60)
    assert {"uncertainty", "abstains"} <= out(charts, replace(films, probability=unsure, calibrated=unsure))


def test_what_a_model_lacks_has_no_chart() -> None:
    known = streams.reference(2, 60)
    labels = (known.films.probability > 0.5).astype(np.uint8)  # no mistake: the model never abstains
    assert [chart.key for chart in control_charts(replace(known, labels=labels), 20)] == list(ALWAYS)
    pictures = known.films.pictures.copy()
    pictures[0, 6] = np.nan  # a film of an early log
    known = replace(known, labels=labels, films=replace(known.films, pictures=pictures))
    assert {*ALWAYS} - {chart.key for chart in control_charts(known, 20)} == {"detail"}


@pytest.mark.slow
def test_one_false_alarm_in_ten_thousand_stable_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams of 20 windows, each with validation rows of its own; at a larger rate, it is not far below it.

    Each window is judged alone and by the sums over windows, which have half of the rate each.
    """
    counts: dict[float, list[float]] = {RATE: [], 0.05: []}
    # neither what is measured nor what is summed depends on the rate
    summed: dict[int, Floats] = {}

    def once(known: Floats, windows: Sequence[Floats], seed: int) -> Floats:
        if seed not in summed:
            summed[seed] = standard_values(known, windows, seed)
        return summed[seed]

    monkeypatch.setattr(cumulative, "standard_values", once)
    for seed in range(STREAMS):
        known, generator = streams.reference(seed), np.random.default_rng([seed, 1])
        windows = [streams.films(generator, 100) for _ in range(20)]
        of_rates = {rate: control_charts(known, 100, rate / 2) for rate in counts}
        measured = [[chart.measure(window) for chart in of_rates[RATE]] for window in windows]
        summed.clear()
        for rate, of_streams in counts.items():
            charts = of_rates[rate]
            out = np.any([chart.out for chart in cumulative_charts(known, windows, rate / 2)], axis=0)
            out |= [
                any(chart.is_out(value) for chart, value in zip(charts, values, strict=True)) for values in measured
            ]
            of_streams.append(out.sum())
    expected = RATE * STREAMS * 20
    assert sum(counts[RATE]) <= expected + 3 * expected**0.5
    share, error = float(np.mean(counts[0.05])) / 20, float(np.std(counts[0.05])) / 20 / STREAMS**0.5
    assert 0.01 < share <= 0.05 + 3 * error
    print(f"alarms {sum(counts[RATE])} of {STREAMS * 20}; at .05: {share:.4f} +- {error:.4f}")


@pytest.mark.slow
def test_a_classifier_that_finds_no_difference_raises_no_alarm() -> None:
    """The chart of features alone, at a rate that 2,000 windows can show."""
    out_of_control = []
    for seed in range(200):
        known, generator = streams.reference(seed, 200, features=4), np.random.default_rng([seed, 1])
        (chart,) = (chart for chart in control_charts(known, 60, 0.5) if chart.key == "features")
        films = [streams.films(generator, 60, features=4) for _ in range(10)]
        out_of_control.append(np.mean([chart.is_out(chart.measure(window)) for window in films]))
    share, error = float(np.mean(out_of_control)), float(np.std(out_of_control)) / 200**0.5
    assert 0.005 < share <= 0.5 / 11 + 3 * error
