"""Learning curves: what a model of them says of later epochs, and how often its bands hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from mobilenet_chest.sweep.learning_curves import Curve, CurveModel, expected_gain

Floats = NDArray[np.float64]
TOTAL = 20
Z90 = 1.6449


def drawn(generator: np.random.Generator, trials: int) -> tuple[list[Floats], list[Floats]]:
    """Return places and whole curves: exponentials, which the model's own form is not, with noise."""
    places = [generator.random(3) for _ in range(trials)]
    direction = generator.normal(size=3)
    curves = []
    for place in places:
        end = 0.85 + 0.05 * math.tanh(float(place @ direction)) + 0.01 * generator.normal()
        gap, pace = 0.2 + 0.05 * generator.random(), generator.uniform(1, 4)
        curves.append(end - gap * np.exp(-np.arange(1, TOTAL + 1) / pace) + 0.005 * generator.normal(size=TOTAL))
    return places, curves


def begun(places: list[Floats], curves: list[Floats], lengths: list[int]) -> list[Curve]:
    return [
        Curve(place, np.arange(1.0, length + 1), curve[:length])
        for place, curve, length in zip(places, curves, lengths, strict=True)
    ]


def test_a_curve_that_rises_is_expected_to_end_above_a_flat_one() -> None:
    rising, flat = np.linspace(0.6, 0.8, 5), np.full(5, 0.8)
    others = [0.9 - 0.3 * 0.7 ** np.arange(1, TOTAL + 1) for _ in range(4)]
    curves = begun([np.full(1, 0.2 * number) for number in range(6)], [*others, rising, flat], [TOTAL] * 4 + [5, 5])
    predicted = CurveModel(curves, TOTAL).predict(curves[4:])
    assert predicted.mean[0] > predicted.mean[1]
    assert predicted.mean[0] > 0.82


def test_a_new_trial_is_expected_to_be_like_those_near_it() -> None:
    places = [np.full(1, place) for place in np.linspace(0, 1, 10)]
    curves = [0.7 + 0.2 * float(place[0]) - 0.2 * 0.6 ** np.arange(1, TOTAL + 1) for place in places]
    nothing = np.empty(0)
    new = [Curve(np.full(1, place), nothing, nothing) for place in (0.05, 0.95, 5.0)]
    predicted = CurveModel(begun(places, curves, [TOTAL] * 10), TOTAL).predict(new)
    assert predicted.mean[:2] == pytest.approx([0.71, 0.89], abs=0.02)
    assert predicted.deviation[2] > 3 * predicted.deviation[:2].max()  # far away nothing is known


def test_order_and_place_of_trials_change_nothing() -> None:
    places, curves = drawn(np.random.default_rng(1), 6)
    all_of_them = begun(places, curves, [3, 5, 8, 20, 2, 12])
    model = CurveModel(all_of_them, TOTAL)
    together, single = model.predict(all_of_them), [model.predict([curve]) for curve in all_of_them]
    assert together.mean == pytest.approx([each.mean[0] for each in single], rel=1e-9)
    assert together.deviation == pytest.approx([each.deviation[0] for each in single], rel=1e-9)
    again = CurveModel(all_of_them, TOTAL).predict(all_of_them[::-1])
    assert again.mean[::-1] == pytest.approx(together.mean, rel=1e-9)


def test_scores_of_another_unit_give_the_same_bands_in_that_unit() -> None:
    places, curves = drawn(np.random.default_rng(2), 6)
    lengths = [3, 5, 8, 20, 2, 12]
    here, there = (begun(places, each, lengths) for each in (curves, [100 * curve - 7 for curve in curves]))
    first, second = CurveModel(here, TOTAL).predict(here), CurveModel(there, TOTAL).predict(there)
    assert second.mean == pytest.approx(100 * first.mean - 7, rel=1e-3)
    assert second.deviation == pytest.approx(100 * first.deviation, rel=1e-2)


def test_all_scores_alike_have_a_prediction() -> None:
    curves = begun([np.full(2, 0.1 * number) for number in range(5)], [np.full(TOTAL, 0.5)] * 5, [4] * 5)
    predicted = CurveModel(curves, TOTAL).predict(curves)
    assert np.isfinite(predicted.mean).all()
    assert (predicted.deviation > 0).all()


def test_the_expected_gain_is_the_mean_of_the_gains() -> None:
    draws = np.random.default_rng(0).normal(0.8, 0.05, 200_000)
    for reached, best in ((0.5, 0.82), (0.84, 0.82), (-math.inf, 0.7)):
        gains = np.maximum(np.maximum(draws, reached) - best, 0)
        (found,) = expected_gain(np.array([0.8]), np.array([0.05]), np.array([reached]), best)
        assert found == pytest.approx(gains.mean(), abs=4 * gains.std() / math.sqrt(len(draws)))


@pytest.mark.slow
def test_bands_hold_what_they_promise_on_curves_of_another_form() -> None:
    """90% bands of all later epochs, over 20 studies of 15 trials; the model's own form is not that of the curves."""
    inside = total = 0
    for seed in range(20):
        generator = np.random.default_rng(seed)
        places, curves = drawn(generator, 15)
        lengths = [int(length) for length in generator.integers(2, TOTAL - 3, 15)]
        known = begun(places, curves, lengths)
        model = CurveModel(known, TOTAL)
        for epoch in range(3, TOTAL + 1):
            later = [number for number in range(15) if lengths[number] < epoch]
            if later:
                predicted = model.predict([known[number] for number in later], epoch)
                truth = np.array([curves[number][epoch - 1] for number in later])
                inside += int((np.abs(truth - predicted.mean) <= Z90 * predicted.deviation).sum())
                total += len(later)
    assert 0.85 <= inside / total <= 0.95
