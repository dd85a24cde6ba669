"""The simulation of bands of learning curves: what it cuts and predicts, and that bands hold on the shipped studies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilenet_chest.sweep.curve_scales import USUAL
from mobilenet_chest.sweep.earlier_curves import curves_of
from mobilenet_chest.sweep.studies_file import read_studies

FOLDER = Path(__file__).parents[2] / "experiments" / "simulations"


@pytest.fixture
def bands(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    import curve_bands

    yield curve_bands
    del sys.modules["curve_bands"]


def test_later_epochs_are_hidden_but_for_those_of_one_trial(bands: Any) -> None:
    curves = curves_of(read_studies(bands.STUDIES)[0])
    whole, known = bands.cut(curves, 6, [0, 6])
    assert len(whole) == len(known) == 6
    assert len(known[0].epochs) == 3
    assert all(len(each.epochs) in (1, 2) for each in known[1:])
    for all_of_it, part in zip(whole, known, strict=True):
        assert part.place is all_of_it.place
        assert part.scores.tolist() == all_of_it.scores[: len(part.epochs)].tolist()
    assert bands.told(whole, known, 3, USUAL).inside <= 1


@pytest.mark.slow
def test_bands_of_few_short_curves_hold_on_the_shipped_studies(bands: Any) -> None:
    """90% bands, with six trials begun: those of the usual prior, and those that studies of other images give."""
    studies = read_studies(bands.STUDIES)
    found = []
    for study in studies:
        priors = (USUAL, bands.prior_for(study, studies))
        for number in range(2):
            draw = bands.cut(curves_of(study), 6, [number, 6])
            found.append([bands.told(*draw, study.stage2_epochs, prior) for prior in priors])
    inside = np.array(found)[:, :, 0].mean(0)
    assert ((inside >= 0.8) & (inside <= 0.97)).all(), inside
