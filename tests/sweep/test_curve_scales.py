"""What is known of a study's curves before it has any: of none, of one and of many earlier studies."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mobilenet_chest.sweep.curve_scales import USUAL, Scales, learned_prior, usual_scales

SAME = Scales(*[1.0] * 10)


def test_without_an_earlier_study_the_prior_is_the_usual_one() -> None:
    prior = learned_prior([])
    assert np.array(prior) == pytest.approx(np.array(USUAL))


def test_one_study_moves_the_prior_by_half_and_makes_it_no_surer_of_that() -> None:
    prior = learned_prior([SAME._replace(half=4.0)])
    assert prior.ratio.half == pytest.approx(2.0)
    assert prior.deviation.half == pytest.approx(math.log(2))  # as far from the study as from the usual one
    assert prior.ratio.noise == pytest.approx(1.0)
    assert prior.deviation.noise == pytest.approx(math.log(2) / math.sqrt(2))


def test_many_studies_that_agree_are_believed_and_those_that_differ_are_not() -> None:
    prior = learned_prior([SAME._replace(half=4.0, noise=0.1 if number % 2 else 10.0) for number in range(20)])
    assert prior.ratio.half == pytest.approx(4.0 ** (20 / 21))
    assert prior.deviation.half < 0.4 < math.log(2) < prior.deviation.noise
    assert prior.ratio.noise == pytest.approx(1.0)


def test_the_usual_scales_grow_with_the_epochs_and_the_coordinates() -> None:
    short, long = usual_scales(2, 1), usual_scales(40, 4)
    assert (short.half, short.memory, short.width) == (1.0, 1.0, 0.6)
    assert (long.half, long.memory, long.width) == (10.0, 10.0, 1.2)
    assert short[3:8] == long[3:8]
