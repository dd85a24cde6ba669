"""Evidence that may be looked at after every label: its values, its interval, and how often it is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad

from mobilenet_chest.errors import DataError
from mobilenet_chest.evaluation.sequential import FRACTIONS, Sequential, log_capital, paired, unpaired

STREAMS, LOOKS = 2000, 10_000


def answers(both: int, only_first: int, only_second: int, neither: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    counts = [both, only_first, only_second, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


@pytest.mark.parametrize(("wins", "losses"), [(3, 1), (40, 20), (2, 9)])
def test_the_capital_is_that_of_a_mixture_of_bets(wins: int, losses: int) -> None:
    def integrand(angle: float) -> float:
        fraction = math.sin(angle) ** 2  # of the arcsine law where the angle is even
        return (1 + fraction) ** wins * (1 - fraction) ** losses

    expected, _ = quad(integrand, 0, math.pi / 2)
    rows, counts = np.array([[1.0, -1, 1], [-1, -1, 1], [0, -1, 1]]), np.array([wins, losses, 500])
    assert math.exp(log_capital(rows, counts, 0.0, 1)) == pytest.approx(expected / (math.pi / 2), rel=1e-6)
    assert log_capital(rows, counts, 0.0, -1) == log_capital(rows * [-1, 1, 1], counts, 0.0, 1)


def test_a_difference_has_its_evidence_and_interval() -> None:
    result = paired(*answers(80, 2, 30, 8))
    assert result.value == pytest.approx(28 / 120)
    assert 0 < result.low < result.value < result.high < 1
    assert result.e_value > 20
    assert result.n == 120
    turned = paired(*answers(80, 30, 2, 8))
    assert (turned.low, turned.high, turned.e_value) == pytest.approx((-result.high, -result.low, result.e_value))


def test_the_interval_leaves_out_no_difference_exactly_where_the_evidence_reaches_its_limit() -> None:
    results = [paired(*answers(50, 3, wins, 0)) for wins in range(3, 40)]
    assert [result.e_value >= 20 for result in results] == [result.low > 0 for result in results]
    assert len({result.low > 0 for result in results}) == 2


def test_arms_are_compared_whatever_their_shares() -> None:
    second = np.arange(4000) % 4 == 0
    correct = np.where(second, np.arange(4000) % 40 != 0, np.arange(4000) % 5 != 1)  # 90% of the second, 73.3%
    result = unpaired(correct, second, np.full(4000, 0.25))
    assert result.value == pytest.approx(correct[second].mean() - correct[~second].mean())
    assert 0 < result.low < result.value < result.high
    varied = unpaired(correct, second, np.where(np.arange(4000) < 2000, 0.25, 0.2501))
    assert varied.low == pytest.approx(result.low, abs=1e-3)


def test_the_order_of_labels_does_not_matter() -> None:
    first, second = answers(30, 4, 12, 3)
    order = np.random.default_rng(0).permutation(len(first))
    assert paired(first[order], second[order]) == paired(first, second)


def test_equal_answers_narrow_the_interval_and_are_no_evidence() -> None:
    few, many = paired(*answers(20, 0, 0, 0)), paired(*answers(2000, 0, 0, 0))
    assert (few.value, few.e_value, many.e_value) == (0, 0.5, 0.5)
    assert many.high == -many.low < 0.01 < few.high


def test_without_a_label_everything_is_possible() -> None:
    nothing = np.zeros(0, np.bool_)
    result = paired(nothing, nothing)
    assert (result.low, result.high, result.e_value, result.n) == (-1, 1, 1, 0)
    assert math.isnan(result.value)


def test_the_largest_differences_have_an_interval() -> None:
    assert paired(*answers(0, 0, 50, 0)).high == 1
    assert paired(*answers(0, 50, 0, 0)).low == -1
    result = unpaired(np.arange(100) % 2 == 0, np.arange(100) % 2 == 0, np.full(100, 0.5))
    assert isinstance(result, Sequential)
    assert 0.5 < result.low < 1 == result.high


def test_what_cannot_be_compared() -> None:
    yes = np.ones(3, np.bool_)
    with pytest.raises(DataError, match="3"):
        paired(yes, yes[:2])
    with pytest.raises(DataError, match="share"):
        unpaired(yes, yes, np.ones(3))
    with pytest.raises(ValueError, match="95"):
        paired(yes, yes, 95)


def least_wins(rows: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Return, for 0 to n rounds, how many must be won until either side's evidence refutes "no difference"."""
    limits, wins = np.zeros(n + 1, np.int64), 1
    for rounds in range(1, n + 1):
        while wins <= rounds and log_capital(rows, np.array([wins, rounds - wins]), 0.0, 1) < math.log(40):
            wins += 1
        limits[rounds] = wins
    return limits


@pytest.mark.slow
@pytest.mark.parametrize("share", [None, 0.1, 0.5])
def test_ten_thousand_looks_give_at_most_five_percent_false_alarms(share: float | None) -> None:
    """Each look has something new to see: only patients of whom one model is right, or errors of either arm."""
    low, high = (-1.0, 1.0) if share is None else (-1 / share, 1 / (1 - share))
    rows = np.array([[high, low, high], [low, low, high]])
    upper, lower = least_wins(rows, LOOKS), least_wins(-rows[::-1][:, [0, 2, 1]], LOOKS)
    chance = 0.5 if share is None else 1 - share
    random, rounds, alarms = np.random.default_rng(1), np.arange(1, LOOKS + 1), 0
    for _ in range(STREAMS):
        wins = np.cumsum(random.random(LOOKS) < chance)
        alarms += bool(np.any(wins >= upper[1:]) or np.any(rounds - wins >= lower[1:]))
    assert 0 < alarms <= 0.05 * STREAMS


@pytest.mark.slow
def test_the_interval_covers_the_true_difference_at_all_looks() -> None:
    random, truth, streams, looks = np.random.default_rng(2), 0.1, 500, 4000
    x = random.choice([1.0, 0.0, -1.0], (streams, looks), p=[0.25, 0.6, 0.15])
    missed = np.zeros(streams, np.bool_)
    for side in (1, -1):
        logs = np.zeros((streams, len(FRACTIONS)))
        for look in range(looks):
            gain = (side * x[:, look] + 1) / (side * truth + 1)
            logs += np.log1p(FRACTIONS * (gain[:, None] - 1))
            missed |= np.exp(logs).mean(1) >= 40
    assert 0 < missed.sum() <= 0.05 * streams
