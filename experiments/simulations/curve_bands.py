"""How often do bands hold when few short curves are known, and what do the curves of earlier studies add?

``python experiments/simulations/curve_bands.py [--rounds N]`` takes the studies of ``experiments/studies.json``. In
each round it draws a few trials of a study, cuts their curves at random, one excepted, and predicts the later epochs:
with the usual prior, and with the one that the studies of other images give. It prints the tables of
``experiments/results/schedulers.md``. It trains nothing, and sees no images.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.sweep.curve_scales import USUAL, ScalePrior, Scales
from mobilenet_chest.sweep.earlier_curves import curves_of, learn_curves
from mobilenet_chest.sweep.learning_curves import Curve, CurveModel
from mobilenet_chest.sweep.studies_file import read_studies
from mobilenet_chest.sweep.study_summary import StudySummary

STUDIES = Path(__file__).parents[1] / "studies.json"

KNOWN = (4, 6, 10)
"""How many trials have begun."""

BAND_90 = 1.6449
"""Half the width of a band of 90% of a normal distribution, in standard deviations."""


class Told(NamedTuple):
    """What was predicted of later epochs.

    Attributes:
        inside: Share of later scores within the bands.
        density: Mean logarithm of the density that later scores had, in units of the known scores' deviation.
        narrow: The same share without widening.
    """

    inside: float
    density: float
    narrow: float


def images_of(study: StudySummary) -> str:
    """Return which images a study is of: ``pneumonia``, ``phantom`` or ``nih``."""
    return study.name.partition("-")[0]


def prior_for(study: StudySummary, studies: Sequence[StudySummary]) -> ScalePrior:
    """Return what the studies of other images say of a study's curves."""
    learned = learn_curves([each for each in studies if images_of(each) != images_of(study)])
    assert learned is not None
    return ScalePrior(*(Scales(**learned[name]) for name in ScalePrior._fields))


def cut(curves: Sequence[Curve], trials: int, seed: Sequence[int]) -> tuple[list[Curve], list[Curve]]:
    """Return a few whole curves, and the same cut at random epochs; the first one is not cut."""
    generator = np.random.default_rng(seed)
    whole = [curves[place] for place in generator.permutation(len(curves))[:trials]]
    lengths = [len(whole[0].epochs), *(int(generator.integers(1, len(curve.epochs))) for curve in whole[1:])]
    known = [
        curve._replace(epochs=curve.epochs[:length], scores=curve.scores[:length])
        for curve, length in zip(whole, lengths, strict=True)
    ]
    return whole, known


def told(whole: Sequence[Curve], known: Sequence[Curve], total: int, prior: ScalePrior) -> Told:
    """Predict the later epochs of cut curves, and compare with the whole ones."""
    model = CurveModel(known, total, prior)
    off: list[NDArray[np.float64]] = []
    deviations: list[NDArray[np.float64]] = []
    for epoch in range(1, total + 1):
        later = [n for n, curve in enumerate(known) if epoch > curve.epochs[-1] and epoch in whole[n].epochs]
        if later:
            predicted = model.predict([known[n] for n in later], epoch)
            truth = np.array([whole[n].scores[list(whole[n].epochs).index(epoch)] for n in later])
            off.append(np.abs(truth - predicted.mean) / predicted.deviation)
            deviations.append(predicted.deviation)
    z, deviation = np.concatenate(off), np.concatenate(deviations)
    unit = float(np.concatenate([curve.scores for curve in known]).std()) or 1.0
    density = float(np.mean(-0.5 * z**2 - np.log(deviation / unit)))
    return Told(float((z <= BAND_90).mean()), density, float((z * model.widening <= BAND_90).mean()))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="draws of a study and a number of trials")
    rounds = parser.parse_args().rounds
    studies = read_studies(STUDIES)
    priors = {study.name: prior_for(study, studies) for study in studies}
    print("| trials begun | prior | bands hold, unwidened | bands hold (least, most of a study) | log density |")
    print("|---|---|---|---|---|")
    for trials in KNOWN:
        table: dict[str, list[list[Told]]] = {"usual": [], "of other images": []}
        for study in studies:
            curves, total = curves_of(study), study.stage2_epochs
            assert total is not None
            draws = [cut(curves, trials, [round_, trials]) for round_ in range(rounds)]
            for name, prior in (("usual", USUAL), ("of other images", priors[study.name])):
                table[name].append([told(*draw, total, prior) for draw in draws])
        for name, of_studies in table.items():
            values = np.array(of_studies)  # studies, rounds, figures
            inside = values[:, :, 0].mean(1)
            print(
                f"| {trials} | {name} | {100 * values[:, :, 2].mean():.1f}% | {100 * inside.mean():.1f}% "
                f"({100 * inside.min():.0f}% to {100 * inside.max():.0f}%) | {values[:, :, 1].mean():.2f} |",
                flush=True,
            )
        gains = np.array(table["of other images"])[:, :, 1] - np.array(table["usual"])[:, :, 1]
        apart = gains.mean(1).std(ddof=1) / len(gains) ** 0.5
        print(f"\ngain of log density: {gains.mean():.3f}, standard error over studies {apart:.3f}\n")


if __name__ == "__main__":
    main()
