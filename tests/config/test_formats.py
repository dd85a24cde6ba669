"""Numbers, durations and intervals as people read them."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from mobilenet_chest.config.formats import count, duration, ends, listed, number, p_value, signed, times, with_interval


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (0.93215, "0.9322"), (9.0, "9"), (10.0, "10"), (123456.0, "123456"), (12.5, "12.5"), (7, "7"),
        (1e-5, "1e-05"), (math.nan, "nan"), (-math.inf, "-inf"), ("adamw", "adamw"), (True, "True"),
    ],
)  # fmt: skip
def test_a_number_has_four_significant_digits(value: Any, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.93215, 3, "0.932"), (5, 0, "5"), (12.0, 2, "12.00"), (None, 4, "–"), (math.nan, 4, "–"), (math.inf, 0, "–")],
)
def test_a_number_with_decimals(value: float | None, digits: int, text: str) -> None:
    assert number(value, digits, "–") == text


def test_a_count_has_commas() -> None:
    assert [count(value) for value in (5_022_225.0, 12.0, None, math.nan)] == ["5,022,225", "12", "", ""]
    assert count(None, "–") == "–"


def test_how_often() -> None:
    assert [times(number) for number in (1, 2, 12)] == ["once", "2 times", "12 times"]


def test_a_difference_has_its_sign() -> None:
    assert [signed(value) for value in (0.01234, -0.5, 0.0)] == ["+0.0123", "−0.5000", "+0.0000"]
    assert signed(-0.01234, 3) == "−0.012"


def test_a_p_value_never_reads_0() -> None:
    assert [p_value(p).replace("\u00a0", " ") for p in (0.0009, 0.001, 0.25)] == ["p < 0.001", "p = 0.001", "p = 0.250"]
    assert " " not in p_value(0.5)


def test_an_interval_says_to_where_a_dash_would_be_a_minus() -> None:
    above, below = SimpleNamespace(low=0.9, high=0.95432), SimpleNamespace(low=-0.01, high=0.02)
    assert (ends(above), ends(below), ends(above, 2, " to ")) == ("0.900–0.954", "-0.010 to 0.020", "0.90 to 0.95")
    assert with_interval(0.93215, above) == "0.9322 (0.900–0.954)"
    values = [0.98, 1.0, 0.0, 0.09, 0.00012346, 12.5, math.nan]
    texts = ["0.9800", "1.0000", "0.0000", "0.0900", "0.0001235", "12.5", "nan"]
    assert [with_interval(value, above) for value in values] == [f"{text} (0.900–0.954)" for text in texts]
    assert with_interval(0.93215, above, 3, "–", " to ") == "0.932 (0.900 to 0.954)"
    assert (with_interval(None, None), with_interval(None, None, 3, "–"), with_interval(0.5, None)) == ("", "–", "0.5")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"), (99.4, "99 s"), (100, "1.7 min"), (5999, "100.0 min"), (6000, "1.7 h"), (None, "unknown time"),
        (math.nan, "unknown time"),
    ],
)  # fmt: skip
def test_a_duration_has_the_unit_that_suits_it(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text
    assert duration(seconds, "–") == ("–" if text == "unknown time" else text)


def test_names_with_commas_are_told_apart() -> None:
    assert listed(["7", "1"]) == "7, 1"
    assert listed(["7", "1, second attempt"]) == "7; 1, second attempt"
    assert listed([]) == ""
